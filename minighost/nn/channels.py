"""Layers that only move numbers: between channels, or channels over the plane."""

import numpy as np

from minighost import ops
from minighost.arguments import whole
from minighost.nn import functional
from minighost.nn.function import Function
from minighost.ops.shift import BORDERS

__all__ = ["ChannelShuffle", "ChannelUnshuffle", "Shift"]


class ChannelShuffle(Function):
    """Interleave the channels of `groups` groups (Zhang et al. 2018, §3.1); see `ops.channel_shuffle_forward`.

    Parameters
    ----------
    groups : int
        Must divide the channels; 1 changes nothing.
    """

    _forward, _backward = functional.channel_shuffle_forward, functional.channel_shuffle_backward

    def __init__(self, groups: int) -> None:
        self._options = {"groups": whole(type(self).__name__, "groups", groups, 1)}


class ChannelUnshuffle(ChannelShuffle):
    """The inverse of `ChannelShuffle`; Megvii's ShuffleNet v1 applies it where the paper shuffles."""

    _forward, _backward = functional.channel_unshuffle_forward, functional.channel_unshuffle_backward


class Shift(Function):
    """Shift every channel by a fixed offset (Wu et al. 2018, §3); see `ops.shift_forward`.

    Parameters
    ----------
    channels : int
        C.
    kernel_size : int
        Odd: offsets reach over a square of this side. Each of its places belongs to one group of equally many channels,
        row by row; channels that are left over stay where they are.
    border : str
        "zero", as in the paper, or "edge".

    Attributes
    ----------
    offsets : ndarray of int, shape (C, 2)
    """

    _forward, _backward = ops.shift_forward, ops.shift_backward

    def __init__(self, channels: int, kernel_size: int = 3, border: str = "zero") -> None:
        if whole("Shift", "kernel_size", kernel_size, 1) % 2 == 0:
            raise ValueError(f"Shift: kernel_size={kernel_size} must be odd, or there is no middle")
        if border not in BORDERS:
            raise ValueError(f"Shift: border={border!r} is unknown; choose from 'zero', 'edge'")
        K = kernel_size
        each = whole("Shift", "channels", channels, 1) // K**2
        self.kernel_size, self.offsets = K, np.zeros((channels, 2), np.int64)
        self.offsets[: each * K**2] = np.repeat(list(np.ndindex(K, K)), each, axis=0) - K // 2
        self._options = {"offsets": self.offsets, "border": border}
