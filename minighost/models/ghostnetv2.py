"""GhostNetV2 (Tang et al. 2022, "GhostNetV2: Enhance cheap operation with long-range attention", table 1).

GhostNet's table, and one thing more: from the third bottleneck on, the maps of the first ghost module are multiplied by
an attention that sees along lines and columns (`nn.DFCAttention`). It works at half the resolution, so a map must be
at least 2x2: on images of 32x32 use the CIFAR form, whose last maps are 4x4.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minighost.arguments import number, whole
from minighost.models.ghostnet import FEATURES, STAGES, first_strides
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible, squeeze_width
from minighost.nn import ConvBNAct, Dropout, GhostBottleneck, GlobalAvgPool, Linear, ReLU, Sequential
from minighost.type_aliases import Seed

__all__ = ["CIFAR_STRIDES", "GhostNetV2", "ghostnetv2_cifar"]

PLAIN = 2  # bottlenecks without attention
CIFAR_STRIDES = 1, 1, 1, 2, 1, 2, 1, 2, 1


@register(
    "ghostnetv2",
    year=2022,
    idea="ghosts, and attention along lines",
    paper='Tang et al., "GhostNetV2: Enhance cheap operation with long-range attention", arXiv 2211.12905',
    side=64,
)
class GhostNetV2(Network):
    """GhostNetV2: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width, num_classes, stem_stride, stage_strides, dropout, rng
        As in `GhostNet`.

    Raises
    ------
    ValueError
        If a number is out of range; in a forward, if a map is smaller than 2x2.

    Examples
    --------
    >>> sum(p.size for p in GhostNetV2(width=0.5, num_classes=10, rng=0).parameters())
    1589646
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        stem_stride: int = 2,
        stage_strides: Sequence[int] | None = None,
        dropout: float = 0.2,
        rng: Seed = 0,
    ) -> None:
        self._build(width, num_classes, stem_stride, stage_strides, dropout, rng, ConvBNAct)

    def _build(
        self,
        width: float,
        num_classes: int,
        stem_stride: int,
        stage_strides: Sequence[int] | None,
        dropout: float,
        rng: Seed,
        unit: Callable[..., Any],
    ) -> None:
        name = type(self).__name__
        number(name, "width", width, above=0)
        whole(name, "num_classes", num_classes, 1)
        strides = first_strides(name, STAGES, stage_strides)
        rng = np.random.default_rng(rng)

        def scaled(channels: int) -> int:
            return make_divisible(channels * width, 4)

        channels = scaled(16)
        self.stem = ConvBNAct(3, channels, 3, stem_stride, rng=rng)
        stages, before = [], 0
        for (table_stride, rows), stride in zip(STAGES, strides, strict=True):
            blocks = []
            for k, (kernel_size, expansion, out, se_ratio) in enumerate(rows):
                mid = scaled(expansion)
                block = GhostBottleneck(
                    channels,
                    mid,
                    scaled(out),
                    kernel_size,
                    stride if k == 0 else 1,
                    squeeze_width("ghostnet", mid) if se_ratio else 0,
                    depthwise=k == 0 and max(stride, table_stride) > 1,
                    attention=before >= PLAIN,
                    unit=unit,
                    rng=rng,
                )
                blocks.append(block)
                channels, before = scaled(out), before + 1
            stages.append(Sequential(*blocks))
        self.stages = Sequential(*stages)
        self.tail = ConvBNAct(channels, mid, 1, rng=rng)
        self.pool = GlobalAvgPool()
        self.head = Linear(mid, FEATURES, rng=rng)
        self.act = ReLU()
        self.dropout = Dropout(dropout, rng)
        self.classifier = Linear(FEATURES, num_classes, rng=rng)


@register("ghostnetv2_cifar", like="ghostnetv2")
def ghostnetv2_cifar(width: float = 1.0, num_classes: int = 10, dropout: float = 0.2, rng: Seed = 0) -> GhostNetV2:
    """GhostNetV2 for 32x32 images: maps are 32 32 16 8 4 wide.

    Strides: stem 1; stages 1 1 1 2 1 2 1 2 1 (the paper: stem 2; stages 1 2 1 2 1 2 1 2 1).
    """
    return GhostNetV2(width, num_classes, 1, CIFAR_STRIDES, dropout, rng)
