"""FasterNet (Chen et al. 2023, "Run, don't walk: Chasing higher FLOPS for faster neural networks", table 1).

    layer                               maps (224x224)   channels of T0, T1, T2
    4x4 convolution of stride 4         56               40, 64, 96
    1 block                             56               40, 64, 96
    2x2 convolution of stride 2         28               twice as many; so before each stage
    2 blocks, 8 blocks, 2 blocks        28, 14, 7
    mean over each map, 1280 features, classifier

A block (`nn.FasterNetBlock`) convolves a quarter of its channels in space and mixes all of them by two 1x1
convolutions. The stem and the convolutions between stages have batch norm and no activation; the 1280 features have an
activation, no batch norm and no bias. T0 and T1 have GELU, T2 has ReLU.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.initialize import draw_normal
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import Conv2d, ConvBNAct, FasterNetBlock, GlobalAvgPool, Linear, Sequential
from minighost.nn.activations import LAYERS
from minighost.type_aliases import Seed

__all__ = ["FasterNet", "fasternet_cifar"]

VARIANTS = {"t0": (40, "gelu"), "t1": (64, "gelu"), "t2": (96, "relu")}  # channels of the stem, activation
BLOCKS = 1, 2, 8, 2
FEATURES = 1280


@register(
    "fasternet",
    year=2023,
    idea="3x3 convolutions of some channels",
    paper='Chen et al., "Run, don\'t walk: Chasing higher FLOPS for faster neural networks", arXiv 2303.03667',
    side=32,
)
class FasterNet(Network):
    """FasterNet T0, T1 or T2: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers but the 1280 features; the stem's are rounded to multiples of 4, and each later
        stage doubles them.
    num_classes : int
    variant : str
        "t0", "t1" or "t2".
    patch : int
        Size and stride of the stem's kernel; 1 stands for a 3x3 kernel of stride 1, which keeps the size.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range, or `variant` is unknown.

    Examples
    --------
    >>> sum(p.size for p in FasterNet(num_classes=10, rng=0).parameters())
    2637310
    """

    def __init__(
        self, width: float = 1.0, num_classes: int = 1000, variant: str = "t0", patch: int = 4, rng: Seed = 0
    ) -> None:
        number("FasterNet", "width", width, above=0)
        whole("FasterNet", "num_classes", num_classes, 1)
        whole("FasterNet", "patch", patch, 1)
        if variant not in VARIANTS:
            raise ValueError(f"FasterNet: variant={variant!r} is unknown; choose from {', '.join(map(repr, VARIANTS))}")
        rng, (channels, act) = np.random.default_rng(rng), VARIANTS[variant]
        channels = make_divisible(channels * width, 4)
        size, padding = (patch, 0) if patch > 1 else (3, 1)
        self.stem = ConvBNAct(3, channels, size, patch, padding, act=None, rng=rng)
        stages: list[Sequential] = []
        for blocks in BLOCKS:
            shrink = [ConvBNAct(channels // 2, channels, 2, 2, 0, act=None, rng=rng)] if stages else []
            stages.append(Sequential(*shrink, *(FasterNetBlock(channels, act, rng=rng) for _ in range(blocks))))
            channels *= 2
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.features = Linear(channels // 2, FEATURES, bias=False, rng=rng)
        self.act = LAYERS[act]()
        self.classifier = Linear(FEATURES, num_classes, rng=rng)
        draw_normal(self, Conv2d, 0.02, rng)
        draw_normal(self, Linear, 0.02, rng)


@register("fasternet_cifar", like="fasternet")
def fasternet_cifar(width: float = 1.0, num_classes: int = 10, variant: str = "t0", rng: Seed = 0) -> FasterNet:
    """FasterNet for 32x32 images: maps are 32 16 8 4 wide.

    Strides: a 3x3 stem of stride 1; between stages 2 2 2 (the paper: a 4x4 stem of stride 4, which leaves 1x1 maps).
    """
    return FasterNet(width, num_classes, variant, 1, rng)
