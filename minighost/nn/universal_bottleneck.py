"""The universal inverted bottleneck (Qin et al. 2024, "MobileNetV4: Universal models for the mobile ecosystem", §4).

An inverted residual with a place for a depthwise convolution before the expansion and another after it. Which of the
two are there makes it four blocks that are otherwise taken for different ones:

    before   after
    no       yes     the inverted residual of MobileNetV2
    yes      no      the block of ConvNeXt: filter in few channels, where a large kernel is cheap
    yes      yes     "extra depthwise": deeper, and a larger receptive field, at little cost
    no       no      the feed-forward block of a vision transformer: two 1x1 convolutions
"""

import numpy as np

from minighost.nn.blocks import ConvBNAct
from minighost.nn.containers import ResidualChain
from minighost.type_aliases import Seed

__all__ = ["UniversalBottleneck"]


class UniversalBottleneck(ResidualChain):
    """The block of MobileNetV4.

    [depthwise, batch norm] -> 1x1, batch norm, act -> [depthwise, batch norm, act] -> 1x1, batch norm -> [+ x]

    Parameters
    ----------
    in_channels, mid_channels, out_channels : int
    start_size, middle_size : int
        Kernel sizes of the depthwise convolutions before and after the expansion; 0 where there is none.
    stride : int
        Of the second depthwise convolution, or else of the first, or else of the expansion.
    act : str
        As in `ConvBNAct`.
    rng : int or numpy.random.Generator, optional

    Raises
    ------
    ValueError
        As in `Conv2d`.

    Notes
    -----
    The input is added if the stride is 1 and `in_channels` equals `out_channels`; nothing follows the sum.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        start_size: int = 0,
        middle_size: int = 3,
        stride: int = 1,
        act: str = "relu",
        rng: Seed = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        at_start, at_expansion = (1 if middle_size else stride), (1 if middle_size or start_size else stride)

        def depthwise(channels: int, size: int, stride: int, act: str | None) -> ConvBNAct | None:
            return ConvBNAct(channels, channels, size, stride, groups=channels, act=act, rng=rng) if size else None

        self.start = depthwise(in_channels, start_size, at_start, None)
        self.expand = ConvBNAct(in_channels, mid_channels, 1, at_expansion, act=act, rng=rng)
        self.middle = depthwise(mid_channels, middle_size, stride, act)
        self.project = ConvBNAct(mid_channels, out_channels, 1, act=None, rng=rng)
        self.residual = stride == 1 and in_channels == out_channels
