"""MobileNetV3 (Howard et al. 2019, "Searching for MobileNetV3", tables 1 and 2).

The inverted residuals of MobileNetV2 with three changes: a search chose kernels and widths, squeeze-and-excitation
weighs the expanded channels of some, and the later ones use hard swish. The costly end comes after the mean: a 1x1
convolution to six times the last width, the mean over each map, then the features. Weights begin as torchvision's.
"""

from collections.abc import Sequence

import numpy as np

from minighost import nn
from minighost.arguments import choice, number, whole
from minighost.models.initialize import draw_normal, set_batch_norms
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible, squeeze_width
from minighost.type_aliases import Seed

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "mobilenet_v3_large_cifar", "mobilenet_v3_small_cifar"]

R, H = "relu", "hard_swish"

# A stage: the stride of its first block, then one tuple per block:
# kernel size, expanded channels, output channels, whether it is gated, activation.
Stages = Sequence[tuple[int, Sequence[tuple[int, int, int, bool, str]]]]
LARGE: Stages = [
    (1, [(3, 16, 16, False, R)]),
    (2, [(3, 64, 24, False, R), (3, 72, 24, False, R)]),
    (2, [(5, 72, 40, True, R), (5, 120, 40, True, R), (5, 120, 40, True, R)]),
    (2, [(3, 240, 80, False, H), (3, 200, 80, False, H), (3, 184, 80, False, H), (3, 184, 80, False, H)]),
    (1, [(3, 480, 112, True, H), (3, 672, 112, True, H)]),
    (2, [(5, 672, 160, True, H), (5, 960, 160, True, H), (5, 960, 160, True, H)]),
]
SMALL: Stages = [
    (2, [(3, 16, 16, True, R)]),
    (2, [(3, 72, 24, False, R), (3, 88, 24, False, R)]),
    (2, [(5, 96, 40, True, H), (5, 240, 40, True, H), (5, 240, 40, True, H)]),
    (1, [(5, 120, 48, True, H), (5, 144, 48, True, H)]),
    (2, [(5, 288, 96, True, H), (5, 576, 96, True, H), (5, 576, 96, True, H)]),
]
EXPANDS = "scaled width", "ratio x scaled input"


class MobileNetV3(Network):
    """What Large and Small share: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers, then rounds to multiples of 8.
    num_classes : int
    stem_stride, stage2_stride : int
        Of the first convolution, and of the next block that halves the maps; 1 keeps the resolution of small images.
    dropout : float
        In front of the classifier.
    expand : str
        How a block's expansion follows the width: "scaled width" multiplies the table's number (torchvision), "ratio x
        scaled input" keeps its ratio to the block's input (the authors' TensorFlow code).
    scale_head : bool
        Whether the width multiplies the features too (torchvision).
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range or `expand` is unknown.
    """

    table: Stages
    features: int

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        stem_stride: int = 2,
        stage2_stride: int = 2,
        dropout: float = 0.2,
        expand: str = "scaled width",
        scale_head: bool = True,
        rng: Seed = 0,
    ) -> None:
        number("MobileNetV3", "width", width, above=0)
        whole("MobileNetV3", "num_classes", num_classes, 1)
        choice("MobileNetV3", "expand", expand, EXPANDS)
        rng = np.random.default_rng(rng)

        def scaled(maps: float) -> int:
            return make_divisible(maps * width, 8)

        listed, channels, chains, halving = 16, scaled(16), [], [stride for stride, _ in self.table].index(2)
        self.stem = nn.ConvBNAct(3, channels, 3, stem_stride, act=H, rng=rng)
        for stage, (stride, rows) in enumerate(self.table):
            step, blocks = stage2_stride if stage == halving else stride, []
            for kernel_size, expanded, maps, gated, act in rows:
                mid = scaled(expanded) if expand == EXPANDS[0] else make_divisible(channels * expanded / listed, 8)
                se = nn.SqueezeExcite(mid, squeeze_width("mobilenet_v3", mid), rng=rng) if gated else None
                blocks.append(nn.InvertedResidual(channels, mid, scaled(maps), kernel_size, step, act, se, rng=rng))
                listed, channels, step = maps, scaled(maps), 1
            chains.append(nn.Sequential(*blocks))
        features = scaled(self.features) if scale_head else self.features
        self.stages = nn.Sequential(*chains)
        self.tail = nn.ConvBNAct(channels, 6 * channels, 1, act=H, rng=rng)
        self.pool = nn.GlobalAvgPool()
        self.head = nn.Linear(6 * channels, features, rng=rng)
        self.act = nn.HardSwish()
        self.dropout = nn.Dropout(dropout, rng)
        self.classifier = nn.Linear(features, num_classes, rng=rng)
        draw_normal(self, nn.Linear, 0.01, rng)
        draw_normal(self.stages, nn.Linear, lambda w: np.sqrt(2 / w.shape[1]), rng)
        set_batch_norms(self, eps=1e-3, momentum=0.01)


@register(
    "mobilenet_v3_large",
    year=2019,
    idea="searched blocks, gates, hard swish",
    paper='Howard et al., "Searching for MobileNetV3", arXiv 1905.02244',
)
class MobileNetV3Large(MobileNetV3):
    """Table 1, for 5.5 million parameters; options as for `MobileNetV3`."""

    table, features = LARGE, 1280


@register("mobilenet_v3_small", like="mobilenet_v3_large")
class MobileNetV3Small(MobileNetV3):
    """Table 2, for 2.5 million parameters; options as for `MobileNetV3`."""

    table, features = SMALL, 1024


@register("mobilenet_v3_large_cifar", like="mobilenet_v3_large")
def mobilenet_v3_large_cifar(width: float = 1.0, num_classes: int = 10, dropout: float = 0.2, rng: Seed = 0) -> Network:
    """MobileNetV3-Large for 32x32 images: maps are 32 32 32 16 8 8 4 wide.

    Strides: stem 1; stages 1 1 2 2 1 2 (the paper: stem 2; stages 1 2 2 2 1 2). Batch norm: eps 1e-5, momentum 0.1.
    """
    return set_batch_norms(MobileNetV3Large(width, num_classes, 1, 1, dropout, rng=rng))


@register("mobilenet_v3_small_cifar", like="mobilenet_v3_large")
def mobilenet_v3_small_cifar(width: float = 1.0, num_classes: int = 10, dropout: float = 0.2, rng: Seed = 0) -> Network:
    """MobileNetV3-Small for 32x32 images: maps are 32 32 16 8 8 4 wide.

    Strides: stem 1; stages 1 2 2 1 2 (the paper: stem 2; stages 2 2 2 1 2). Batch norm: eps 1e-5, momentum 0.1.
    """
    return set_batch_norms(MobileNetV3Small(width, num_classes, 1, 1, dropout, rng=rng))
