"""Ghost modules with one thing changed each, to ask what it is worth.

The paper names what sets a ghost module apart (Han et al. 2020, "GhostNet: More features from cheap operations", §3.1,
"Difference from existing methods"): the primary convolution's kernel is free where others take 1x1; intrinsic maps are
kept as they are beside their ghosts; the channels are mixed first and cheap operations come after; and the cheap
operation is linear. `VARIANTS` has one module for each of these switches, called as a `GhostModule` is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minighost.arguments import choice, whole
from minighost.nn import functional
from minighost.nn.blocks import ConvBNAct
from minighost.nn.ghost import GhostModule
from minighost.nn.layers import Conv2d
from minighost.nn.module import Module, backward_onto
from minighost.type_aliases import Array, InputGrad, IntPair, Seed

__all__ = ["VARIANTS", "AllCheap", "GhostsFirst", "LinearGhosts", "PointwiseGhosts", "variant"]


class PointwiseGhosts(GhostModule):
    """The primary convolution is 1x1, whatever is asked for: only the cheap operation looks beside a pixel."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: IntPair, *args: Any, rng: Seed = None, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, 1, *args, **{**options, "rng": rng})


class LinearGhosts(GhostModule):
    """The cheap operation is a depthwise convolution alone: neither batch norm nor ReLU comes after it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        ratio: int = 2,
        dw_size: int | Sequence[int] = 3,
        stride: IntPair = 1,
        act: bool = True,
        rng: Seed = None,
    ) -> None:
        rng, d = np.random.default_rng(rng), _one_size("LinearGhosts", dw_size)
        super().__init__(in_channels, out_channels, kernel_size, ratio, d, stride, act, rng=rng)
        if self.cheap is not None:
            m = self.intrinsic
            self.cheap = Conv2d(m, m * (ratio - 1), d, padding=d // 2, groups=m, bias=False, rng=rng)


class AllCheap(Module):
    """No map is kept as it is: all of them, `ratio` of each intrinsic map, come from the cheap operation.

    Parameters as for `GhostModule`; `dw_size` is one number.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        ratio: int = 2,
        dw_size: int | Sequence[int] = 3,
        stride: IntPair = 1,
        act: bool = True,
        rng: Seed = None,
    ) -> None:
        rng, d, activation = np.random.default_rng(rng), _one_size("AllCheap", dw_size), "relu" if act else None
        self.out_channels, m = out_channels, -(-out_channels // whole("AllCheap", "ratio", ratio, 1))
        self.primary = ConvBNAct(in_channels, m, kernel_size, stride, act=activation, rng=rng)
        self.cheap = ConvBNAct(m, m * ratio, d, groups=m, act=activation, rng=rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, c) -> (N, OH, OW, n)."""
        out, cut = functional.first_channels_forward(self.cheap(self.primary(x)), self.out_channels)
        self._cache = (cut,)
        return out

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """Cheap operation, then primary convolution."""
        (cut,) = self._take_cache(dout)
        dy = self.cheap.backward(functional.first_channels_backward(dout, cut))
        return backward_onto(self.primary, dy, onto)


class GhostsFirst(Module):
    """The other order: ghosts of the input, one of each map, and the ordinary convolution reads those.

    A map that is handed on is either a filter over all ghosts or one of the ghosts; the cost is that of a ghost module
    but for a few depthwise taps. With ``ratio=2`` each half of the output is one of these.

    Parameters as for `GhostModule`; `dw_size` is one number. The depthwise convolution has the stride.

    Raises
    ------
    ValueError
        There are fewer inputs than ghosts to hand on.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        ratio: int = 2,
        dw_size: int | Sequence[int] = 3,
        stride: IntPair = 1,
        act: bool = True,
        rng: Seed = None,
    ) -> None:
        rng, d, activation = np.random.default_rng(rng), _one_size("GhostsFirst", dw_size), "relu" if act else None
        m = -(-out_channels // whole("GhostsFirst", "ratio", ratio, 1))
        self.kept = out_channels - m
        if self.kept > in_channels:
            raise ValueError(
                f"GhostsFirst: {self.kept} of {out_channels} outputs are to be ghosts of the inputs, and there are "
                f"{in_channels} of these; lower ratio={ratio}, or use a GhostModule here"
            )
        self.cheap = ConvBNAct(in_channels, in_channels, d, stride, groups=in_channels, act=activation, rng=rng)
        self.primary = ConvBNAct(in_channels, m, kernel_size, act=activation, rng=rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, c) -> (N, OH, OW, n): the ordinary convolution's maps first, then ghosts."""
        ghosts = self.cheap(x)
        kept, cut = functional.first_channels_forward(ghosts, self.kept)
        out, joined = functional.concat_forward(self.primary(ghosts), kept)
        self._cache = cut, joined
        return out

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """A ghost is seen twice: in the output and by the ordinary convolution."""
        cut, joined = self._take_cache(dout)
        dmaps, dkept = functional.concat_backward(dout, joined)
        dghosts = backward_onto(self.primary, dmaps, functional.first_channels_backward(dkept, cut))
        return backward_onto(self.cheap, dghosts, onto)


VARIANTS = {
    "standard": GhostModule,
    "pointwise": PointwiseGhosts,
    "linear": LinearGhosts,
    "all_cheap": AllCheap,
    "ghosts_first": GhostsFirst,
}


def variant(owner: str, name: str) -> Any:
    """The module of a name in `VARIANTS`; ValueError if there is none."""
    return VARIANTS[choice(owner, "module", name, VARIANTS)]


def _one_size(owner: str, dw_size: int | Sequence[int]) -> int:
    if isinstance(dw_size, Sequence):
        raise ValueError(f"{owner}: dw_size={dw_size} must be one number; only GhostModule takes several")
    if whole(owner, "dw_size", dw_size, 1) % 2 == 0:
        raise ValueError(f"{owner}: dw_size={dw_size} must be odd, or the ghosts would not have the maps' size")
    return dw_size
