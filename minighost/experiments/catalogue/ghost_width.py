"""Wider networks of ghosts against a plain one that takes as long."""

from minighost.experiments.equal_time import at_equal_time
from minighost.experiments.experiment import Experiment, Form
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

PLAIN, GHOST = (0.75, 1.0), (1.0, 1.25, 1.5, 1.75)


def arms(base):
    """Widths are multiples of `base`."""
    plain = {f"plain {alpha:g}": {"model.name": "vgg16_cifar", "model.width": base * alpha} for alpha in PLAIN}
    ghost = {f"ghost {alpha:g}": {"model.name": "ghost_vgg16_cifar", "model.width": base * alpha} for alpha in GHOST}
    return {**plain, **ghost}


EXPERIMENT = Experiment(
    name="ghost-width",
    question="Is a wider network of ghosts better than a plain one that takes as many milliseconds?",
    source="a question that Han et al. 2020, GhostNet, arXiv 1911.11907, leaves open: it compares multiply-adds",
    full=Form(CIFAR10, arms(0.25), minutes=61),
    quick=Form(SHAPES10, arms(0.125), minutes=2.8, seeds=2),
    columns=("macs", "train_ms", "inference_ms"),
    plots=("train_ms", "inference_ms", "macs"),
    families={arm: arm.partition(" ")[0] for arm in arms(1)},
    notes=(
        "VGG-16 for CIFAR-10 with 3x3 convolutions, or with ghost modules of s = 2 and d = 3 in their place; 1 is a "
        "quarter of the paper's width. Widths are fixed beforehand, and accuracy at the plain network's time is read "
        "off the line between the two ghost networks whose times enclose it.",
        "Milliseconds are those of this machine and of minighost's kernels; another library or processor has others.",
    ),
    reading=lambda findings: [
        at_equal_time(findings, "plain 1", "ghost", part) for part in ("train_ms", "inference_ms", "macs")
    ],
)
