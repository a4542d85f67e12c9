"""The inverted residual (Sandler et al. 2018, "MobileNetV2: Inverted residuals and linear bottlenecks", §3.3).

A residual block is wide at its ends and narrow within; this one is narrow at its ends and wide within. A 1x1
convolution expands, a depthwise one filters at little cost, and another 1x1 projects back. No activation follows the
projection, for in few channels a ReLU destroys what it cuts off: the bottleneck is linear.
"""

import numpy as np

from minighost.nn.blocks import ConvBNAct
from minighost.nn.containers import ResidualChain
from minighost.nn.module import Module
from minighost.type_aliases import Seed

__all__ = ["InvertedResidual"]


class InvertedResidual(ResidualChain):
    """The block of MobileNetV2, MobileNetV3 and EfficientNet.

    [1x1, batch norm, act] -> depthwise, batch norm, act -> [squeeze-and-excitation] -> 1x1, batch norm -> [+ x]

    Parameters
    ----------
    in_channels, mid_channels, out_channels : int
        Without the expanding convolution if `mid_channels` equals `in_channels`.
    kernel_size, stride : int
        Of the depthwise convolution.
    act : str
        As in `ConvBNAct`: "relu6" (MobileNetV2), "hard_swish" (MobileNetV3), "silu" (EfficientNet), ...
    se : Module, optional
        The `SqueezeExcite` of `mid_channels`, after the depthwise convolution's activation (MobileNetV3, §5.3).
    drop : Module, optional
        What the projection goes through before x is added, such as stochastic depth.
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
        kernel_size: int = 3,
        stride: int = 1,
        act: str = "relu6",
        se: Module | None = None,
        drop: Module | None = None,
        rng: Seed = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.expand = None if mid_channels == in_channels else ConvBNAct(in_channels, mid_channels, 1, act=act, rng=rng)
        self.depthwise = ConvBNAct(
            mid_channels, mid_channels, kernel_size, stride, groups=mid_channels, act=act, rng=rng
        )
        self.se = se
        self.project = ConvBNAct(mid_channels, out_channels, 1, act=None, rng=rng)
        self.drop = drop
        self.residual = stride == 1 and in_channels == out_channels
