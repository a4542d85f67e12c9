"""ResNet for large images (He et al. 2016, "Deep residual learning for image recognition", table 1).

    maps         112x112   56x56      28x28      14x14      7x7
    ResNet-18    7x7/2     2 blocks   2 blocks   2 blocks   2 blocks     of two 3x3 convolutions
    ResNet-50    7x7/2     3          4          6          3            bottlenecks, 4 times as many channels
    channels     64        64         128        256        512

A 3x3/2 maximum leads from the stem to the first stage; the first block of each later stage halves the maps. Where
anything changes size, the shortcut is a 1x1 convolution with batch norm (option B). The paper's bottlenecks stride on
their first 1x1 convolution; all later implementations stride on the 3x3.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import Bottleneck, ConvBNAct, GlobalAvgPool, Identity, Linear, MaxPool2d, ResidualBlock, Sequential
from minighost.nn.residual import Unit
from minighost.type_aliases import Seed

__all__ = ["ResNetImageNet", "resnet18", "resnet18_cifar", "resnet50", "resnet50_cifar"]

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STAGES = (64, 1), (128, 2), (256, 2), (512, 2)  # channels, stride of the first block
EXPANSION = 4  # of bottlenecks, which begin at 50 layers


class ResNetImageNet(Network):
    """Images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    depth : int
        18 or 34, residual blocks; 50, 101 or 152, bottlenecks.
    stride_on : str
        "3x3" or "1x1", as in `nn.Bottleneck`; without effect on residual blocks.
    width : float
        Multiplies all channel numbers, then rounds to multiples of 4.
    num_classes : int
    small : bool
        For 32x32 images: a 3x3 stem that keeps their size, and no pooling after it.
    unit : callable
        What makes the blocks' convolutions.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range, or the table has no such depth.
    """

    def __init__(
        self,
        depth: int = 50,
        stride_on: str = "3x3",
        width: float = 1.0,
        num_classes: int = 1000,
        small: bool = False,
        unit: Unit = ConvBNAct,
        rng: Seed = 0,
    ) -> None:
        number("ResNetImageNet", "width", width, above=0)
        whole("ResNetImageNet", "num_classes", num_classes, 1)
        if depth not in BLOCKS:
            raise ValueError(f"ResNetImageNet: depth={depth!r} is unknown; choose from {', '.join(map(str, BLOCKS))}")
        rng = np.random.default_rng(rng)
        channels, stages = make_divisible(64 * width, 4), []
        self.stem = ConvBNAct(3, channels, 3 if small else 7, 1 if small else 2, rng=rng)
        self.stem_pool = Identity() if small else MaxPool2d(3, 2, 1)
        for (maps, first_stride), blocks in zip(STAGES, BLOCKS[depth], strict=True):
            chain: list[ResidualBlock | Bottleneck] = []
            mid = make_divisible(maps * width, 4)
            for k in range(blocks):
                stride = first_stride if k == 0 else 1
                if depth < 50:
                    chain.append(ResidualBlock(channels, mid, stride, "B", unit, rng))
                    channels = mid
                else:
                    chain.append(Bottleneck(channels, mid, EXPANSION * mid, stride, stride_on, unit, rng))
                    channels = EXPANSION * mid
            stages.append(Sequential(*chain))
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.classifier = Linear(channels, num_classes, rng=rng)


@register(
    "resnet50",
    year=2016,
    idea="bottlenecks with shortcuts around them",
    paper='He et al., "Deep residual learning for image recognition", arXiv 1512.03385',
)
def resnet50(stride_on: str = "3x3", width: float = 1.0, num_classes: int = 1000, rng: Seed = 0) -> ResNetImageNet:
    """ResNet-50; strides as in the table, in all 32."""
    return ResNetImageNet(50, stride_on, width, num_classes, rng=rng)


@register("resnet50_cifar", like="resnet50")
def resnet50_cifar(stride_on: str = "3x3", width: float = 1.0, num_classes: int = 10, rng: Seed = 0) -> ResNetImageNet:
    """ResNet-50 for 32x32 images: stem 1 (3x3), no pooling, stages 1 2 2 2, so that maps are 32 32 16 8 4 wide."""
    return ResNetImageNet(50, stride_on, width, num_classes, True, rng=rng)


@register(
    "resnet18",
    year=2016,
    idea="shortcuts around every two convolutions",
    paper='He et al., "Deep residual learning for image recognition", arXiv 1512.03385',
)
def resnet18(width: float = 1.0, num_classes: int = 1000, rng: Seed = 0) -> ResNetImageNet:
    """ResNet-18; strides as in the table, in all 32."""
    return ResNetImageNet(18, width=width, num_classes=num_classes, rng=rng)


@register("resnet18_cifar", like="resnet18")
def resnet18_cifar(width: float = 1.0, num_classes: int = 10, rng: Seed = 0) -> ResNetImageNet:
    """ResNet-18 for 32x32 images: stem 1 (3x3), no pooling, stages 1 2 2 2, so that maps are 32 32 16 8 4 wide."""
    return ResNetImageNet(18, width=width, num_classes=num_classes, small=True, rng=rng)
