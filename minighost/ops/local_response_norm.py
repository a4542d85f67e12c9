"""Local response normalisation: strong neighbours among the channels damp a channel.

    s[n, h, w, c]   = k + alpha * sum over c' of x[n, h, w, c']^2        c' from c - size//2 to c + (size-1)//2
    out[n, h, w, c] = x[n, h, w, c] / s[n, h, w, c]^beta

(Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", §3.3.) Channels beyond the
first and the last count as zeros. Two forms are in use, and weights trained with one do not fit the other:

    "paper"   k = 2, alpha times the sum        (the equation as published)
    "caffe"   k = 1, alpha times the mean, that is alpha/size times the sum        (Caffe, PyTorch, ONNX)

A channel acts on its own output, and through s on that of its neighbours, so with the transposed window

    dx = dout * s^-beta - 2 * alpha * beta * x * (sum over the c' that see c of dout * x * s^(-beta-1))
"""

from typing import NamedTuple

import numpy as np

from minighost.arguments import number, whole
from minighost.engine import check
from minighost.engine.kernels.response import bracket, damp
from minighost.engine.launch import kernel, spans, thread_id, threads
from minighost.engine.memory import empty, workspace
from minighost.type_aliases import Array, Cache

__all__ = [
    "RESPONSE_FORMS",
    "ResponseForm",
    "local_response_norm_backward",
    "local_response_norm_backward_reference",
    "local_response_norm_forward",
    "local_response_norm_forward_reference",
]


class ResponseForm(NamedTuple):
    """What one form means by its numbers: k where none is given, and whether alpha multiplies the mean or the sum."""

    k: float
    mean: bool


RESPONSE_FORMS = {"paper": ResponseForm(2.0, False), "caffe": ResponseForm(1.0, True)}


def response_options(
    op: str, size: int, alpha: float, beta: float, k: float | None, form: str
) -> tuple[int, float, float, float]:
    """Check the numbers: (size, what multiplies the sum, k, beta)."""
    size = whole(op, "size", size, 1)
    alpha, beta = number(op, "alpha", alpha, least=0), number(op, "beta", beta, least=0)
    if form not in RESPONSE_FORMS:
        raise ValueError(f"{op}: form={form!r} is unknown; choose from {', '.join(map(repr, RESPONSE_FORMS))}")
    chosen = RESPONSE_FORMS[form]
    k = number(op, "k", chosen.k if k is None else k, above=0)
    return size, alpha / size if chosen.mean else alpha, k, beta


# The idea ------------------------------------------------------------------------------------------------------


def local_response_norm_forward_reference(
    x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float | None = None, form: str = "paper"
) -> tuple[Array, Cache]:
    """`local_response_norm_forward` in plain NumPy."""
    size, alpha, k, beta = response_options("local_response_norm", size, alpha, beta, k, form)
    s = k + alpha * _window_sums(x**2, size // 2, (size - 1) // 2)
    return x / s**beta, (x, s, size, alpha, beta)


def local_response_norm_backward_reference(dout: Array, cache: Cache) -> Array:
    """`local_response_norm_backward` in plain NumPy."""
    x, s, size, alpha, beta = cache
    through_s = _window_sums(dout * x / s ** (beta + 1), (size - 1) // 2, size // 2)
    return dout / s**beta - 2 * alpha * beta * x * through_s


def _window_sums(x: Array, before: int, after: int) -> Array:
    """Of each channel, the ones `before` it and those `after` it."""
    C = x.shape[-1]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)])
    return np.sum([padded[..., d : d + C] for d in range(before + after + 1)], axis=0)


# The same, compiled --------------------------------------------------------------------------------------------


def local_response_norm_forward(
    x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float | None = None, form: str = "paper"
) -> tuple[Array, Cache]:
    """Divide each channel by a power of its neighbours' energy.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    size : int
        Channels in the window.
    alpha, beta : float
        >= 0.
    k : float, optional
        > 0; by default 2 in the paper's form, 1 in Caffe's.
    form : {"paper", "caffe"}
        Whether alpha multiplies the sum of the squares or their mean over `size` channels.

    Returns
    -------
    out : ndarray, shape and dtype of `x`
    cache : tuple
        For `local_response_norm_backward`: x and s among it.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, or the form is unknown.

    Examples
    --------
    >>> x = np.full((1, 1, 1, 3), 2.0)
    >>> local_response_norm_forward(x, 3, alpha=1.0, beta=1.0)[0].ravel().round(4)  # 2 / (2 + 8), 2 / (2 + 12)
    array([0.2   , 0.1429, 0.2   ])
    """
    size, alpha, k, beta = response_options("local_response_norm", size, alpha, beta, k, form)
    x = check.array("local_response_norm", "x", x, 4)
    numbers = np.array([alpha, k, beta], x.dtype)
    out, s = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    if x.size:
        _forward(check.rows(x), size, numbers, check.rows(s), check.rows(out))
    return out, (x, s, size, numbers)


def local_response_norm_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `local_response_norm_forward`: through each channel itself, and through its neighbours' s."""
    x, s, size, numbers = cache
    dout = check.array("local_response_norm backward", "dout", dout, 4)
    check.shape_is("local_response_norm backward", "dout", dout, x.shape)
    check.same_dtype("local_response_norm backward", dout=dout, x=x)
    dx, n_threads = empty(x.shape, x.dtype), threads().count
    (scratch,) = workspace(x.dtype, (n_threads, x.shape[3]))
    if x.size:
        drows, rows, brackets = check.rows(dout), check.rows(x), check.rows(s)
        _backward(drows, rows, brackets, size, numbers, scratch, check.rows(dx), n_threads=n_threads)
    return dx


@kernel
def _forward(work, x, size, numbers, s, out):
    R, C = x.shape
    for first, last in spans(work, R, C):
        for r in range(first, last):
            bracket(x[r], size // 2, (size - 1) // 2, numbers, s[r])
            damp(x[r], s[r], numbers, out[r])


@kernel
def _backward(work, dout, x, s, size, numbers, scratch, dx):
    (R, C), factor, through_s = x.shape, 2 * numbers[0] * numbers[2], scratch[thread_id(work)]
    for first, last in spans(work, R, C):
        for r in range(first, last):
            damp(dout[r], s[r], numbers, dx[r])
            for c in range(C):
                through_s[c] = dx[r, c] * x[r, c] / s[r, c]
            for d in range(-((size - 1) // 2), size // 2 + 1):
                for c in range(max(0, -d), min(C, C - d)):
                    dx[r, c] -= factor * x[r, c] * through_s[c + d]
