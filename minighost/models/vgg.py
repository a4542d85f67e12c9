"""VGG-16 (Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image recognition", table 1).

    maps         224      112      56           28           14           7
    3x3          64 64    128 128  256 256 256  512 512 512  512 512 512  fully connected 4096 4096 1000

Thirteen 3x3 convolutions that keep the size, a 2x2 maximum after each group, three fully connected layers, which hold
124 of the 138 million weights. Two 3x3 convolutions see what one of 5x5 sees, with fewer weights and one more ReLU.
Batch norm after each convolution (``bn=True``) came a year later. Where the last maps are not 7x7 they are averaged to
that size, as torchvision does.

The form for CIFAR-10 has batch norm, and one linear layer on the single pixel that is left; with ``fc512`` another of
512 features before it, which makes the 15.0 M weights that papers on small networks start from.
"""

from collections.abc import Callable

import numpy as np

from minighost.arguments import number, whole
from minighost.models import initialize
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import (
    AdaptiveAvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from minighost.type_aliases import Seed

__all__ = ["VGG16", "VGGCifar", "plain_unit", "vgg16_cifar"]

STAGES = (64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)
HIDDEN, SIDE = 4096, 7  # fully connected features, and the side of the maps that they see

Convolution = Callable[[int, int], Module]  # (in_channels, out_channels) -> 3x3 convolution and activation


def plain_unit(bn: bool, rng: np.random.Generator) -> Convolution:
    """What makes a 3x3 convolution with bias and ReLU, with batch norm between them or without."""

    def unit(in_channels: int, out_channels: int) -> Module:
        conv = Conv2d(in_channels, out_channels, 3, padding=1, rng=rng)
        return Sequential(conv, BatchNorm2d(out_channels, relu=True) if bn else ReLU())

    return unit


def _stages(width: float, unit: Convolution, first: Convolution | None = None) -> tuple[Sequential, int]:
    """The convolutions, group by group, and the channels of the last; `first` makes the first of them."""
    channels, stages = 3, []
    for stage in STAGES:
        units = []
        for maps in stage:
            out = make_divisible(maps * width, 4)
            units.append((unit if first is None or channels > 3 else first)(channels, out))
            channels = out
        stages.append(Sequential(*units, MaxPool2d(2)))
    return Sequential(*stages), channels


@register(
    "vgg16",
    year=2015,
    idea="nothing but 3x3 convolutions",
    paper='Simonyan and Zisserman, "Very deep convolutional networks", arXiv 1409.1556',
    side=32,
)
class VGG16(Network):
    """Images (N, H, W, 3) of at least 32 x 32 pixels -> logits (N, num_classes).

    Parameters
    ----------
    bn : bool
        Batch norm after each convolution.
    width : float
        Multiplies all channels and features, then rounds to multiples of 4.
    num_classes : int
    dropout : float
        After each of the two hidden layers.
    rng : int or numpy.random.Generator

    Notes
    -----
    Linear weights begin as torchvision's, normal with standard deviation 0.01; the convolutions as `Conv2d` has them.
    """

    def __init__(
        self, bn: bool = False, width: float = 1.0, num_classes: int = 1000, dropout: float = 0.5, rng: Seed = 0
    ) -> None:
        number("VGG16", "width", width, above=0)
        whole("VGG16", "num_classes", num_classes, 1)
        rng, hidden = np.random.default_rng(rng), make_divisible(HIDDEN * width, 4)
        self.stages, channels = _stages(width, plain_unit(bn, rng))
        self.pool, self.flatten = AdaptiveAvgPool2d(SIDE), Flatten()
        self.hidden1 = Sequential(Linear(SIDE * SIDE * channels, hidden, rng=rng), ReLU(), Dropout(dropout, rng))
        self.hidden2 = Sequential(Linear(hidden, hidden, rng=rng), ReLU(), Dropout(dropout, rng))
        self.classifier = Linear(hidden, num_classes, rng=rng)
        initialize.draw_normal(self, Linear, 0.01, rng)


class VGGCifar(Network):
    """VGG-16 for images (N, H, W, 3) of 32 x 32 pixels; see `vgg16_cifar`, which makes it.

    Parameters
    ----------
    width, num_classes, fc512, rng
        As for `vgg16_cifar`.
    unit, first : callable
        What makes the convolutions, and the first of them: (in_channels, out_channels) -> Module.
    """

    def __init__(
        self,
        width: float,
        num_classes: int,
        fc512: bool,
        rng: np.random.Generator,
        unit: Convolution,
        first: Convolution,
    ) -> None:
        number("vgg16_cifar", "width", width, above=0)
        whole("vgg16_cifar", "num_classes", num_classes, 1)
        self.stages, channels = _stages(width, unit, first)
        self.pool = GlobalAvgPool()
        if fc512:
            self.hidden = Sequential(Linear(channels, channels, rng=rng), BatchNorm1d(channels, relu=True))
        self.classifier = Linear(channels, num_classes, rng=rng)


@register("vgg16_cifar", like="vgg16", side=32)
def vgg16_cifar(fc512: bool = True, width: float = 1.0, num_classes: int = 10, rng: Seed = 0) -> VGGCifar:
    """VGG-16 with batch norm for 32x32 images: maps are 32 16 8 4 2 wide, and a single pixel is left.

    `fc512` asks for a hidden layer of 512 features with batch norm and ReLU before the classifier.
    """
    rng = np.random.default_rng(rng)
    unit = plain_unit(True, rng)
    return VGGCifar(width, num_classes, fc512, rng, unit, unit)
