"""Where a fused stretch of a network ends: what waits is computed, and the arriving gradient goes back through it.

Their plain twin is `ops.batch_norm`, whose sums are taken elsewhere: forward's by the convolution that made the
activation, backward's here on the way.
"""

import numpy as np

from minighost.engine.kernels.deferred import along, chunks_of, period
from minighost.engine.kernels.tiles import finish, fold, normalise
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty, zeros
from minighost.engine.vectors import copy

__all__ = ["activation_backward", "materialize"]


def materialize(deferred):
    """Compute what waits.

    Parameters
    ----------
    deferred : Deferred, with (N, H, W, C), batch norm and no gate

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    """
    N, H, W, C = deferred.raw.shape
    out = empty(deferred.raw.shape, deferred.raw.dtype)
    x, y = (a.reshape(N * H, W * C) for a in (deferred.raw, out))
    _materialize(x, y, along(deferred.norm, period(W, C, out.dtype)), deferred.act, chunks_of(N * H, out.size))
    return out


def activation_backward(dout, deferred):
    """Backward of `materialize`.

    Parameters
    ----------
    dout : ndarray, shape (N, H, W, C)
    deferred : Deferred

    Returns
    -------
    dy : ndarray, shape (N, H, W, C)
        Gradient with respect to batch norm's result.
    sums : ndarray, shape (chunks, 2, C), float64
        For `batch_norm_backward`.
    """
    N, H, W, C = dout.shape
    chunks, dy = chunks_of(N * H, dout.size), empty(dout.shape, dout.dtype)
    norm, sums = along(deferred.norm, period(W, C, dout.dtype)), empty((chunks, 2, C), np.float64)
    lanes = zeros((chunks, 2, norm.shape[1]), dout.dtype)
    d, x, dx = (a.reshape(N * H, W * C) for a in (dout, deferred.raw, dy))
    _activation_backward(d, x, dx, norm, deferred.act, lanes, sums)
    return dy, sums


@kernel
def _materialize(work, x, out, norm, act, chunks):
    R = len(x)
    for t in share(work, chunks):
        for r in range(t * R // chunks, (t + 1) * R // chunks):
            normalise(x[r], norm, act, out[r])


@kernel
def _activation_backward(work, dout, x, dy, norm, act, lanes, sums):
    R, chunks = len(x), len(sums)
    for t in share(work, chunks):
        for r in range(t * R // chunks, (t + 1) * R // chunks):
            copy(dout[r], 0, x.shape[1], dy[r], 0)
            finish(dy[r], x[r], norm, act, dout[r, :0], lanes[t])
        fold(lanes[t], lanes[t].shape[1], sums[t])
