"""The depthwise separable convolution (Chollet 2017, "Xception: Deep learning with depthwise separable convolutions").

First every channel is filtered by itself, then the channels are mixed pixel by pixel. A dense convolution does both at
once, with KH*KW*C*OC weights; here there are KH*KW*C + C*OC.
"""

import numpy as np

from minighost.engine.check import pair
from minighost.nn.containers import Chain
from minighost.nn.layers import Conv2d
from minighost.type_aliases import IntPair, Seed

__all__ = ["SeparableConv2d"]


class SeparableConv2d(Chain):
    """A depthwise convolution, then a 1x1 convolution, and nothing between: (N, H, W, C) -> (N, OH, OW, OC).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or (int, int)
        Of the depthwise convolution.
    padding : int or (int, int), optional
        By default the one that keeps the size at stride 1, ``dilation * (kernel_size - 1) / 2``.
    bias : bool
        Of the 1x1 convolution; the depthwise one has none, for it could not be told from this.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        As in `Conv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: IntPair | None = None,
        dilation: IntPair = 1,
        bias: bool = False,
        rng: Seed = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        if padding is None:
            (KH, KW), (DH, DW) = (
                pair("SeparableConv2d", name, value, 1)
                for name, value in (("kernel_size", kernel_size), ("dilation", dilation))
            )
            padding = DH * (KH - 1) // 2, DW * (KW - 1) // 2
        self.depthwise = Conv2d(
            in_channels, in_channels, kernel_size, stride, padding, dilation, in_channels, bias=False, rng=rng
        )
        self.pointwise = Conv2d(in_channels, out_channels, 1, bias=bias, rng=rng)
