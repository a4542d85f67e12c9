"""The networks that are timed: minighost's own, and a chain of convolutions.

The chain follows VGG (Simonyan & Zisserman 2015): 3x3 convolutions in pairs, halved in between, here with batch norm.
"""

import numpy as np

from minighost import models
from minighost.nn import ConvBNAct, GlobalAvgPool, Linear, MaxPool2d, Sequential

__all__ = ["create", "vgg"]


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
    model = vgg(**options) if name == "vgg" else models.create(name, rng=0, **options)
    # A running variance of about 2 keeps the logits of all networks here within 0.1 ... 10 in evaluation.
    ranges = {"bn.weight": (0.8, 1.2), "bn.bias": (-0.2, 0.2), "running_mean": (-0.2, 0.2), "running_var": (1.5, 2.5)}
    rng = np.random.default_rng(2)
    for path, value in [*model.named_parameters(), *model.named_buffers()]:
        for ending, bounds in ranges.items():
            if path.endswith(ending):
                value.data[...] = rng.uniform(*bounds, value.data.shape)
    return model
