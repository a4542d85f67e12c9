"""FasterNet's block (Chen et al. 2023, "Run, don't walk: Chasing higher FLOPS for faster neural
networks", figure 4).
"""

import numpy as np

from minighost.nn import functional
from minighost.nn.blocks import ConvBNAct
from minighost.nn.layers import Conv2d
from minighost.nn.module import Module, backward_onto
from minighost.nn.partial import PartialConv2d
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["FasterNetBlock"]


class FasterNetBlock(Module):
    """A 3x3 convolution of some channels, two 1x1 of all: ``x + project(expand(partial(x)))``, the planes' size kept.

    Parameters
    ----------
    channels : int
        C.
    act : str
        After the first 1x1 convolution and its batch norm, the only ones of the block (`ops.ACTIVATIONS`).
    division : int
        One channel in so many is convolved in space.
    expansion : int
        The middle has `expansion` times C channels.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        As in `PartialConv2d`.
    """

    def __init__(
        self, channels: int, act: str = "relu", division: int = 4, expansion: int = 2, rng: Seed = None
    ) -> None:
        rng = np.random.default_rng(rng)
        self.partial = PartialConv2d(channels, division, rng=rng)
        self.expand = ConvBNAct(channels, expansion * channels, 1, act=act, rng=rng)
        self.project = Conv2d(expansion * channels, channels, 1, bias=False, rng=rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, C) -> (N, H, W, C)."""
        out, cache = functional.add_forward(self.project(self.expand(self.partial(x))), x)
        self._cache = (cache,)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """The sum hands `dout` to both; what they return meets again at x."""
        (cache,) = self._take_cache(dout)
        dy, dx = functional.add_backward(dout, cache)
        return backward_onto(self.partial, self.expand.backward(self.project.backward(dy)), dx)
