"""Where a fused stretch of a network ends: the waiting activation is normalised, the arriving gradient is cut.

Their plain twin is `ops.batch_norm`, whose sums are taken elsewhere: forward's by the convolution that made the
activation, backward's here on the way.
"""

import numpy as np

from minighost.engine.kernels.pending import along, chunks_of
from minighost.engine.kernels.tiles import finish, fold, normalise
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty, zeros

__all__ = ["cut", "settle"]


def settle(pending):
    """Normalise what waits.

    Parameters
    ----------
    pending : Pending, with (N, H, W, C), batch norm and no gate

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    """
    N, H, W, C = pending.raw.shape
    out = empty(pending.raw.shape, pending.raw.dtype)
    lines = (a.reshape(N * H, W * C) for a in (pending.raw, out))
    _settle(*lines, along(pending.affine, W * C), chunks_of(N * H, out.size))
    return out


def cut(dout, pending):
    """Backward of `settle`.

    Parameters
    ----------
    dout : ndarray, shape (N, H, W, C)
    pending : Pending

    Returns
    -------
    dy : ndarray, shape (N, H, W, C)
        `dout`, zero where the ReLU cut.
    sums : ndarray, shape (chunks, 2, C), float64
        For `pass_back`.
    """
    N, H, W, C = dout.shape
    chunks, dy = chunks_of(N * H, dout.size), empty(dout.shape, dout.dtype)
    lanes, sums = zeros((chunks, 2, W * C), dout.dtype), empty((chunks, 2, C), np.float64)
    lines = (a.reshape(N * H, W * C) for a in (dout, pending.raw, dy))
    _cut(*lines, along(pending.affine, W * C), lanes, sums)
    return dy, sums


@kernel
def _settle(work, x, out, affine, chunks):
    R = len(x)
    for t in share(work, chunks):
        for r in range(t * R // chunks, (t + 1) * R // chunks):
            normalise(x[r], affine[0], affine[1], affine[3, 0], out[r])


@kernel
def _cut(work, dout, x, dy, affine, lanes, sums):
    R, chunks = len(x), len(sums)
    for t in share(work, chunks):
        for r in range(t * R // chunks, (t + 1) * R // chunks):
            finish(dout[r], x[r], affine, False, dy[r], lanes[t])
        fold(lanes[t], sums[t])
