"""All experiments, by name."""

from minighost.experiments.catalogue import (
    crelu,
    decay,
    family,
    ghost_d,
    ghost_parts,
    ghost_resnet,
    ghost_s,
    ghost_width,
    groups,
    resolution,
    separable,
    shuffle,
    width,
)
from minighost.registry import unknown

__all__ = ["EXPERIMENTS", "find"]

EXPERIMENTS = {
    one.EXPERIMENT.name: one.EXPERIMENT
    for one in (
        ghost_d,
        ghost_s,
        ghost_resnet,
        ghost_parts,
        ghost_width,
        crelu,
        width,
        resolution,
        shuffle,
        separable,
        groups,
        decay,
        family,
    )
}


def find(name):
    """The experiment of that name; ValueError, with the nearest name and all others, if there is none."""
    if name not in EXPERIMENTS:
        raise unknown("", "experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
