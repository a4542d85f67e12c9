"""Add two branches, as at the end of a residual block.

    out = a + b        (He et al. 2016, "Deep residual learning", eq. 1)

A sum passes its gradient to both branches unchanged.
"""

from minighost.engine import check
from minighost.engine.launch import kernel, spans
from minighost.engine.memory import empty
from minighost.type_aliases import Array

__all__ = ["add_backward", "add_backward_reference", "add_forward", "add_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def add_forward_reference(a: Array, b: Array) -> tuple[Array, None]:
    """`add_forward` in plain NumPy."""
    return a + b, None


def add_backward_reference(dout: Array, cache: None) -> tuple[Array, Array]:
    """`add_backward`: each branch receives the whole gradient."""
    return dout, dout


# The same, compiled --------------------------------------------------------------------------------------------


def add_forward(a: Array, b: Array, out: Array | None = None) -> tuple[Array, None]:
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


def add_backward(dout: Array, cache: None) -> tuple[Array, Array]:
    """Gradient of `add_forward`: `dout` for both branches (the same array, so neither may be written to)."""
    dout = check.channels("add backward", "dout", dout)
    return dout, dout


@kernel
def _add(work, a, b, C, out):
    for first, last in spans(work, len(a), C):
        for r in range(first, last):
            for c in range(C):
                out[r, c] = a[r, c] + b[r, c]
