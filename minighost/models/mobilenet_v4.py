"""MobileNetV4 (Qin et al. 2024, "MobileNetV4: Universal models for the mobile ecosystem"), its two convolutional sizes.

Where a phone's processor is kept busy by few large products, ordinary convolutions come first; then universal inverted
bottlenecks, ReLU throughout, and no gates. The tables are those of the authors' networks as timm has them. Its head is
MobileNetV3's with a batch norm: a 1x1 convolution, the mean over each map, 1280 features, batch norm, ReLU.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from minighost.arguments import number, whole
from minighost.models.initialize import draw_normal, draw_uniform
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import BatchNorm1d, ConvBNAct, Dropout, GlobalAvgPool, Linear, Module, Sequential, UniversalBottleneck
from minighost.type_aliases import Seed

__all__ = ["MobileNetV4ConvMedium", "MobileNetV4ConvSmall", "mobilenet_v4_conv_small_cifar"]


class Conv(NamedTuple):
    """A convolution with batch norm and ReLU; with an expansion, and a 1x1 convolution that takes it back."""

    channels: int
    kernel_size: int
    expansion: int = 0


class Universal(NamedTuple):
    """Universal bottlenecks: channels, sizes of the depthwise kernels before and after the expansion, the expansion."""

    channels: int
    start_size: int
    middle_size: int
    expansion: int
    repeats: int = 1


U = Universal  # stages, of which the first block halves the maps
SMALL = (
    (Conv(32, 3), Conv(32, 1)),
    (Conv(96, 3), Conv(64, 1)),
    (U(96, 5, 5, 3), U(96, 0, 3, 2, 4), U(96, 3, 0, 4)),
    (U(128, 3, 3, 6), U(128, 5, 5, 4), U(128, 0, 5, 4), U(128, 0, 5, 3), U(128, 0, 3, 4, 2)),
)
MEDIUM = (
    (Conv(48, 3, 4),),
    (U(80, 3, 5, 4), U(80, 3, 3, 2)),
    (U(160, 3, 5, 6), U(160, 3, 3, 4, 2), U(160, 3, 5, 4), U(160, 3, 3, 4), U(160, 3, 0, 4), U(160, 0, 0, 2))
    + (U(160, 3, 0, 4),),
    (U(256, 5, 5, 6), U(256, 5, 5, 4), U(256, 3, 5, 4, 2), U(256, 0, 0, 4), U(256, 3, 0, 4), U(256, 3, 5, 2))
    + (U(256, 5, 5, 4), U(256, 0, 0, 4, 2), U(256, 5, 0, 2)),
)
STEM, TAIL, FEATURES = 32, 960, 1280


class MobileNetV4(Network):
    """What the sizes share: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers but the 1280 features, and below 0.75 also but the stem's; then rounds to
        multiples of 8.
    num_classes : int
    stem_stride, stage2_stride : int
        Of the first convolution and of the first stage; 1 keeps the resolution of small images.
    dropout : float
        In front of the classifier.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    table: ClassVar[tuple[tuple[Conv | Universal, ...], ...]]

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        stem_stride: int = 2,
        stage2_stride: int = 2,
        dropout: float = 0.2,
        rng: Seed = 0,
    ) -> None:
        number("MobileNetV4", "width", width, above=0)
        whole("MobileNetV4", "num_classes", num_classes, 1)
        rng, stages = np.random.default_rng(rng), list[Sequential]()
        channels = STEM if width < 0.75 else make_divisible(STEM * width, 8)
        self.stem = ConvBNAct(3, channels, 3, stem_stride, rng=rng)
        for rows in self.table:
            stride, blocks = 2 if stages else stage2_stride, []
            for row in rows:
                out = make_divisible(row.channels * width, 8)
                for _ in range(row.repeats if isinstance(row, Universal) else 1):
                    blocks.append(_block(row, channels, out, stride, rng))
                    channels, stride = out, 1
            stages.append(Sequential(*blocks))
        self.stages = Sequential(*stages)
        tail = make_divisible(TAIL * width, 8)
        self.tail = ConvBNAct(channels, tail, 1, rng=rng)
        self.pool = GlobalAvgPool()
        self.head = Linear(tail, FEATURES, bias=False, rng=rng)
        self.bn = BatchNorm1d(FEATURES, relu=True)
        self.dropout = Dropout(dropout, rng)
        self.classifier = Linear(FEATURES, num_classes, rng=rng)
        draw_normal(self.head, Linear, (2 / FEATURES) ** 0.5, rng)
        draw_uniform(self.classifier, Linear, num_classes**-0.5, rng)


def _block(row: Conv | Universal, channels: int, out: int, stride: int, rng: np.random.Generator) -> Module:
    mid = make_divisible(channels * row.expansion, 8)
    if isinstance(row, Universal):
        return UniversalBottleneck(channels, mid, out, row.start_size, row.middle_size, stride, rng=rng)
    size = row.kernel_size
    if not row.expansion:
        return ConvBNAct(channels, out, size, stride, rng=rng)
    return Sequential(ConvBNAct(channels, mid, size, stride, rng=rng), ConvBNAct(mid, out, 1, act=None, rng=rng))


@register(
    "mobilenet_v4_conv_small",
    year=2024,
    idea="one block that is four",
    paper='Qin et al., "MobileNetV4: Universal models for the mobile ecosystem", arXiv 2404.10518',
)
class MobileNetV4ConvSmall(MobileNetV4):
    """MobileNetV4-Conv-S, 3.8 million parameters; options as for `MobileNetV4`."""

    table = SMALL


@register("mobilenet_v4_conv_medium", like="mobilenet_v4_conv_small")
class MobileNetV4ConvMedium(MobileNetV4):
    """MobileNetV4-Conv-M, 9.7 million parameters; options as for `MobileNetV4`."""

    table = MEDIUM


@register("mobilenet_v4_conv_small_cifar", like="mobilenet_v4_conv_small")
def mobilenet_v4_conv_small_cifar(
    width: float = 1.0, num_classes: int = 10, dropout: float = 0.2, rng: Seed = 0
) -> MobileNetV4ConvSmall:
    """For 32x32 images: maps are 32 32 16 8 4 wide. Strides: stem 1; stages 1 2 2 2 (the paper: 2; 2 2 2 2)."""
    return MobileNetV4ConvSmall(width, num_classes, 1, 1, dropout, rng)
