"""What every op asks of its arguments before a kernel sees them.

Kernels are compiled for *plain* arrays: aligned, writable, C-contiguous float32 or float64 of the machine's byte order,
with the strides of a new array. They do not check indices. So anything else is copied into that form here (never
changed in place) or refused with a message.

NumPy also calls an array contiguous if only its axes of length 1 have odd strides, since nobody steps along those. But
Kernels take a matrix's first stride for the length of its rows, of a single row too; here such an array is not plain.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minighost.type_aliases import Array, IntPair

__all__ = [
    "apart",
    "array",
    "channels",
    "channels_first",
    "finite",
    "is_plain",
    "pair",
    "rows",
    "same_dtype",
    "shape_is",
    "target",
    "written_in_place",
]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def array(op: str, name: str, x: Any, ndim: int) -> Array:
    """Return `x`, or a copy of it, in the form kernels take.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array.
    ValueError
        If it does not have `ndim` axes.
    """
    x = _floats(op, name, x, ndim)
    return x if is_plain(x) else _made_plain(x)


def channels(op: str, name: str, x: Any, ndim: int = 4) -> Array:
    """Like `array`, but a slice ``whole[..., :C]`` of a contiguous array passes as it is: `rows` reads it in place."""
    x = _floats(op, name, x, ndim)
    return x if is_plain(x) or (_is_ordinary(x) and _row_pitch(x)) else _made_plain(x)


def target(op: str, out: Any, like: Array) -> None:
    """Refuse an `out` that kernels cannot write in place: a copy loses the result, a wrong stride corrupts memory."""
    if not isinstance(out, np.ndarray) or out.dtype != like.dtype:
        found = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"{op}: out must be a {like.dtype} array like its input, got {found}")
    shape_is(op, "out", out, like.shape)
    if out.size and not (_is_ordinary(out) and _row_pitch(out)):
        raise ValueError(
            f"{op}: out must be writable and contiguous, or a channel slice whole[..., a:b] of such an array; "
            f"got {_described(out)}"
        )


def apart(x: Array, out: Array | None) -> Array:
    """Return `x`, or a copy of it if writing to `out` would change numbers of `x` that are still to be read.

    A kernel that computes element by element may write to `x` itself. Otherwise `out` and `x` must not overlap;
    NumPy's own functions copy too.
    """
    if out is None or not np.shares_memory(x, out):
        return x
    itself = (out.ctypes.data, out.strides) == (x.ctypes.data, x.strides)
    return x if itself else x.copy()


def rows(x: Array) -> Array:
    """View (..., C) activations as (R, P) rows that kernels index as C-contiguous, reading columns 0 to C-1 only.

    For a contiguous array ``P == C``. For a channel slice P is the width of the whole array, so that the slice keeps
    the known unit stride that vectorisation needs; the columns from C on belong to other channels - and after the
    last row to nobody, so a kernel must never touch them.
    """
    C = x.shape[-1]
    if x.flags.c_contiguous:
        return x.reshape(-1, C)
    R, pitch = x.size // C, _row_pitch(x)
    return np.lib.stride_tricks.as_strided(x, (R, pitch), (pitch * x.itemsize, x.itemsize))


def is_plain(x: npt.NDArray[Any]) -> bool:
    """Whether kernels take `x` as it is; about a microsecond."""
    # Without axes of length 1 the flag says it all.
    return _is_ordinary(x) and x.flags.c_contiguous and (1 not in x.shape or x.strides == _strides(x) or not x.size)


def written_in_place(op: str, name: str, x: npt.NDArray[Any]) -> None:
    """Refuse an array that NumPy cannot update in place: a read-only one, or one that holds a number in two places.

    Any other strides will do.
    """
    if is_plain(x):
        return
    reach = 0  # bytes that the axes so far spread over; the next one has to step over all of them
    for stride, size in sorted((abs(stride), size) for stride, size in zip(x.strides, x.shape, strict=True)):
        if size > 1 and stride < max(reach, x.itemsize):
            reach = -1
            break
        reach = max(reach, x.itemsize) + stride * (size - 1)
    if x.size and (reach < 0 or not x.flags.writeable):
        raise ValueError(
            f"{op}: {name} is updated in place, so it must be writable, each number in a place of its own; "
            f"got {_described(x)}; assign a copy of it"
        )


def _floats(op, name, x, ndim):
    """Return `x`, an array of floats with `ndim` axes; what can be computed when it is needed is computed now."""
    if not isinstance(x, np.ndarray) and hasattr(type(x), "materialize"):
        x = x.materialize()
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{op}: {name} must be a NumPy array, got {type(x).__name__}")
    if x.dtype not in _FLOATS and x.dtype.newbyteorder("=") not in _FLOATS:
        raise TypeError(
            f"{op}: {name} must be float32 or float64, got {x.dtype}; convert it with {name}.astype(np.float32)"
        )
    if x.ndim != ndim:
        layouts = {4: " (KH, KW, in, out)", 2: " (in, out)"} if name == "w" else {4: " (N, H, W, C)", 2: " (N, C)"}
        layout = layouts.get(ndim, "")
        raise ValueError(f"{op}: {name} must have {ndim} axes{layout}, got shape {x.shape}")
    return x


def channels_first(x: Array, C: int) -> str:
    """The end of an error message, if x seems to be (N, C, H, W): how to turn it."""
    fits = x.ndim == 4 and x.shape[1] == C != x.shape[3]
    return "; it looks like (N, C, H, W): pass x.transpose(0, 2, 3, 1)" if fits else ""


def _is_ordinary(x):
    return type(x) is np.ndarray and x.dtype.isnative and x.flags.behaved  # which is: aligned and writable


def _strides(x):
    """The strides of a new array of this shape."""
    strides, step = [], x.itemsize
    for size in reversed(x.shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _made_plain(x):
    if _is_ordinary(x) and x.flags.c_contiguous:  # as when img[None] makes a batch of one: the strides alone are odd
        return x.reshape(-1).reshape(x.shape)
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="C", subok=False)


def _described(x):
    faults = {
        f"a {type(x).__name__}": type(x) is not np.ndarray,
        "a read-only array": not x.flags.writeable,
        "an unaligned array": not x.flags.aligned,
    }
    kind = next((fault for fault, found in faults.items() if found), "an array")
    return f"{kind} with strides {x.strides} for shape {x.shape}"


def _row_pitch(x):
    """Elements from one row of channels to the next, or 0 if rows are not evenly apart, or overlap.

    Strides of axes of length 1 mean nothing, so they are not looked at.
    """
    C = x.shape[-1]
    if x.size == 0 or (C > 1 and x.strides[-1] != x.itemsize):
        return 0
    step, R = C * x.itemsize, 1  # bytes from row to row, and rows so far
    for size, stride in zip(x.shape[-2::-1], x.strides[-2::-1], strict=True):
        if size > 1:
            step = stride if R == 1 else step
            if stride != step * R:
                return 0
            R *= size
    pitch, remainder = divmod(step, x.itemsize)
    return pitch if remainder == 0 and pitch >= C else 0


def same_dtype(op: str, **arrays: npt.NDArray[Any] | None) -> None:
    """Raise TypeError unless all arrays (None is skipped) have one dtype."""
    dtypes = {name: x.dtype for name, x in arrays.items() if x is not None}
    if len(set(dtypes.values())) > 1:
        listed = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise TypeError(f"{op}: all arrays must have one dtype, got {listed}; convert them with .astype")


def shape_is(op: str, name: str, x: npt.NDArray[Any], shape: Sequence[int]) -> None:
    """Raise ValueError unless `x` has the `shape`."""
    if x.shape != tuple(shape):
        raise ValueError(f"{op}: {name} must have shape {tuple(shape)}, got {x.shape}")


def pair(op: str, name: str, value: IntPair, minimum: int) -> tuple[int, int]:
    """Turn 3 or (3, 5) into a pair of Python ints of at least `minimum`."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values):
        raise TypeError(f"{op}: {name} must be an int or a pair of ints, got {value!r}")
    if min(values) < minimum:
        raise ValueError(f"{op}: {name}={value} must be at least {minimum}")
    return int(values[0]), int(values[1])


def finite(x: Array) -> bool:
    """Whether a contiguous array is free of NaN and infinity; large numbers, whose squares are infinite, may fail."""
    return bool(np.isfinite(np.vdot(x, x)))  # much cheaper than to look at each
