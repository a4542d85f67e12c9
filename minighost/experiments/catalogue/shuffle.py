"""ShuffleNet with the shuffle and without it."""

from minighost.experiments.experiment import Claim, Experiment, Form, Published
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

ARMS = {"g=1": {"model.groups": 1}} | {
    f"g={groups}{words}": {"model.groups": groups, "model.shuffle": shuffle}
    for groups in (3, 8)
    for words, shuffle in (("", True), (", no shuffle", False))
}
NETWORK = {"model.name": "shufflenet_v1_cifar", "model.width": 0.25}

EXPERIMENT = Experiment(
    name="shuffle",
    question="What is the shuffle between grouped convolutions worth, for g groups at equal multiply-adds?",
    source="Zhang et al. 2018, ShuffleNet, arXiv 1707.01083, tables 2 and 3, 0.25x: ImageNet",
    claims=(
        Claim("g=3", "g=3, no shuffle", points=1.3),
        Claim("g=8", "g=8, no shuffle", points=3.8),
        Claim("g=3", "g=1", points=2.1),
        Claim("g=8", "g=1", points=4.4),
    ),
    published={
        "g=1": Published(100 - 57.1),
        "g=3": Published(100 - 55.0),
        "g=3, no shuffle": Published(100 - 56.3),
        "g=8": Published(100 - 52.7),
        "g=8, no shuffle": Published(100 - 56.5),
    },
    full=Form(CIFAR10 | NETWORK, ARMS, minutes=50),
    quick=Form(SHAPES10 | NETWORK, ARMS, minutes=6, seeds=1),
    columns=("parameters", "macs", "train_ms", "inference_ms"),
    notes=(
        "More groups at equal multiply-adds mean more channels: the paper's widths, quartered, for 32x32 images with a "
        "stem of stride 1 and no pooling. With one group there is nothing to shuffle.",
        "The paper's numbers are 100 less its top-1 errors on ImageNet: compare directions, not points.",
    ),
)
