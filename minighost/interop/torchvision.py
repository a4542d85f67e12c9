"""The names that torchvision gives to the arrays of our networks.

Its features are one long list, so that blocks bear a running number where ours bear those of stage and block.
"""

from collections.abc import Iterator
from typing import Any

from minighost.interop.tables import Table, named_by
from minighost.models import (
    VGG16,
    AlexNet,
    EfficientNet,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    ResNetImageNet,
    ShuffleNetV2,
    SqueezeNet,
)
from minighost.nn import Bottleneck, ConvBNAct, InvertedResidual, LocalResponseNorm, MaxPool2d, ReLU

__all__: list[str] = []

Renames = tuple[tuple[str, str], ...]

UNIT: Renames = ((r"\.conv\.", ".0."), (r"\.bn\.", ".1."))
GATES: Renames = ((r"\.reduce\.", ".fc1."), (r"\.expand\.", ".fc2."))


def _blocks(stages: Any) -> Iterator[tuple[str, Any]]:
    """All blocks, stage by stage, with their paths as patterns."""
    for s, stage in enumerate(stages):
        for k, block in enumerate(stage):
            yield rf"^stages\.{s}\.{k}\.", block


def _last(path: str, theirs: str) -> tuple[str, str]:
    """The renaming of a last layer, which spares what begins with the same word there."""
    return rf"^{path}\.(weight|bias)$", rf"{theirs}.\1"


# Plain convolutions -----------------------------------------------------------------------------------------------


@named_by("torchvision", AlexNet)
def alexnet(model: AlexNet) -> Table:
    """Activations and maxima count as layers; the published AlexNet is not there."""
    if any(isinstance(module, LocalResponseNorm) for module in model.modules()):
        raise ValueError(
            "AlexNet: torchvision has no AlexNet with local response normalisation and no names for its arrays; take "
            "the model 'alexnet_torchvision' or the names 'pytorch'"
        )
    convs = tuple((rf"^conv{k}\.0\.", f"features.{place}.") for k, place in enumerate((0, 3, 6, 8, 10), start=1))
    hidden = (r"^hidden1\.1\.", "classifier.1."), (r"^hidden2\.1\.", "classifier.4.")
    renames = (*convs, *hidden, _last("classifier", "classifier.6"))
    last: Any = model.conv5
    return Table(renames, flattened={"hidden1.1": last[0].weight.shape[-1]} if hasattr(model, "flatten") else {})


@named_by("torchvision", VGG16)
def vgg16(model: VGG16) -> Table:
    """Convolution, [batch norm,] ReLU, ..., maximum: each counts."""
    renames, place, channels = [], 0, 0
    for path, unit in _blocks(model.stages):
        if not isinstance(unit, MaxPool2d):
            renames += [(rf"{path}{k}\.", f"features.{place + k}.") for k in range(2)]
            place += 2 if isinstance(unit[1], ReLU) else 3
            channels = unit[0].weight.shape[-1]
        else:
            place += 1
    hidden = (r"^hidden1\.0\.", "classifier.0."), (r"^hidden2\.0\.", "classifier.3.")
    return Table((*renames, *hidden, _last("classifier", "classifier.6")), flattened={"hidden1.0": channels})


@named_by("torchvision", SqueezeNet)
def squeezenet(model: SqueezeNet) -> Table:
    """After convolution and ReLU, poolings and fire modules are numbered alike."""
    fires = tuple((path, f"features.{place}.") for place, (path, _) in enumerate(_blocks(model.stages), start=2))
    inside = (r"\.squeeze\.0\.", ".squeeze."), (r"\.expand([13])\.0\.", r".expand\1x\1.")
    return Table(((r"^stem\.0\.", "features.0."), *fires, *inside, _last("classifier", "classifier.1")))


# Residual blocks ----------------------------------------------------------------------------------------------------


@named_by("torchvision", ResNetImageNet)
def resnet(model: ResNetImageNet) -> Table:
    """Convolutions are numbered. A stride on the first of them changes no shape, but what they compute."""
    blocks = [block for _, block in _blocks(model.stages)]
    units: list[Any] = [block.reduce if isinstance(block, Bottleneck) else block.first for block in blocks]
    if not isinstance(units[0], ConvBNAct):
        raise ValueError(
            f"ResNetImageNet: torchvision has no ResNet of {type(units[0]).__name__} and no names for its arrays; take "
            "the names 'pytorch'"
        )
    if isinstance(blocks[0], Bottleneck) and any(unit.conv.stride != (1, 1) for unit in units):
        raise ValueError(
            "ResNetImageNet(stride_on='1x1'): torchvision's ResNets stride on the 3x3, where the same weights compute "
            "something else; take stride_on='3x3' or the names 'pytorch'"
        )
    stages = tuple((rf"^stages\.{s}\.", f"layer{s + 1}.") for s in range(len(model.stages)))
    order = (r"\.(first|reduce)\.(conv|bn)\.", r".\g<2>1."), (r"\.(second|spatial)\.(conv|bn)\.", r".\g<2>2.")
    rest = (r"\.expand\.(conv|bn)\.", r".\g<1>3."), (r"\.shortcut\.", ".downsample."), *UNIT
    return Table(((r"^stem\.(conv|bn)\.", r"\g<1>1."), *stages, *order, *rest, (r"^classifier\.", "fc.")))


# Inverted residuals ---------------------------------------------------------------------------------------------------


def _parts(block: InvertedResidual) -> list[str]:
    """The block's layers in order, but for those that it lacks."""
    return [part for part in ("expand", "depthwise", "se", "project") if getattr(block, part) is not None]


@named_by("torchvision", MobileNetV2)
def mobilenet_v2(model: MobileNetV2) -> Table:
    """The projection's convolution and batch norm stand one level higher than the others."""
    renames, place = [*UNIT, (r"^stem\.", "features.0.")], 1
    for path, block in _blocks(model.stages):
        *wide, project = _parts(block)
        renames += [(rf"{path}{part}\.", f"features.{place}.conv.{k}.") for k, part in enumerate(wide)]
        renames += [(rf"{path}{project}\.{k}\.", f"features.{place}.conv.{len(wide) + k}.") for k in range(2)]
        place += 1
    return Table((*renames, (r"^tail\.", f"features.{place}."), _last("classifier", "classifier.1")))


@named_by("torchvision", MobileNetV3Large)
@named_by("torchvision", MobileNetV3Small)
def mobilenet_v3(model: MobileNetV3Large | MobileNetV3Small) -> Table:
    """Squeeze-and-excitation is of 1x1 convolutions there, the head is not."""
    renames, place = [(r"^stem\.", "features.0.")], 1
    for path, block in _blocks(model.stages):
        renames += [(rf"{path}{part}\.", f"features.{place}.block.{k}.") for k, part in enumerate(_parts(block))]
        place += 1
    renames += [(r"^tail\.", f"features.{place}."), *UNIT, *GATES]
    renames += [(r"^head\.", "classifier.0."), _last("classifier", "classifier.3")]
    return Table(tuple(renames), convolutions=r"\.se\.")


@named_by("torchvision", EfficientNet)
def efficientnet(model: EfficientNet) -> Table:
    """Stages are numbered from 1, after the stem."""
    renames = [(r"^stem\.", "features.0.")]
    for path, block in _blocks(model.stages):
        renames += [(rf"({path}){part}\.", rf"\g<1>block.{k}.") for k, part in enumerate(_parts(block))]
    renames += [(rf"^stages\.{s}\.", f"features.{s + 1}.") for s in range(len(model.stages))]
    renames += [(r"^tail\.", f"features.{len(model.stages) + 1}."), *UNIT, *GATES, _last("classifier", "classifier.1")]
    return Table(tuple(renames), convolutions=r"\.se\.")


# Shuffled channels ----------------------------------------------------------------------------------------------------


@named_by("torchvision", ShuffleNetV2)
def shufflenet_v2(model: ShuffleNetV2) -> Table:
    """A branch is one list, ReLUs included. At width 0.5 Megvii's variant has the same shapes."""
    if any(unit.shuffle is None for _, unit in _blocks(model.stages)):
        raise ValueError(
            "ShuffleNetV2(variant='megvii'): torchvision's units shuffle otherwise, so that the same weights compute "
            "something else; take variant='torchvision' or the names 'pytorch'"
        )
    stages = tuple((rf"^stages\.{s}\.", f"stage{s + 2}.") for s in range(len(model.stages)))
    # A unit of the branch is convolution, batch norm and, but after depthwise convolutions, ReLU.
    left = _branch("left", "branch1", (0, 2))
    right = _branch("right", "branch2", (0, 3, 5))
    ends = (r"^stem\.", "conv1."), (r"^tail\.", "conv5."), (r"^classifier\.", "fc.")
    return Table((*ends, *stages, *left, *right, *UNIT))


def _branch(ours: str, theirs: str, places: tuple[int, ...]) -> Renames:
    """Each unit's convolution has its place in the list, and batch norm the next."""
    return tuple(
        (rf"\.{ours}\.{k}\.{layer}\.", f".{theirs}.{place + offset}.")
        for k, place in enumerate(places)
        for offset, layer in enumerate(("conv", "bn"))
    )
