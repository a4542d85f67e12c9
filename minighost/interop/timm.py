"""The names that timm (pytorch-image-models) gives to the arrays of our networks; GhostNet's are its authors' own."""

from minighost.interop.tables import Table, named_by
from minighost.models import (
    EfficientNet,
    FasterNet,
    GhostNet,
    GhostNetV2,
    MobileNetV1,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    MobileNetV4ConvMedium,
    MobileNetV4ConvSmall,
    MobileOne,
    RepVGG,
    Xception,
)
from minighost.models.mobilenet_v1 import DepthwiseSeparable

__all__: list[str] = []

STEM = (r"^stem\.conv\.", "conv_stem."), (r"^stem\.bn\.", "bn1.")
SQUEEZE_EXCITE = (r"\.se\.(reduce|expand)\.", r".se.conv_\1.")

GHOSTNET = (
    *STEM,
    (r"^tail\.conv\.", "blocks.9.0.conv."),
    (r"^tail\.bn\.", "blocks.9.0.bn1."),
    (r"^head\.", "conv_head."),
    (r"^stages\.", "blocks."),
    (r"\.depthwise\.conv\.", ".conv_dw."),
    (r"\.depthwise\.bn\.", ".bn_dw."),
    SQUEEZE_EXCITE,
    (r"\.primary\.", ".primary_conv."),
    (r"\.cheap\.", ".cheap_operation."),
    (r"\.shortcut\.0\.conv\.", ".shortcut.0."),
    (r"\.shortcut\.0\.bn\.", ".shortcut.1."),
    (r"\.shortcut\.1\.conv\.", ".shortcut.2."),
    (r"\.shortcut\.1\.bn\.", ".shortcut.3."),
    (r"(primary_conv|cheap_operation)\.conv\.", r"\1.0."),
    (r"(primary_conv|cheap_operation)\.bn\.", r"\1.1."),
)
ATTENTION = (
    (r"\.attention\.reduce\.conv\.", ".short_conv.0."),
    (r"\.attention\.reduce\.bn\.", ".short_conv.1."),
    (r"\.attention\.horizontal\.conv\.", ".short_conv.2."),
    (r"\.attention\.horizontal\.bn\.", ".short_conv.3."),
    (r"\.attention\.vertical\.conv\.", ".short_conv.4."),
    (r"\.attention\.vertical\.bn\.", ".short_conv.5."),
)
GHOST_BRANCHES = (  # GhostNetV3 in training
    (r"\.(kernels\.\d+|pointwise)\.bn\.", r".\1.bn1."),
    (r"\.depthwise\.(kernels|pointwise)\.", r".dw.\1."),
    (r"\.(primary|cheap|dw)\.kernels\.", r".\1_rpr_conv."),
    (r"\.(primary|cheap|dw)\.pointwise\.", r".\1_rpr_scale."),
    (r"\.(primary|cheap)\.identity\.", r".\1_rpr_skip."),
)


@named_by("timm", GhostNet)
def ghostnet(model: GhostNet) -> Table:
    """The authors' code and timm agree; squeeze-and-excitation and head are 1x1 convolutions there."""
    if model.norm is not None:
        raise ValueError(
            "GhostNet(head='bn_no_bias'): timm's features have a bias and no batch norm, so it has no names for these "
            "arrays; take head='bias' or the names 'pytorch'"
        )
    return Table(GHOSTNET, convolutions=r"^head\.|\.se\.")


@named_by("timm", GhostNetV2)
def ghostnetv2(model: GhostNetV2) -> Table:
    """GhostNetV3, too; its fused form has the names of timm's ``reparameterize_model``."""
    return Table((*ATTENTION, *GHOST_BRANCHES, *GHOSTNET), convolutions=r"^head\.|\.se\.")


INVERTED_RESIDUAL = (  # those of the first stage have no expansion, so that their batch norms begin with another layer
    (r"^stages\.0\.(\d+)\.depthwise\.bn\.", r"blocks.0.\1.bn1."),
    (r"^stages\.0\.(\d+)\.project\.conv\.", r"blocks.0.\1.conv_pw."),
    (r"^stages\.0\.(\d+)\.project\.bn\.", r"blocks.0.\1.bn2."),
    (r"^stages\.", "blocks."),
    (r"\.expand\.conv\.", ".conv_pw."),
    (r"\.expand\.bn\.", ".bn1."),
    (r"\.depthwise\.conv\.", ".conv_dw."),
    (r"\.depthwise\.bn\.", ".bn2."),
    (r"\.project\.conv\.", ".conv_pwl."),
    (r"\.project\.bn\.", ".bn3."),
    SQUEEZE_EXCITE,
)
TAIL = (r"^tail\.conv\.", "conv_head."), (r"^tail\.bn\.", "bn2.")


@named_by("timm", MobileNetV1)
def mobilenet_v1(model: MobileNetV1) -> Table:
    """Of separable units; with dense ones there is none."""
    if not any(isinstance(module, DepthwiseSeparable) for module in model.modules()):
        raise ValueError(
            "MobileNetV1(separable=False): timm has no MobileNet of dense convolutions and no names for its arrays; "
            "take the names 'pytorch'"
        )
    units = (
        (r"^stages\.", "blocks."),
        (r"\.depthwise\.conv\.", ".conv_dw."),
        (r"\.depthwise\.bn\.", ".bn1."),
        (r"\.pointwise\.conv\.", ".conv_pw."),
        (r"\.pointwise\.bn\.", ".bn2."),
    )
    return Table((*STEM, *units))


@named_by("timm", EfficientNet)
@named_by("timm", MobileNetV2)
def mobilenet_v2(model: MobileNetV2 | EfficientNet) -> Table:
    """Squeeze-and-excitation, if there is any, is of 1x1 convolutions there."""
    return Table((*STEM, *TAIL, *INVERTED_RESIDUAL), convolutions=r"\.se\.")


@named_by("timm", MobileNetV3Large)
@named_by("timm", MobileNetV3Small)
def mobilenet_v3(model: MobileNetV3Large | MobileNetV3Small) -> Table:
    """The last 1x1 convolution before the mean is a stage; squeeze-and-excitation and head are convolutions."""
    last = f"blocks.{len(model.stages)}.0"
    tail = (r"^tail\.conv\.", f"{last}.conv."), (r"^tail\.bn\.", f"{last}.bn1."), (r"^head\.", "conv_head.")
    return Table((*STEM, *tail, *INVERTED_RESIDUAL), convolutions=r"^head\.|\.se\.")


@named_by("timm", MobileNetV4ConvMedium)
@named_by("timm", MobileNetV4ConvSmall)
def mobilenet_v4(model: MobileNetV4ConvMedium | MobileNetV4ConvSmall) -> Table:
    """The last 1x1 convolution before the mean is a stage; the head is a convolution."""
    renames = (
        *STEM,
        (r"^tail\.", f"blocks.{len(model.stages)}.0."),
        (r"^head\.", "conv_head."),
        (r"^bn\.", "norm_head."),
        (r"^stages\.", "blocks."),
        (r"^blocks\.(\d+\.\d+)\.0\.conv\.", r"blocks.\1.conv_exp."),
        (r"^blocks\.(\d+\.\d+)\.0\.bn\.", r"blocks.\1.bn1."),
        (r"^blocks\.(\d+\.\d+)\.1\.conv\.", r"blocks.\1.conv_pwl."),
        (r"^blocks\.(\d+\.\d+)\.1\.bn\.", r"blocks.\1.bn2."),
        (r"^blocks\.(\d+\.\d+)\.bn\.", r"blocks.\1.bn1."),
        (r"\.start\.", ".dw_start."),
        (r"\.expand\.", ".pw_exp."),
        (r"\.middle\.", ".dw_mid."),
        (r"\.project\.", ".pw_proj."),
    )
    return Table(renames, convolutions=r"^head\.")


@named_by("timm", RepVGG)
def repvgg(model: RepVGG) -> Table:
    """The fused form has the names of timm's ``reparameterize_model``."""
    renames = (
        (r"^classifier\.", "head.fc."),
        (r"^(stem|stages\.\d+\.\d+)\.conv\.", r"\1.reparam_conv."),
        (r"\.kernels\.0\.", ".conv_kxk."),
        (r"\.pointwise\.", ".conv_1x1."),
    )
    return Table(renames)


@named_by("timm", MobileOne)
def mobileone(model: MobileOne) -> Table:
    """The fused form has the names of timm's ``reparameterize_model``; squeeze-and-excitation is of convolutions."""
    renames = (
        (r"^classifier\.", "head.fc."),
        (r"^(stem|stages\.\d+\.\d+)\.conv\.", r"\1.reparam_conv."),
        (r"\.kernels\.", ".conv_kxk."),
        (r"\.pointwise\.", ".conv_scale."),
        (r"\.se\.reduce\.", ".attn.fc1."),
        (r"\.se\.expand\.", ".attn.fc2."),
    )
    return Table(renames, convolutions=r"\.se\.")


@named_by("timm", Xception)
def xception(model: Xception) -> Table:
    """The network that timm calls legacy_xception."""
    blocks = [*(f"entry.{k}" for k in range(3)), *(f"middle.{k}" for k in range(8)), "exit"]
    units = []
    for number, block in enumerate(blocks, 1):
        units.append((rf"^{block}\.shortcut\.conv\.", f"block{number}.skip."))
        units.append((rf"^{block}\.shortcut\.bn\.", f"block{number}.skipbn."))
        for k in range(3):  # ReLU, convolution and batch norm, in one row; the first block begins without the ReLU
            first = 3 * k + (number > 1)
            units.append((rf"^{block}\.units\.{k}\.conv\.", f"block{number}.rep.{first}."))
            units.append((rf"^{block}\.units\.{k}\.bn\.", f"block{number}.rep.{first + 1}."))
    ends = (
        (r"^stem\.0\.conv\.", "conv1."),
        (r"^stem\.0\.bn\.", "bn1."),
        (r"^stem\.1\.conv\.", "conv2."),
        (r"^stem\.1\.bn\.", "bn2."),
        (r"^tail\.0\.conv\.", "conv3."),
        (r"^tail\.0\.bn\.", "bn3."),
        (r"^tail\.1\.conv\.", "conv4."),
        (r"^tail\.1\.bn\.", "bn4."),
        (r"\.depthwise\.", ".conv1."),
        (r"^classifier\.", "fc."),
    )
    return Table((*units, *ends))


@named_by("timm", FasterNet)
def fasternet(model: FasterNet) -> Table:
    """What halves the maps is not counted as a block there; the features are a convolution."""
    blocks = [(r"^stages\.0\.(\d)\.", r"stages.0.blocks.\1.")]
    blocks += [(rf"^stages\.([123])\.{k}\.", rf"stages.\1.blocks.{k - 1}.") for k in range(1, 9)]
    renames = (
        (r"^stem\.conv\.", "patch_embed.proj."),
        (r"^stem\.bn\.", "patch_embed.norm."),
        (r"^stages\.([123])\.0\.conv\.", r"stages.\1.downsample.reduction."),
        (r"^stages\.([123])\.0\.bn\.", r"stages.\1.downsample.norm."),
        *blocks,
        (r"\.partial\.conv\.", ".spatial_mixing.partial_conv3."),
        (r"\.expand\.conv\.", ".mlp.0."),
        (r"\.expand\.bn\.", ".mlp.1."),
        (r"\.project\.", ".mlp.3."),
        (r"^features\.", "conv_head."),
    )
    return Table(renames, convolutions=r"^features\.")
