"""The sum that ends a residual block: a branch that waits for its batch norm, its shortcut, and the ReLU after both.

    out = max(scale*x + shift + shortcut, 0)          (He et al. 2016, eq. 1 and figure 2)

Backward, where the ReLU let through, the gradient of the sum is that of both branches; one visit to every number yields
it, and what each branch's batch norm needs.
"""

import numpy as np

from minighost.engine.kernels.deferred import along, chunks_of
from minighost.engine.kernels.tiles import add_moment, fold
from minighost.engine.launch import kernel, share, tile
from minighost.engine.memory import empty, zeros

__all__ = ["add_relu_backward", "add_relu_forward"]


def add_relu_forward(branch, shortcut):
    """``relu(branch + shortcut)``, both normalised.

    Parameters
    ----------
    branch : Deferred, shape (N, H, W, C), with batch norm, without ReLU or gate
    shortcut : Deferred, shape (N, H, W, C), without ReLU or gate

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    """
    out = empty(branch.raw.shape, branch.raw.dtype)
    x, short, lines = (_lines(a) for a in (branch.raw, shortcut.raw, out))
    _forward(x, _along(branch, x), short, _along(shortcut, x), chunks_of(len(x), out.size), lines)
    return out


def add_relu_backward(dout, out, branch, shortcut):
    """Backward of `add_relu_forward`.

    Parameters
    ----------
    dout, out : ndarray, shape (N, H, W, C)
    branch, shortcut
        As in the forward.

    Returns
    -------
    dy : ndarray, shape (N, H, W, C)
        Of the branch and of the shortcut: `dout`, zero where the ReLU cut.
    sums, short : ndarray, shape (chunks, 2, C), float64
        Of the branch and of the shortcut, for `batch_norm_backward`; the latter's mean nothing if it has no batch norm.
    """
    dy, x = empty(dout.shape, dout.dtype), _lines(branch.raw)
    (R, L), C = x.shape, dout.shape[3]
    chunks = chunks_of(R, dout.size)
    lanes, sums = zeros((chunks, 3, L), dout.dtype), empty((chunks, 3, C), np.float64)
    _backward(
        _lines(dout),
        _lines(out),
        x,
        _along(branch, x),
        _lines(shortcut.raw),
        _along(shortcut, x),
        lanes,
        _lines(dy),
        sums,
    )
    return dy, sums[:, :2], sums[:, ::2]


def _lines(x):
    """(N, H, W, C) -> (N*H, W*C)."""
    N, H, W, C = x.shape
    return x.reshape(N * H, W * C)


def _along(deferred, lines):
    return along(deferred.norm, lines.shape[1])


@kernel
def _forward(work, x, norm, short, short_norm, chunks, out):
    R = len(x)
    for t in share(work, chunks):
        for r in range(t * R // chunks, (t + 1) * R // chunks):
            _add(x[r], norm, short[r], short_norm, out[r])


@tile
def _add(x, norm, short, short_norm, out):
    scale, shift, zero = norm[0], norm[1], x.dtype.type(0)
    if short_norm.shape[1] == 0:
        for k in range(len(x)):
            y = x[k] * scale[k] + shift[k] + short[k]
            out[k] = zero if y <= zero else y
    else:
        short_scale, short_shift = short_norm[0], short_norm[1]
        for k in range(len(x)):
            y = x[k] * scale[k] + shift[k] + (short[k] * short_scale[k] + short_shift[k])
            out[k] = zero if y <= zero else y


@kernel
def _backward(work, dout, out, x, norm, short, short_norm, lanes, dy, sums):
    R, chunks = len(x), len(sums)
    for t in share(work, chunks):
        for r in range(t * R // chunks, (t + 1) * R // chunks):
            _cut(dout[r], out[r], x[r], norm[2], lanes[t], dy[r])
            if short_norm.shape[1]:
                add_moment(dy[r], short[r], short_norm[2], lanes[t, 2])
        fold(lanes[t], lanes[t].shape[1], sums[t])


@tile
def _cut(dout, out, x, mean, lanes, dy):
    zero, total, moment = dout.dtype.type(0), lanes[0], lanes[1]
    for k in range(len(dout)):
        d = zero if out[k] <= zero else dout[k]
        s, m = total[k] + d, moment[k] + d * (x[k] - mean[k])
        dy[k], total[k], moment[k] = d, s, m
