"""MicroNet (Li et al. 2021, "MicroNet: Improving image recognition with extremely low FLOPs", table 2).

Four networks of 4, 6, 12 and 21 million multiply-adds, in the structure of the authors' code:

    stem    3x1 convolution, then 1x3 by channel, both with stride 2; shuffle
    blocks  one for each row of the table, of one of three kinds
    head    ReLU6, mean over each map, hard swish; 640 to 1024 features; classifier, each with batch norm, hard swish

The rows are in `micronet_rows`; `MicroBlock` makes a block of one.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.initialize import draw_normal
from minighost.models.micronet_rows import VARIANTS
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import (
    BatchNorm1d,
    ChannelShuffle,
    Conv2d,
    ConvBNAct,
    Dropout,
    GlobalAvgPool,
    HardSwish,
    Linear,
    MicroBlock,
    ReLU6,
    Sequential,
)
from minighost.type_aliases import Seed

__all__ = ["MicroNet", "micronet_cifar"]


@register(
    "micronet",
    year=2021,
    idea="matrices of low rank, strong activations",
    paper='Li et al., "MicroNet: Improving image recognition with extremely low FLOPs", arXiv 2108.05894',
)
class MicroNet(Network):
    """MicroNet: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    variant : str
        "M0", "M1", "M2" or "M3".
    width : float
        Multiplies the channels of the blocks and the features, then rounds to multiples of 4; the stem does not scale.
    num_classes : int
    dropout : float, optional
        In front of the classifier; by default the variant's.
    stem_stride, first_stride : int
        Of the stem and of the first block; 2 in the paper, 1 keeps the resolution of small images.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If the variant is unknown, or a number is out of range.
    """

    def __init__(
        self,
        variant: str = "M0",
        width: float = 1.0,
        num_classes: int = 1000,
        dropout: float | None = None,
        stem_stride: int = 2,
        first_stride: int = 2,
        rng: Seed = 0,
    ) -> None:
        if variant not in VARIANTS:
            raise ValueError(f"MicroNet: variant={variant!r} is unknown; choose from {', '.join(map(repr, VARIANTS))}")
        number("MicroNet", "width", width, above=0)
        whole("MicroNet", "num_classes", num_classes, 1)
        table, rng = VARIANTS[variant], np.random.default_rng(rng)
        column, row = table.stem
        S, C = stem_stride, column * row
        self.stem = Sequential(
            ConvBNAct(3, column, (3, 1), (S, 1), act=None, rng=rng),
            ConvBNAct(column, C, (1, 3), (1, S), groups=column, act=None, rng=rng),
            ChannelShuffle(column),
            ReLU6(),
        )
        blocks = []
        for k, entry in enumerate(table.rows):
            stride = first_stride if k == 0 else entry.stride
            entry = entry._replace(stride=stride, out=make_divisible(entry.out * width, 4))
            blocks.append(MicroBlock(C, entry, table.initial, rng))
            C = blocks[-1].channels
        features = make_divisible(table.features * width, 4)
        self.blocks = Sequential(*blocks)
        self.act = ReLU6()
        self.pool = GlobalAvgPool()
        self.pooled_act = HardSwish()
        self.head = Sequential(Linear(C, features, rng=rng), BatchNorm1d(features), HardSwish())
        self.dropout = Dropout(table.dropout if dropout is None else dropout, rng)
        self.classifier = Sequential(Linear(features, num_classes, rng=rng), BatchNorm1d(num_classes), HardSwish())
        draw_normal(self, Conv2d, lambda w: (2 / (w.shape[0] * w.shape[1] * w.shape[3])) ** 0.5, rng)
        draw_normal(self, Linear, 0.01, rng)


@register("micronet_cifar", like="micronet")
def micronet_cifar(
    variant: str = "M0", width: float = 1.0, num_classes: int = 10, dropout: float | None = None, rng: Seed = 0
) -> MicroNet:
    """MicroNet for 32x32 images: the stem and the first block keep the size, so maps are 32 16 8 4 wide.

    Strides: stem 1 and first block 1 (the paper: 2 and 2); the other blocks' are the table's.
    """
    return MicroNet(variant, width, num_classes, dropout, 1, 1, rng)
