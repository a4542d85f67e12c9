"""What every op asks of its arguments before a kernel sees them.

Kernels are compiled for aligned, writable, C-contiguous float32 or float64 arrays of the machine's byte order, and they
do not check indices. So anything else is copied into that form here (never changed in place) or refused with a message.
"""

import numpy as np

__all__ = ["array", "channels", "finite", "pair", "rows", "same_dtype", "shape_is", "target"]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def array(op, name, x, ndim):
    """Return `x`, or a copy of it, in the form kernels take.

    Raises
    ------
    TypeError
        If `x` is not a float32 or float64 array.
    ValueError
        If it does not have `ndim` axes.
    """
    x = _floats(op, name, x, ndim)
    return x if _is_plain(x) and x.flags.c_contiguous else _plain_copy(x)


def channels(op, name, x, ndim=4):
    """Like `array`, but a slice ``whole[..., :C]`` of a contiguous array passes as it is: `rows` reads it in place."""
    x = _floats(op, name, x, ndim)
    if _is_plain(x) and (x.flags.c_contiguous or _row_pitch(x)):
        return x
    return _plain_copy(x)


def target(op, out, like):
    """Refuse an `out` that kernels cannot write in place: a copy loses the result, a wrong stride corrupts memory."""
    if not isinstance(out, np.ndarray) or out.dtype != like.dtype:
        found = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"{op}: out must be a {like.dtype} array like its input, got {found}")
    shape_is(op, "out", out, like.shape)
    if out.size and not (_is_plain(out) and (out.flags.c_contiguous or _row_pitch(out))):
        raise ValueError(
            f"{op}: out must be writable and contiguous, or a channel slice whole[..., a:b] of such an array; "
            f"got strides {out.strides} for shape {out.shape}"
        )


def rows(x):
    """View (..., C) activations as (R, P) rows that kernels index as C-contiguous, reading columns 0 to C-1 only.

    For a contiguous array ``P == C``. For a channel slice P is the width of the whole array, so that the slice keeps
    the known unit stride that vectorisation needs; the columns from C on belong to other channels - and behind the
    last row to nobody, so a kernel must never touch them.
    """
    C = x.shape[-1]
    if x.flags.c_contiguous:
        return x.reshape(-1, C)
    R, pitch = x.size // C, _row_pitch(x)
    return np.lib.stride_tricks.as_strided(x, (R, pitch), (pitch * x.itemsize, x.itemsize))


def _floats(op, name, x, ndim):
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{op}: {name} must be a NumPy array, got {type(x).__name__}")
    if x.dtype.newbyteorder("=") not in _FLOATS:
        raise TypeError(
            f"{op}: {name} must be float32 or float64, got {x.dtype}; convert it with {name}.astype(np.float32)"
        )
    if x.ndim != ndim:
        layout = {4: " (N, H, W, C)", 2: " (N, C)"}.get(ndim, "")
        raise ValueError(f"{op}: {name} must have {ndim} axes{layout}, got shape {x.shape}")
    return x


def _is_plain(x):
    return x.dtype.isnative and x.flags.aligned and x.flags.writeable and type(x) is np.ndarray


def _plain_copy(x):
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="C", subok=False)


def _row_pitch(x):
    """Elements from one row of channels to the next, or 0 if `x` is not a channel slice of a contiguous array."""
    if x.size == 0 or x.shape[-1] > 1 and x.strides[-1] != x.itemsize:
        return 0
    pitch, remainder = divmod(x.strides[-2], x.itemsize)
    step = x.strides[-2]
    for size, stride in zip(x.shape[-2::-1], x.strides[-2::-1], strict=True):
        if stride != step and size > 1:
            return 0
        step = stride * size
    return pitch if remainder == 0 and pitch >= x.shape[-1] else 0


def same_dtype(op, **arrays):
    """Raise TypeError unless all arrays (None is skipped) have one dtype."""
    dtypes = {name: x.dtype for name, x in arrays.items() if x is not None}
    if len(set(dtypes.values())) > 1:
        listed = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise TypeError(f"{op}: all arrays must have one dtype, got {listed}; convert them with .astype")


def shape_is(op, name, x, shape):
    """Raise ValueError unless `x` has the `shape`."""
    if x.shape != tuple(shape):
        raise ValueError(f"{op}: {name} must have shape {tuple(shape)}, got {x.shape}")


def pair(op, name, value, minimum):
    """Turn 3 or (3, 5) into a pair of Python ints of at least `minimum`."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values):
        raise TypeError(f"{op}: {name} must be an int or a pair of ints, got {value!r}")
    if min(values) < minimum:
        raise ValueError(f"{op}: {name}={value} must be at least {minimum}")
    return int(values[0]), int(values[1])


def finite(x):
    """Whether a contiguous array is free of NaN and infinity; large numbers, whose squares are infinite, may fail."""
    return bool(np.isfinite(np.vdot(x, x)))  # much cheaper than to look at each
