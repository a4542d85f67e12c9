"""The kernel size of a ghost module's cheap operation."""

from minighost.experiments.experiment import Claim, Experiment, Form, Published
from minighost.experiments.recipes import CIFAR10, SHAPES10
from minighost.experiments.vgg_sizes import size_cells

__all__ = ["EXPERIMENT"]

SIZES = 1, 3, 5, 7

ARMS = {"plain": {"model.name": "vgg16_cifar"}} | {
    f"d={d}": {"model.name": "ghost_vgg16_cifar", "model.s": 2, "model.d": d} for d in SIZES
}

EXPERIMENT = Experiment(
    name="ghost-d",
    question="Which kernel size d should the cheap operation of a ghost module have?",
    source="Han et al. 2020, GhostNet, arXiv 1911.11907, table 3: VGG-16 on CIFAR-10, s = 2",
    claims=(
        Claim("d=3", "d=1", points=0.2),
        Claim("d=3", "d=5", points=0.3),
        Claim("d=3", "d=7", points=0.6),
        Claim("d=3", "plain", points=0.1),
    ),
    published={
        "plain": Published(93.6, 15.0e6, 313e6),
        "d=1": Published(93.5, 7.6e6, 157e6),
        "d=3": Published(93.7, 7.7e6, 158e6),
        "d=5": Published(93.4, 7.7e6, 160e6),
        "d=7": Published(93.1, 7.7e6, 163e6),
    },
    full=Form(CIFAR10 | {"model.width": 0.25}, ARMS, minutes=39),
    quick=Form(SHAPES10 | {"model.width": 0.125}, ARMS, minutes=2, seeds=2),
    columns=("parameters", "macs", "minutes"),
    notes=(
        "The paper trains the full width for 400 epochs. Ghost forms converge more slowly, so a short run favours the "
        "plain network; it also shifts what the best kernel size is, if larger kernels need longer.",
        "The paper's parameters and multiply-adds are those of the full width; ours are those of the arms as trained.",
    ),
    appendix=lambda: size_cells([(2, d) for d in SIZES]),
)
