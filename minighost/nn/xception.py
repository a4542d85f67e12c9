"""The module that Xception consists of (Chollet 2017, "Xception: Deep learning with depthwise separable convolutions",
figure 5): separable convolutions in a row, a shortcut around them.
"""

from collections.abc import Sequence

import numpy as np

from minighost.nn import functional
from minighost.nn.activations import ReLU
from minighost.nn.blocks import ConvBNAct
from minighost.nn.containers import Chain, Sequential
from minighost.nn.layers import BatchNorm2d
from minighost.nn.module import Module, backward_onto
from minighost.nn.pooling import MaxPool2d
from minighost.nn.separable import SeparableConv2d
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["SeparableUnit", "XceptionModule"]


class SeparableUnit(Chain):
    """ReLU, separable 3x3 convolution, batch norm: (N, H, W, in_channels) -> (N, H, W, out_channels).

    Parameters
    ----------
    in_channels, out_channels : int
    relu : bool
        Whether the ReLU before the convolution is there.
    eps, momentum : float
        Of the batch norm.
    rng : int or numpy.random.Generator, optional
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        relu: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
        rng: Seed = None,
    ) -> None:
        self.act = ReLU() if relu else None
        self.conv = SeparableConv2d(in_channels, out_channels, 3, rng=rng)
        self.bn = BatchNorm2d(out_channels, eps, momentum)


class XceptionModule(Module):
    """Separable units and a shortcut: ``pool(units(x)) + shortcut(x)``.

    Parameters
    ----------
    in_channels : int
    widths : sequence of int
        Output channels of each unit.
    stride : int
        Of the maximum over 3x3 windows after the units, and of the shortcut; 1 for no pooling.
    relu : bool
        Whether the first unit begins with a ReLU.
    eps, momentum : float
        Of all batch norms.
    rng : int or numpy.random.Generator, optional

    Notes
    -----
    The shortcut is the identity if nothing changes size, else a 1x1 convolution with batch norm. It starts from x
    itself, not from what the first ReLU makes of it, and nothing follows the sum.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        stride: int = 1,
        relu: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
        rng: Seed = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        inputs = in_channels, *widths[:-1]
        self.units = Sequential(
            *(
                SeparableUnit(c, out, relu or k > 0, eps, momentum, rng)
                for k, (c, out) in enumerate(zip(inputs, widths, strict=True))
            )
        )
        self.pool = MaxPool2d(3, stride, 1) if stride > 1 else None
        self.shortcut = None
        if stride > 1 or in_channels != widths[-1]:
            self.shortcut = ConvBNAct(in_channels, widths[-1], 1, stride, act=None, eps=eps, momentum=momentum, rng=rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, widths[-1])."""
        y = self.units(x)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        if self.pool is None:
            out, cache = functional.add_forward(y, shortcut)
        else:  # a batch norm's result first, which is normalised on the way into the sum
            out, cache = functional.add_forward(shortcut, self.pool(y))
        self._cache = (cache,)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """The sum hands `dout` to both branches; their gradients meet again at x."""
        (cache,) = self._take_cache(dout)
        if self.pool is None:
            dy, dshortcut = functional.add_backward(dout, cache)
        else:
            dshortcut, dy = functional.add_backward(dout, cache)
            dy = self.pool.backward(dy)
        if self.shortcut is not None:
            dshortcut = self.shortcut.backward(dshortcut)
        return backward_onto(self.units, dy, dshortcut)
