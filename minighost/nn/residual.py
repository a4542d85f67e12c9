"""The residual block (He et al. 2016, "Deep residual learning for image recognition", figure 2).

Two convolutions learn what is to be added to their input. Where nothing is, the block is the identity, so that a deep
network is no harder to train than a shallow one.
"""

from collections.abc import Callable

import numpy as np

from minighost.nn import functional
from minighost.nn.activations import ReLU
from minighost.nn.blocks import ConvBNAct
from minighost.nn.module import Module, backward_onto
from minighost.nn.pooling import Subsample
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["ResidualBlock", "Unit", "shortcut_around"]

Unit = Callable[..., Module]  # called as a `ConvBNAct` is: (in_channels, out_channels, kernel_size, stride, act=, rng=)


class ResidualBlock(Module):
    """Two 3x3 convolutions and a shortcut around them: ``relu(second(first(x)) + shortcut(x))``.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution and of the shortcut.
    shortcut : str
        As in `shortcut_around`.
    unit : callable
        What makes a convolution with batch norm and activation: `ConvBNAct`, or what takes its place.
    rng : int or numpy.random.Generator, optional
    mid_channels : int, optional
        Between the two convolutions; by default `out_channels`. Fewer are what pruning leaves.

    Raises
    ------
    ValueError
        As in `Conv2d`, or `shortcut` is neither "A" nor "B".
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        shortcut: str = "B",
        unit: Unit = ConvBNAct,
        rng: Seed = None,
        mid_channels: int | None = None,
    ) -> None:
        rng, mid_channels = np.random.default_rng(rng), out_channels if mid_channels is None else mid_channels
        self.first = unit(in_channels, mid_channels, 3, stride, rng=rng)
        self.second = unit(mid_channels, out_channels, 3, act=None, rng=rng)
        self.shortcut = shortcut_around(in_channels, out_channels, stride, shortcut, unit, rng)
        self.act = ReLU()

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, out_channels)."""
        y = self.second(self.first(x))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        out, cache = functional.add_forward(y, shortcut)
        self._cache = (cache,)
        return self.act(out)

    def backward(self, dout: Array) -> InputGrad:
        """The sum hands its gradient to both branches; what they return meets again at x."""
        (cache,) = self._take_cache(dout)
        dy, dshortcut = functional.add_backward(self.act.backward(dout), cache)
        if self.shortcut is not None:
            dshortcut = self.shortcut.backward(dshortcut)
        return backward_onto(self.first, self.second.backward(dy), dshortcut)


def shortcut_around(
    in_channels: int, out_channels: int, stride: int, option: str, unit: Unit, rng: np.random.Generator
) -> Module | None:
    """What leads around a residual block (He et al. 2016, §3.3); None, the identity, where nothing changes size.

    Parameters
    ----------
    in_channels, out_channels, stride : int
    option : str
        "A", every second pixel between channels of zeros, without parameters; or "B", a 1x1 convolution with batch
        norm.
    unit : callable
        What makes that convolution.
    rng : numpy.random.Generator
    """
    if option not in ("A", "B"):
        raise ValueError(f"ResidualBlock: shortcut={option!r} is unknown; choose from 'A', 'B'")
    if stride == 1 and in_channels == out_channels:
        return None
    return (
        Subsample(out_channels, stride)
        if option == "A"
        else unit(in_channels, out_channels, 1, stride, act=None, rng=rng)
    )
