"""Inception modules: several convolutions of the same input side by side, and what becomes of them in Xception.

`InceptionModule` is GoogLeNet's (Szegedy et al. 2015, "Going deeper with convolutions", figure 2b). Chollet 2017
("Xception", figures 1 to 4) takes it apart:

    figure 2   towers of 1x1 and 3x3 only, all alike         concat(conv3x3_t(conv1x1_t(x)) for every tower t)
    figure 3   the same numbers: the 1x1 side by side        grouped_conv3x3(conv1x1(x)), a group for every tower
    figure 4   the extreme: a tower for every channel        depthwise_conv3x3(conv1x1(x))

The extreme is a separable convolution in the other order, and with an activation between. `Towers` is figures 3 and 4.
"""

import numpy as np

from minighost.nn import functional
from minighost.nn.activations import LAYERS
from minighost.nn.blocks import ConvBNAct
from minighost.nn.containers import Chain, Sequential
from minighost.nn.layers import Conv2d
from minighost.nn.module import Module, backward_onto
from minighost.nn.pooling import MaxPool2d
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["InceptionModule", "Towers"]


class InceptionModule(Module):
    """Four branches of the same x, side by side: 1x1; 1x1 and 3x3; 1x1 and 5x5; maximum over 3x3 and 1x1.

    Parameters
    ----------
    in_channels : int
    one : int
        Output channels of the 1x1 branch.
    reduce3, three, reduce5, five : int
        Of the 1x1 convolution before the 3x3 and of this, and likewise for the 5x5.
    pool : int
        Of the 1x1 convolution after the pooling.
    rng : int or numpy.random.Generator, optional

    Notes
    -----
    Every convolution has batch norm and ReLU, as in "Batch normalization" (Ioffe & Szegedy 2015, §4.2); the first
    Inception had biases. The planes keep their size; the output has ``one + three + five + pool`` channels.

    Examples
    --------
    >>> module = InceptionModule(192, 64, 96, 128, 16, 32, 32)  # GoogLeNet's "inception (3a)"
    >>> sum(p.size for path, p in module.named_parameters() if path.endswith("conv.weight"))
    163328
    """

    def __init__(
        self,
        in_channels: int,
        one: int,
        reduce3: int,
        three: int,
        reduce5: int,
        five: int,
        pool: int,
        rng: Seed = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.branch1 = ConvBNAct(in_channels, one, 1, rng=rng)
        self.branch3 = Sequential(ConvBNAct(in_channels, reduce3, 1, rng=rng), ConvBNAct(reduce3, three, 3, rng=rng))
        self.branch5 = Sequential(ConvBNAct(in_channels, reduce5, 1, rng=rng), ConvBNAct(reduce5, five, 5, rng=rng))
        self.branch_pool = Sequential(MaxPool2d(3, 1, 1), ConvBNAct(in_channels, pool, 1, rng=rng))

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, H, W, one + three + five + pool)."""
        out, cache = functional.concat_forward(*(branch(x) for branch in self.children()))
        self._cache = (cache,)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """Each branch gets its channels of `dout`; what all four return is summed."""
        (cache,) = self._take_cache(dout)
        dx = None
        for branch, dy in zip(self.children(), functional.concat_backward(dout, cache), strict=True):
            dx = backward_onto(branch, dy, dx)
        return dx


class Towers(Chain):
    """A 1x1 convolution, then a spatial convolution of each group of its channels: the simplified Inception module.

    Parameters
    ----------
    in_channels, out_channels : int
        The 1x1 convolution has `out_channels` channels too.
    towers : int
        Groups of the spatial convolution. 1 is an ordinary convolution after a 1x1; `out_channels` the extreme.
    kernel_size : int
        Odd; the planes keep their size.
    act : str or None
        Of what is between the two (`ops.ACTIVATIONS`); Inception has "relu", a separable convolution None.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        As in `Conv2d`: `towers` must divide `out_channels`.

    Notes
    -----
    Neither convolution has a bias. Without activation the kernel of the whole is ``w[c, o] * k[u, v, o]`` in the
    extreme, and that of a separable convolution is ``w[c, o] * k[u, v, c]``. The order decides whether a spatial
    filter belongs to an output or to an input; in a stack of them only the first and the last convolution differ.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        towers: int,
        kernel_size: int = 3,
        act: str | None = "relu",
        rng: Seed = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.pointwise = Conv2d(in_channels, out_channels, 1, bias=False, rng=rng)
        self.act = None if act is None else LAYERS[act]()
        self.spatial = Conv2d(
            out_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=towers,
            bias=False,
            rng=rng,
        )
