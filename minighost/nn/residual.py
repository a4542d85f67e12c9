"""The residual block (He et al. 2016, "Deep residual learning for image recognition", figure 2).

Two convolutions learn what is to be added to their input. Where nothing is, the block is the identity, so that a deep
network is no harder to train than a shallow one.
"""

import numpy as np

from minighost.nn import functional
from minighost.nn.activations import ReLU
from minighost.nn.blocks import ConvBNAct
from minighost.nn.module import Module, backward_onto
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["ResidualBlock"]


class ResidualBlock(Module):
    """Two 3x3 convolutions and a shortcut around them: ``relu(second(first(x)) + shortcut(x))``.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution and of the shortcut.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        As in `Conv2d`.

    Notes
    -----
    The shortcut is the identity if nothing changes size, else a 1x1 convolution with batch norm (the paper's option B).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, rng: Seed = None) -> None:
        rng = np.random.default_rng(rng)
        self.first = ConvBNAct(in_channels, out_channels, 3, stride, rng=rng)
        self.second = ConvBNAct(out_channels, out_channels, 3, act=None, rng=rng)
        self.shortcut = None
        if stride > 1 or in_channels != out_channels:
            self.shortcut = ConvBNAct(in_channels, out_channels, 1, stride, act=None, rng=rng)
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
