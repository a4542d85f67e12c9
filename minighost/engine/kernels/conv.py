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

import numpy as np

from minighost.engine.gemm import gemm
from minighost.engine.kernels.deferred import along, chunks_of
from minighost.engine.kernels.plane import collect, fill, plane_shape, tap_offsets
from minighost.engine.kernels.tiles import add_up, finish, fold, line_of, multiply_add
from minighost.engine.kernels.winograd import suits, winograd_backward, winograd_forward
from minighost.engine.launch import fetch_add, kernel, share, threads, tile
from minighost.engine.memory import empty
from minighost.engine.moments import add_moments, fold_moments, merge_moments, room_for_moments

__all__ = ["conv_backward", "conv_forward"]


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
    chunks, OL = chunks_of(len(deferred.raw), deferred.raw.size), g.OW * w.shape[3]
    out = empty((len(deferred.raw), g.OH, OL), w.dtype)
    partials, statistics = room_for_moments(chunks if summing else 0, w.shape[3])
    padded = _padded(w, groups)
    x, B, begin, planes, *scratch = _prepare(deferred, padded, g, groups, chunks)
    n_threads = len(planes)
    _forward(
        np.zeros(2, np.int64),
        chunks,
        x,
        along(deferred.norm, x.shape[2]),
        _taps(padded),
        w[0, 0, 0, :0] if b is None else np.tile(b, g.OW),
        g,
        groups,
        B,
        begin,
        planes,
        *scratch,
        empty((n_threads, 3, OL), w.dtype),
        out,
        partials,
        statistics,
        n_threads=n_threads,
    )
    return out.reshape(len(x), g.OH, g.OW, -1), statistics


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
        Gradient that reaches the same activation another way, cut as the ReLU cuts; the result is the sum of both.
    overwrite_skip : bool
        Write the result into `skip_grad`.

    Returns
    -------
    dy : ndarray, shape (N, H, W, groups*C)
        Gradient with respect to the activation, zero where the ReLU cut; None if it is not wanted.
    sums : ndarray, shape (chunks, 2, groups*C), float64
        For `batch_norm_backward`.
    dw : ndarray, shape of w
    """
    if suits(w.shape, g, groups):
        dy, sums, dw = winograd_backward(gradient, deferred, w, g, skip_grad, overwrite_skip)
        return dy if wanted else None, sums, dw
    # One partial sum of dw a chunk; few of them where the weights are many.
    chunks = min(len(deferred.raw), max(4, min(32, (1 << 24) // w.size)))
    x, B, begin, planes, *scratch = _prepare(deferred, w, g, groups, chunks)
    (N, _, L), OL, n_threads = x.shape, g.OW * w.shape[3], len(planes)
    norm = along(deferred.norm, L)
    dx = skip_grad.reshape(x.shape) if overwrite_skip else empty(x.shape, w.dtype)
    skip = dx[:0] if skip_grad is None else skip_grad.reshape(x.shape)
    sums, dw = empty((chunks, 2, w.shape[2] * groups), np.float64), empty(w.shape, w.dtype)
    _backward(
        np.zeros(2, np.int64),
        gradient.dy.reshape(N, g.OH, OL),
        gradient.raw.reshape(N, g.OH, OL),
        along(gradient.coefficients, OL),
        x,
        norm,
        _taps(w),
        g,
        groups,
        B,
        begin,
        planes,
        empty(planes.shape, w.dtype),
        *scratch,
        empty((n_threads, 2, norm.shape[1]), w.dtype),
        skip,
        dx if wanted else dx[:0],
        sums,
        empty((chunks, *_taps(w).shape), w.dtype),
        _taps(dw),
        n_threads=n_threads,
    )
    return dx.reshape(deferred.raw.shape) if wanted else None, sums, dw


def _taps(w):
    """(KH, KW, C, groups*OC) -> (KH*KW, C, groups*OC)."""
    return w.reshape(-1, *w.shape[2:])


def _padded(w, groups):
    """With zeros up to 16 columns: products of fewer are added to what is there several times as slowly."""
    return w if groups > 1 or w.shape[3] >= 16 else np.pad(w, [(0, 0)] * 3 + [(0, 16 - w.shape[3])])


def _prepare(deferred, w, g, groups, chunks):
    """Images as lines (N, H, W*C), images per tile, the taps' offsets; each thread's planes, line, rows, product.

    The product has a line of OW pixels and those that belong to nobody; the rows under a tap have none, so where there
    are no rows the tile is not copied together.
    """
    N, H, W, C = deferred.raw.shape
    columns, B, copies = -(-(W + 2 * g.PW) // g.SW), 1, 0
    if g.OH * g.OW < 128 and C >= 128 * groups:
        columns, B, copies = g.OW, min(-(-N // chunks), -(-512 // (g.OH * g.OW))), g.OH * g.OW
    n_threads = threads().count
    plane = plane_shape(H, W, C, g, w.dtype)
    return (
        deferred.raw.reshape(N, H, W * C),
        B,
        tap_offsets(plane, g, C),
        empty((n_threads, B, *plane), w.dtype),
        empty((n_threads, W * C), w.dtype),
        empty((n_threads, B * copies, C), w.dtype),
        empty((n_threads, B, g.OH, columns * w.shape[3]), w.dtype),
    )


@kernel(flops=lambda a: 2 * a.out.size * a.w.shape[0] * a.w.shape[1])
def _forward(
    work,
    counters,
    chunks,
    x,
    norm,
    w,
    bias,
    g,
    groups,
    B,
    tap_offsets,
    planes,
    lines,
    copies,
    products,
    moments,
    out,
    partials,
    statistics,
):
    N, C, OC, thread = len(x), w.shape[1], w.shape[2] // groups, fetch_add(counters)
    plane, line, rows, results, moment = (
        planes[thread],
        lines[thread],
        copies[thread],
        products[thread],
        moments[thread],
    )
    plane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        moment[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(x[n + k], norm, g, C * groups, line, plane[k])
            product = _product(results, images, g, OC * groups)
            for tap in range(len(w)):
                seen = _seen(plane, len(product), tap_offsets[tap], g, C * groups, rows)
                for k in range(groups):
                    mine, its = slice(k * C, (k + 1) * C), slice(k * OC, (k + 1) * OC)
                    gemm(seen[:, mine], False, w[tap][:, its], False, tap > 0, product[:, its])
            for k in range(images):
                _crop(results[k], OC * groups, g.OW, bias, out[n + k])
                if len(partials):
                    add_moments(out[n + k].reshape(-1), n + k == first, moment)
        if len(partials):
            fold_moments((last - first) * g.OH * len(moment[0]), moment, moment.shape[1], partials[t])
            if fetch_add(counters[1:]) == chunks - 1:
                merge_moments(partials, statistics)


@kernel(flops=lambda a: (4 if len(a.dx) else 2) * a.raw.size * a.w.shape[0] * a.w.shape[1])
def _backward(
    work,
    counters,
    dy,
    raw,
    coefficients,
    x,
    norm,
    w,
    g,
    groups,
    B,
    tap_offsets,
    planes,
    dplanes,
    lines,
    copies,
    products,
    lanes,
    skip,
    dx,
    sums,
    dws,
    dw,
):
    (N, H, _), chunks, C, OC, thread = x.shape, len(dws), w.shape[1], w.shape[2] // groups, fetch_add(counters)
    plane, dplane, line, rows = planes[thread], dplanes[thread], lines[thread], copies[thread]  # this thread's own
    gradients, lane = products[thread], lanes[thread]
    plane[:] = 0
    gradients[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        lane[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            dplane[:] = 0
            for k in range(images):
                fill(x[n + k], norm, g, C * groups, line, plane[k])
                _spread(dy[n + k], raw[n + k], coefficients, gradients[k])
            d = _product(gradients, images, g, OC * groups)
            for tap in range(len(w)):
                seen = _seen(plane, len(d), tap_offsets[tap], g, C * groups, rows)
                gains = seen if len(rows) else _stretch(dplane, len(d), tap_offsets[tap], C * groups)
                for k in range(groups):
                    mine, its = slice(k * C, (k + 1) * C), slice(k * OC, (k + 1) * OC)
                    gemm(seen[:, mine], True, d[:, its], False, n > first, dws[t, tap][:, its])
                    if len(dx):
                        gemm(d[:, its], False, w[tap][:, its], True, len(rows) == 0, gains[:, mine])
                if len(rows) and len(dx):
                    _col2im_add(gains, tap_offsets[tap], g, C * groups, dplane)
            for k in range(images if len(dx) else 0):
                for h in range(H):
                    collect(dplane[k], h, g, C * groups, line)
                    finish(line, x[n + k, h], norm, line_of(skip, n + k, h), dx[n + k, h], lane)
        fold(lane, lane.shape[1], sums[t])
        if fetch_add(counters[1:]) == chunks - 1:
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
        line = _line(planes, i, offset, g, L)
        for c in range(L):
            flat[i * L + c] = line[c]
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
            for k in range(len(line)):
                line[k] = product[i, k]
        else:
            _crop_line(product[i], np.uintp(columns), np.uintp(OC), line)
        for k in range(len(bias)):
            line[k] += bias[k]


@tile
def _crop_line(product, columns, OC, line):
    source, target, one = np.uintp(0), np.uintp(0), np.uintp(1)
    for _ in range(len(line) // OC):
        for c in range(OC):
            line[target] = product[source + c]
            target += one
        source += columns


@tile
def _spread(dy, raw, coefficients, product):
    """An image's gradient before its batch norm; the pixels that belong to nobody stay zero."""
    for i in range(len(dy)):
        multiply_add(dy[i], raw[i], coefficients, product[i, : dy.shape[1]])
