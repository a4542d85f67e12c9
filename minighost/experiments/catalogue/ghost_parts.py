"""What each part of a ghost module is worth."""

from typing import Any

from minighost.experiments.experiment import Claim, Experiment, Form
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

ARMS: dict[str, dict[str, Any]] = {
    "standard": {},
    "k=1": {"model.module": "pointwise"},
    "k=1, wider": {"model.module": "pointwise", "model.width": 2.1},  # the multiply-adds of the standard module
    "no identity": {"model.module": "all_cheap"},
    "linear": {"model.module": "linear"},
    "ghosts first": {"model.module": "ghosts_first"},
    "d=3 and 5": {"model.d": [3, 5]},
}
NETWORK = {"model.name": "ghost_resnet_cifar", "model.width": 0.75}

EXPERIMENT = Experiment(
    name="ghost-parts",
    question="Which of the ghost module's parts matter: the free kernel, the identity, linearity, the order, one "
    "kernel size?",
    source="Han et al. 2020, GhostNet, arXiv 1911.11907, section 3.1 ('Difference from existing methods') and 3.2; no "
    "numbers",
    claims=(
        Claim("standard", "k=1", expects="higher"),
        Claim("standard", "k=1, wider", expects="higher"),
        Claim("standard", "no identity", expects="higher"),
        Claim("standard", "ghosts first", expects="higher"),
        Claim("standard", "linear", expects="equal"),
        Claim("standard", "d=3 and 5", expects="equal"),
    ),
    full=Form(CIFAR10 | NETWORK | {"train.epochs": 5, "train.warmup_epochs": 1}, ARMS, minutes=87),
    quick=Form(SHAPES10 | NETWORK | {"data.train_size": 2000, "data.test_size": 500}, ARMS, minutes=4, seeds=1),
    columns=("parameters", "macs", "minutes"),
    notes=(
        "Ghost-ResNet-20 with s = 2 and d = 3; each arm exchanges one part of every module. The paper gives reasons "
        "for its choices, but no numbers.",
        "'k=1' has a fraction of the multiply-adds; 'k=1, wider' has those of the standard module, within 3 %. The "
        "others cost up to 6 % more than it.",
        "'linear': the paper calls the cheap operation linear, and its code puts batch norm and ReLU after it, as our "
        "standard module does. Here both are left out.",
        "'ghosts first': the paper mixes channels first and makes ghosts of the result, where separable convolutions "
        "filter first and mix then. In this arm the depthwise convolution comes first; half of the output are filters "
        "over its maps, half are its maps. What expands and what reduces, the other sense of order, is a matter of "
        "blocks: see the experiment `separable`.",
    ),
)
