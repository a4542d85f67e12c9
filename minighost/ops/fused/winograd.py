"""Winograd's convolution: a 3x3 kernel with 16 multiplications for 4 outputs, where the definition takes 36.

Two neighbouring outputs of a row of three taps share their products if pixels and taps are first added up cleverly.
In two dimensions, for a tile of 2x2 outputs that sees 4x4 pixels x (Lavin & Gray 2016, "Fast algorithms for
convolutional neural networks", §4.1):

    out = A' [ (G w G') * (B' x B) ] A        * element by element, ' transposed

    B' = 1  0 -1  0      G  = 1    0    0       A' = 1  1  1  0
         0  1  1  0           1/2  1/2  1/2          0  1 -1 -1
         0 -1  1  0           1/2 -1/2  1/2
         0  1  0 -1           0    0    1

Over channels each of the 16 products is a matrix product, (tiles, C) @ (C, OC). Backward is the adjoint, step by step.
Rounding errors are a little larger than the definition's, and an infinity or NaN reaches every output of its tiles,
also those that do not see it.

The pixels come from the padded plane with even and odd columns apart (`plane`, as for a stride of 2), so that every
row of B' or A' is an addition of long stretches of memory: all tiles of a line at once.

Letters: TH, TW tiles in a column and in a line; B images at a time.
"""

import numpy as np

from minighost.ops.buffers import empty, zeros
from minighost.ops.engine import kernel, share, tile
from minighost.ops.fused.pending import along
from minighost.ops.fused.plane import collect, deal, fill, gather
from minighost.ops.fused.tiles import add_moments, finish, fold, fold_moments, multiply_add
from minighost.ops.gemm import gemm

__all__ = ["suits", "winograd_backward", "winograd_forward", "winograd_forward_reference"]

_B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float64)  # B'
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float64)  # A'


def winograd_forward_reference(x, w, padding=1):
    """The formula above in NumPy: (N, H, W, C), (3, 3, C, OC) -> (N, OH, OW, OC)."""
    OH, OW = (size + 2 * padding - 2 for size in x.shape[1:3])
    x = np.pad(x, [(0, 0), (padding, padding + OH % 2), (padding, padding + OW % 2), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (4, 4), (1, 2))[:, ::2, ::2]  # (N, TH, TW, C, 4, 4)
    seen = np.einsum("ap,nijcpq,bq->nijcab", _B, windows, _B)
    taps = np.einsum("au,uvco,bv->abco", _G, w, _G)
    out = np.einsum("ra,sb,nijabo->nirjso", _A, _A, np.einsum("nijcab,abco->nijabo", seen, taps))
    N, TH, _, TW, _, OC = out.shape
    return out.reshape(N, 2 * TH, 2 * TW, OC)[:, :OH, :OW]


def suits(w, g, groups):
    """Whether a convolution is one for this kernel, and wide enough for the additions to pay."""
    KH, KW, C, OC = w.shape
    ones = (g.SH, g.SW, g.DH, g.DW) == (1, 1, 1, 1)
    return (KH, KW) == (3, 3) and ones and groups == 1 and min(C, OC) >= 32 and min(g.OH, g.OW) >= 4


def winograd_forward(pending, w, g, b=None, summing=True):
    """Forward; parameters and results as for `conv_forward`."""
    x, B, planes, line, rows, seen, product = _prepare(pending, w, g, 32)
    chunks, OC = len(planes), w.shape[3]
    out, sums = empty((len(x), g.OH, g.OW * OC), w.dtype), np.zeros((chunks if summing else 0, 2, OC))
    moments = zeros((len(sums), 3, g.OW * OC), w.dtype)
    bias = w[0, 0, 0, :0] if b is None else np.tile(b, g.OW)
    phases = empty((chunks, 2, 4, rows.shape[3] // w.shape[2] * OC), w.dtype)
    _forward(
        x, along(pending.affine, x.shape[2]), _transformed(w), bias, g._replace(SW=2), g._replace(SW=2, PW=0), B,
        planes, line, rows, seen, product, phases, moments, out, sums,
    )  # fmt: skip
    return out.reshape(len(x), g.OH, g.OW, OC), sums


def winograd_backward(gradient, pending, w, g):
    """Backward; parameters and results as for `conv_backward`; `dy` is always computed."""
    x, B, planes, line, rows, seen, product = _prepare(pending, w, g, max(4, min(32, (1 << 23) // w.size)))
    (N, _, L), OL, C, chunks = x.shape, g.OW * w.shape[3], w.shape[2], len(planes)
    dx, affine = empty(x.shape, w.dtype), along(pending.affine, L)
    lanes, sums = zeros((chunks, 2, affine.shape[1]), w.dtype), np.zeros((chunks, 2, C))
    dws = empty((chunks, 16, C, w.shape[3]), w.dtype)
    TH, TW = -(-g.OH // 2), -(-g.OW // 2)
    dplanes = zeros((chunks, 1, 2, 2 * TH, TW * w.shape[3]), w.dtype)
    drows, dline = empty((chunks, 4, 2, TW * w.shape[3]), w.dtype), empty((chunks, OL), w.dtype)
    _backward(
        gradient.dy.reshape(N, g.OH, OL), gradient.raw.reshape(N, g.OH, OL), along(gradient.affine, OL), x, affine,
        _transformed(w), g._replace(SW=2), g._replace(SW=2, PH=0, PW=0), B, planes, dplanes, line, dline, rows, drows,
        seen, product, lanes, dx, sums, dws,
    )  # fmt: skip
    dw = dws.sum(0).reshape(4, 4, -1)
    dw = np.einsum("au,abk,bv->uvk", _G.astype(w.dtype), dw, _G.astype(w.dtype), optimize=True)
    return dx.reshape(pending.raw.shape), sums, np.ascontiguousarray(dw).reshape(w.shape)


def _transformed(w):
    """G w G', shape (16, C, OC)."""
    G = _G.astype(w.dtype)
    first = (G @ w.reshape(3, -1)).reshape(4, 3, -1)  # over the lines of the kernel
    return np.ascontiguousarray(np.einsum("bv,avk->abk", G, first, optimize=True)).reshape(16, *w.shape[2:])


def _prepare(pending, w, g, most):
    """Images as lines, images at a time; per chunk (there are at most so many) a plane, a line, B'x, B'xB, products."""
    (N, H, W, C), OC = pending.raw.shape, w.shape[3]
    TH, TW = -(-g.OH // 2), -(-g.OW // 2)
    B = min(N, -(-(256 if C * OC > 1 << 14 else 128) // (TH * TW)))  # more rows for weights that fill a cache
    chunks = min(most, -(-N // B))
    return (
        pending.raw.reshape(N, H, W * C), B, zeros((chunks, 1, 2, 2 * TH + 2, (TW + 1) * C), w.dtype),
        empty((chunks, W * C), w.dtype), empty((chunks, 4, 2, (TW + 1) * C), w.dtype),
        empty((chunks, 16, B * TH, TW * C), w.dtype), empty((chunks, 16, B * TH, TW * OC), w.dtype),
    )  # fmt: skip


@kernel
def _forward(work, x, affine, w, bias, g, gout, B, planes, lines, rows, seen, products, phases, moments, out, sums):
    N, chunks, TH = len(x), len(planes), (g.OH + 1) // 2
    C, OC = w.shape[1], w.shape[2]
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(x[n + k], affine, g, C, lines[t], planes[t])
                _look(planes[t, 0], rows[t], C, k * TH, seen[t])
            for k in range(16):
                a, y = _as_rows(seen[t, k], images * TH, C), _as_rows(products[t, k], images * TH, OC)
                gemm(a, False, w[k], False, False, y)
            for k in range(images):
                _write(products[t], k * TH, phases[t], gout, OC, bias, out[n + k])
                if len(sums):
                    add_moments(out[n + k].reshape(-1), n + k == first, moments[t])
        if len(sums):
            fold_moments((last - first) * g.OH * moments.shape[2], moments[t], sums[t])


@kernel
def _backward(
    work, dy, raw, daffine, x, affine, w, g, gout, B, planes, dplanes, lines, dlines, rows, drows,
    seen, products, lanes, dx, sums, dws,
):  # fmt: skip
    N, H, chunks, TH = len(x), x.shape[1], len(planes), (g.OH + 1) // 2
    C, OC = w.shape[1], w.shape[2]
    for t in share(work, chunks):
        first, last, plane = t * N // chunks, (t + 1) * N // chunks, planes[t]
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(x[n + k], affine, g, C, lines[t], plane)
                _look(plane[0], rows[t], C, k * TH, seen[t])
                _read(dy[n + k], raw[n + k], daffine, dlines[t], dplanes[t], drows[t], gout, OC, k * TH, products[t])
            for k in range(16):
                a, d = _as_rows(seen[t, k], images * TH, C), _as_rows(products[t, k], images * TH, OC)
                gemm(a, True, d, False, n > first, dws[t, k])
                gemm(d, False, w[k], True, False, a)  # what was seen has done its duty: its gradient takes its place
            for k in range(images):
                plane[:] = 0
                _give_back(seen[t], k * TH, rows[t], C, plane[0])
                for h in range(H):
                    collect(plane, h, g, C, lines[t])
                    finish(lines[t], x[n + k, h], affine, False, dx[n + k, h], lanes[t])
            plane[:] = 0
        fold(lanes[t, 0], lanes[t, 1], sums[t])


@tile
def _as_rows(lines, count, C):
    """The tiles of so many lines as rows of C channels."""
    return lines[:count].reshape(count * (lines.shape[1] // C), C)


@tile
def _look(plane, rows, C, first, seen):
    """B' x B of an image, tile line by tile line; `plane` is (2, lines, columns*C)."""
    L = seen.shape[2]
    for i in range(plane.shape[1] // 2 - 1):
        for p in range(2):
            x0, x1, x2, x3 = plane[p, 2 * i], plane[p, 2 * i + 1], plane[p, 2 * i + 2], plane[p, 2 * i + 3]
            _subtract(x0, x2, rows[0, p])
            _add(x1, x2, rows[1, p])
            _subtract(x2, x1, rows[2, p])
            _subtract(x1, x3, rows[3, p])
        for a in range(4):
            even, odd = rows[a, 0], rows[a, 1]
            _subtract(even[:L], even[C:], seen[4 * a, first + i])
            _add(odd[:L], even[C:], seen[4 * a + 1, first + i])
            _subtract(even[C:], odd[:L], seen[4 * a + 2, first + i])
            _subtract(odd[:L], odd[C:], seen[4 * a + 3, first + i])


@tile
def _give_back(seen, first, rows, C, plane):
    """The adjoint of `_look`: B X B' added to the plane."""
    L = seen.shape[2]
    for i in range(plane.shape[1] // 2 - 1):
        for a in range(4):
            even, odd = rows[a, 0], rows[a, 1]
            X0, X1 = seen[4 * a, first + i], seen[4 * a + 1, first + i]
            X2, X3 = seen[4 * a + 2, first + i], seen[4 * a + 3, first + i]
            even[L:] = 0
            odd[L:] = 0
            for k in range(L):
                even[k] = X0[k]
            for k in range(L):
                odd[k] = X1[k] - X2[k] + X3[k]
            behind = even[C:]
            for k in range(L):
                behind[k] += X1[k] + X2[k] - X0[k]
            behind = odd[C:]
            for k in range(L):
                behind[k] -= X3[k]
        for p in range(2):
            r0, r1, r2, r3 = rows[0, p], rows[1, p], rows[2, p], rows[3, p]
            x0, x1, x2, x3 = plane[p, 2 * i], plane[p, 2 * i + 1], plane[p, 2 * i + 2], plane[p, 2 * i + 3]
            for k in range(len(x0)):
                x0[k] += r0[k]
            for k in range(len(x1)):
                x1[k] += r1[k] - r2[k] + r3[k]
            for k in range(len(x2)):
                x2[k] += r1[k] + r2[k] - r0[k]
            for k in range(len(x3)):
                x3[k] -= r3[k]


@tile
def _write(products, first, phases, g, OC, bias, out):
    """A' Y A of an image into its output lines."""
    for i in range((len(out) + 1) // 2):
        for b in range(4):
            Y0, Y1 = products[b, first + i], products[4 + b, first + i]
            Y2, Y3 = products[8 + b, first + i], products[12 + b, first + i]
            up, down = phases[0, b], phases[1, b]
            for k in range(len(Y0)):
                up[k] = Y0[k] + Y1[k] + Y2[k]
            for k in range(len(Y0)):
                down[k] = Y1[k] - Y2[k] - Y3[k]
        for r in range(min(2, len(out) - 2 * i)):
            u0, u1, u2, u3 = phases[r, 0], phases[r, 1], phases[r, 2], phases[r, 3]
            for k in range(len(u0)):
                v0, v1, v2, v3 = u0[k], u1[k], u2[k], u3[k]
                u0[k], u1[k] = v0 + v1 + v2, v1 - v2 - v3
            gather(phases[r], g, OC, out[2 * i + r])
            for k in range(len(bias)):
                out[2 * i + r, k] += bias[k]


@tile
def _read(dy, raw, affine, line, dplane, rows, g, OC, first, products):
    """The adjoint of `_write`: A dy A' of an image."""
    for i in range(len(dy)):
        multiply_add(dy[i], raw[i], affine, line)
        deal(line, dplane[0, :, i], g, OC)
    for i in range((len(dy) + 1) // 2):
        for p in range(2):
            d0, d1 = dplane[0, p, 2 * i], dplane[0, p, 2 * i + 1]
            r0, r3 = rows[0, p], rows[3, p]
            for k in range(len(d0)):
                r0[k] = d0[k]
            _add(d0, d1, rows[1, p])
            _subtract(d0, d1, rows[2, p])
            for k in range(len(d1)):
                r3[k] = -d1[k]
        for a in range(4):
            even, odd = rows[a, 0], rows[a, 1]
            Y0, Y3 = products[4 * a, first + i], products[4 * a + 3, first + i]
            for k in range(len(even)):
                Y0[k] = even[k]
            _add(even, odd, products[4 * a + 1, first + i])
            _subtract(even, odd, products[4 * a + 2, first + i])
            for k in range(len(odd)):
                Y3[k] = -odd[k]


@tile
def _add(a, b, out):
    for k in range(len(out)):
        out[k] = a[k] + b[k]


@tile
def _subtract(a, b, out):
    for k in range(len(out)):
        out[k] = a[k] - b[k]
