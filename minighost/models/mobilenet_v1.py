"""MobileNet (Howard et al. 2017, "MobileNets: Efficient convolutional neural networks for mobile vision applications").

Table 1: a 3x3 convolution, thirteen separable units, the mean over each map, a classifier.

    maps at 224      112        112     56           28           14           7
    blocks           3x3, 32    1       2            2            6            2
    channels                    64      128          256          512          1024

A separable unit filters every channel by itself and then mixes the channels pixel by pixel, each followed by batch norm
and activation. That is 1/OC + 1/9 of the multiply-adds of the 3x3 convolution that it replaces; nearly all of them are
the 1x1's. Two multipliers trade accuracy for cost (§3.3): `width` scales every number of channels, and the resolution
is simply the size of the images. ReLU6, batch norm and initial weights are those of the authors' TensorFlow code.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.initialize import draw_truncated_normal, set_batch_norms
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.nn import Chain, Conv2d, ConvBNAct, Dropout, GlobalAvgPool, Linear, Sequential
from minighost.type_aliases import Seed

__all__ = ["MobileNetV1", "conv_mobilenet_v1", "mobilenet_v1_cifar"]

STAGES = (64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)  # channels, blocks, stride of the first
SHALLOW = 512  # the stage of which the paper's table 5 leaves only the first block


class DepthwiseSeparable(Chain):
    """Depthwise 3x3, then 1x1, each with batch norm and activation (figure 3)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, act: str, rng: np.random.Generator) -> None:
        self.depthwise = ConvBNAct(in_channels, in_channels, 3, stride, groups=in_channels, act=act, rng=rng)
        self.pointwise = ConvBNAct(in_channels, out_channels, 1, act=act, rng=rng)


@register(
    "mobilenet_v1",
    year=2017,
    idea="filter and mix channels separately",
    paper='Howard et al., "MobileNets: Efficient CNNs for mobile vision applications", arXiv 1704.04861',
)
class MobileNetV1(Network):
    """MobileNet: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width : float
        Multiplies all channel numbers, then rounds down; there are at least 8.
    num_classes : int
    stem_stride, stage2_stride : int
        Of the first convolution, and of the first block of 128 channels; 1 keeps the resolution of small images.
    shallow : bool
        Leave five of the six blocks of 512 channels out (table 5).
    separable : bool
        With False each unit is the dense 3x3 convolution that it replaces (table 4).
    dropout : float
        In front of the classifier.
    act : str
        As in `ConvBNAct`; the paper's text says "relu".
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> sum(p.size for p in MobileNetV1(width=0.25, rng=0).parameters())
    470072
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        stem_stride: int = 2,
        stage2_stride: int = 2,
        shallow: bool = False,
        separable: bool = True,
        dropout: float = 0.001,
        act: str = "relu6",
        rng: Seed = 0,
    ) -> None:
        number("MobileNetV1", "width", width, above=0)
        whole("MobileNetV1", "num_classes", num_classes, 1)
        rng = np.random.default_rng(rng)
        channels, stages = max(int(32 * width), 8), []
        self.stem = ConvBNAct(3, channels, 3, stem_stride, act=act, rng=rng)
        for maps, blocks, stride in STAGES:
            out, units = max(int(maps * width), 8), []
            for k in range(1 if shallow and maps == SHALLOW else blocks):
                step = (stage2_stride if maps == 128 else stride) if k == 0 else 1
                dense = None if separable else ConvBNAct(channels, out, 3, step, act=act, rng=rng)
                units.append(dense or DepthwiseSeparable(channels, out, step, act, rng))
                channels = out
            stages.append(Sequential(*units))
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.dropout = Dropout(dropout, rng)
        self.classifier = Linear(channels, num_classes, rng=rng)
        for kind in (Conv2d, Linear):
            draw_truncated_normal(self, kind, 0.09, rng)
        set_batch_norms(self, eps=1e-3, momentum=3e-4)


@register("conv_mobilenet_v1", like="mobilenet_v1")
def conv_mobilenet_v1(
    width: float = 1.0,
    num_classes: int = 1000,
    stem_stride: int = 2,
    stage2_stride: int = 2,
    separable: bool = False,
    rng: Seed = 0,
) -> MobileNetV1:
    """MobileNet with dense 3x3 convolutions, the paper's control: 8.6 times the multiply-adds."""
    return MobileNetV1(width, num_classes, stem_stride, stage2_stride, separable=separable, rng=rng)


@register("mobilenet_v1_cifar", like="mobilenet_v1")
def mobilenet_v1_cifar(
    width: float = 1.0, num_classes: int = 10, dropout: float = 0.001, rng: Seed = 0, *, stage2_stride: int = 1
) -> MobileNetV1:
    """MobileNet for 32x32 images: maps are 32 32 16 8 4 wide, or 32 16 8 4 2 with a `stage2_stride` of 2.

    Strides: stem 1; stages 1 1 2 2 2 (the paper: stem 2; stages 1 2 2 2 2). Batch norm: eps 1e-5, momentum 0.1; with
    the paper's 3e-4 the running statistics follow too slowly for a short training.
    """
    return set_batch_norms(MobileNetV1(width, num_classes, 1, stage2_stride, dropout=dropout, rng=rng))
