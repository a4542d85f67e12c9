"""The words of a program: what a step can do, and what it has to know for it."""

from typing import NamedTuple

from numba.extending import register_jitable

__all__ = [
    "AFFINE",
    "AVG_POOL",
    "CONV",
    "DEPTHWISE",
    "INPUT",
    "JOIN",
    "MAX_POOL",
    "MEAN",
    "OUTPUT",
    "PAD",
    "PRODUCT",
    "RESPONSE_NORM",
    "SCALE",
    "SELECT",
    "SHIFT_MAX",
    "Step",
    "WINOGRAD",
    "row_pitch",
]

PRODUCT, CONV, DEPTHWISE, AFFINE, JOIN, SELECT, MEAN, SCALE = range(8)
MAX_POOL, AVG_POOL, WINOGRAD, RESPONSE_NORM, PAD, SHIFT_MAX = range(8, 14)
INPUT, OUTPUT = -1, -2  # where an operand lies, if not in the arena


class Step(NamedTuple):
    """One line of a program; all are whole numbers, and places are numbers of array elements.

    Attributes
    ----------
    op : int
        What to do.
    a, b, o, scratch : int
        Place of the operands, the result and the working memory in the arena, or INPUT or OUTPUT.
    a_size, b_size, o_size : int
        Numbers per image in each.
    H, W, C, OC : int
        Plane and channels of operand a, channels of the result.
    w, bias, table : int
        Place of the weights (RESPONSE_NORM: of alpha, k and beta) and of what is added to the result. In `tables`,
        DEPTHWISE: of the taps' offsets; MAX_POOL, AVG_POOL: of where windows begin and end;
        SELECT: of the operand's channels that are copied, then of the result's that they become;
        SHIFT_MAX: of the channel that each is mixed with.
    lanes : int
        Numbers of bias: per channel, repeated.
    act, limits : int
        What follows the bias: its place in `engine.activations.KINDS`, and that of Clip's limits in `lines`.
    first, pitch : int
        For operands that are columns of a wider array: the first of these columns, and its width.
        CONV: `pitch` lines of windows are laid out at a time; DEPTHWISE: a plane has `pitch` lines.
    flag : int
        PRODUCT: add to the result; and 2 if more is to be added, so that bias and activation have to wait.
        JOIN: whether there is an operand b. SELECT: whether both runs of channels have no
        gaps. CONV: groups. RESPONSE_NORM: channels in a window.
        PAD: whether it repeats the edge.
    KH ... OW
        The `Geometry` of windows. SCALE: KH and KW are the plane of the gates.
    """

    op: int
    a: int
    b: int
    o: int
    scratch: int
    a_size: int
    b_size: int
    o_size: int
    H: int
    W: int
    C: int
    OC: int
    w: int
    bias: int
    table: int
    lanes: int
    act: int
    limits: int
    first: int
    pitch: int
    flag: int
    KH: int
    KW: int
    SH: int
    SW: int
    PH: int
    PW: int
    DH: int
    DW: int
    OH: int
    OW: int


@register_jitable
def row_pitch(OC):
    """From one row of weights (C, OC) to the next: rows a large power of 2 apart would push one another out of the
    cache, for they compete for the same places in it.
    """
    return OC + 16 if OC % 256 == 0 else OC
