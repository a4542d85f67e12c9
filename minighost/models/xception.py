"""Xception (Chollet 2017, figure 5): separable convolutions throughout, a shortcut around every two or three of them.

    flow     module                                    channels          maps (299x299)
    entry    3x3 convolution of stride 2, and another  32, 64            149 147
             units of two separable convolutions       128, 256, 728     74 37 19
    middle   eight modules of three                    728               19
    exit     a module of two                           728, 1024         10
             two separable convolutions by themselves  1536, 2048        10
    head     mean over each map, classifier

Convolutions before the modules have no padding. A unit is ReLU, depthwise 3x3, 1x1, batch norm, with nothing between
depthwise and 1x1. The first module and the tail begin without a ReLU, and the tail ends with one.
An entry or exit module ends with the maximum over 3x3 windows of stride 2. Keras pads those windows as TensorFlow does
(SAME), timm by one line on each side, as here: border values differ.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minighost.arguments import number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import (
    ConvBNAct,
    GlobalAvgPool,
    Linear,
    ReLU,
    SeparableUnit,
    Sequential,
    XceptionModule,
)
from minighost.type_aliases import Seed

__all__ = ["Xception", "xception_cifar"]

STEM = 32, 64
ENTRY, MIDDLE, EXIT = ((128, 128), (256, 256), (728, 728)), (728, 728, 728), (728, 1024)
TAIL = 1536, 2048
REPEATS = 8  # middle modules


@register(
    "xception",
    year=2017,
    idea="Inception taken to its extreme",
    paper='Chollet, "Xception: Deep learning with depthwise separable convolutions", arXiv 1610.02357',
    side=71,
)
class Xception(Network):
    """Xception: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers, then rounds to multiples of 8.
    num_classes : int
    stem_stride : int
        Of the first convolution.
    stem_padding : int
        Of the first two; 1 keeps the size where the stride is 1.
    strides : sequence of 4 ints
        Of the three entry modules and the exit module.
    eps, momentum : float
        Of all batch norms. By default Keras's, with which the author trained; timm has 1e-5 and 0.1.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> sum(p.size for p in Xception(width=0.25, num_classes=10, rng=0).parameters())
    1375754
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        stem_stride: int = 2,
        stem_padding: int = 0,
        strides: Sequence[int] = (2, 2, 2, 2),
        eps: float = 1e-3,
        momentum: float = 0.01,
        rng: Seed = 0,
    ) -> None:
        number("Xception", "width", width, above=0)
        whole("Xception", "num_classes", num_classes, 1)
        if len(strides) != len(ENTRY) + 1:
            raise ValueError(f"Xception: strides={strides} must be 4 numbers, of three entry modules and the exit one")
        rng = np.random.default_rng(rng)
        norm: Any = {"eps": eps, "momentum": momentum}

        def scaled(channels: Sequence[int]) -> list[int]:
            return [make_divisible(c * width, 8) for c in channels]

        first, second = scaled(STEM)
        self.stem = Sequential(
            ConvBNAct(3, first, 3, stem_stride, stem_padding, **norm, rng=rng),
            ConvBNAct(first, second, 3, 1, stem_padding, **norm, rng=rng),
        )
        flow = [*zip(ENTRY, strides, strict=False), *[(MIDDLE, 1)] * REPEATS, (EXIT, strides[-1])]
        channels, modules = second, []
        for k, (widths, stride) in enumerate(flow):
            modules.append(XceptionModule(channels, scaled(widths), stride, relu=k > 0, **norm, rng=rng))
            channels = scaled(widths)[-1]
        self.entry = Sequential(*modules[: len(ENTRY)])
        self.middle = Sequential(*modules[len(ENTRY) : -1])
        self.exit = modules[-1]
        first, second = scaled(TAIL)
        self.tail = Sequential(
            SeparableUnit(channels, first, relu=False, **norm, rng=rng),
            SeparableUnit(first, second, **norm, rng=rng),
            ReLU(),
        )
        self.pool = GlobalAvgPool()
        self.classifier = Linear(second, num_classes, rng=rng)


@register("xception_cifar", like="xception")
def xception_cifar(width: float = 1.0, num_classes: int = 10, rng: Seed = 0) -> Xception:
    """Xception for 32x32 images: maps are 32 32 16 8 4 wide.

    Strides: both convolutions of the stem 1, with padding; entry modules 1 2 2; exit module 2 (the paper: stem 2 and 1
    without padding; entry 2 2 2; exit 2).
    """
    return Xception(width, num_classes, 1, 1, (1, 2, 2, 2), 1e-5, 0.1, rng)
