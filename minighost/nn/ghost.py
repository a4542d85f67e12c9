"""The ghost module and its bottleneck (Han et al. 2020, "GhostNet: More features from cheap operations", §3).

Many feature maps of a trained network look like cheap copies of one another. So a ghost module computes only
``m = ceil(n/s)`` intrinsic maps with an ordinary convolution, and derives the other ``m*(s-1)`` - the ghosts - from
them with a depthwise convolution, a few multiplications per pixel.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minighost.arguments import whole
from minighost.nn import functional
from minighost.nn.blocks import ConvBNAct, SqueezeExcite
from minighost.nn.containers import Sequential
from minighost.nn.dfc_attention import DFCAttention
from minighost.nn.mixed_depthwise import MixedDepthwise
from minighost.nn.module import Module, backward_onto
from minighost.type_aliases import Array, InputGrad, IntPair, Seed

__all__ = ["AttentiveGhostModule", "GhostBottleneck", "GhostModule"]

Unit = Callable[..., Any]


class GhostModule(Module):
    """A cheap stand-in for convolution + batch norm (+ ReLU); do not add these again after it.

    Parameters
    ----------
    in_channels, out_channels : int
        c and n. If `ratio` does not divide n, the surplus ghosts are computed and cut off, as in the official code.
    kernel_size : int
        k of the primary convolution. It has no default: forgetting the 3 of a replaced 3x3 is the commonest mistake.
    ratio : int
        s: one map in s is intrinsic. ``ratio=1`` is an ordinary convolution.
    dw_size : int or sequence of int
        d, the odd kernel size of the cheap depthwise convolution. Of several, each makes its share of the ghosts; see
        the note.
    stride, dilation, pool : int
        Of the primary convolution, as in `ConvBNAct`; ghosts are made of what is left after the pooling.
    act : bool or str
        ReLU after both batch norms, or another of `ops.ACTIVATIONS`.
    rng : int or numpy.random.Generator, optional
    unit : callable
        What makes the two convolutions, with the arguments of `ConvBNAct`: `ConvBranches` in GhostNetV3.

    Raises
    ------
    ValueError
        If `ratio` is less than 1 or `dw_size` is even (an even depthwise kernel would change the size).

    Notes
    -----
    The paper (§3.2) takes one size for all, because equal work runs better. ``dw_size=(3, 5)`` costs 34/18 of the
    weights and multiply-adds that ``dw_size=3`` has in its ghosts, it can learn nothing that ``dw_size=5`` cannot, for
    those kernels contain the smaller ones, and the maps are read in two pieces, which are copied out first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        ratio: int = 2,
        dw_size: int | Sequence[int] = 3,
        stride: IntPair = 1,
        act: bool | str = True,
        dilation: IntPair = 1,
        pool: int = 1,
        rng: Seed = None,
        *,
        unit: Unit = ConvBNAct,
    ) -> None:
        whole("GhostModule", "ratio", ratio, 1)  # 1 makes no ghosts
        whole("GhostModule", "out_channels", out_channels, 1)
        sizes = tuple(dw_size) if isinstance(dw_size, Sequence) else (dw_size,)
        if any(whole("GhostModule", "dw_size", size, 1) % 2 == 0 for size in sizes):
            raise ValueError(f"GhostModule: dw_size={dw_size} must be odd, or the ghosts would not have the maps' size")
        rng, activation = np.random.default_rng(rng), act if isinstance(act, str) else "relu" if act else None
        self.out_channels, self.intrinsic = out_channels, -(-out_channels // ratio)
        further = {name: value for name, value in (("dilation", dilation), ("pool", pool)) if value != 1}
        self.primary = unit(in_channels, self.intrinsic, kernel_size, stride, act=activation, rng=rng, **further)
        self.cheap: Module | None = None
        if ratio > 1:
            m = self.intrinsic
            if len(sizes) == 1:
                self.cheap = unit(m, m * (ratio - 1), sizes[0], groups=m, act=activation, rng=rng)
            else:
                self.cheap = MixedDepthwise(m, sizes, ratio - 1, activation, rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, c) -> (N, OH, OW, n): intrinsic maps first, then their ghosts."""
        y = self.primary(x)
        if self.cheap is None:
            return y
        maps, joined = functional.concat_forward(y, self.cheap(y))
        out, cut = functional.first_channels_forward(maps, self.out_channels)
        self._cache = joined, cut
        return out

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """An intrinsic map is seen twice: in the output and by the cheap operation."""
        cache = self._take_cache(dout)
        if self.cheap is not None:
            joined, cut = cache
            dy, dghosts = functional.concat_backward(functional.first_channels_backward(dout, cut), joined)
            dout = backward_onto(self.cheap, dghosts, dy)
        return backward_onto(self.primary, dout, onto)


class AttentiveGhostModule(GhostModule):
    """A ghost module whose maps are multiplied by `DFCAttention` of its input (Tang et al. 2022, §3.3).

    Parameters as for `GhostModule`.

    Raises
    ------
    ValueError
        In a forward, if x is smaller than 2x2: the attention works at half the resolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *args: Any, rng: Seed = None, **options: Any) -> None:
        rng = np.random.default_rng(rng)
        super().__init__(in_channels, out_channels, *args, **{**options, "rng": rng})
        self.attention = DFCAttention(in_channels, out_channels, rng=rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, c) -> (N, H, W, n)."""
        maps = super().forward(x)
        inner = self._cache
        out, cache = functional.scale_map_forward(maps, self.attention(x))
        self._cache = inner, cache
        return out

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """x matters twice: as what maps are made of, and as what decides how much they count."""
        self._cache, cache = self._take_cache(dout)
        dmaps, dgates = functional.scale_map_backward(dout, cache)
        return super().backward(dmaps, self.attention.backward(dgates, onto))


class GhostBottleneck(Module):
    """Two ghost modules - one expands, one reduces - around a depthwise convolution where the plane shrinks.

    ghost (ReLU) -> [stride 2: depthwise convolution] -> [squeeze-and-excitation] -> ghost (no ReLU) -> + shortcut

    Parameters
    ----------
    in_channels, mid_channels, out_channels : int
    dw_size : int
        Kernel size of the strided depthwise convolution and of the shortcut's; without effect where neither exists.
    stride : int
    se_hidden : int
        Width of the squeeze-and-excitation's bottleneck; 0 for none.
    ratio : int
        Of both ghost modules.
    gate : str
        Of the squeeze-and-excitation.
    depthwise : bool, optional
        Whether the depthwise convolution between the ghost modules is there; by default where the stride is not 1.
    ghost_dw_size : int
        `dw_size` of both ghost modules.
    unit : callable
        As in `GhostModule`; it also makes the depthwise convolution between the two.
    attention : bool
        Whether the first ghost module is multiplied by `DFCAttention` (GhostNetV2).
    rng : int or numpy.random.Generator, optional

    Notes
    -----
    The shortcut is the identity if nothing changes size, else depthwise convolution, then 1x1, each with batch norm and
    without activation. Nothing follows the sum.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        dw_size: int = 3,
        stride: int = 1,
        se_hidden: int = 0,
        ratio: int = 2,
        gate: str = "hard_sigmoid",
        depthwise: bool | None = None,
        rng: Seed = None,
        *,
        ghost_dw_size: int = 3,
        unit: Unit = ConvBNAct,
        attention: bool = False,
    ) -> None:
        rng = np.random.default_rng(rng)
        first = AttentiveGhostModule if attention else GhostModule
        self.ghost1 = first(in_channels, mid_channels, 1, ratio, ghost_dw_size, act=True, rng=rng, unit=unit)
        self.depthwise = self.se = self.shortcut = None
        if stride > 1 if depthwise is None else depthwise:
            self.depthwise = unit(mid_channels, mid_channels, dw_size, stride, groups=mid_channels, act=None, rng=rng)
        if se_hidden:
            self.se = SqueezeExcite(mid_channels, se_hidden, gate, rng=rng)
        self.ghost2 = GhostModule(mid_channels, out_channels, 1, ratio, ghost_dw_size, act=False, rng=rng, unit=unit)
        if stride > 1 or in_channels != out_channels:
            self.shortcut = Sequential(
                ConvBNAct(in_channels, in_channels, dw_size, stride, groups=in_channels, act=None, rng=rng),
                ConvBNAct(in_channels, out_channels, 1, act=None, rng=rng),
            )

    def forward(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, OH, OW, out_channels)."""
        y = self.ghost1(x)
        if self.depthwise is not None:
            y = self.depthwise(y)
        if self.se is not None:
            y = self.se(y)
        y = self.ghost2(y)
        out, cache = functional.add_forward(y, x if self.shortcut is None else self.shortcut(x))
        self._cache = (cache,)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """The sum hands `dout` to both branches; their gradients meet again at x."""
        (cache,) = self._take_cache(dout)
        dy, dshortcut = functional.add_backward(dout, cache)
        dy = self.ghost2.backward(dy)
        if self.se is not None:
            dy = self.se.backward(dy)
        if self.depthwise is not None:
            dy = self.depthwise.backward(dy)
        if self.shortcut is not None:
            dshortcut = self.shortcut.backward(dshortcut)
        return backward_onto(self.ghost1, dy, dshortcut)
