"""A depthwise convolution with a channel multiplier M is one without, of an input that has every channel M times.

Output channel ``c*M + m`` comes from input channel c. The copies are of the raw numbers, so that whatever is still to
be done to them is done to each copy on its way into the convolution. Letters: R rows of C channels.
"""

import numpy as np

from minighost.engine.kernels.deferred import Deferred
from minighost.engine.launch import kernel, spans
from minighost.engine.memory import empty

__all__ = ["repeat_channels", "sum_repeated"]


def repeat_channels(deferred, M):
    """Every channel M times over.

    Parameters
    ----------
    deferred : Deferred, with (N, H, W, C) and no gate
    M : int

    Returns
    -------
    Deferred, with (N, H, W, C*M); with M = 1 the same one.
    """
    x, C = deferred.raw, deferred.raw.shape[3]
    if M == 1:
        return deferred
    out = empty((*x.shape[:3], C * M), x.dtype)
    _repeat(x.reshape(-1, C), M, out.reshape(-1, C * M))
    return Deferred(out, np.repeat(deferred.norm, M, axis=1), deferred.act, out[:0, 0, 0])


def sum_repeated(dy, M):
    """The adjoint of `repeat_channels`: (N, H, W, C*M) -> (N, H, W, C), the gradients of a channel's copies added."""
    if M == 1:
        return dy
    C = dy.shape[3] // M
    out = empty((*dy.shape[:3], C), dy.dtype)
    _sum(dy.reshape(-1, C * M), M, out.reshape(-1, C))
    return out


@kernel
def _repeat(work, x, M, out):
    R, C = x.shape
    for first, last in spans(work, R, C * M):
        for r in range(first, last):
            for c in range(C):
                for m in range(M):
                    out[r, c * M + m] = x[r, c]


@kernel
def _sum(work, dy, M, out):
    R, C = out.shape
    for first, last in spans(work, R, C * M):
        for r in range(first, last):
            for c in range(C):
                total = dy[r, c * M]
                for m in range(1, M):
                    total += dy[r, c * M + m]
                out[r, c] = total
