"""Squeeze-and-excitation on deferred activations: the mean over the plane, and the backward of the gate.

Forward, the gate needs no kernel: it is stored in the `Deferred`, and the kernel that reads the activation multiplies
by it (Hu et al. 2018, "Squeeze-and-excitation networks", eq. 2 and 4). Letters: K = H*W pixels of a plane.
"""

import numpy as np

from minighost.engine.activations import gradient, value
from minighost.engine.kernels.deferred import chunks_of
from minighost.engine.kernels.tiles import fold
from minighost.engine.launch import kernel, share, tile
from minighost.engine.memory import empty, zeros

__all__ = ["gate_backward", "plane_mean"]


def plane_mean(deferred):
    """Mean of the normalised activation over H and W.

    Parameters
    ----------
    deferred : Deferred, with (N, H, W, C)

    Returns
    -------
    mean : ndarray, shape (N, C)
    """
    N, _, _, C = deferred.raw.shape
    out = empty((N, C), deferred.raw.dtype)
    _plane_mean(deferred, out)
    return out


def gate_backward(dy, dmean, deferred):
    """From the gradient after the gate to the gradient before the activation.

    An activation matters twice: as what is gated, and through its plane's mean as what decides the gate.

    Parameters
    ----------
    dy : ndarray, shape (N, H, W, C)
        From `pointwise_backward`; overwritten.
    dmean : ndarray, shape (N, C)
        Gradient with respect to `plane_mean`.
    deferred : Deferred

    Returns
    -------
    dy : ndarray, shape (N, H, W, C)
        ``gate*dy + dmean/(H*W)``, through the activation.
    sums : ndarray, shape (chunks, 2, C), float64
        For `batch_norm_backward`.
    """
    N, H, W, C = dy.shape
    chunks = chunks_of(N, dy.size)
    totals, sums = zeros((chunks, 2, C), dy.dtype), empty((chunks, 2, C), np.float64)
    _gate_backward(dy, dmean / dy.dtype.type(H * W), deferred, totals, sums)
    return dy, sums


@kernel
def _plane_mean(work, p, out):
    N, H, W, C = p.raw.shape
    K = H * W
    rows = p.raw.reshape(N * K, C)
    scale, shift = p.norm[0], p.norm[1]
    for n in share(work, N):
        mean = out[n]
        mean[:] = 0
        for r in range(n * K, (n + 1) * K):
            for c in range(C):
                mean[c] += value(p.act, rows[r, c] * scale[c] + shift[c])
        for c in range(C):
            mean[c] /= K


@kernel
def _gate_backward(work, dy, dmean, p, totals, sums):
    N, H, W, C = dy.shape
    K, chunks = H * W, len(totals)
    rows, drows = p.raw.reshape(N * K, C), dy.reshape(N * K, C)
    for t in share(work, chunks):
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            _through_gate(p, rows, n, dmean[n], drows, totals[t, 0], totals[t, 1])
        fold(totals[t], totals[t].shape[1], sums[t])


@tile
def _through_gate(p, x, n, dmean, dy, total, moment):
    """The rows of image n; whole arrays and an index, for a slice per row would cost more than the row."""
    scale, shift, mean, gate, K = p.norm[0], p.norm[1], p.norm[2], p.gate[n], p.raw.shape[1] * p.raw.shape[2]
    for r in range(n * K, (n + 1) * K):
        for c in range(x.shape[1]):
            d = gradient(p.act, x[r, c] * scale[c] + shift[c], dy[r, c] * gate[c] + dmean[c])
            dy[r, c] = d
            total[c] += d
            moment[c] += d * (x[r, c] - mean[c])
