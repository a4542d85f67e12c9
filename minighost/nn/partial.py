"""Partial convolution (Chen et al. 2023, "Run, don't walk: Chasing higher FLOPS for faster neural networks", §3.2).

A depthwise convolution saves multiplications, but not memory: it reads and writes every channel. A partial one is
dense on a part of the channels and leaves the others as they are, so it reads and writes that part only; the 1x1
convolution after it mixes all of them.
"""

from minighost.arguments import whole
from minighost.nn import functional
from minighost.nn.layers import Conv2d
from minighost.nn.module import Module
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["PartialConv2d"]


class PartialConv2d(Module):
    """``concat(conv(x[..., :C/division]), x[..., C/division:])``: (N, H, W, C) -> the same shape.

    Parameters
    ----------
    channels : int
        C.
    division : int
        One channel in so many is convolved: the paper's r is 1/4. 1 is an ordinary convolution.
    kernel_size : int
        Odd, and the padding keeps the size; there is no bias.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        If `division` leaves no channels, or `kernel_size` is even.
    """

    def __init__(self, channels: int, division: int = 4, kernel_size: int = 3, rng: Seed = None) -> None:
        whole("PartialConv2d", "division", division, 1)
        if whole("PartialConv2d", "channels", channels, 1) < division:
            raise ValueError(
                f"PartialConv2d: division={division} leaves no channels of {channels} to convolve; it may be at most "
                f"{channels}"
            )
        if whole("PartialConv2d", "kernel_size", kernel_size, 1) % 2 == 0:
            raise ValueError(f"PartialConv2d: kernel_size={kernel_size} must be odd, or the part would change its size")
        self.convolved = channels // division
        self.conv = Conv2d(self.convolved, self.convolved, kernel_size, padding=kernel_size // 2, bias=False, rng=rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, C) -> (N, H, W, C)."""
        (first, rest), split = functional.split_channels_forward(x, self.convolved)
        out, joined = functional.concat_forward(self.conv(first), rest)
        self._cache = split, joined
        return out

    def backward(self, dout: Array) -> InputGrad:
        """What was left as it is passes its gradient as it is."""
        split, joined = self._take_cache(dout)
        dfirst, drest = functional.concat_backward(dout, joined)
        return functional.split_channels_backward(self.conv.backward(dfirst), drest, split)
