"""The pieces of MicroNet (Li et al. 2021, "MicroNet: Improving image recognition with extremely low FLOPs", §3 and §4).

Matrices of low rank connect many channels with few multiplications. A k x k depthwise kernel becomes a column and a
row; a 1x1 convolution becomes two grouped ones with a shuffle between them; and since so sparse a network needs strong
activations, dynamic shift-max mixes channels of different groups once more.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minighost.nn import functional
from minighost.nn.activations import HardSigmoid, ReLU, ReLU6
from minighost.nn.blocks import ConvBNAct
from minighost.nn.channels import ChannelShuffle
from minighost.nn.containers import Chain, Sequential
from minighost.nn.layers import Linear
from minighost.nn.module import Module, backward_onto
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["DynamicShiftMax", "MicroBlock", "MicroDepthwise", "MicroRow"]

Terms = Sequence[tuple[float, float]]
MIXTURE, MAXIMUM = ((1.0, 0.0),), ((1.0, 0.0), (1.0, 0.0))


class MicroDepthwise(Chain):
    """k x 1 and 1 x k depthwise convolutions, each with batch norm: (N, H, W, C) -> (N, OH, OW, C*first*second).

    Parameters
    ----------
    channels, kernel_size, stride : int
    first, second : int
        Outputs per channel of the column and of the row.
    rng : int or numpy.random.Generator, optional
    """

    def __init__(
        self, channels: int, kernel_size: int, stride: int = 1, first: int = 1, second: int = 1, rng: Seed = None
    ) -> None:
        C, K, S, rng = channels, kernel_size, stride, np.random.default_rng(rng)
        self.column = ConvBNAct(C, C * first, (K, 1), (S, 1), groups=C, act=None, rng=rng)
        self.row = ConvBNAct(C * first, C * first * second, (1, K), (1, S), groups=C * first, act=None, rng=rng)


class DynamicShiftMax(Module):
    """The largest of ``a_t * x + b_t * next(x)``, whose coefficients see the whole plane (`ops.shift_max_forward`).

        a, b = initial + 4 * (hard_sigmoid(expand(relu(reduce(mean of x)))) - 1/2)

    Parameters
    ----------
    channels, groups : int
        C, and the rows of the table in which next(c) is one row and one column further.
    hidden : int
        Width of the bottleneck.
    initial : sequence of (float, float)
        a and b of each term, around which they vary by 2; a single term makes no maximum.
    rng : int or numpy.random.Generator, optional
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        hidden: int,
        initial: Terms = MAXIMUM,
        rng: Seed = None,
    ) -> None:
        rng, n = np.random.default_rng(rng), 2 * len(initial) * channels
        if groups < 1 or channels % groups:
            raise ValueError(f"DynamicShiftMax: groups={groups} must divide channels={channels}")
        self.groups, self.initial = groups, np.repeat(np.ravel(initial), channels)
        self.reduce = Linear(channels, hidden, rng=rng)
        self.act = ReLU()
        self.expand = Linear(hidden, n, rng=rng)
        self.gate = HardSigmoid()

    def forward(self, x: Array) -> Array:
        """(N, H, W, C) -> the same."""
        squeezed, pooled = functional.global_avg_pool_forward(x)
        gate = self.gate(self.expand(self.act(self.reduce(squeezed))))
        out, mixed = functional.shift_max_forward(x, gate, self.initial, self.groups)
        self._cache = pooled, mixed
        return out

    def backward(self, dout: Array) -> InputGrad:
        """x matters twice: as what is mixed, and through its mean as what decides the mixture."""
        pooled, mixed = self._take_cache(dout)
        dx, dgate = functional.shift_max_backward(dout, mixed)
        dsqueezed = self.reduce.backward(self.act.backward(self.expand.backward(self.gate.backward(dgate))))
        return functional.global_avg_pool_backward(dsqueezed, pooled, onto=dx)


class MicroRow(NamedTuple):
    """A block of MicroNet, as in its table.

    Attributes
    ----------
    stride, out, kernel : int
        `out` is what it narrows to; where it does not, it follows from `expand`.
    expand : (int, int)
        Outputs per channel of the two halves of what widens.
    grow, shrink : (int, int)
        Groups of the widening and of the narrowing 1x1 convolution, and of the shuffle after each. ``grow=(0, n)``: the
        depthwise convolution widens; ``shrink=(0, 0)``: nothing narrows, and there is no depthwise convolution.
    shift_max : (int, int, int)
        Terms of dynamic shift-max after what widens, after the depthwise convolution and after what narrows; 0 for
        ReLU6, and in the last place for nothing.
    reduction : int
        The bottleneck of a shift-max is ``8 * reduction`` times narrower, and half that after what narrows.
    """

    stride: int
    out: int
    kernel: int
    expand: tuple[int, int]
    grow: tuple[int, int]
    shrink: tuple[int, int]
    shift_max: tuple[int, int, int]
    reduction: int


class MicroBlock(Module):
    """One of three chains, and a shortcut where nothing changes size: (N, H, W, in_channels) -> (N, OH, OW, channels).

    * widening depthwise, activation, shuffles, narrowing 1x1, mixture, shuffles;
    * widening 1x1, activation, shuffle, depthwise, activation, shuffle, narrowing 1x1, mixture, shuffles;
    * widening 1x1, mixture.

    Parameters
    ----------
    in_channels : int
    row : MicroRow
        Groups that do not divide the channels, in a narrow network, become the largest that do.
    initial : sequence of (float, float)
        Of shift-max with two terms.
    rng : int or numpy.random.Generator, optional

    Attributes
    ----------
    channels : int
        Of the output.
    """

    def __init__(self, in_channels: int, row: MicroRow, initial: Terms = MAXIMUM, rng: Seed = None) -> None:
        rng, C, wide = np.random.default_rng(rng), in_channels, in_channels * row.expand[0] * row.expand[1]
        first, middle, last = row.shift_max
        shuffled, narrows = math.gcd(row.grow[1], wide), row.shrink != (0, 0)
        self.channels = row.out if narrows else wide

        def pointwise(channels: int, out: int, groups: int) -> ConvBNAct:
            return ConvBNAct(channels, out, 1, groups=math.gcd(groups, channels, out), act=None, rng=rng)

        def activation(terms: int, groups: int) -> Module:
            if terms == 0:
                return ReLU6()
            return DynamicShiftMax(wide, groups, _hidden(wide, 8 * row.reduction), initial[:terms], rng)

        layers: list[Module]
        if row.grow[0] == 0:
            layers = [
                MicroDepthwise(C, row.kernel, row.stride, *row.expand, rng=rng),
                activation(middle, shuffled),
                ChannelShuffle(shuffled),
                *([ChannelShuffle(wide // 2)] if middle else []),
            ]
        elif narrows:
            again = wide // 4 if first and middle else wide // 2
            layers = [
                pointwise(C, wide, row.grow[0]),
                activation(first, shuffled),
                ChannelShuffle(shuffled),
                MicroDepthwise(wide, row.kernel, row.stride, rng=rng),
                activation(middle, wide // shuffled),
                *([ChannelShuffle(again)] if first or middle else []),
            ]
        else:
            layers = [pointwise(C, wide, row.grow[0])]
        groups = math.gcd(row.shrink[1], row.out) if narrows else shuffled
        if narrows:
            layers.append(pointwise(wide, row.out, row.shrink[0]))
        if last:
            n = self.channels
            hidden = _hidden(n, 8 * row.reduction // (2 if n < wide else 1))
            layers.append(DynamicShiftMax(n, groups, hidden, MIXTURE, rng))
        if narrows:
            layers += [ChannelShuffle(groups), *([ChannelShuffle(row.out // 2)] if last else [])]
        self.layers = Sequential(*layers)
        self.residual = row.stride == 1 and self.channels == in_channels

    def forward(self, x: Array) -> Array:
        """The chain, plus x where the shapes are equal."""
        out, self._cache = self.layers(x), (None,)
        if self.residual:
            out, added = functional.add_forward(out, x)
            self._cache = (added,)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """The sum hands `dout` to both."""
        (added,) = self._take_cache(dout)
        if not self.residual:
            return self.layers.backward(dout)
        dy, dx = functional.add_backward(dout, added)
        return backward_onto(self.layers, dy, dx)


def _hidden(channels: int, reduction: int) -> int:
    """``channels // reduction``, rounded to a multiple of 4: at least 4, and never less than nine tenths."""
    least = 0.9 * (channels // reduction)
    nearest = max(4, (channels // reduction + 2) // 4 * 4)
    return nearest if nearest >= least else nearest + 4
