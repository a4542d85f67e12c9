"""MobileNetV2 (Sandler et al. 2018, "MobileNetV2: Inverted residuals and linear bottlenecks", table 2).

A 3x3 convolution, seventeen inverted residuals in seven stages, a 1x1 convolution to 1280 channels, the mean over each
map, a classifier. The narrow ends of the blocks carry the information, so they have no activation; the wide middles,
six times as many channels, filter it. Initial weights and batch norm are torchvision's.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.initialize import draw_normal
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import ConvBNAct, Dropout, GlobalAvgPool, InvertedResidual, Linear, Sequential
from minighost.type_aliases import Seed

__all__ = ["MobileNetV2", "mobilenet_v2_cifar"]

STAGES = (  # expansion, channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
FEATURES = 1280


@register(
    "mobilenet_v2",
    year=2018,
    idea="narrow ends, wide middles, linear bottlenecks",
    paper='Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", arXiv 1801.04381',
)
class MobileNetV2(Network):
    """MobileNetV2: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers, then rounds to multiples of 8. The 1280 features never shrink.
    num_classes : int
    stem_stride, stage2_stride : int
        Of the first convolution, and of the first block of 24 channels; 1 keeps the resolution of small images.
    dropout : float
        In front of the classifier.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> sum(p.size for p in MobileNetV2(width=0.35, rng=0).parameters())
    1677128
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        stem_stride: int = 2,
        stage2_stride: int = 2,
        dropout: float = 0.2,
        rng: Seed = 0,
    ) -> None:
        number("MobileNetV2", "width", width, above=0)
        whole("MobileNetV2", "num_classes", num_classes, 1)
        rng = np.random.default_rng(rng)
        channels, stages = make_divisible(32 * width, 8), []
        self.stem = ConvBNAct(3, channels, 3, stem_stride, act="relu6", rng=rng)
        for stage, (expansion, maps, repeats, stride) in enumerate(STAGES):
            out, blocks = make_divisible(maps * width, 8), []
            for k in range(repeats):
                step = (stage2_stride if stage == 1 else stride) if k == 0 else 1
                blocks.append(InvertedResidual(channels, expansion * channels, out, stride=step, act="relu6", rng=rng))
                channels = out
            stages.append(Sequential(*blocks))
        self.stages = Sequential(*stages)
        features = make_divisible(FEATURES * max(1.0, width), 8)
        self.tail = ConvBNAct(channels, features, 1, act="relu6", rng=rng)
        self.pool = GlobalAvgPool()
        self.dropout = Dropout(dropout, rng)
        self.classifier = Linear(features, num_classes, rng=rng)
        draw_normal(self, Linear, 0.01, rng)


@register("mobilenet_v2_cifar", like="mobilenet_v2")
def mobilenet_v2_cifar(width: float = 1.0, num_classes: int = 10, dropout: float = 0.2, rng: Seed = 0) -> MobileNetV2:
    """MobileNetV2 for 32x32 images: maps are 32 32 32 16 8 8 4 4 wide.

    Strides: stem 1; stages 1 1 2 2 1 2 1 (the paper: stem 2; stages 1 2 2 2 1 2 1).
    """
    return MobileNetV2(width, num_classes, 1, 1, dropout, rng)
