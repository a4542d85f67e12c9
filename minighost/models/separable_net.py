"""One small network, whose convolutions may be of any kind: what is another kind worth at the same cost?

    maps       32x32      16x16      8x8
    units      2          2          2
    channels   32         64         128

A dense 3x3 convolution in front, six units, the mean over each map, a classifier; the first unit of the second and the
third stage has stride 2. Nothing leads around a unit, except in the two kinds that are residual blocks. A unit with
batch norm and ReLU at its end is

    dense               3x3
    grouped             3x3 in `groups` groups, which meet again in the classifier only
    dilated             3x3 with a gap of one pixel between its taps
    spatial             3x1 and 1x3, nothing between
    separable           depthwise 3x3 and 1x1, nothing between (Xception's)
    separable_relu      ... ReLU between
    separable_bn_relu   ... batch norm and ReLU between (MobileNet v1's)
    inverted_residual   expand first: 1x1 to four times as many, depthwise 3x3, 1x1 (MobileNet v2's)
    bottleneck          reduce first: 1x1 to a quarter, 3x3, 1x1 (ResNet-50's)

The network is ours; papers compare kinds within networks of very different size.
"""

import math
from collections.abc import Callable

import numpy as np

from minighost.arguments import choice, number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import (
    BatchNorm2d,
    Bottleneck,
    Conv2d,
    ConvBNAct,
    GlobalAvgPool,
    InvertedResidual,
    Linear,
    Module,
    ReLU,
    SeparableConv2d,
    Sequential,
)
from minighost.type_aliases import Seed

__all__ = ["KINDS", "SeparableNet"]

STAGES = (32, 1), (64, 2), (128, 2)  # channels, stride of the first unit
UNITS = 2  # of each stage
EXPANSION = 4

Unit = Callable[[int, int, int, int, np.random.Generator], Module]  # in and out channels, stride, groups


def _separable(in_channels: int, out_channels: int, stride: int, groups: int, rng: np.random.Generator) -> Module:
    conv = SeparableConv2d(in_channels, out_channels, 3, stride, rng=rng)
    return Sequential(conv, BatchNorm2d(out_channels, relu=True))


def _separable_relu(in_channels: int, out_channels: int, stride: int, groups: int, rng: np.random.Generator) -> Module:
    depthwise = Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False, rng=rng)
    return Sequential(depthwise, ReLU(), ConvBNAct(in_channels, out_channels, 1, rng=rng))


def _separable_bn_relu(
    in_channels: int, out_channels: int, stride: int, groups: int, rng: np.random.Generator
) -> Module:
    depthwise = ConvBNAct(in_channels, in_channels, 3, stride, groups=in_channels, rng=rng)
    return Sequential(depthwise, ConvBNAct(in_channels, out_channels, 1, rng=rng))


def _spatial(in_channels: int, out_channels: int, stride: int, groups: int, rng: np.random.Generator) -> Module:
    column = Conv2d(in_channels, out_channels, (3, 1), (stride, 1), (1, 0), bias=False, rng=rng)
    return Sequential(column, ConvBNAct(out_channels, out_channels, (1, 3), (1, stride), rng=rng))


KINDS: dict[str, Unit] = {
    "dense": lambda c, out, stride, groups, rng: ConvBNAct(c, out, 3, stride, rng=rng),
    "grouped": lambda c, out, stride, groups, rng: ConvBNAct(c, out, 3, stride, groups=groups, rng=rng),
    "dilated": lambda c, out, stride, groups, rng: ConvBNAct(c, out, 3, stride, dilation=2, rng=rng),
    "spatial": _spatial,
    "separable": _separable,
    "separable_relu": _separable_relu,
    "separable_bn_relu": _separable_bn_relu,
    "inverted_residual": lambda c, out, stride, groups, rng: InvertedResidual(
        c, EXPANSION * c, out, stride=stride, rng=rng
    ),
    "bottleneck": lambda c, out, stride, groups, rng: Bottleneck(c, out // EXPANSION, out, stride, rng=rng),
}


@register(
    "separable_cifar",
    year=2017,
    idea="one network, any kind of convolution",
    paper='Chollet, "Xception: Deep learning with depthwise separable convolutions", arXiv 1610.02357',
)
class SeparableNet(Network):
    """Images (N, H, W, 3) of 32 x 32 pixels -> logits (N, num_classes).

    Parameters
    ----------
    conv : str
        The kind of all convolutions but the first; see above.
    groups : int
        Of the kind "grouped", without effect on the others; 1 is "dense".
    width : float
        Multiplies all channels, then rounds to multiples of 4, and of `groups` for the kind "grouped".
    num_classes : int
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        `conv` is unknown, or a number is out of range.
    """

    def __init__(
        self, conv: str = "separable", groups: int = 4, width: float = 1.0, num_classes: int = 10, rng: Seed = 0
    ) -> None:
        unit = KINDS[choice("SeparableNet", "conv", conv, KINDS)]
        number("SeparableNet", "width", width, above=0)
        whole("SeparableNet", "num_classes", num_classes, 1)
        rng = np.random.default_rng(rng)
        divisor = math.lcm(4, whole("SeparableNet", "groups", groups, 1)) if conv == "grouped" else 4
        channels = make_divisible(STAGES[0][0] * width, divisor)
        self.stem = ConvBNAct(3, channels, 3, rng=rng)
        stages = []
        for maps, stride in STAGES:
            units, out = [], make_divisible(maps * width, divisor)
            for k in range(UNITS):
                units.append(unit(channels, out, stride if k == 0 else 1, groups, rng))
                channels = out
            stages.append(Sequential(*units))
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.classifier = Linear(channels, num_classes, rng=rng)
