"""RepVGG (Ding et al. 2021, "RepVGG: Making VGG-style ConvNets great again", table 2).

A stem and four stages of 3x3 convolutions, each stage beginning with stride 2; then the mean over each map and a
classifier. No shortcuts and no 1x1 convolutions - once it is trained: in training each 3x3 convolution has a 1x1
convolution and, where input and output have the same shape, an identity beside it (`nn.ConvBranches`). Their sum is one
convolution (`nn.merge_branches`), and only 3x3 convolutions are left.

    variant          A0    A1    A2    B0
    stem             48    64    64    64      224 -> 112
    stage 1          48    64    96    64      112 ->  56    2 units, in B 4
    stage 2          96   128   192   128       56 ->  28    4, in B 6
    stage 3         192   256   384   256       28 ->  14    14, in B 16
    stage 4        1280  1280  1408  1280       14 ->   7    1
"""

from collections.abc import Sequence

import numpy as np

from minighost.arguments import choice, number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.nn import ConvAct, ConvBranches, GlobalAvgPool, Linear, Sequential
from minighost.type_aliases import Seed

__all__ = ["RepVGG", "repvgg_cifar"]

# Units of the four stages, and what their 64, 128, 256 and 512 channels are multiplied by.
VARIANTS = {
    "A0": ((2, 4, 14, 1), (0.75, 0.75, 0.75, 2.5)),
    "A1": ((2, 4, 14, 1), (1, 1, 1, 2.5)),
    "A2": ((2, 4, 14, 1), (1.5, 1.5, 1.5, 2.75)),
    "B0": ((4, 6, 16, 1), (1, 1, 1, 2.5)),
}
CHANNELS = 64, 128, 256, 512
FORMS = {"training": ConvBranches, "fused": ConvAct}


@register(
    "repvgg",
    year=2021,
    idea="trained as branches, merged into 3x3",
    paper='Ding et al., "RepVGG: Making VGG-style ConvNets great again", arXiv 2101.03697',
)
class RepVGG(Network):
    """RepVGG: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    variant : str
        "A0", "A1", "A2" or "B0".
    width : float
        Multiplies all channel numbers, on top of the variant's factors; fractions are cut off.
    num_classes : int
    form : str
        "training", with branches; or "fused", with one convolution in the place of each, as `nn.merge_branches` makes
        it of the other form.
    strides : sequence of 5 ints
        Of the stem and of the first unit of each stage.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range, a word is unknown, or the width leaves a layer no channels.

    Examples
    --------
    >>> from minighost import nn
    >>> model = RepVGG("A0", num_classes=10, rng=0)
    >>> sum(p.size for p in model.parameters()), sum(p.size for p in nn.merge_branches(model).parameters())
    (7840778, 7041194)
    """

    def __init__(
        self,
        variant: str = "A0",
        width: float = 1.0,
        num_classes: int = 1000,
        form: str = "training",
        strides: Sequence[int] = (2, 2, 2, 2, 2),
        rng: Seed = 0,
    ) -> None:
        units, factors = VARIANTS[choice("RepVGG", "variant", variant, VARIANTS)]
        number("RepVGG", "width", width, above=0)
        whole("RepVGG", "num_classes", num_classes, 1)
        if len(strides) != 5:
            raise ValueError(f"RepVGG: strides={strides} must be 5 numbers, of the stem and of four stages")
        unit, rng = FORMS[choice("RepVGG", "form", form, FORMS)], np.random.default_rng(rng)
        widths = [int(c * factor * width) for c, factor in zip(CHANNELS, factors, strict=True)]
        channels = min(int(64 * width), widths[0])
        if channels < 1:
            raise ValueError(f"RepVGG: width={width} leaves the stem {channels} channels; take at least 1/48")
        self.stem = unit(3, channels, 3, strides[0], rng=rng)
        stages = []
        for count, out, stride in zip(units, widths, strides[1:], strict=True):
            chain = []
            for k in range(count):
                chain.append(unit(channels, out, 3, stride if k == 0 else 1, rng=rng))
                channels = out
            stages.append(Sequential(*chain))
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.classifier = Linear(channels, num_classes, rng=rng)


@register("repvgg_cifar", like="repvgg")
def repvgg_cifar(
    variant: str = "A0", width: float = 1.0, num_classes: int = 10, form: str = "training", rng: Seed = 0
) -> RepVGG:
    """RepVGG for 32x32 images: maps are 32 32 16 8 4 wide.

    Strides: stem 1; stages 1 2 2 2 (the paper: stem 2; stages 2 2 2 2).
    """
    return RepVGG(variant, width, num_classes, form, (1, 1, 2, 2, 2), rng)
