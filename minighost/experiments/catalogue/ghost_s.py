"""The ratio of a ghost module: how many maps stand for each one that is computed in full."""

from minighost.experiments.experiment import Claim, Experiment, Form, Published
from minighost.experiments.recipes import CIFAR10, SHAPES10
from minighost.experiments.vgg_sizes import size_cells

__all__ = ["EXPERIMENT"]

RATIOS = 2, 3, 4, 5

ARMS = {"plain": {"model.name": "vgg16_cifar"}} | {
    f"s={s}": {"model.name": "ghost_vgg16_cifar", "model.s": s, "model.d": 3} for s in RATIOS
}

EXPERIMENT = Experiment(
    name="ghost-s",
    question="How much accuracy does each further step of the ratio s cost, for how much less work?",
    source="Han et al. 2020, GhostNet, arXiv 1911.11907, table 4: VGG-16 on CIFAR-10, d = 3",
    claims=(
        Claim("s=2", "plain", points=0.1),
        Claim("s=3", "s=2", points=-0.3),
        Claim("s=4", "s=2", points=-0.7),
        Claim("s=5", "s=2", points=-0.8),
    ),
    published={
        "plain": Published(93.6, 15.0e6, 313e6),
        "s=2": Published(93.7, 7.7e6, 158e6),
        "s=3": Published(93.4, 5.2e6, 107e6),
        "s=4": Published(93.0, 4.0e6, 80e6),
        "s=5": Published(92.9, 3.3e6, 65e6),
    },
    full=Form(CIFAR10 | {"model.width": 0.25}, ARMS, minutes=41),
    quick=Form(SHAPES10 | {"model.width": 0.125}, ARMS, minutes=2.2, seeds=2),
    plots=("accuracy", "macs"),
    notes=(
        "The paper trains the full width for 400 epochs. At a quarter of the width every map is needed more: a ratio "
        "costs more here than there. Ghost forms also converge more slowly, so a short run favours the plain network.",
        "The paper's parameters and multiply-adds are those of the full width; ours are those of the arms as trained.",
    ),
    appendix=lambda: size_cells([(s, 3) for s in RATIOS]),
)
