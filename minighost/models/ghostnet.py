"""GhostNet (Han et al. 2020, "GhostNet: More features from cheap operations", table 1).

Stem 3x3 -> 16 ghost bottlenecks in nine stages -> 1x1 convolution -> global average pool -> 1280 features -> classes.
The structure is that of the authors' PyTorch code: squeeze-and-excitation widths are a quarter of the expansion,
rounded to multiples of 4; the 1280 features have a bias and no batch norm, and they never scale with the width.
"""

from collections.abc import Sequence

import numpy as np

from minighost.arguments import number, whole
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import ConvBNAct, Dropout, GhostBottleneck, GlobalAvgPool, Linear, Module, ReLU, Sequential
from minighost.type_aliases import Array, InputGrad, Seed

__all__ = ["GhostNet", "ghostnet_cifar", "ghostnet_cifar_fast", "ghostnet_short"]

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
SHORT_STAGES: Stages = [
    (2, [(3, 32, 32, 0)]),
    (1, [(3, 96, 32, 0), (3, 96, 32, 0)]),
    (2, [(3, 128, 64, 0)]),
    (1, [(3, 192, 64, 0.25), (3, 192, 64, 0), (3, 192, 64, 0.25)]),
    (2, [(3, 384, 128, 0)]),
    (1, [(3, 512, 128, 0.25), (3, 512, 128, 0)]),
]
FEATURES = 1280


@register(
    "ghostnet",
    year=2020,
    idea="half the maps from cheap operations",
    paper='Han et al., "GhostNet: More features from cheap operations", arXiv 1911.11907',
)
class GhostNet(Module):
    """GhostNet with a width multiplier: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers but the 1280 features, then rounds to multiples of 4.
    num_classes : int
    stem_stride : int
        2 in the paper; 1 keeps the resolution of small images.
    stage_strides : sequence of ints, optional
        Stride of the first bottleneck of each stage, in place of the table's; the paper's are 1 2 1 2 1 2 1 2 1. A
        stride changed to 1 keeps the layers of the table's block, its depthwise convolution included.
    dropout : float
        In front of the classifier.
    ratio : int
        s of all ghost modules. With 1 every ghost module is the ordinary convolution that it replaces.
    gate : str
        Of squeeze-and-excitation: "hard_sigmoid" (official PyTorch code) or "clip" (official TensorFlow code).
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
    ) -> None:
        table_strides = [stride for stride, _ in stages]
        stage_strides = table_strides if stage_strides is None else stage_strides
        _check(width, num_classes, stage_strides, len(stages))
        rng = np.random.default_rng(rng)

        def scaled(channels: int) -> int:
            return make_divisible(channels * width, 4)

        channels = scaled(16)
        self.stem = ConvBNAct(3, channels, 3, stem_stride, rng=rng)
        chains = []
        for (table_stride, rows), stage_stride in zip(stages, stage_strides, strict=True):
            blocks = []
            for k, (kernel_size, expansion, out, se) in enumerate(rows):
                mid, hidden = scaled(expansion), make_divisible(scaled(expansion) * se, 4) if se else 0
                stride = stage_stride if k == 0 else 1
                depthwise = k == 0 and max(stage_stride, table_stride) > 1  # kept where only the stride is taken away
                blocks.append(
                    GhostBottleneck(
                        channels, mid, scaled(out), kernel_size, stride, hidden, ratio, gate, depthwise, rng
                    )
                )
                channels = scaled(out)
            chains.append(Sequential(*blocks))
        self.stages = Sequential(*chains)
        self.tail = ConvBNAct(channels, mid, 1, rng=rng)
        self.pool = GlobalAvgPool()
        self.head = Linear(mid, FEATURES, rng=rng)
        self.act = ReLU()
        self.dropout = Dropout(dropout, rng)
        self.classifier = Linear(FEATURES, num_classes, rng=rng)

    def forward(self, x: Array) -> Array:
        """(N, H, W, 3) -> (N, num_classes)."""
        x = self.tail(self.stages(self.stem(x)))
        x = self.act(self.head(self.pool(x)))
        return self.classifier(self.dropout(x))

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to the images, if it is wanted."""
        self._take_cache(dout)
        dout = self.dropout.backward(self.classifier.backward(dout))
        dout = self.pool.backward(self.head.backward(self.act.backward(dout)))
        return self.stem.backward(self.stages.backward(self.tail.backward(dout)))


@register("ghostnet_cifar", like="ghostnet")
def ghostnet_cifar(
    width: float = 1.0,
    num_classes: int = 10,
    dropout: float = 0.2,
    ratio: int = 2,
    gate: str = "hard_sigmoid",
    rng: Seed = 0,
) -> GhostNet:
    """GhostNet for 32x32 images: the stem and the first strided stage keep the size, so maps are 32 32 16 8 4 wide.

    Strides: stem 1; stages 1 1 1 2 1 2 1 2 1 (the paper: stem 2; stages 1 2 1 2 1 2 1 2 1, which leaves 1x1 maps).
    """
    return GhostNet(width, num_classes, 1, (1, 1, 1, 2, 1, 2, 1, 2, 1), dropout, ratio, gate, rng)


@register("ghostnet_cifar_fast", like="ghostnet")
def ghostnet_cifar_fast(
    width: float = 1.0,
    num_classes: int = 10,
    dropout: float = 0.2,
    ratio: int = 2,
    gate: str = "hard_sigmoid",
    rng: Seed = 0,
) -> GhostNet:
    """GhostNet for 32x32 images in a hurry: maps are 32 16 16 8 4 wide, with a quarter fewer activations.

    Strides: stem 1; stages 1 2 1 1 1 2 1 2 1. Only the stem and the first bottleneck work at full size.
    """
    return GhostNet(width, num_classes, 1, (1, 2, 1, 1, 1, 2, 1, 2, 1), dropout, ratio, gate, rng)


@register("ghostnet_short", like="ghostnet")
def ghostnet_short(
    width: float = 1.0,
    num_classes: int = 10,
    dropout: float = 0.2,
    ratio: int = 2,
    gate: str = "hard_sigmoid",
    rng: Seed = 0,
) -> GhostNet:
    """Ghost bottlenecks in a shape of our own that learns small images quickly: 10 instead of 16, wider where maps are
    large, narrower where they are 4x4. All else is GhostNet.

    Strides: stem 1; stages 2 1 2 1 2 1, so that maps are 32 16 8 4 wide.
    """
    return GhostNet(width, num_classes, 1, None, dropout, ratio, gate, rng, SHORT_STAGES)


def _check(width: float, num_classes: int, stage_strides: Sequence[int], stages: int) -> None:
    number("GhostNet", "width", width, above=0)
    whole("GhostNet", "num_classes", num_classes, 1)
    numbers = len(stage_strides) if isinstance(stage_strides, (tuple, list)) else 1
    if numbers != stages:
        raise ValueError(
            f"GhostNet: stage_strides={stage_strides} must have {stages} numbers, one per stage, not {numbers}"
        )
