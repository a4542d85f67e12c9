"""The networks that are timed: minighost's own, and two without ghosts - a small ResNet and a chain of convolutions.

ResNet-20 is that of He et al. 2016, §4.2, with a 1x1 convolution in the shortcuts that change size; the other follows
VGG (Simonyan & Zisserman 2015): 3x3 convolutions in pairs, halved in between, here with batch norm.
"""

import numpy as np

from minighost import models
from minighost.nn import ConvBNAct, GlobalAvgPool, Linear, MaxPool2d, ResidualBlock, Sequential

__all__ = ["create", "resnet20", "vgg"]


def resnet20(num_classes=10, rng=0):
    """Three stages of three residual blocks, 16, 32 and 64 channels wide."""
    rng = np.random.default_rng(rng)
    layers, channels = [ConvBNAct(3, 16, 3, rng=rng)], 16
    for width, first_stride in ((16, 1), (32, 2), (64, 2)):
        for stride in (first_stride, 1, 1):
            layers.append(ResidualBlock(channels, width, stride, rng))
            channels = width
    return Sequential(*layers, GlobalAvgPool(), Linear(channels, num_classes, rng=rng))


def vgg(num_classes=10, rng=0):
    """Pairs of 3x3 convolutions, 64, 128 and 256 channels wide, with 2x2 max pooling after the first two."""
    rng = np.random.default_rng(rng)
    layers, channels = [], 3
    for width in (64, 128, 256):
        layers += [ConvBNAct(channels, width, 3, rng=rng), ConvBNAct(width, width, 3, rng=rng), MaxPool2d(2)]
        channels = width
    return Sequential(*layers[:-1], GlobalAvgPool(), Linear(channels, num_classes, rng=rng))


def create(name, **options):
    """A network with batch norms that are not trivial.

    With scale 1, shift 0, mean 0 and variance 1 an exchange of any two of them could not be seen in the outputs.
    """
    own = {"resnet20": resnet20, "vgg": vgg}
    model = own[name](**options) if name in own else models.create(name, rng=0, **options)
    # A running variance of about 2 keeps the logits of all networks here within 0.1 ... 10 in evaluation.
    ranges = {"bn.weight": (0.8, 1.2), "bn.bias": (-0.2, 0.2), "running_mean": (-0.2, 0.2), "running_var": (1.5, 2.5)}
    rng = np.random.default_rng(2)
    for path, value in [*model.named_parameters(), *model.named_buffers()]:
        for ending, bounds in ranges.items():
            if path.endswith(ending):
                value.data[...] = rng.uniform(*bounds, value.data.shape)
    return model
