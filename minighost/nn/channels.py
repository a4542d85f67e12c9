"""Layers that only move channels."""

from minighost import ops
from minighost.arguments import whole
from minighost.nn.function import Function

__all__ = ["ChannelShuffle", "ChannelUnshuffle"]


class ChannelShuffle(Function):
    """Interleave the channels of `groups` groups (Zhang et al. 2018, §3.1); see `ops.channel_shuffle_forward`.

    Parameters
    ----------
    groups : int
        Must divide the channels; 1 changes nothing.
    """

    _forward, _backward = ops.channel_shuffle_forward, ops.channel_shuffle_backward

    def __init__(self, groups: int) -> None:
        self._options = {"groups": whole(type(self).__name__, "groups", groups, 1)}


class ChannelUnshuffle(ChannelShuffle):
    """The inverse of `ChannelShuffle`; Megvii's ShuffleNet v1 applies it where the paper shuffles."""

    _forward, _backward = ops.channel_unshuffle_forward, ops.channel_unshuffle_backward
