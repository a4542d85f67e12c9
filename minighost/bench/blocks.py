"""Where a network's cost is: parameters, multiply-adds and activations of each block, and the milliseconds it takes.

And the question that a ghost module's multiply-adds leave open: they fall by nearly s (Han et al. 2020, eq. 4), but
does the time? A depthwise convolution does few multiplications for each number that it reads and writes.
"""

import functools
from typing import NamedTuple

import numpy as np

from minighost import analysis, nn
from minighost.bench.timing import Timing, measure
from minighost.nn import ConvBNAct, GhostModule, Hook, Module, hooked

__all__ = ["BlockCost", "GhostSpeed", "block_costs", "ghost_speeds"]


class BlockCost(NamedTuple):
    """One block of a network.

    Attributes
    ----------
    path, kind : str
    params, macs, activations : int
        Of one image; activations are the numbers that its layers with parameters put out.
    timing : Timing
        Of the block alone, folded for inference, on the network's own maps.
    """

    path: str
    kind: str
    params: int
    macs: int
    activations: int
    timing: Timing


class GhostSpeed(NamedTuple):
    """A ghost module beside the convolution that it stands for.

    Attributes
    ----------
    path : str
    theory : float
        r_s, the multiply-adds of the ordinary convolution over those of the ghost module.
    ghost, plain : Timing
        Of both, folded for inference, on the same maps.
    """

    path: str
    theory: float
    ghost: Timing
    plain: Timing

    @property
    def measured(self) -> float:
        """How many times as long the ordinary convolution takes: median over the turns, each compared within itself."""
        return float(np.median(self._ratios))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between them lies the middle half of the turns."""
        low, high = np.percentile(self._ratios, [25, 75])
        return float(low), float(high)

    @property
    def _ratios(self) -> np.ndarray:
        return np.divide(self.plain.samples, self.ghost.samples)


def block_costs(model: Module, x: np.ndarray, repeats: int = 10) -> list[BlockCost]:
    """Every block of a network, each timed alone.

    Parameters
    ----------
    model : Module
    x : ndarray, shape (N, H, W, C)
        A batch of normalised images.
    repeats : int

    Returns
    -------
    list of BlockCost
        The blocks are those of `analysis.blocks`. Their times add up to a little more than the network's, whose fold
        runs small planes through several blocks while they are in the cache.
    """
    rows = analysis.count(model, x.shape[1:])
    modules, inputs = dict(model.named_modules()), _Inputs()
    blocks = analysis.blocks(model, rows)
    _run(model, x, [modules[row.path] for row in blocks], inputs)
    found = []
    for row in blocks:
        taken, inner = inputs.of.get(modules[row.path]), f"{row.path}."
        if taken is None:  # listed, but not run in evaluation
            continue
        layers = [one for one in rows if one.path == row.path or one.path.startswith(inner)]
        activations = sum(int(np.prod(one.output_shape)) for one in layers if one.params)
        timing = measure(functools.partial(nn.fold(modules[row.path]), taken), repeats)
        found.append(BlockCost(row.path, row.kind, row.params, row.macs, activations, timing))
    return found


def ghost_speeds(model: Module, x: np.ndarray, repeats: int = 10) -> list[GhostSpeed]:
    """Every ghost module with ghosts, beside a `ConvBNAct` of the same channels, kernel and stride; in turns.

    Parameters as for `block_costs`. Empty for a network without ghost modules; those whose primary convolution has
    branches (GhostNetV3 in training) are left out.
    """
    ghosts = [
        (path, one) for path, one in model.named_modules() if isinstance(one, GhostModule) and _has_plain_form(one)
    ]
    inputs, found = _Inputs(), []
    _run(model, x, [one for _, one in ghosts], inputs)
    for path, ghost in ghosts:
        taken = inputs.of[ghost]
        plain = _stands_for(ghost, taken.shape[3])
        macs = [sum(row.macs for row in analysis.count(one, taken.shape[1:])) for one in (plain, ghost)]
        timings = _in_turns([functools.partial(nn.fold(one), taken) for one in (ghost, plain)], repeats)
        found.append(GhostSpeed(path, macs[0] / macs[1], *timings))
    return found


def _in_turns(calls, repeats):
    """A `Timing` for each call; they alternate, so that a machine that slows down does so for all."""
    first = [measure(call, 1).first for call in calls]
    rounds = [[measure(call, 1, 1).samples[0] for call in calls] for _ in range(repeats)]
    return [Timing(one, samples) for one, samples in zip(first, zip(*rounds, strict=True), strict=True)]


def _has_plain_form(module):
    return module.cheap is not None and isinstance(module.primary, ConvBNAct)


def _stands_for(ghost: GhostModule, channels: int) -> Module:
    primary = ghost.primary.conv
    act = "relu" if ghost.primary.bn.relu else None
    return ConvBNAct(
        channels,
        ghost.out_channels,
        primary.kernel_size,
        primary.stride,
        primary.padding,
        primary.dilation,
        act=act,
        rng=0,
    ).eval()


def _run(model, x, modules, hook):
    """One forward in evaluation, listened to."""
    training = model.training
    model.eval()
    try:
        with hooked(modules, hook), nn.fusing(False):
            model(x)
    finally:
        model.train(training)


class _Inputs(Hook):
    """Keeps what modules are given."""

    def __init__(self):
        self.of = {}

    def before_forward(self, module, x):
        self.of[module] = np.array(x)
