"""AlexNet (Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", §3).

    maps       55            27              13                         6
    layer      11x11/4 96    5x5 256 (g)     3x3 384  384 (g)  256 (g)  fully connected 4096 4096 1000

Images of 227 x 227 pixels; no padding in the first layer. Overlapping maxima (3x3/2) after the first, second and fifth
convolution, local response normalisation before the first two of them. (g): in two groups, as the network lay in the
memories of two graphics cards; the third convolution reads both halves. ``groups=1`` leaves that out.

torchvision's AlexNet is the later single-tower one (Krizhevsky 2014): 64 192 384 256 256 maps, padding 2 in the first
layer for images of 224, no normalisation. Both average other planes to 6x6, as torchvision does.
"""

from typing import NamedTuple

import numpy as np

from minighost.arguments import number, whole
from minighost.models import initialize
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from minighost.type_aliases import Seed

__all__ = ["AlexNet", "Layout", "alexnet", "alexnet_cifar", "alexnet_torchvision"]


class Layout(NamedTuple):
    """What tells the forms of AlexNet apart.

    Attributes
    ----------
    maps : tuple of int
        Of the five convolutions.
    stem : (int, int, int)
        Kernel size, stride and padding of the first.
    normalized : bool
        Local response normalisation after the first two.
    pool_padding : int
        Of the maxima.
    side : int
        Of the maps that the fully connected layers see; 1 for their mean.
    hidden : int
        Features of the two hidden layers.
    """

    maps: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    stem: tuple[int, int, int] = (11, 4, 0)
    normalized: bool = True
    pool_padding: int = 0
    side: int = 6
    hidden: int = 4096


PAPER = Layout()
TORCHVISION = Layout(maps=(64, 192, 384, 256, 256), stem=(11, 4, 2), normalized=False)
CIFAR = Layout(stem=(3, 1, 1), pool_padding=1, side=1, hidden=1024)


class AlexNet(Network):
    """Images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    layout : Layout
    groups : int
        Of the second, fourth and fifth convolution: 2 in the paper.
    width : float
        Multiplies all channels and features, then rounds to multiples of 4 per group.
    num_classes : int
    dropout : float
        In front of the two hidden layers.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        A number is out of range.
    """

    def __init__(
        self,
        layout: Layout = PAPER,
        groups: int = 2,
        width: float = 1.0,
        num_classes: int = 1000,
        dropout: float = 0.5,
        rng: Seed = 0,
    ) -> None:
        number("AlexNet", "width", width, above=0)
        whole("AlexNet", "num_classes", num_classes, 1)
        whole("AlexNet", "groups", groups, 1)
        rng = np.random.default_rng(rng)
        maps = [make_divisible(channels * width, 4 * groups) for channels in layout.maps]
        hidden = make_divisible(layout.hidden * width, 4)

        def unit(conv: Conv2d, normalized: bool, pooled: bool) -> Module:
            layers: list[Module] = [conv, ReLU()]
            layers += [LocalResponseNorm(5)] if normalized else []
            layers += [MaxPool2d(3, 2, layout.pool_padding)] if pooled else []
            return Sequential(*layers)

        self.conv1 = unit(Conv2d(3, maps[0], *layout.stem, rng=rng), layout.normalized, True)
        self.conv2 = unit(Conv2d(maps[0], maps[1], 5, 1, 2, groups=groups, rng=rng), layout.normalized, True)
        self.conv3 = unit(Conv2d(maps[1], maps[2], 3, 1, 1, rng=rng), False, False)
        self.conv4 = unit(Conv2d(maps[2], maps[3], 3, 1, 1, groups=groups, rng=rng), False, False)
        self.conv5 = unit(Conv2d(maps[3], maps[4], 3, 1, 1, groups=groups, rng=rng), False, True)
        if layout.side > 1:
            self.pool, self.flatten = AdaptiveAvgPool2d(layout.side), Flatten()
        else:
            self.mean = GlobalAvgPool()
        inputs = layout.side**2 * maps[4]
        self.hidden1 = Sequential(Dropout(dropout, rng), Linear(inputs, hidden, rng=rng), ReLU())
        self.hidden2 = Sequential(Dropout(dropout, rng), Linear(hidden, hidden, rng=rng), ReLU())
        self.classifier = Linear(hidden, num_classes, rng=rng)


@register(
    "alexnet",
    year=2012,
    idea="five convolutions on two cards",
    paper='Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS 2012',
    side=67,
)
def alexnet(
    groups: int = 2, width: float = 1.0, num_classes: int = 1000, dropout: float = 0.5, rng: Seed = 0
) -> AlexNet:
    """AlexNet as published, for images of 227 x 227, at least 67 x 67 pixels.

    Initial weights are those of Caffe's bvlc_alexnet: normal, with standard deviation 0.01, of the hidden layers 0.005.
    Biases of the grouped convolutions and the hidden layers begin at 0.1 (in the paper at 1), all others at 0.
    """
    rng = np.random.default_rng(rng)
    model = AlexNet(PAPER, groups, width, num_classes, dropout, rng)
    initialize.draw_normal(model, Conv2d, 0.01, rng)
    initialize.draw_normal(model, Linear, 0.01, rng)
    for hidden in (model.hidden1, model.hidden2):
        initialize.draw_normal(hidden, Linear, 0.005, rng)
    for part in (model.conv2, model.conv4, model.conv5, model.hidden1, model.hidden2):
        for parameter in part.parameters():
            if len(parameter.shape) == 1:
                parameter.data[...] = 0.1
    return model


@register("alexnet_torchvision", like="alexnet", side=64)
def alexnet_torchvision(width: float = 1.0, num_classes: int = 1000, dropout: float = 0.5, rng: Seed = 0) -> AlexNet:
    """torchvision's AlexNet, for images of 224 x 224, at least 63 x 63 pixels.

    All weights begin uniform between -1/sqrt(fan_in) and 1/sqrt(fan_in), biases at 0.
    """
    rng = np.random.default_rng(rng)
    model = AlexNet(TORCHVISION, 1, width, num_classes, dropout, rng)
    initialize.draw_uniform(model, Conv2d, lambda w: initialize.fan_in(w) ** -0.5, rng)
    return model


@register("alexnet_cifar", like="alexnet")
def alexnet_cifar(
    groups: int = 2, width: float = 1.0, num_classes: int = 10, dropout: float = 0.5, rng: Seed = 0
) -> AlexNet:
    """AlexNet for 32x32 images: a 3x3 stem of stride 1, padded maxima, maps 32 16 8 4 wide.

    The hidden layers have 1024 features and see the mean over the last maps.
    Weights begin as the layers have them (normal with variance 2/fan_out, uniform in the hidden layers).
    """
    return AlexNet(CIFAR, groups, width, num_classes, dropout, rng)
