"""GhostNetV3 (Liu et al. 2024, "GhostNetV3: Exploring the training strategies for compact models", §3.1).

GhostNetV2, each convolution of whose ghost modules is trained as several beside one another (`nn.ConvBranches`), and so
is the strided depthwise one between them. `nn.merge_branches` makes one convolution with bias of each group, so that
what is used costs what GhostNetV2 does.

    convolution              branches in training, each with batch norm
    primary, 1x1             3 of 1x1, and the identity if input and output have as many channels
    cheap, 3x3               3 of 3x3, a 1x1, and the identity
    strided depthwise, kxk   3 of kxk, and a 1x1

Attention, squeeze-and-excitation, shortcuts, stem, tail and head are single.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from minighost.arguments import choice
from minighost.models.ghostnetv2 import CIFAR_STRIDES, GhostNetV2
from minighost.models.registry import register
from minighost.nn import ConvAct, ConvBranches
from minighost.type_aliases import Seed

__all__ = ["GhostNetV3", "ghostnetv3_cifar"]

FORMS: dict[str, Callable[..., Any]] = {"training": partial(ConvBranches, branches=3), "fused": ConvAct}


@register(
    "ghostnetv3",
    year=2024,
    idea="GhostNetV2, trained as branches",
    paper='Liu et al., "GhostNetV3: Exploring the training strategies for compact models", arXiv 2404.11202',
    side=64,
)
class GhostNetV3(GhostNetV2):
    """GhostNetV3: images (N, H, W, 3) -> logits (N, num_classes).

    Parameters
    ----------
    width, num_classes, stem_stride, stage_strides, dropout, rng
        As in `GhostNet`.
    form : str
        "training", with branches; or "fused", with one convolution in the place of each group of them, as
        `nn.merge_branches` makes it of the other form.

    Raises
    ------
    ValueError
        If a number is out of range or the form is unknown; in a forward, if a map is smaller than 2x2.

    Examples
    --------
    >>> sum(p.size for p in GhostNetV3(width=0.5, num_classes=10, form="fused", rng=0).parameters())
    1584986
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        form: str = "training",
        stem_stride: int = 2,
        stage_strides: Sequence[int] | None = None,
        dropout: float = 0.2,
        rng: Seed = 0,
    ) -> None:
        unit = FORMS[choice("GhostNetV3", "form", form, FORMS)]
        self._build(width, num_classes, stem_stride, stage_strides, dropout, rng, unit)


@register("ghostnetv3_cifar", like="ghostnetv3")
def ghostnetv3_cifar(
    width: float = 1.0, num_classes: int = 10, form: str = "training", dropout: float = 0.2, rng: Seed = 0
) -> GhostNetV3:
    """GhostNetV3 for 32x32 images: maps are 32 32 16 8 4 wide; strides as in `ghostnetv2_cifar`.

    A depthwise convolution whose stride is 1 instead of 2 has an identity branch too.
    """
    return GhostNetV3(width, num_classes, form, 1, CIFAR_STRIDES, dropout, rng)
