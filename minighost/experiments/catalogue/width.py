"""The width multiplier of MobileNet and GhostNet."""

from minighost.experiments.experiment import Claim, Experiment, Form, Published
from minighost.experiments.power import fits
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

NETWORKS = {
    "mobilenet_v1": {"model.name": "mobilenet_v1_cifar", "model.stage2_stride": 2},
    "ghostnet": {"model.name": "ghostnet", "model.stem_stride": 1},
}
WIDTHS = {"mobilenet_v1": (0.25, 0.5, 0.75, 1.0), "ghostnet": (0.5, 0.75, 1.0, 1.3)}
ARMS = {f"{name} {width:g}": NETWORKS[name] | {"model.width": width} for name in WIDTHS for width in WIDTHS[name]}
SHAPE = {"model.dropout": 0.0}

EXPERIMENT = Experiment(
    name="width",
    question="Does a width multiplier α cost α² of the work, and what does accuracy cost in work and in time?",
    source="Howard et al. 2017, MobileNets, arXiv 1704.04861, table 6, and Han et al. 2020, GhostNet, arXiv "
    "1911.11907, table 7: ImageNet",
    claims=(
        Claim("mobilenet_v1 0.75", "mobilenet_v1 1", points=-2.2),
        Claim("mobilenet_v1 0.5", "mobilenet_v1 1", points=-6.9),
        Claim("mobilenet_v1 0.25", "mobilenet_v1 1", points=-20.0),
        Claim("ghostnet 0.5", "ghostnet 1", points=-7.7),
        Claim("ghostnet 1.3", "ghostnet 1", points=1.8),
    ),
    published={
        "mobilenet_v1 0.25": Published(50.6, 0.5e6, 41e6),
        "mobilenet_v1 0.5": Published(63.7, 1.3e6, 149e6),
        "mobilenet_v1 0.75": Published(68.4, 2.6e6, 325e6),
        "mobilenet_v1 1": Published(70.6, 4.2e6, 569e6),
        "ghostnet 0.5": Published(66.2, 2.6e6, 42e6),
        "ghostnet 1": Published(73.9, 5.2e6, 141e6),
        "ghostnet 1.3": Published(75.7, 7.3e6, 226e6),
    },
    full=Form(CIFAR10 | SHAPE | {"train.epochs": 4}, ARMS, minutes=72),
    quick=Form(SHAPES10 | SHAPE, ARMS, minutes=8, seeds=1),
    columns=("parameters", "macs", "train_ms", "inference_ms"),
    plots=("macs", "inference_ms", "train_ms"),
    families={arm: arm.partition(" ")[0] for arm in ARMS},
    notes=(
        "Both networks have the paper's layers, but a stem of stride 1, for images of 32x32; their last maps are 2x2. "
        "The paper's numbers are those of ImageNet at 224x224: compare directions, not points.",
        "GhostNet's head of 1280 features and its classifier do not scale with the width, and channels are rounded.",
    ),
    reading=lambda findings: fits(findings, "α", _width),
)


def _width(arm):
    return arm.config.model.width
