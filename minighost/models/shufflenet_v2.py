"""ShuffleNet v2 (Ma et al. 2018, "ShuffleNet V2: Practical guidelines for efficient CNN architecture design", table 5).

    layer                          maps (224x224)   channels at 0.5, 1, 1.5, 2
    3x3 convolution of stride 2    112              24
    maximum over 3x3 of stride 2   56               24
    stage of 4 units               28               48, 116, 176, 244
    stage of 8 units               14               twice as many
    stage of 4 units               7                twice as many again
    1x1 convolution                7                1024, 1024, 1024, 2048
    mean over each map, classifier

The first unit of a stage has stride 2 (`nn.SplitShuffleUnit`). Its guidelines: equal widths in and out, few groups, few
branches, few operations that only go through memory.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.initialize import draw_uniform, fan_in
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.models.shufflenet_v1 import initialize_like_megvii
from minighost.nn import (
    Conv2d,
    ConvBNAct,
    Dropout,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Sequential,
    SplitShuffleUnit,
)
from minighost.type_aliases import Seed

__all__ = ["ShuffleNetV2", "shufflenet_v2_cifar"]

FIRST_STAGE = {0.5: 48, 1.0: 116, 1.5: 176, 2.0: 244}  # channels, by width
UNITS = 4, 8, 4


@register(
    "shufflenet_v2",
    year=2018,
    idea="half of the channels pass untouched",
    paper='Ma et al., "ShuffleNet V2", arXiv 1807.11164',
)
class ShuffleNetV2(Network):
    """ShuffleNet v2: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        0.5, 1, 1.5 and 2 are the paper's. Any other scales the 116 channels of width 1, rounded to multiples of 4; each
        later stage doubles them.
    num_classes : int
    variant : str
        "torchvision" or "megvii": how units divide their channels (`nn.SplitShuffleUnit`), and initial weights.
    fc_bias : bool
        Whether the classifier has a bias; Megvii's has none.
    stem_stride : int
    maxpool : bool
        Whether the pooling after the stem is there.
    dropout : float, optional
        In front of the classifier; by default 0.2 in Megvii's network of width 2, else none.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range, or `variant` is unknown.

    Examples
    --------
    >>> sum(p.size for p in ShuffleNetV2(width=0.5, num_classes=10, rng=0).parameters())
    352042
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        variant: str = "torchvision",
        fc_bias: bool = True,
        stem_stride: int = 2,
        maxpool: bool = True,
        dropout: float | None = None,
        rng: Seed = 0,
    ) -> None:
        number("ShuffleNetV2", "width", width, above=0)
        whole("ShuffleNetV2", "num_classes", num_classes, 1)
        rng = np.random.default_rng(rng)
        if dropout is None:
            dropout = 0.2 if width >= 2 and variant == "megvii" else 0.0
        channels, out = 24, FIRST_STAGE.get(width) or make_divisible(116 * width, 4)
        self.stem = ConvBNAct(3, channels, 3, stem_stride, rng=rng)
        self.maxpool = MaxPool2d(3, 2, 1) if maxpool else None
        stages = []
        for units in UNITS:
            first = SplitShuffleUnit(channels, out, 2, variant, rng)
            rest = (SplitShuffleUnit(out, out, 1, variant, rng) for _ in range(units - 1))
            stages.append(Sequential(first, *rest))
            channels, out = out, 2 * out
        self.stages = Sequential(*stages)
        last = 2048 if width >= 2 else 1024
        self.tail = ConvBNAct(channels, last, 1, rng=rng)
        self.pool = GlobalAvgPool()
        self.dropout = Dropout(dropout, rng)
        self.classifier = Linear(last, num_classes, fc_bias, rng)
        if variant == "megvii":
            initialize_like_megvii(self, self.stem.conv, rng)
        else:  # PyTorch's own
            draw_uniform(self, Conv2d, lambda weight: fan_in(weight) ** -0.5, rng)


@register("shufflenet_v2_cifar", like="shufflenet_v2")
def shufflenet_v2_cifar(
    width: float = 1.0, num_classes: int = 10, variant: str = "torchvision", fc_bias: bool = True, rng: Seed = 0
) -> ShuffleNetV2:
    """ShuffleNet v2 for 32x32 images: maps are 32 16 8 4 wide.

    Strides: stem 1, no pooling; stages 2 2 2 (the paper: stem 2, pooling 2, stages 2 2 2, which leaves 1x1 maps).
    """
    return ShuffleNetV2(width, num_classes, variant, fc_bias, 1, False, rng=rng)
