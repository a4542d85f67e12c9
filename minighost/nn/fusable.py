"""Whether a block may go through the fused kernels: they would compute what its layers do, and nobody said otherwise.

What was done to a block is respected. Every module that would be replaced is looked at, and unless all are of the
classes, in the mode and of the shapes that the kernels know, the block goes layer by layer. It is asked once for each
block and step, so it has to cost microseconds. Numbers that do not fit their layer are refused afterwards, by `check`.
"""

import contextlib
from contextvars import ContextVar

import numpy as np

import minighost.nn as nn  # of which this is a part: its classes are looked up when a block runs

__all__ = [
    "bottleneck_applies", "fusing", "ghost_applies", "is_depthwise", "is_pointwise", "residual_applies", "unit_applies",
]  # fmt: skip

_fusing = ContextVar("fusing", default=True)


@contextlib.contextmanager
def fusing(on):
    """Choose for a block of code whether training uses the fused kernels (the default) or goes layer by layer.

    It holds for the Python thread that runs the block.
    """
    before = _fusing.get()
    _fusing.set(bool(on))
    try:
        yield
    finally:
        _fusing.set(before)


def unit_applies(unit, x):
    """Whether `unit`, a `ConvBNAct`, can be fused: training, with a ReLU or none, no pooling, no channel multiplier."""
    return _suits(x) and _made(unit, x.shape[3], x.dtype) > 0


def residual_applies(block, x):
    """Whether `block`, a `ResidualBlock`, can be fused: in training, with a ReLU after the sum and none before it."""
    if not (_suits(x) and _own(block, nn.ResidualBlock) and _own(block.act, nn.ReLU)):
        return False
    C, dtype = x.shape[3], x.dtype
    OC = _made(block.second, _made(block.first, C, dtype), dtype)
    short = C if block.shortcut is None else _made(block.shortcut, C, dtype)
    return 0 < OC == short and not block.second.bn.relu and not (block.shortcut and block.shortcut.bn.relu)


def ghost_applies(ghost, x):
    """Whether `ghost`, a `GhostModule`, can be fused: in training, with one ghost a map."""
    return _suits(x) and _pairs(ghost, x.shape[3], x.dtype) > 0


def bottleneck_applies(block, x):
    """Whether `block`, a `GhostBottleneck`, can be fused: in training, and each ghost module with one ghost a map."""
    if not (_suits(x) and _own(block, nn.GhostBottleneck)):
        return False
    C, dtype, strided, se, shortcut = x.shape[3], x.dtype, block.depthwise, block.se, block.shortcut
    mid = _pairs(block.ghost1, C, dtype)
    if strided is not None and not _made(strided, mid, dtype, is_depthwise):
        return False
    if se is not None and not _own(se, nn.SqueezeExcite):
        return False
    OC = _pairs(block.ghost2, mid, dtype)
    if not OC or block.ghost2.primary.bn.relu or block.ghost2.cheap.bn.relu:
        return False
    if not (is_pointwise(block.ghost1.primary.conv) and is_pointwise(block.ghost2.primary.conv)):
        return False
    if shortcut is None:
        return OC == C
    if not (_own(shortcut, nn.Sequential) and len(list(shortcut.children())) == 2):
        return False
    depthwise, pointwise = shortcut
    inner = _made(depthwise, C, dtype, is_depthwise)
    return OC == _made(pointwise, inner, dtype, is_pointwise) and not pointwise.bn.relu


def _suits(x):
    return _fusing.get() and isinstance(x, np.ndarray) and x.ndim == 4 and x.size > 0


def _own(module, kind):
    """Whether a module is in training and runs the code of exactly this class, none of its own or a subclass's."""
    own = vars(module)
    return type(module) is kind and module.training and not ("forward" in own or "backward" in own or "maps" in own)


def _made(unit, C, dtype, shaped=None):
    """How many channels a `ConvBNAct` makes of C, 0 if the kernels here would compute something else than its layers.

    `shaped` is what its convolution must be, `is_pointwise` or `is_depthwise`.
    """
    if not (_own(unit, nn.ConvBNAct) and unit.act is unit.pool is None):
        return 0
    conv, bn = unit.conv, unit.bn
    if not (_own(conv, nn.Conv2d) and _own(bn, nn.BatchNorm2d) and conv.bias is None):
        return 0
    w, G = conv.weight.data, conv.groups
    if not isinstance(w, np.ndarray) or w.dtype != dtype or w.ndim != 4 or not (shaped is None or shaped(conv)):
        return 0
    _, _, inputs, OC = w.shape
    return 0 if inputs * G != C or OC % G or inputs == 1 < G < OC else OC


def _pairs(ghost, C, dtype):
    """How many channels a `GhostModule` makes of C, if it makes one ghost a map; else 0."""
    if not _own(ghost, nn.GhostModule) or ghost.cheap is None:
        return 0
    m = _made(ghost.primary, C, dtype)
    return 2 * m if m == _made(ghost.cheap, m, dtype, is_depthwise) and ghost.out_channels == 2 * m else 0


def is_depthwise(conv):
    """One kernel a channel."""
    return conv.weight.shape[2] == 1 and conv.groups == conv.weight.shape[3]


def is_pointwise(conv):
    """A matrix product, pixel by pixel."""
    return (conv.weight.shape[:2], conv.groups, conv.stride, conv.padding) == ((1, 1), 1, (1, 1), (0, 0))
