"""Two ways to half the cost of a ResNet: ghost modules, or fewer filters."""

from typing import Any

from minighost.experiments.experiment import Claim, Experiment, Form, Published
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

INNER = {0.5: 0.55, 0.25: 0.6}  # by width: the share of inner filters that costs what the ghost form costs


def arms(width: float, prune_after: int) -> dict[str, dict[str, Any]]:
    """Of both depths, plain, of ghost modules and pruned; the smaller one also narrow from the beginning."""
    inner = {"model.inner": INNER[width]}
    found: dict[str, dict[str, Any]] = {}
    for depth in (20, 56):
        plain = {"model.name": "resnet_cifar", "model.depth": depth}
        found |= {
            f"{depth}": plain,
            f"{depth} ghost": {**plain, "model.name": "ghost_resnet_cifar"},
            f"{depth} pruned": {**plain, **inner, "train.prune_after": prune_after},
        }
    return found | {"20 narrow": {**found["20"], **inner}}


EXPERIMENT = Experiment(
    name="ghost-resnet",
    question="Is a ResNet of ghost modules better than one that is pruned to the same multiply-adds?",
    source="Han et al. 2020, GhostNet, arXiv 1911.11907, section 4.1: ResNet-56 on CIFAR-10; Li et al. 2017, arXiv "
    "1608.08710, pruning by the sum of absolute weights",
    claims=(
        Claim("56 ghost", "56", points=-0.3),
        Claim("56 ghost", "56 pruned", points=0.2),
        Claim("20 ghost", "20 pruned", expects="higher"),
        Claim("20 pruned", "20 narrow", expects="higher"),
    ),
    published={
        "56": Published(93.0, 0.85e6, 125e6),
        "56 ghost": Published(92.7, 0.43e6, 63e6),
        "56 pruned": Published(92.5, 0.73e6, 91e6),
    },
    full=Form(
        CIFAR10 | {"model.width": 0.5, "train.epochs": 6, "train.warmup_epochs": 1.2},
        arms(0.5, prune_after=4),
        minutes=110,
    ),
    quick=Form(
        SHAPES10 | {"model.width": 0.25, "data.train_size": 2000, "data.test_size": 500},
        arms(0.25, prune_after=2),
        minutes=3.5,
        seeds=1,
    ),
    columns=("parameters", "macs", "minutes"),
    notes=(
        "s = 2 and d = 3, half the width. 'pruned' trains the plain network for two thirds of the epochs, takes out "
        "the filters of smallest sum of absolute weights in the first convolution of each block, the same share in "
        "all, until the multiply-adds are those of the ghost form within 1 %, and trains on. Its rate is the one of "
        "the others at that time, and its epochs are no more than theirs; in the paper it is trained to the end first.",
        "So its minutes include dear epochs with all filters. Parameters and multiply-adds are those at the end.",
        "'20 narrow' has the shape of the pruned network from the beginning, and asks whether having been wider helps.",
        "The published pruned network was cut to 91 million multiply-adds, not 63. The published 63 million of the "
        "ghost form are those with d = 1; with d = 3 it has 65.3 million.",
    ),
)
