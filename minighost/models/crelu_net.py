"""A network whose first layers keep both phases of their responses (Shang et al. 2016, "Understanding and improving
convolutional neural networks via concatenated rectified linear units").

The first filters of a trained network come in pairs of opposite sign, and ReLU throws half of each response away. CReLU
keeps both, so half the filters will do: a layer of 48 filters with CReLU hands on 96 maps, as one of 96 with ReLU does,
and has half the weights. Deeper down the pairs fade, and so does the gain; hence ``crelu``, the number of first layers.

    maps       32x32           16x16            8x8
    3x3        96 96 96/2      192 192 192/2    192, then 1x1 192, 1x1 classes, mean

It is the shape of the All-CNN of Springenberg et al. 2015 (§3, C), with batch norm and padding everywhere. The shape is
our choice. What has been published and could be checked is for ImageNet, on a network of at least seven convolutions
whose name we do not know, top-1 and top-5 error in per cent: 42.6 and 19.6 with ReLU, 39.82 and 18.28 with CReLU in
the first four convolutions, 40.45 and 18.58 in the first, fourth and seventh, 40.93 and 19.39 in all. The paper's
tables for CIFAR were not to be had, so no accuracy is claimed here.
"""

import numpy as np

from minighost.arguments import number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import make_divisible
from minighost.nn import Conv2d, ConvBNAct, CReLU, GlobalAvgPool, Module, Sequential
from minighost.type_aliases import Seed

__all__ = ["CReLUNet"]

STAGES = ((96, 3, 1), (96, 3, 1), (96, 3, 2)), ((192, 3, 1), (192, 3, 1), (192, 3, 2)), ((192, 3, 1), (192, 1, 1))


@register(
    "crelu_cifar",
    year=2016,
    idea="both phases of early filters",
    paper='Shang et al., "Understanding and improving CNNs via concatenated rectified linear units", arXiv 1603.05201',
)
class CReLUNet(Network):
    """Images (N, H, W, 3) of 32 x 32 pixels -> logits (N, num_classes). Strides: 1 1 2, 1 1 2, 1 1.

    Parameters
    ----------
    crelu : int
        How many of the eight layers, counted from the image, have CReLU and half the filters; 0 is the network with
        ReLU alone.
    width : float
        Multiplies all channels, then rounds to multiples of `divisor`.
    num_classes : int
    rng : int or numpy.random.Generator
    divisor : int
        Even. A small one lets two networks have equally many parameters.

    Raises
    ------
    ValueError
        A number is out of range.
    """

    def __init__(
        self, crelu: int = 4, width: float = 1.0, num_classes: int = 10, rng: Seed = 0, divisor: int = 8
    ) -> None:
        number("CReLUNet", "width", width, above=0)
        whole("CReLUNet", "num_classes", num_classes, 1)
        layers = sum(map(len, STAGES))
        if whole("CReLUNet", "crelu", crelu, 0) > layers:
            raise ValueError(f"CReLUNet: crelu={crelu} must be at most {layers}, the number of its layers")
        if whole("CReLUNet", "divisor", divisor, 2) % 2:
            raise ValueError(f"CReLUNet: divisor={divisor} must be even, for CReLU makes two maps of each filter's")
        rng = np.random.default_rng(rng)
        channels, placed, stages = 3, 0, []
        for rows in STAGES:
            units: list[Module] = []
            for maps, kernel_size, stride in rows:
                out = make_divisible(maps * width, divisor)
                if placed < crelu:
                    units.append(
                        Sequential(ConvBNAct(channels, out // 2, kernel_size, stride, act=None, rng=rng), CReLU())
                    )
                else:
                    units.append(ConvBNAct(channels, out, kernel_size, stride, rng=rng))
                channels, placed = out, placed + 1
            stages.append(Sequential(*units))
        self.stages = Sequential(*stages)
        self.classifier = Conv2d(channels, num_classes, 1, rng=rng)
        self.pool = GlobalAvgPool()
