"""The units of ShuffleNet (Zhang et al. 2018, arXiv 1707.01083, figure 2) and ShuffleNet v2 (Ma et al. 2018, arXiv
1807.11164, figure 3): cheap convolutions of some of the channels, and a shuffle that lets them meet the others next.
"""

import numpy as np

from minighost.arguments import whole
from minighost.nn import functional
from minighost.nn.activations import ReLU
from minighost.nn.blocks import ConvBNAct
from minighost.nn.channels import ChannelShuffle, ChannelUnshuffle
from minighost.nn.containers import Sequential
from minighost.nn.module import Module, backward_onto
from minighost.nn.pooling import AvgPool2d
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["ShuffleUnit", "SplitShuffleUnit"]


class ShuffleUnit(Module):
    """The unit of the first ShuffleNet: a residual bottleneck whose 1x1 convolutions are grouped.

        1x1 to out/4, batch norm, ReLU -> shuffle -> depthwise 3x3, batch norm -> 1x1, batch norm

    With stride 1 the result is added to x, then ReLU. With stride 2 it has ``out - in`` channels and its own ReLU, and
    stands beside the mean of x over 3x3 windows, which come first; those windows count padded zeros.

    Parameters
    ----------
    in_channels, out_channels : int
        Equal with stride 1; with stride 2 `out_channels` is the larger.
    groups : int
        Of both 1x1 convolutions and of the shuffle.
    stride : int
        1 or 2.
    first_groups : int, optional
        Of the first 1x1 convolution, if not `groups`: the paper does not group the one that sees the stem.
    rng : int or numpy.random.Generator, optional
    shuffle : bool
        With False groups never exchange channels, the paper's control (table 3).

    Raises
    ------
    ValueError
        If channels do not fit the stride or one another, or as in `Conv2d`.

    Notes
    -----
    The shuffle is the paper's, ``(groups, C/groups)`` transposed, and sits where the paper has it, before the depthwise
    convolution. Megvii's code transposes ``(C/groups, groups)``, which is the inverse, and does it after the depthwise
    convolution: the same functions, with weights in another order.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int,
        stride: int = 1,
        first_groups: int | None = None,
        rng: Seed = None,
        shuffle: bool = True,
    ) -> None:
        _check("ShuffleUnit", in_channels, out_channels, stride, 4)
        rng, mid = np.random.default_rng(rng), out_channels // 4
        own = out_channels - in_channels if stride > 1 else out_channels
        self.reduce = ConvBNAct(in_channels, mid, 1, groups=first_groups or groups, rng=rng)
        self.shuffle = ChannelShuffle(groups) if shuffle and groups > 1 else None
        self.depthwise = ConvBNAct(mid, mid, 3, stride, groups=mid, act=None, rng=rng)
        self.expand = ConvBNAct(mid, own, 1, groups=groups, act=None, rng=rng)
        self.pool = AvgPool2d(3, 2, 1) if stride > 1 else None
        self.act = ReLU()

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, out_channels)."""
        y = self.reduce(x)
        if self.shuffle is not None:
            y = self.shuffle(y)
        y = self.expand(self.depthwise(y))
        if self.pool is None:
            y, cache = functional.add_forward(y, x)
            out = self.act(y)
        else:
            out, cache = functional.concat_forward(self.pool(x), self.act(y))
        self._cache = (cache,)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """What the branch and the shortcut return meets again at x."""
        (cache,) = self._take_cache(dout)
        if self.pool is None:
            dy, dx = functional.add_backward(self.act.backward(dout), cache)
        else:
            dpooled, dy = functional.concat_backward(dout, cache)
            dx, dy = self.pool.backward(dpooled), self.act.backward(dy)
        dy = self.depthwise.backward(self.expand.backward(dy))
        if self.shuffle is not None:
            dy = self.shuffle.backward(dy)
        return backward_onto(self.reduce, dy, dx)


class SplitShuffleUnit(Module):
    """The unit of ShuffleNet v2: half of the channels pass untouched.

        right: 1x1, batch norm, ReLU -> depthwise 3x3, batch norm -> 1x1, batch norm, ReLU
        left:  nothing with stride 1; depthwise 3x3, batch norm -> 1x1, batch norm, ReLU with stride 2

    With stride 1 each branch gets half of x, with stride 2 all of it. Both are put side by side, left first.

    Parameters
    ----------
    in_channels, out_channels : int
        Equal and even with stride 1; with stride 2 "megvii" needs more `out_channels`.
    stride : int
        1 or 2.
    variant : str
        "torchvision": both branches have ``out_channels/2`` channels, and the unit ends with a shuffle of 2 groups.
        "megvii", the authors' code: with stride 2 the left branch keeps `in_channels` and the right one has the rest;
        there is no shuffle at the end, but a unit of stride 1 begins with even channels to the left, odd to the right.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        If channels do not fit the stride, or `variant` is unknown.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, variant: str = "torchvision", rng: Seed = None
    ) -> None:
        if variant not in ("torchvision", "megvii"):
            raise ValueError(f"SplitShuffleUnit: variant={variant!r} is unknown; choose from 'torchvision', 'megvii'")
        rng, megvii = np.random.default_rng(rng), variant == "megvii"
        _check("SplitShuffleUnit", in_channels, out_channels, stride, 2, keeps=megvii)
        left = in_channels if stride > 1 and megvii else out_channels // 2
        right, self._kept = out_channels - left, left
        inputs = in_channels if stride > 1 else right
        self.unshuffle = ChannelUnshuffle(2) if megvii and stride == 1 else None
        self.left = None
        if stride > 1:
            self.left = Sequential(
                ConvBNAct(in_channels, in_channels, 3, stride, groups=in_channels, act=None, rng=rng),
                ConvBNAct(in_channels, left, 1, rng=rng),
            )
        # The authors' middle is as wide as half of the output, whatever is left for the branch.
        mid = out_channels // 2
        self.right = Sequential(
            ConvBNAct(inputs, mid, 1, rng=rng),
            ConvBNAct(mid, mid, 3, stride, groups=mid, act=None, rng=rng),
            ConvBNAct(mid, right, 1, rng=rng),
        )
        self.shuffle = None if megvii else ChannelShuffle(2)

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, out_channels)."""
        split = None
        if self.left is None:
            if self.unshuffle is not None:
                x = self.unshuffle(x)
            (y, x), split = functional.split_channels_forward(x, self._kept)
        else:
            y = self.left(x)
        out, joined = functional.concat_forward(y, self.right(x))
        self._cache = split, joined
        return out if self.shuffle is None else self.shuffle(out)

    def backward(self, dout: Array) -> InputGrad:
        """Untouched channels hand their gradient on; a strided unit's branches meet again at x."""
        split, joined = self._take_cache(dout)
        if self.shuffle is not None:
            dout = self.shuffle.backward(dout)
        dleft, dright = functional.concat_backward(dout, joined)
        if self.left is not None:
            return backward_onto(self.right, dright, self.left.backward(dleft))
        dx = functional.split_channels_backward(dleft, self.right.backward(dright), split)
        return dx if self.unshuffle is None else self.unshuffle.backward(dx)


def _check(name: str, in_channels: int, out_channels: int, stride: int, divisor: int, keeps: bool = True) -> None:
    for what, value in (("in_channels", in_channels), ("out_channels", out_channels), ("stride", stride)):
        whole(name, what, value, 1)
    if stride > 2:
        raise ValueError(f"{name}: stride={stride} must be 1 or 2")
    if out_channels % divisor:
        raise ValueError(
            f"{name}: out_channels={out_channels} must be a multiple of {divisor} "
            f"({out_channels} % {divisor} = {out_channels % divisor})"
        )
    if stride == 1 and in_channels != out_channels:
        raise ValueError(
            f"{name}: with stride=1 in_channels={in_channels} and out_channels={out_channels} must be equal"
        )
    if stride > 1 and keeps and in_channels >= out_channels:
        raise ValueError(
            f"{name}: with stride={stride} out_channels={out_channels} must be more than in_channels={in_channels}, "
            "which stand beside the new ones"
        )
