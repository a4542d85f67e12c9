"""Decoupled fully connected attention (Tang et al. 2022, "GhostNetV2: Enhance cheap operation with long-range
attention", §3.2).

Full attention lets every pixel see every other, at a cost that grows with the square of their number. DFC lets it see
a line of its neighbours and then a column of those: two depthwise convolutions, 1x5 and 5x1, one after the other, which
is a separable 5x5 kernel. It works at half the resolution, since attention may be coarse.
"""

import numpy as np

from minighost.nn.activations import Sigmoid
from minighost.nn.blocks import ConvBNAct
from minighost.nn.containers import Chain
from minighost.nn.pooling import AvgPool2d
from minighost.type_aliases import Seed

__all__ = ["DFCAttention"]


class DFCAttention(Chain):
    """A plane of gates that is half as high and wide as x: (N, H, W, C) -> (N, H//2, W//2, out_channels), from 0 to 1.

    mean over 2x2 -> 1x1 convolution -> depthwise 1x5 -> depthwise 5x1 -> sigmoid

    with batch norm after each convolution and no activation between them. `functional.scale_map_forward(y, gates)`
    enlarges the gates to the plane of a feature map y, each pixel by the nearest, and multiplies:

        gates = attention(x)
        out, cache = functional.scale_map_forward(y, gates)

    Parameters
    ----------
    in_channels, out_channels : int
        Of x, and of the feature map that is multiplied.
    kernel_size : int
        Length of the line and of the column; odd.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        In a forward, if x is smaller than 2x2: there is nothing to take a mean of. On 32x32 images use a network's
        CIFAR form.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 5, rng: Seed = None) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"DFCAttention: kernel_size={kernel_size} must be odd, or the plane would change its size")
        rng, C, K = np.random.default_rng(rng), out_channels, kernel_size
        self.pool = AvgPool2d(2)
        self.reduce = ConvBNAct(in_channels, C, 1, act=None, rng=rng)
        self.horizontal = ConvBNAct(C, C, (1, K), groups=C, act=None, rng=rng)
        self.vertical = ConvBNAct(C, C, (K, 1), groups=C, act=None, rng=rng)
        self.gate = Sigmoid()
