"""Fused dense convolution without im2col: one adding matrix product a tap.

    raw = sum over taps of  (rows under the tap) @ w[tap]          rows (R, C), w[tap] (C, OC)

In the padded plane (`plane`) the pixels under a tap are one stretch for a whole image, not only for a line: row
``i*columns + j`` of it belongs to output (i, j), and the few rows past the end of a line belong to nobody. So a
product needs no copy of its input; it starts at another row of the plane, and adds. Backward it is the same picture:
`dw[tap]` is the product of the rows under the tap and the gradient, and `dx` *gains* gradient times ``w[tap]`` in just
these rows. Where planes are small, too many rows belong to nobody; then those that count are copied together, several
images at a time. A 3x3 kernel between many channels goes to `winograd`.

Letters: C and OC channels of one group, R rows of a tile, B images of a tile.
"""

from typing import NamedTuple

import numpy as np

from minighost.engine.gemm import gemm, transposed
from minighost.engine.geometry import Geometry
from minighost.engine.kernels.deferred import chunks_of, gradient_lines_of, input_gradient, lines_of, period
from minighost.engine.kernels.plane import collect, fill, plane_shape, tap_offsets
from minighost.engine.kernels.tiles import add_up, finish, fold, line_of, multiply_add
from minighost.engine.kernels.winograd import suits, winograd_backward, winograd_forward
from minighost.engine.launch import is_last, kernel, share, thread_id, threads, tile
from minighost.engine.memory import empty, workspace
from minighost.engine.moments import add_moments, close_moments, room_for_moments
from minighost.engine.vectors import copy

__all__ = ["conv_backward", "conv_forward"]


class Taps(NamedTuple):
    """The weights, and where in a flattened plane each tap begins to read."""

    w: np.ndarray  # (KH*KW, C, groups*OC)
    back: np.ndarray  # (KH*KW, groups*OC, C), the same transposed; in a forward w itself
    offsets: np.ndarray  # (KH*KW,), int64
    g: Geometry
    groups: int


class Scratch(NamedTuple):
    """Memory of each thread's own; the first axis counts threads, the second, if it is B, the images of a tile."""

    planes: np.ndarray  # (threads, B, SH, SW, lines, columns*groups*C)
    line: np.ndarray  # (threads, W*groups*C)
    rows: np.ndarray  # (threads, R, groups*C), R = 0 if the rows under a tap are read where they lie
    products: np.ndarray  # (threads, B, OH, columns*groups*OC)
    sums: np.ndarray  # (threads, 3, lanes) forward, (threads, 2, lanes) backward


def conv_forward(deferred, w, g, groups=1, b=None, summing=True):
    """Forward; its twin is `ops.conv2d_forward` after a batch norm and a ReLU.

    Parameters
    ----------
    deferred : Deferred, with (N, H, W, groups*C) and no gate
    w : ndarray, shape (KH, KW, C, groups*OC)
    g : Geometry
    groups : int
    b : ndarray, shape (groups*OC,), optional
    summing : bool
        Whether the statistics are wanted.

    Returns
    -------
    raw : ndarray, shape (N, OH, OW, groups*OC)
    statistics : ndarray, shape (2, groups*OC), float64
        Mean and variance of raw, for `finalize_stats`; without channels if they are not wanted.
    """
    if suits(w.shape, g, groups):
        return winograd_forward(deferred, w, g, b, summing)
    N, OL = len(deferred.raw), g.OW * w.shape[3]
    chunks, out = chunks_of(N, deferred.raw.size), empty((N, g.OH, OL), w.dtype)
    partials, statistics = room_for_moments(chunks if summing else 0, w.shape[3])
    taps, shapes = _prepare(deferred, w, g, groups, chunks, np.asarray)
    scratch = Scratch(*workspace(w.dtype, *shapes, (shapes[0][0], 3, min(OL, period(g.OW, w.shape[3], w.dtype)))))
    bias = w[0, 0, 0, :0] if b is None else np.tile(b, g.OW)
    _forward(chunks, lines_of(deferred), taps, bias, scratch, out, partials, statistics, n_threads=len(scratch.planes))
    return out.reshape(N, g.OH, g.OW, -1), statistics


def conv_backward(gradient, deferred, w, g, groups=1, wanted=True, skip_grad=None, overwrite_skip=False):
    """Backward of `conv_forward`.

    Parameters
    ----------
    gradient : DeferredGradient
    deferred, w, g, groups
        As in the forward.
    wanted : bool
        Whether `dy` is: nobody asks for the gradient with respect to an image.
    skip_grad : ndarray, shape (N, H, W, groups*C), optional
        Gradient that reaches the same activation another way, masked as the activation masks; the result is the sum of
        both.
    overwrite_skip : bool
        Write the result into `skip_grad`.

    Returns
    -------
    dy : ndarray, shape (N, H, W, groups*C)
        Gradient with respect to the activation, masked already if that only lets through or stops (`is_cut`); None
        if it is not wanted.
    sums : ndarray, shape (chunks, 2, groups*C), float64
        For `batch_norm_backward`.
    dw : ndarray, shape of w
    """
    if suits(w.shape, g, groups):
        return winograd_backward(gradient, deferred, w, g, skip_grad, overwrite_skip, wanted)
    # One partial sum of dw a chunk; few of them where the weights are many.
    chunks = min(len(deferred.raw), max(4, min(32, (1 << 24) // w.size)))
    taps, shapes = _prepare(deferred, w, g, groups, chunks, transposed)
    lines, C = lines_of(deferred), deferred.raw.shape[3]
    back = input_gradient(lines, C, chunks, skip_grad, overwrite_skip, wanted)
    dw, lanes = empty(w.shape, w.dtype), (shapes[0][0], 2, back.norm.shape[1])
    sums = chunks, w[..., 0].size, w.shape[3]
    *arrays, dplanes, dws = workspace(w.dtype, *shapes, lanes, shapes[0], sums)
    scratch, d, total = Scratch(*arrays), gradient_lines_of(gradient), dw.reshape(dws.shape[1:])
    _backward(d, lines, taps, scratch, dplanes, back, dws, total, n_threads=len(scratch.planes))
    return back.dx.reshape(deferred.raw.shape) if wanted else None, back.sums, dw


def _taps(w):
    """(KH, KW, C, groups*OC) -> (KH*KW, C, groups*OC)."""
    return w.reshape(-1, *w.shape[2:])


def _prepare(deferred, w, g, groups, chunks, transpose):
    """The taps, and the shapes of all `Scratch` but the sums; `transpose` makes the transposed weights.

    The product has a line of OW pixels and those that belong to nobody; the rows under a tap have none, so where there
    are no rows the tile is not copied together.
    """
    N, H, W, C = deferred.raw.shape
    columns, B, copies = -(-(W + 2 * g.PW) // g.SW), 1, 0
    if g.OH * g.OW < 128 and C >= 128 * groups:
        columns, B, copies = g.OW, min(-(-N // chunks), -(-512 // (g.OH * g.OW))), g.OH * g.OW
    n_threads, plane = threads().count, plane_shape(H, W, C, g, w.dtype)
    products = (n_threads, B, g.OH, columns * w.shape[3])
    shapes = (n_threads, B, *plane), (n_threads, W * C), (n_threads, B * copies, C), products
    taps = _taps(w)
    return Taps(taps, transpose(taps), tap_offsets(plane, g, C), g, groups), shapes


@kernel(flops=lambda a: 2 * a.out.size * a.taps.w.shape[0] * a.taps.w.shape[1])
def _forward(work, chunks, lines, taps, bias, scratch, out, partials, statistics):
    N, g, groups, C, OC = len(out), taps.g, taps.groups, taps.w.shape[1], taps.w.shape[2] // taps.groups
    thread = thread_id(work)
    plane, line, rows = scratch.planes[thread], scratch.line[thread], scratch.rows[thread]
    results, moment, B = scratch.products[thread], scratch.sums[thread], scratch.planes.shape[1]
    plane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        moment[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(lines.x[n + k], lines.norm, lines.act, g, C * groups, line, plane[k])
            product = _product(results, images, g, OC * groups)
            for tap in range(len(taps.w)):
                seen = _seen(plane, len(product), taps.offsets[tap], g, C * groups, rows)
                for k in range(groups):
                    mine, its = slice(k * C, (k + 1) * C), slice(k * OC, (k + 1) * OC)
                    gemm(seen[:, mine], False, taps.w[tap][:, its], tap > 0, product[:, its])
            for k in range(images):
                _crop(results[k], OC * groups, g.OW, bias, out[n + k])
                if len(partials):
                    add_moments(out[n + k].reshape(-1), n + k == first, moment)
        close_moments(work, t, (last - first) * out[0].size, moment, moment.shape[1], partials, statistics)


@kernel(flops=lambda a: (4 if len(a.back.dx) else 2) * a.d.raw.size * len(a.dw))
def _backward(work, d, lines, taps, scratch, dplanes, back, dws, dw):
    N, chunks, g, groups, C, OC = len(d.dy), len(dws), taps.g, taps.groups, taps.w.shape[1], taps.w.shape[2]
    OC, thread = OC // groups, thread_id(work)
    plane, dplane, line, rows = scratch.planes[thread], dplanes[thread], scratch.line[thread], scratch.rows[thread]
    gradients, lane, B = scratch.products[thread], scratch.sums[thread], scratch.planes.shape[1]
    plane[:] = 0
    gradients[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        lane[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            dplane[:] = 0
            for k in range(images):
                fill(lines.x[n + k], lines.norm, lines.act, g, C * groups, line, plane[k])
                _spread(d.dy[n + k], d.raw[n + k], d.coefficients, gradients[k])
            product = _product(gradients, images, g, OC * groups)
            for tap in range(len(taps.w)):
                seen = _seen(plane, len(product), taps.offsets[tap], g, C * groups, rows)
                dseen = seen if len(rows) else _stretch(dplane, len(product), taps.offsets[tap], C * groups)
                for k in range(groups):
                    mine, its = slice(k * C, (k + 1) * C), slice(k * OC, (k + 1) * OC)
                    gemm(seen[:, mine], True, product[:, its], n > first, dws[t, tap * C : (tap + 1) * C, its])
                    if len(back.dx):
                        gemm(product[:, its], False, taps.back[tap][its], len(rows) == 0, dseen[:, mine])
                if len(rows) and len(back.dx):
                    _col2im_add(dseen, taps.offsets[tap], g, C * groups, dplane)
            for k in range(images if len(back.dx) else 0):
                for h in range(lines.x.shape[1]):
                    collect(dplane[k], h, g, C * groups, line)
                    skip = line_of(back.skip, n + k, h)
                    finish(line, lines.x[n + k, h], back.norm, lines.act, skip, lane)
                    copy(line, 0, len(line), back.dx[n + k, h], 0)
        fold(lane, lane.shape[1], back.sums[t])
        if is_last(work, chunks):
            add_up(dws, dw)


@tile
def _product(products, images, g, OC):
    """The rows of the product, from the first output to the last: (R, OC)."""
    B, OH, L = products.shape
    columns = L // OC
    return products.reshape(B * OH * columns, OC)[: (images * OH - 1) * columns + g.OW]


@tile
def _seen(planes, R, offset, g, C, rows):
    """The R rows under a tap: where they lie, or copied together into `rows`."""
    if len(rows) == 0:
        return _stretch(planes, R, offset, C)
    L, flat = g.OW * C, rows.reshape(-1)
    for i in range(R // g.OW):
        copy(_line(planes, i, offset, g, L), 0, L, flat, i * L)
    return rows[:R]


@tile
def _col2im_add(rows, offset, g, C, dplanes):
    """Add the rows to what lies under a tap: the adjoint of copying them together."""
    L, flat = g.OW * C, rows.reshape(-1)
    for i in range(len(rows) // g.OW):
        line = _line(dplanes, i, offset, g, L)
        for c in range(L):
            line[c] += flat[i * L + c]


@tile
def _line(planes, i, offset, g, L):
    """The L numbers under a tap along output line i, counted over all images."""
    plane = planes[i // g.OH]
    first = offset + i % g.OH * plane.shape[3]
    return plane.reshape(-1)[first : first + L]


@tile
def _stretch(planes, R, offset, C):
    """The R rows under a tap in the plane of a tile's only image."""
    return planes[0].reshape(planes[0].size // C, C)[offset // C : offset // C + R]


@tile
def _crop(product, columns, pixels, bias, out):
    """An image's lines without the pixels and columns that belong to nobody, and with the bias."""
    OC = out.shape[1] // pixels
    for i in range(len(out)):
        line = out[i]
        if OC == columns:
            copy(product[i], 0, len(line), line, 0)
        else:
            for k in range(pixels):
                copy(product[i], k * columns, OC, line, k * OC)
        for k in range(len(bias)):
            line[k] += bias[k]


@tile
def _spread(dy, raw, coefficients, product):
    """An image's gradient before its batch norm; the pixels that belong to nobody stay zero."""
    for i in range(len(dy)):
        multiply_add(dy[i], raw[i], coefficients, product[i, : dy.shape[1]])
