"""ResNet for 32x32 images (He et al. 2016, "Deep residual learning for image recognition", §4.2).

The paper's table for 6n + 2 layers, of which ResNet-20 is n = 3:

    maps         32x32     16x16    8x8
    layers       1 + 2n    2n       2n
    channels     16        32       64

A 3x3 convolution, three stages of n residual blocks, the mean over each map, a classifier. The first block of the
second and third stage halves the maps. Its shortcut is a 1x1 convolution with batch norm (the paper's option B); the
paper's own networks for CIFAR-10 have option A there, which pads with zero channels and has no parameters. Hence
272,474 parameters and 40,813,184 multiply-adds per image in ResNet-20 instead of 269,722 and 40,551,040.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import ConvBNAct, GlobalAvgPool, Linear, ResidualBlock, Sequential
from minighost.type_aliases import Seed

__all__ = ["ResNet", "resnet20"]

STAGES = (16, 1), (32, 2), (64, 2)  # channels, stride of the first block


class ResNet(Network):
    """6n + 2 layers for small images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    blocks : int
        n, residual blocks per stage: 3 for ResNet-20, 9 for ResNet-56.
    width : float
        Multiplies all channel numbers, then rounds to multiples of 4.
    num_classes : int
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> sum(p.size for p in ResNet(blocks=3, rng=0).parameters())
    272474
    """

    def __init__(self, blocks: int = 3, width: float = 1.0, num_classes: int = 10, rng: Seed = 0) -> None:
        whole("ResNet", "blocks", blocks, 1)
        number("ResNet", "width", width, above=0)
        whole("ResNet", "num_classes", num_classes, 1)
        rng = np.random.default_rng(rng)
        channels, stages = make_divisible(16 * width, 4), []
        self.stem = ConvBNAct(3, channels, 3, rng=rng)
        for maps, first_stride in STAGES:
            chain = []
            for k in range(blocks):
                out = make_divisible(maps * width, 4)
                chain.append(ResidualBlock(channels, out, first_stride if k == 0 else 1, rng))
                channels = out
            stages.append(Sequential(*chain))
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.classifier = Linear(channels, num_classes, rng=rng)


@register(
    "resnet20",
    year=2016,
    idea="shortcuts around every two convolutions",
    paper='He et al., "Deep residual learning for image recognition", arXiv 1512.03385',
)
def resnet20(width: float = 1.0, num_classes: int = 10, rng: Seed = 0) -> ResNet:
    """The `ResNet` of 20 layers: three residual blocks per stage."""
    return ResNet(3, width, num_classes, rng)
