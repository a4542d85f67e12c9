"""MobileOne (Vasu et al. 2023, "MobileOne: An improved one millisecond mobile backbone", table 2).

MobileNet v1 of other widths - a stem, then pairs of a depthwise 3x3 and a 1x1 convolution - whose convolutions are
trained as several beside one another (`nn.ConvBranches`) and merged afterwards (`nn.merge_branches`). A stage begins
with stride 2, in its first depthwise convolution.

    variant      s0     s1     s2     s3     s4
    stem         48     64     64     64     64      224 -> 112
    stage 1      48     96     96    128    192      112 ->  56    2 pairs
    stage 2     128    192    256    320    448       56 ->  28    8
    stage 3     256    512    640    768    896       28 ->  14    10
    stage 4    1024   1280   2048   2048   2048       14 ->   7    1
    branches      4      1      1      1      1      of the full kernel size; the stem has 1

A depthwise convolution also has a 1x1 branch, and both have an identity where the shape stays. In s4 squeeze-and-
excitation of a sixteenth of the channels is between sum and ReLU, in the last five pairs of stage 3 and in stage 4.
"""

from collections.abc import Sequence

import numpy as np

from minighost.arguments import choice, number, whole
from minighost.models.network import Network
from minighost.models.registry import register
from minighost.models.rounding import squeeze_width
from minighost.nn import ConvAct, ConvBranches, GlobalAvgPool, Linear, Module, Sequential
from minighost.type_aliases import Seed

__all__ = ["MobileOne", "mobileone_cifar"]

PAIRS = 2, 8, 10, 1
CHANNELS = 64, 128, 256, 512
# What the channels are multiplied by, branches, and pairs with squeeze-and-excitation at the end of each stage.
VARIANTS = {
    "s0": ((0.75, 1, 1, 2), 4, (0, 0, 0, 0)),
    "s1": ((1.5, 1.5, 2, 2.5), 1, (0, 0, 0, 0)),
    "s2": ((1.5, 2, 2.5, 4), 1, (0, 0, 0, 0)),
    "s3": ((2, 2.5, 3, 4), 1, (0, 0, 0, 0)),
    "s4": ((3, 3.5, 3.5, 4), 1, (0, 0, 5, 1)),
}
FORMS = "training", "fused"


@register(
    "mobileone",
    year=2023,
    idea="MobileNet v1, trained as branches",
    paper='Vasu et al., "MobileOne: An improved one millisecond mobile backbone", arXiv 2206.04040',
)
class MobileOne(Network):
    """MobileOne: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    variant : str
        "s0", "s1", "s2", "s3" or "s4".
    width : float
        Multiplies all channel numbers, on top of the variant's factors; fractions are cut off.
    num_classes : int
    form : str
        "training", with branches; or "fused", with one convolution in the place of each, as `nn.merge_branches` makes
        it of the other form.
    strides : sequence of 5 ints
        Of the stem and of the first pair of each stage.
    rng : int or numpy.random.Generator

    Raises
    ------
    ValueError
        If a number is out of range, a word is unknown, or the width leaves a layer no channels.

    Examples
    --------
    >>> sum(p.size for p in MobileOne("s0", form="fused", rng=0).parameters())
    2078504
    """

    def __init__(
        self,
        variant: str = "s0",
        width: float = 1.0,
        num_classes: int = 1000,
        form: str = "training",
        strides: Sequence[int] = (2, 2, 2, 2, 2),
        rng: Seed = 0,
    ) -> None:
        factors, branches, gated = VARIANTS[choice("MobileOne", "variant", variant, VARIANTS)]
        choice("MobileOne", "form", form, FORMS)
        number("MobileOne", "width", width, above=0)
        whole("MobileOne", "num_classes", num_classes, 1)
        if len(strides) != 5:
            raise ValueError(f"MobileOne: strides={strides} must be 5 numbers, of the stem and of four stages")
        rng = np.random.default_rng(rng)

        def unit(C: int, OC: int, kernel_size: int, stride: int, groups: int, se: bool, branches: int) -> Module:
            hidden = squeeze_width("senet", OC) if se else 0
            if form == "fused":
                return ConvAct(C, OC, kernel_size, stride, groups, se_hidden=hidden, rng=rng)
            return ConvBranches(C, OC, kernel_size, stride, groups, se_hidden=hidden, branches=branches, rng=rng)

        widths = [int(c * factor * width) for c, factor in zip(CHANNELS, factors, strict=True)]
        channels = min(int(64 * width), widths[0])
        if channels < 1:
            raise ValueError(f"MobileOne: width={width} leaves the stem {channels} channels; take at least 1/48")
        self.stem = unit(3, channels, 3, strides[0], 1, False, 1)
        stages = []
        for pairs, out, stride, last in zip(PAIRS, widths, strides[1:], gated, strict=True):
            chain: list[Module] = []
            for k in range(pairs):
                se = k >= pairs - last
                chain.append(unit(channels, channels, 3, stride if k == 0 else 1, channels, se, branches))
                chain.append(unit(channels, out, 1, 1, 1, se, branches))
                channels = out
            stages.append(Sequential(*chain))
        self.stages = Sequential(*stages)
        self.pool = GlobalAvgPool()
        self.classifier = Linear(channels, num_classes, rng=rng)


@register("mobileone_cifar", like="mobileone")
def mobileone_cifar(
    variant: str = "s0", width: float = 1.0, num_classes: int = 10, form: str = "training", rng: Seed = 0
) -> MobileOne:
    """MobileOne for 32x32 images: maps are 32 32 16 8 4 wide.

    Strides: stem 1; stages 1 2 2 2 (the paper: stem 2; stages 2 2 2 2).
    """
    return MobileOne(variant, width, num_classes, form, (1, 1, 2, 2, 2), rng)
