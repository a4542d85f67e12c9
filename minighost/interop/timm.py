"""The names that timm (pytorch-image-models) gives to the arrays of our networks; GhostNet's are its authors' own."""

from minighost.interop.tables import Table, named_by
from minighost.models import GhostNet

__all__: list[str] = []

GHOSTNET = (
    (r"^stem\.conv\.", "conv_stem."),
    (r"^stem\.bn\.", "bn1."),
    (r"^tail\.conv\.", "blocks.9.0.conv."),
    (r"^tail\.bn\.", "blocks.9.0.bn1."),
    (r"^head\.", "conv_head."),
    (r"^stages\.", "blocks."),
    (r"\.depthwise\.conv\.", ".conv_dw."),
    (r"\.depthwise\.bn\.", ".bn_dw."),
    (r"\.se\.(reduce|expand)\.", r".se.conv_\1."),
    (r"\.primary\.", ".primary_conv."),
    (r"\.cheap\.", ".cheap_operation."),
    (r"\.shortcut\.0\.conv\.", ".shortcut.0."),
    (r"\.shortcut\.0\.bn\.", ".shortcut.1."),
    (r"\.shortcut\.1\.conv\.", ".shortcut.2."),
    (r"\.shortcut\.1\.bn\.", ".shortcut.3."),
    (r"(primary_conv|cheap_operation)\.conv\.", r"\1.0."),
    (r"(primary_conv|cheap_operation)\.bn\.", r"\1.1."),
)


@named_by("timm", GhostNet)
def ghostnet(model: GhostNet) -> Table:
    """The authors' code and timm agree; squeeze-and-excitation and head are 1x1 convolutions there."""
    return Table(GHOSTNET, convolutions=r"^head\.|\.se\.")
