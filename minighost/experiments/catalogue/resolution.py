"""The resolution multiplier of MobileNet and GhostNet."""

from minighost.experiments.experiment import Claim, Experiment, Form
from minighost.experiments.power import fits
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

NETWORKS = {
    "mobilenet_v1": {"model.name": "mobilenet_v1_cifar", "model.width": 0.25},
    "ghostnet": {"model.name": "ghostnet_cifar_fast", "model.width": 0.5},
}
SIDES = 16, 24, 32
ARMS = {
    f"{name} {side}": NETWORKS[name] | {"data.size": (side, side), "train.crop": side // 8}
    for name in NETWORKS
    for side in SIDES
}
RECIPE = {"model.dropout": 0.0}

EXPERIMENT = Experiment(
    name="resolution",
    question="Do images of ρ times the side cost ρ² of the work, and what does accuracy cost in work and in time?",
    source="Howard et al. 2017, MobileNets, arXiv 1704.04861, table 7: ImageNet at 224, 192, 160 and 128 pixels",
    claims=tuple(Claim(f"{name} {side}", f"{name} 32", expects="lower") for name in NETWORKS for side in (24, 16)),
    full=Form(CIFAR10 | RECIPE, ARMS, minutes=45),
    quick=Form(SHAPES10 | RECIPE, ARMS, minutes=4, seeds=1),
    columns=("parameters", "macs", "train_ms", "inference_ms"),
    plots=("macs", "inference_ms", "train_ms"),
    families={arm: arm.partition(" ")[0] for arm in ARMS},
    notes=(
        "The paper, for ρ = 1, 0.86, 0.71 and 0.57: 70.6, 69.1, 67.2 and 64.4 % of ImageNet, with 569, 418, 290 and "
        "186 million multiply-adds. Ours are ρ = 1, 0.75 and 0.5.",
        "Images are scaled down before training, training and test images alike; random shifts shrink with them. All "
        "sides are multiples of 8, the product of the strides, so that no map is rounded up.",
        "The layers after the mean over each map, and squeeze-and-excitation, cost the same at any resolution: "
        "GhostNet has many of them.",
    ),
    reading=lambda findings: fits(findings, "ρ", _side),
)


def _side(arm):
    return arm.config.data.size[0]
