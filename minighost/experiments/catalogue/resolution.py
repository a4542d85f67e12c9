"""The resolution multiplier of MobileNet and GhostNet."""

from minighost.experiments.catalogue.width import NETWORKS
from minighost.experiments.experiment import Claim, Experiment, Form, Published
from minighost.experiments.power import fits
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

SIDES = 16, 20, 24, 28, 32
ARMS = {
    f"{name} {side}": NETWORKS[name] | {"data.size": (side, side), "train.crop": side // 8}
    for name in NETWORKS
    for side in SIDES
}
SHAPE = {"model.width": 0.5, "model.dropout": 0.0}

EXPERIMENT = Experiment(
    name="resolution",
    question="Do images of ρ times the side cost ρ² of the work, and what does accuracy cost in work and in time?",
    source="Howard et al. 2017, MobileNets, arXiv 1704.04861, table 7: ImageNet at 224, 192, 160 and 128 pixels",
    claims=(
        Claim("mobilenet_v1 28", "mobilenet_v1 32", points=-1.5),
        Claim("mobilenet_v1 24", "mobilenet_v1 32", points=-3.4),
        Claim("mobilenet_v1 20", "mobilenet_v1 32", points=-6.2),
        *(Claim(f"ghostnet {side}", "ghostnet 32", expects="lower") for side in SIDES[-2::-1]),
    ),
    published={
        "mobilenet_v1 20": Published(64.4, 4.2e6, 186e6),
        "mobilenet_v1 24": Published(67.2, 4.2e6, 290e6),
        "mobilenet_v1 28": Published(69.1, 4.2e6, 418e6),
        "mobilenet_v1 32": Published(70.6, 4.2e6, 569e6),
    },
    full=Form(CIFAR10 | SHAPE | {"train.epochs": 4}, ARMS, minutes=43),
    quick=Form(SHAPES10 | SHAPE | {"data.train_size": 2000, "data.test_size": 500}, ARMS, minutes=3.3, seeds=1),
    columns=("parameters", "macs", "train_ms", "inference_ms"),
    plots=("macs", "inference_ms", "train_ms"),
    families={arm: arm.partition(" ")[0] for arm in ARMS},
    notes=(
        "The paper's 128, 160 and 192 of 224 pixels are 18.3, 22.9 and 27.4 of 32; they stand beside 20, 24 and 28.",
        "Images are scaled down before training, training and test images alike; random shifts shrink with them.",
        "Width 0.5 and a stem of stride 1. Sides that 16 does not divide are padded up in the strided layers, which "
        "makes their last maps larger than in proportion; those of 16 pixels end as a single pixel.",
    ),
    reading=lambda findings: fits(findings, "ρ", _side),
)


def _side(arm):
    return arm.config.data.size[0]
