"""Depthwise convolution with kernels of several sizes (Tan and Le 2019, "MixConv: Mixed depthwise convolutional
kernels", §3): each part of the channels has its own.
"""

from collections.abc import Sequence

import numpy as np

from minighost.nn import functional
from minighost.nn.blocks import ConvBNAct
from minighost.nn.containers import ModuleList
from minighost.nn.module import Module
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["MixedDepthwise"]


class MixedDepthwise(Module):
    """Depthwise units side by side: (N, H, W, C) -> (N, H, W, multiplier*C).

    Parameters
    ----------
    channels : int
        C; divided among the kernel sizes as evenly as possible, the first taking what is left over.
    kernel_sizes : sequence of int
        Odd.
    multiplier : int
        Outputs per channel.
    act : str or None
        As in `ConvBNAct`.
    rng : int or numpy.random.Generator, optional
    """

    def __init__(
        self,
        channels: int,
        kernel_sizes: Sequence[int],
        multiplier: int = 1,
        act: str | None = "relu",
        rng: Seed = None,
    ) -> None:
        rng, parts = np.random.default_rng(rng), len(kernel_sizes)
        if not 1 <= parts <= channels:
            raise ValueError(f"MixedDepthwise: {parts} kernel sizes need from 1 to {channels} parts of the channels")
        self.widths = [len(part) for part in np.array_split(np.arange(channels), parts)]
        self.units = ModuleList(
            ConvBNAct(n, n * multiplier, size, groups=n, act=act, rng=rng)
            for n, size in zip(self.widths, kernel_sizes, strict=True)
        )

    def forward(self, x: Array) -> Array:
        """Each part of the channels through its own unit."""
        outs, splits, rest = [], [], x
        for n, unit in zip(self.widths[:-1], self.units, strict=False):
            (first, rest), split = functional.split_channels_forward(rest, n)
            outs.append(unit(first))
            splits.append(split)
        out, joined = functional.concat_forward(*outs, self.units[-1](rest))
        self._cache = splits, joined
        return out

    def backward(self, dout: Array) -> InputGrad:
        """Last part to first."""
        splits, joined = self._take_cache(dout)
        *douts, last = functional.concat_backward(dout, joined)
        dx = self.units[-1].backward(last)
        for unit, dfirst, split in reversed(list(zip(self.units, douts, splits, strict=False))):
            dx = functional.split_channels_backward(unit.backward(dfirst), dx, split)
        return dx
