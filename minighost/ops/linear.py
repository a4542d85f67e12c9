"""Linear layer: a matrix product and a bias. On rows of features it is the pointwise convolution, and runs as one."""

from minighost.engine import check
from minighost.ops.pointwise import (
    pointwise_backward,
    pointwise_backward_reference,
    pointwise_forward,
    pointwise_forward_reference,
)
from minighost.type_aliases import Array, Cache, Gradients

__all__ = ["linear_backward", "linear_backward_reference", "linear_forward", "linear_forward_reference"]


def linear_forward_reference(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Cache]:
    """`linear_forward` in plain NumPy."""
    return pointwise_forward_reference(x, w, b)


def linear_backward_reference(dout: Array, cache: Cache) -> Gradients:
    """`linear_backward` in plain NumPy."""
    return pointwise_backward_reference(dout, cache)


def linear_forward(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Cache]:
    """``x @ w + b``.

    Parameters
    ----------
    x : ndarray, shape (N, C), float32 or float64
    w : ndarray, shape (C, OC)
    b : ndarray, shape (OC,), optional

    Returns
    -------
    out : ndarray, shape (N, OC)
    cache : tuple
        For `linear_backward`.
    """
    return pointwise_forward(check.array("linear", "x", x, 2), w, b)


def linear_backward(dout: Array, cache: Cache) -> Gradients:
    """Gradients of `linear_forward`: ``dx = dout @ w.T``, ``dw = x.T @ dout``, ``db = dout.sum(0)`` (or None)."""
    return pointwise_backward(dout, cache)
