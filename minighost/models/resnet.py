"""ResNet for 32x32 images (He et al. 2016, "Deep residual learning for image recognition", §4.2).

The paper's table for 6n + 2 layers, of which ResNet-20 is n = 3:

    maps         32x32     16x16    8x8
    layers       1 + 2n    2n       2n
    channels     16        32       64

A 3x3 convolution, three stages of n residual blocks, the mean over each map, a classifier. The first block of the
second and third stage halves the maps. Its shortcut has no parameters in the paper's networks for CIFAR-10 (option A:
every second pixel between channels of zeros): 269,722 parameters and 40,551,040 multiply-adds per image in ResNet-20.
With a 1x1 convolution and batch norm (option B) it has 272,474 and 40,813,184.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import ConvBNAct, GlobalAvgPool, Linear, ResidualBlock, Sequential
from minighost.nn.residual import Unit
from minighost.type_aliases import Seed

__all__ = ["ResNet", "blocks_of", "resnet20", "resnet56_cifar", "resnet_cifar"]

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
    shortcut : str
        "A" or "B", as in `nn.ResidualBlock`.
    unit, stem : callable
        What makes the blocks' convolutions, and the first one.
    inner : float
        Share of the channels that is left between the two convolutions of a block, up to 1: what `nn.prune` leaves.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> sum(p.size for p in ResNet(blocks=3, rng=0).parameters())
    272474
    """

    def __init__(
        self,
        blocks: int = 3,
        width: float = 1.0,
        num_classes: int = 10,
        rng: Seed = 0,
        shortcut: str = "B",
        unit: Unit = ConvBNAct,
        stem: Unit = ConvBNAct,
        inner: float = 1.0,
    ) -> None:
        whole("ResNet", "blocks", blocks, 1)
        number("ResNet", "width", width, above=0)
        whole("ResNet", "num_classes", num_classes, 1)
        number("ResNet", "inner", inner, above=0, most=1)
        rng = np.random.default_rng(rng)
        channels, stages = make_divisible(16 * width, 4), []
        self.stem = stem(3, channels, 3, rng=rng)
        for maps, first_stride in STAGES:
            chain = []
            for k in range(blocks):
                out = make_divisible(maps * width, 4)
                stride, mid = first_stride if k == 0 else 1, max(1, round(out * inner))
                chain.append(ResidualBlock(channels, out, stride, shortcut, unit, rng, mid))
                channels = out
            stages.append(Sequential(*chain))
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.classifier = Linear(channels, num_classes, rng=rng)


def blocks_of(depth: int) -> int:
    """n of 6n + 2 layers."""
    n, left = divmod(whole("resnet_cifar", "depth", depth, 8) - 2, 6)
    if left:
        raise ValueError(
            f"resnet_cifar: depth={depth} must be 6n + 2, three stages of n blocks of two layers and two more "
            f"({depth - 2} % 6 = {left}); the nearest are {6 * n + 2} and {6 * n + 8}"
        )
    return n


@register(
    "resnet_cifar",
    year=2016,
    idea="shortcuts around every two convolutions",
    paper='He et al., "Deep residual learning for image recognition", arXiv 1512.03385',
)
def resnet_cifar(
    depth: int = 20,
    shortcut: str = "A",
    width: float = 1.0,
    num_classes: int = 10,
    rng: Seed = 0,
    inner: float = 1.0,
) -> ResNet:
    """The `ResNet` of `depth` = 6n + 2 layers: 20, 32, 44, 56, 110 in the paper. Maps are 32 16 8 wide.

    `inner` is the share of channels within blocks, as pruning leaves them.
    """
    return ResNet(blocks_of(depth), width, num_classes, rng, shortcut, inner=inner)


@register("resnet20", like="resnet_cifar")
def resnet20(width: float = 1.0, num_classes: int = 10, rng: Seed = 0, shortcut: str = "B") -> ResNet:
    """The `ResNet` of 20 layers, three residual blocks per stage, with shortcuts that learn."""
    return ResNet(3, width, num_classes, rng, shortcut)


@register("resnet56_cifar", like="resnet_cifar")
def resnet56_cifar(shortcut: str = "A", width: float = 1.0, num_classes: int = 10, rng: Seed = 0) -> ResNet:
    """The `ResNet` of 56 layers, nine residual blocks per stage."""
    return ResNet(9, width, num_classes, rng, shortcut)
