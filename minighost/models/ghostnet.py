"""GhostNet (Han et al. 2020, "GhostNet: More features from cheap operations", table 1).

Stem 3x3 -> 16 ghost bottlenecks in nine stages -> 1x1 convolution -> global average pool -> 1280 features -> classes.
The structure is that of the authors' PyTorch code: squeeze-and-excitation widths are a quarter of the expansion,
rounded to multiples of 4; the 1280 features have a bias and no batch norm, and they never scale with the width. Their
TensorFlow code, with which the paper's numbers were computed, rounds otherwise (`rounding`, `se_hidden`, `gate`), and
their first PyTorch release has a batch norm after the features in place of a bias (`head`).
"""

from collections.abc import Callable, Sequence

import numpy as np

from minighost.arguments import choice, number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import (
    BatchNorm1d,
    ConvBNAct,
    Dropout,
    GhostBottleneck,
    GlobalAvgPool,
    Linear,
    ReLU,
    Sequential,
)
from minighost.type_aliases import Array, Seed

__all__ = ["FEATURES", "STAGES", "GhostNet", "Stages", "first_strides"]

# A stage: the stride of its first bottleneck, then one tuple a bottleneck:
# kernel size, expansion, output channels, squeeze-and-excitation ratio.
Stages = Sequence[tuple[int, Sequence[tuple[int, int, int, float]]]]
STAGES: Stages = [
    (1, [(3, 16, 16, 0)]),
    (2, [(3, 48, 24, 0)]),
    (1, [(3, 72, 24, 0)]),
    (2, [(5, 72, 40, 0.25)]),
    (1, [(5, 120, 40, 0.25)]),
    (2, [(3, 240, 80, 0)]),
    (1, [(3, 200, 80, 0), (3, 184, 80, 0), (3, 184, 80, 0), (3, 480, 112, 0.25), (3, 672, 112, 0.25)]),
    (2, [(5, 672, 160, 0.25)]),
    (1, [(5, 960, 160, 0), (5, 960, 160, 0.25), (5, 960, 160, 0), (5, 960, 160, 0.25)]),
]
FEATURES = 1280


def _tensorflow_rounding(channels: float) -> int:
    """To multiples of 4, halves to even ones, at least 8; what is rounded has lost its fraction."""
    return round(max(int(channels), 8) / 4) * 4


ROUNDING: dict[str, Callable[[float], int]] = {"torch": lambda v: make_divisible(v, 4), "tf": _tensorflow_rounding}
SE_HIDDEN: dict[str, Callable[[float], int]] = {"round": lambda v: make_divisible(v, 4), "floor": int}
HEADS = "bias", "bn_no_bias"


@register(
    "ghostnet",
    year=2020,
    idea="half the maps from cheap operations",
    paper='Han et al., "GhostNet: More features from cheap operations", arXiv 1911.11907',
)
class GhostNet(Network):
    """GhostNet with a width multiplier: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers but the 1280 features; they are rounded to multiples of 4 then.
    num_classes : int
    stem_stride : int
        2 in the paper; 1 keeps the resolution of small images.
    stage_strides : sequence of ints, optional
        Stride of the first bottleneck of each stage, in place of the table's; the paper's are 1 2 1 2 1 2 1 2 1. A
        stride changed to 1 keeps the layers of the table's block, its depthwise convolution included.
    dropout : float
        In front of the classifier.
    ratio, dw_size : int
        s and d of all ghost modules. With s = 1 every ghost module is the ordinary convolution that it replaces.
    gate : str
        Of squeeze-and-excitation: "hard_sigmoid" (official PyTorch code) or "clip" (official TensorFlow code).
    rounding : str
        Of channel numbers: "torch", never down by more than a tenth, or "tf", halves to even multiples.
    se : bool
        Whether there is squeeze-and-excitation.
    se_hidden : str
        A quarter of the expansion is rounded ("round") to a multiple of 4, or loses its fraction ("floor").
    head : str
        The 1280 features have a bias and no batch norm ("bias"), or batch norm and no bias ("bn_no_bias").
    stage2_stride : int, optional
        The second stage's stride; short for `stage_strides` with only that number changed.
    rng : int or numpy.random.Generator
    stages : list
        The table of bottlenecks, by default the paper's; see ``STAGES`` in this file.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> model = GhostNet(width=0.5, num_classes=10, stem_stride=1, rng=0)
    >>> sum(p.size for p in model.parameters())
    1319102
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        stem_stride: int = 2,
        stage_strides: Sequence[int] | None = None,
        dropout: float = 0.2,
        ratio: int = 2,
        gate: str = "hard_sigmoid",
        rng: Seed = 0,
        stages: Stages = STAGES,
        *,
        dw_size: int = 3,
        rounding: str = "torch",
        se: bool = True,
        se_hidden: str = "round",
        head: str = "bias",
        stage2_stride: int | None = None,
    ) -> None:
        number("GhostNet", "width", width, above=0)
        whole("GhostNet", "num_classes", num_classes, 1)
        choice("GhostNet", "rounding", rounding, ROUNDING)
        choice("GhostNet", "se_hidden", se_hidden, SE_HIDDEN)
        choice("GhostNet", "head", head, HEADS)
        stage_strides = first_strides("GhostNet", stages, stage_strides, stage2_stride)
        rng = np.random.default_rng(rng)

        def scaled(channels: int) -> int:
            return ROUNDING[rounding](channels * width)

        channels = scaled(16)
        self.stem = ConvBNAct(3, channels, 3, stem_stride, rng=rng)
        chains = []
        for (table_stride, rows), stage_stride in zip(stages, stage_strides, strict=True):
            blocks = []
            for k, (kernel_size, expansion, out, se_ratio) in enumerate(rows):
                mid = scaled(expansion)
                block = GhostBottleneck(
                    channels,
                    mid,
                    scaled(out),
                    kernel_size,
                    stage_stride if k == 0 else 1,
                    se_hidden=SE_HIDDEN[se_hidden](mid * se_ratio) if se and se_ratio else 0,
                    ratio=ratio,
                    gate=gate,
                    depthwise=k == 0 and max(stage_stride, table_stride) > 1,  # kept where only its stride is gone
                    ghost_dw_size=dw_size,
                    rng=rng,
                )
                blocks.append(block)
                channels = scaled(out)
            chains.append(Sequential(*blocks))
        self.stages = Sequential(*chains)
        self.tail = ConvBNAct(channels, mid, 1, rng=rng)
        self.pool = GlobalAvgPool()
        self.head = Linear(mid, FEATURES, bias=head == "bias", rng=rng)
        self.norm = BatchNorm1d(FEATURES) if head == "bn_no_bias" else None
        self.act = ReLU()
        self.dropout = Dropout(dropout, rng)
        self.classifier = Linear(FEATURES, num_classes, rng=rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, 3) -> (N, num_classes); `backward` is the chain's, the layers in reverse."""
        x = self.tail(self.stages(self.stem(x)))
        x = self.head(self.pool(x))
        x = self.act(x if self.norm is None else self.norm(x))
        return self.classifier(self.dropout(x))


def first_strides(
    owner: str, stages: Stages, strides: Sequence[int] | None, second: int | None = None
) -> Sequence[int]:
    """Of the first bottleneck of each stage: the table's, those given, or the table's with another for the second."""
    if second is not None:
        if strides is not None:
            raise ValueError(f"{owner}: give stage2_stride={second} or stage_strides={strides}, not both")
        strides = [second if k == 1 else stride for k, (stride, _) in enumerate(stages)]
    if strides is None:
        return [stride for stride, _ in stages]
    numbers = len(strides) if isinstance(strides, (tuple, list)) else 1
    if numbers != len(stages):
        raise ValueError(
            f"{owner}: stage_strides={strides} must have {len(stages)} numbers, one per stage, not {numbers}"
        )
    return strides
