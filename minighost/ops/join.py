"""Two ways to join branches: put their channels side by side, or add them.

A concatenation is a write at a channel offset, so its backward is a read at the same offset; a sum passes its
gradient to both branches unchanged (He et al. 2016, "Deep residual learning", eq. 1).
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, spans
from minighost.engine.memory import empty

__all__ = [
    "add_backward",
    "add_backward_reference",
    "add_forward",
    "add_forward_reference",
    "concat_backward",
    "concat_backward_reference",
    "concat_forward",
    "concat_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def concat_forward_reference(*xs):
    """`concat_forward` in plain NumPy."""
    return np.concatenate(xs, axis=-1), [x.shape[-1] for x in xs]


def concat_backward_reference(dout, cache):
    """`concat_backward` in plain NumPy."""
    return tuple(np.split(dout, np.cumsum(cache)[:-1], axis=-1))


def add_forward_reference(a, b):
    """`add_forward` in plain NumPy."""
    return a + b, None


def add_backward_reference(dout, cache):
    """`add_backward`: each branch receives the whole gradient."""
    return dout, dout


# The same, compiled --------------------------------------------------------------------------------------------


def concat_forward(*xs):
    """Put the channels of several arrays side by side.

    Parameters
    ----------
    *xs : ndarray, shape (N, H, W, C_k), one dtype

    Returns
    -------
    out : ndarray, shape (N, H, W, sum of C_k)
    cache : list of int
        The C_k, for `concat_backward`.

    Raises
    ------
    TypeError, ValueError
        If dtypes differ, or the arrays differ in more than their channels.
    """
    if not xs:
        raise ValueError("concat: needs at least one array")
    xs = [check.channels("concat", f"x{k}", x) for k, x in enumerate(xs)]
    check.same_dtype("concat", **{f"x{k}": x for k, x in enumerate(xs)})
    for k, x in enumerate(xs):
        check.shape_is("concat", f"x{k}", x, (*xs[0].shape[:3], x.shape[3]))
    widths = [x.shape[3] for x in xs]
    out = empty((*xs[0].shape[:3], sum(widths)), xs[0].dtype)
    first = 0
    for x, C in zip(xs, widths, strict=True):
        if x.size:
            _copy(check.rows(x), C, check.rows(out[..., first : first + C]))
        first += C
    return out, widths


def concat_backward(dout, cache):
    """Gradient of `concat_forward`: the branch's own channels, as a tuple of views of `dout`."""
    dout = check.array("concat backward", "dout", dout, 4)
    check.shape_is("concat backward", "dout", dout, (*dout.shape[:3], sum(cache)))
    return concat_backward_reference(dout, cache)


def add_forward(a, b, out=None):
    """Add two arrays of equal shape.

    Parameters
    ----------
    a, b : ndarray, shape (N, H, W, C), one dtype
        Channel slices are read in place.
    out : ndarray, shape (N, H, W, C), optional
        May be `a` or `b` itself.

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    cache : None
    """
    a, b = check.channels("add", "a", a), check.channels("add", "b", b)
    check.same_dtype("add", a=a, b=b)
    check.shape_is("add", "b", b, a.shape)
    if out is None:
        out = empty(a.shape, a.dtype)
    else:
        check.target("add", out, a)
        a, b = check.apart(a, out), check.apart(b, out)
    if out.size:
        _add(check.rows(a), check.rows(b), a.shape[3], check.rows(out))
    return out, None


def add_backward(dout, cache):
    """Gradient of `add_forward`: `dout` for both branches (the same array, so neither may be written to)."""
    dout = check.channels("add backward", "dout", dout)
    return dout, dout


@kernel
def _copy(work, x, C, out):
    for first, last in spans(work, len(x), C):
        for r in range(first, last):
            for c in range(C):
                out[r, c] = x[r, c]


@kernel
def _add(work, a, b, C, out):
    for first, last in spans(work, len(a), C):
        for r in range(first, last):
            for c in range(C):
                out[r, c] = a[r, c] + b[r, c]
