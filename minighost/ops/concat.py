"""Put the channels of several branches side by side (Szegedy et al. 2015, "Going deeper with convolutions", §4).

    out[n, h, w, first_k + c] = x_k[n, h, w, c]        with first_k = C_0 + ... + C_(k-1)

A concatenation is a write at a channel offset, so its backward is a read at the same offset.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, spans
from minighost.engine.memory import empty
from minighost.type_aliases import Array

__all__ = ["concat_backward", "concat_backward_reference", "concat_forward", "concat_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def concat_forward_reference(*xs: Array) -> tuple[Array, list[int]]:
    """`concat_forward` in plain NumPy."""
    return np.concatenate(xs, axis=-1), [x.shape[-1] for x in xs]


def concat_backward_reference(dout: Array, cache: list[int]) -> tuple[Array, ...]:
    """`concat_backward` in plain NumPy."""
    return tuple(np.split(dout, np.cumsum(cache)[:-1], axis=-1))


# The same, compiled --------------------------------------------------------------------------------------------


def concat_forward(*xs: Array) -> tuple[Array, list[int]]:
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
    xs = tuple(check.channels("concat", f"x{k}", x) for k, x in enumerate(xs))
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


def concat_backward(dout: Array, cache: list[int]) -> tuple[Array, ...]:
    """Gradient of `concat_forward`: the branch's own channels, as a tuple of views of `dout`."""
    dout = check.array("concat backward", "dout", dout, 4)
    check.shape_is("concat backward", "dout", dout, (*dout.shape[:3], sum(cache)))
    return concat_backward_reference(dout, cache)


@kernel
def _copy(work, x, C, out):
    for first, last in spans(work, len(x), C):
        for r in range(first, last):
            for c in range(C):
                out[r, c] = x[r, c]
