"""ShuffleNet (Zhang et al. 2018, "ShuffleNet: An extremely efficient convolutional neural network for mobile devices").

    layer                          maps (224x224)   channels at g = 1, 2, 3, 4, 8
    3x3 convolution of stride 2    112              24
    maximum over 3x3 of stride 2   56               24
    stage of 4 units               28               144, 200, 240, 272, 384
    stage of 8 units               14               twice as many
    stage of 4 units               7                twice as many again
    mean over each map, classifier

The first unit of a stage has stride 2 (`nn.ShuffleUnit`). All 1x1 convolutions are grouped but the very first. Widths
0.5 to 2 are those of Megvii's published networks, whose stem keeps its 24 channels at 1.5, and whose classifier has no
bias.
"""

import math

import numpy as np

from minighost.arguments import number, whole
from minighost.models.initialize import draw_normal
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import (
    BatchNorm2d,
    Conv2d,
    ConvBNAct,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Module,
    Sequential,
    ShuffleUnit,
)
from minighost.type_aliases import Seed

__all__ = ["ShuffleNetV1", "initialize_like_megvii", "shufflenet_v1_cifar"]

FIRST_STAGE = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # channels, by groups
UNITS = 4, 8, 4


@register(
    "shufflenet_v1",
    year=2017,
    idea="grouped 1x1 convolutions, channels shuffled",
    paper='Zhang et al., "ShuffleNet", arXiv 1707.01083',
)
class ShuffleNetV1(Network):
    """ShuffleNet with groups and a width multiplier: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers. The first stage is rounded to multiples of ``4*groups``, and each of the other
        two doubles it; the stem has 24 from 1 to less than 2, else ``24*width``, a multiple of 4 and of `groups`.
    num_classes : int
    groups : int
        1, 2, 3, 4 or 8.
    fc_bias : bool
        Whether the classifier has a bias.
    stem_stride : int
    maxpool : bool
        Whether the pooling after the stem is there.
    rng : int or numpy.random.Generator
    shuffle : bool
        With False there is no shuffle, the paper's control (table 3): a group sees what its own channels became.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> model = ShuffleNetV1(width=0.5, num_classes=10, fc_bias=False, rng=0)
    >>> sum(p.size for p in model.parameters())
    242124
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        groups: int = 3,
        fc_bias: bool = True,
        stem_stride: int = 2,
        maxpool: bool = True,
        rng: Seed = 0,
        shuffle: bool = True,
    ) -> None:
        number("ShuffleNetV1", "width", width, above=0)
        whole("ShuffleNetV1", "num_classes", num_classes, 1)
        if groups not in FIRST_STAGE:
            raise ValueError(
                f"ShuffleNetV1: groups={groups!r} is unknown; choose from {', '.join(map(str, FIRST_STAGE))}"
            )
        rng = np.random.default_rng(rng)
        channels = make_divisible(24 if 1 <= width < 2 else 24 * width, math.lcm(4, groups))
        out = make_divisible(FIRST_STAGE[groups] * width, 4 * groups)
        self.stem = ConvBNAct(3, channels, 3, stem_stride, rng=rng)
        self.maxpool = MaxPool2d(3, 2, 1) if maxpool else None
        stages: list[Sequential] = []
        for units in UNITS:
            first = ShuffleUnit(channels, out, groups, 2, None if stages else 1, rng, shuffle)
            others = (ShuffleUnit(out, out, groups, rng=rng, shuffle=shuffle) for _ in range(units - 1))
            stages.append(Sequential(first, *others))
            channels, out = out, 2 * out
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.classifier = Linear(channels, num_classes, fc_bias, rng)
        initialize_like_megvii(self, self.stem.conv, rng)


def initialize_like_megvii(model: Module, first: Conv2d, rng: np.random.Generator) -> None:
    """Initial weights of Megvii's ShuffleNets: normal, of standard deviation ``groups/in_channels``, but 0.01 in the
    first convolution and the classifier; the beta of batch norms is 1e-4.
    """
    draw_normal(model, Conv2d, lambda weight: 1 / weight.shape[2], rng)
    draw_normal(first, Conv2d, 0.01, rng)
    draw_normal(model, Linear, 0.01, rng)
    for module in model.modules():
        if isinstance(module, BatchNorm2d):
            module.bias.data[...] = 1e-4


@register("shufflenet_v1_cifar", like="shufflenet_v1")
def shufflenet_v1_cifar(
    width: float = 1.0,
    num_classes: int = 10,
    groups: int = 3,
    fc_bias: bool = True,
    rng: Seed = 0,
    *,
    shuffle: bool = True,
) -> ShuffleNetV1:
    """ShuffleNet for 32x32 images: maps are 32 16 8 4 wide.

    Strides: stem 1, no pooling; stages 2 2 2 (the paper: stem 2, pooling 2, stages 2 2 2, which leaves 1x1 maps).
    """
    return ShuffleNetV1(width, num_classes, groups, fc_bias, 1, False, rng, shuffle)
