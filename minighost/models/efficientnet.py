"""EfficientNet (Tan & Le 2019, "EfficientNet: Rethinking model scaling for convolutional neural networks", table 1).

A 3x3 convolution, sixteen inverted residuals in seven stages, a 1x1 convolution to 1280 channels, the mean over each
map, a classifier. Every block is gated, with a squeeze a quarter as wide as the block's *input*; SiLU everywhere. In
training a block's branch is dropped for whole images, the later ones more often (stochastic depth).

A larger network is this one deeper, wider and shown larger images, all three at once (`compound_scaling`). Initial
weights are the authors'; batch norm is timm's, 1e-5 and 0.1 (weights from TensorFlow want 1e-3).
"""

import math
from typing import NamedTuple

import numpy as np

from minighost import nn
from minighost.arguments import number, whole
from minighost.models.initialize import draw_normal, draw_uniform
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible, squeeze_width
from minighost.type_aliases import Seed

__all__ = ["EfficientNet", "Scaling", "compound_scaling", "efficientnet_b0_cifar"]

STAGES = (  # expansion, channels, blocks, stride of the first, kernel size
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, FEATURES = 32, 1280


class Scaling(NamedTuple):
    """The three multipliers: of channels, of blocks per stage, of the image's side."""

    width: float
    depth: float
    resolution: float


def compound_scaling(phi: float) -> Scaling:
    """Multipliers for about 2^phi times the multiply-adds (§3.3, eq. 3): depth 1.2^phi, width 1.1^phi, side 1.15^phi.

    They were found by a search for phi = 1 under depth * width^2 * side^2 = 2, for that is how the cost grows. The
    published B1 to B7 are rounded by hand and do not follow it to the digit.

    Parameters
    ----------
    phi : float
        At least 0; 0 is B0.

    Examples
    --------
    >>> width, depth, resolution = compound_scaling(1)
    >>> round(depth * width**2 * resolution**2, 2), round(224 * resolution)
    (1.92, 258)
    """
    number("compound_scaling", "phi", phi, least=0)
    return Scaling(width=1.1**phi, depth=1.2**phi, resolution=1.15**phi)


@register(
    "efficientnet_b0",
    year=2019,
    idea="depth, width, resolution scaled together",
    paper='Tan & Le, "EfficientNet: Rethinking model scaling for CNNs", arXiv 1905.11946',
)
class EfficientNet(Network):
    """EfficientNet-B0, or with multipliers a larger one: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers, then rounds to multiples of 8.
    depth : float
        Multiplies the number of blocks of each stage, then rounds up.
    num_classes : int
    stem_stride, stage2_stride : int
        Of the first convolution, and of the first block of 24 channels; 1 keeps the resolution of small images.
    dropout : float
        In front of the classifier.
    drop_path : float
        The probability that the branch of block k of n is dropped in training is ``drop_path * k / n``, k from 0.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        num_classes: int = 1000,
        stem_stride: int = 2,
        stage2_stride: int = 2,
        dropout: float = 0.2,
        drop_path: float = 0.2,
        rng: Seed = 0,
    ) -> None:
        number("EfficientNet", "width", width, above=0)
        number("EfficientNet", "depth", depth, above=0)
        number("EfficientNet", "drop_path", drop_path, least=0, below=1)
        whole("EfficientNet", "num_classes", num_classes, 1)
        rng = np.random.default_rng(rng)
        channels, stages, block = make_divisible(STEM * width, 8), [], 0
        self.stem = nn.ConvBNAct(3, channels, 3, stem_stride, act="silu", rng=rng)
        repeats = [math.ceil(n * depth) for _, _, n, _, _ in STAGES]
        for stage, (expansion, maps, _, stride, kernel_size) in enumerate(STAGES):
            out, blocks = make_divisible(maps * width, 8), []
            for k in range(repeats[stage]):
                step = (stage2_stride if stage == 1 else stride) if k == 0 else 1
                mid, drop = expansion * channels, None
                if step == 1 and channels == out:
                    drop = nn.StochasticDepth(drop_path * block / sum(repeats), rng)
                se = nn.SqueezeExcite(mid, squeeze_width("efficientnet", channels), "sigmoid", "silu", rng)
                blocks.append(nn.InvertedResidual(channels, mid, out, kernel_size, step, "silu", se, drop, rng))
                channels, block = out, block + 1
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.tail = nn.ConvBNAct(channels, make_divisible(FEATURES * width, 8), 1, act="silu", rng=rng)
        self.pool = nn.GlobalAvgPool()
        self.dropout = nn.Dropout(dropout, rng)
        self.classifier = nn.Linear(make_divisible(FEATURES * width, 8), num_classes, rng=rng)
        draw_normal(self.stages, nn.Linear, lambda w: np.sqrt(2 / w.shape[1]), rng)
        draw_uniform(self.classifier, nn.Linear, num_classes**-0.5, rng)


@register("efficientnet_b0_cifar", like="efficientnet_b0")
def efficientnet_b0_cifar(
    width: float = 1.0,
    depth: float = 1.0,
    num_classes: int = 10,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    rng: Seed = 0,
) -> EfficientNet:
    """EfficientNet-B0 for 32x32 images: maps are 32 32 32 16 8 8 4 4 wide.

    Strides: stem 1; stages 1 1 2 2 1 2 1 (the paper: stem 2; stages 1 2 2 2 1 2 1).
    """
    return EfficientNet(width, depth, num_classes, 1, 1, dropout, drop_path, rng)
