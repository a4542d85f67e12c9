"""Winograd's convolution: a 3x3 kernel with 36 multiplications for 16 outputs, where the definition takes 144.

Neighbouring outputs of a row of three taps share their products if pixels and taps are first added up cleverly. In two
dimensions, for a tile of 4x4 outputs that sees 6x6 pixels x (Lavin & Gray 2016, "Fast algorithms for convolutional
neural networks", §4.2; it is polynomial multiplication at the points 0, 1, -1, 2, -2 and infinity):

    out = A' [ (G w G') * (B' x B) ] A        * element by element, ' transposed

    B' = 4  0 -5  0  1  0      G  =  1/4    0    0       A' = 1  1  1  1  1  0
         0 -4 -4  1  1  0           -1/6 -1/6 -1/6            0  1 -1  2 -2  0
         0  4 -4 -1  1  0           -1/6  1/6 -1/6            0  1  1  4  4  0
         0 -2 -1  2  1  0           1/24 1/12  1/6            0  1 -1  8 -8  1
         0  2 -1 -2  1  0           1/24 -1/12 1/6
         0  4  0 -5  0  1             0    0    1

Over channels each of the 36 products is a matrix product, (tiles, C) @ (C, OC). Backward is the adjoint, step by step.
Rounding errors are larger than the definition's: in single precision about 1e-5 of the largest result, where it has
3e-7. An infinity or NaN reaches every output of its tiles, also those that do not see it.

The pixels come from the padded plane with every fourth column together (`plane`, as for a stride of 4), so that every
row of B' or A' is a sum of long stretches of memory: all tiles of a line at once.

Letters: TH, TW tiles in a column and in a line; B images at a time.
"""

import numpy as np

from minighost.engine.gemm import gemm, transposed
from minighost.engine.kernels.deferred import along
from minighost.engine.kernels.plane import collect, deinterleave, fill, interleave
from minighost.engine.kernels.tiles import finish, fold, line_of, multiply_add
from minighost.engine.kernels.winograd_sums import (
    OUTPUTS,
    PIXELS,
    input_transform_lines,
    input_transform_lines_backward,
    output_transform_lines,
    output_transform_lines_backward,
    taps_backward,
    taps_forward,
    taps_forward_reference,
)
from minighost.engine.launch import fetch_add, kernel, share, threads, tile
from minighost.engine.memory import empty, zeros
from minighost.engine.moments import add_moments, fold_moments, merge_moments, room_for_moments

__all__ = [
    "input_transform",
    "suits",
    "tiles_at_a_time",
    "winograd_backward",
    "winograd_forward",
    "winograd_forward_reference",
    "output_transform",
]


def winograd_forward_reference(x, w, padding=1):
    """The formula above in NumPy: (N, H, W, C), (3, 3, C, OC) -> (N, OH, OW, OC)."""
    OH, OW = (size + 2 * padding - 2 for size in x.shape[1:3])
    x = np.pad(x, [(0, 0), (padding, padding + -OH % 4), (padding, padding + -OW % 4), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (6, 6), (1, 2))[:, ::4, ::4]  # (N, TH, TW, C, 6, 6)
    seen = np.einsum("ap,nijcpq,bq->nijcab", PIXELS, windows, PIXELS)
    taps = taps_forward_reference(w).reshape(6, 6, *w.shape[2:])
    out = np.einsum("ra,sb,nijabo->nirjso", OUTPUTS, OUTPUTS, np.einsum("nijcab,abco->nijabo", seen, taps))
    N, TH, _, TW, _, OC = out.shape
    return out.reshape(N, 4 * TH, 4 * TW, OC)[:, :OH, :OW]


def suits(shape, g, groups):
    """Whether a convolution with weights of this shape is one for this kernel, and wide enough for it to pay."""
    KH, KW, C, OC = shape
    ones = (g.SH, g.SW, g.DH, g.DW) == (1, 1, 1, 1)
    return (KH, KW) == (3, 3) and ones and groups == 1 and min(C, OC) >= 16 and min(g.OH, g.OW) >= 3


def tiles_at_a_time(C, OC):
    """Rows of each of the 36 products: more for weights that fill a cache, for they are read once for all of them."""
    return 256 if C * OC > 1 << 14 else 64


def winograd_forward(deferred, w, g, b=None, summing=True):
    """Forward; parameters and results as for `conv_forward`."""
    x, B, chunks, counters, planes, line, rows, seen, products = _prepare(deferred, w, g, 32)
    n_threads, DL, OC = len(planes), products.shape[3], w.shape[3]
    out = empty((len(x), g.OH, g.OW * OC), w.dtype)
    partials, statistics = room_for_moments(chunks if summing else 0, OC)
    bias = w[0, 0, 0, :0] if b is None else np.tile(b, g.OW)
    _forward(
        counters,
        x,
        along(deferred.norm, x.shape[2]),
        taps_forward(w),
        bias,
        g._replace(SW=4),
        g._replace(SW=4, PW=0),
        B,
        chunks,
        planes,
        line,
        rows,
        seen,
        products,
        empty((n_threads, 6, 4, DL), w.dtype),
        empty((n_threads, 4, DL), w.dtype),
        empty((n_threads, 3, g.OW * OC), w.dtype),
        out,
        partials,
        statistics,
        n_threads=n_threads,
    )
    return out.reshape(len(x), g.OH, g.OW, OC), statistics


def winograd_backward(gradient, deferred, w, g, skip_grad=None, overwrite_skip=False):
    """Backward; parameters and results as for `conv_backward`, but that the gradient is always wanted."""
    most = max(4, min(32, (1 << 22) // w.size))
    x, B, chunks, counters, planes, line, rows, seen, products = _prepare(deferred, w, g, most)
    (N, _, L), OL, C, n_threads, DL = x.shape, g.OW * w.shape[3], w.shape[2], len(planes), products.shape[3]
    dx = skip_grad.reshape(x.shape) if overwrite_skip else empty(x.shape, w.dtype)
    skip = dx[:0] if skip_grad is None else skip_grad.reshape(x.shape)
    norm, dws = along(deferred.norm, L), empty((chunks, 36, C, w.shape[3]), w.dtype)
    lanes, sums = empty((n_threads, 2, norm.shape[1]), w.dtype), empty((chunks, 2, C), np.float64)
    w, transpose = transposed(w)
    _backward(
        counters,
        gradient.dy.reshape(N, g.OH, OL),
        gradient.raw.reshape(N, g.OH, OL),
        along(gradient.coefficients, OL),
        x,
        norm,
        taps_forward(w),
        transpose,
        g._replace(SW=4),
        g._replace(SW=4, PW=0),
        B,
        planes,
        zeros((n_threads, 4, -(-g.OH // 4) * 4, DL), w.dtype),
        line,
        empty((n_threads, OL), w.dtype),
        rows,
        empty((n_threads, 6, 4, DL), w.dtype),
        seen,
        products,
        lanes,
        skip,
        dx,
        sums,
        dws,
        n_threads=n_threads,
    )
    return dx.reshape(deferred.raw.shape), sums, taps_backward(dws)


def _prepare(deferred, w, g, most):
    """Images as lines, images at a time, chunks; then the scratch of each thread: plane, line, B'x, B'xB, products."""
    (N, H, W, C), OC, n_threads = deferred.raw.shape, w.shape[3], threads().count
    TH, TW = -(-g.OH // 4), -(-g.OW // 4)
    B = min(-(-tiles_at_a_time(C, OC) // (TH * TW)), -(-N // 4))  # at least four chunks, for the threads to share
    return (
        deferred.raw.reshape(N, H, W * C),
        B,
        min(most, -(-N // B)),
        np.zeros(2, np.int64),
        zeros((n_threads, 1, 4, 4 * TH + 2, (TW + 1) * C), w.dtype),
        empty((n_threads, W * C), w.dtype),
        empty((n_threads, 6, 4, (TW + 1) * C), w.dtype),
        empty((n_threads, 36, B * TH, TW * C), w.dtype),
        empty((n_threads, 36, B * TH, TW * OC), w.dtype),
    )


@kernel(flops=lambda a: 2 * a.w.size * len(a.x) * -(-a.g.OH // 4) * -(-a.g.OW // 4))
def _forward(
    work,
    counters,
    x,
    norm,
    w,
    bias,
    g,
    gout,
    B,
    chunks,
    planes,
    line,
    rows,
    seen,
    products,
    lines,
    columns,
    moments,
    out,
    partials,
    statistics,
):
    N, TH, C, OC = len(x), (g.OH + 3) // 4, w.shape[1], w.shape[2]
    thread = fetch_add(counters)
    plane, looked, product, moment = (
        planes[thread],
        seen[thread],
        products[thread],
        moments[thread],
    )  # this thread's own
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        moment[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(x[n + k], norm, g, C, line[thread], plane)
                input_transform(plane[0], rows[thread], C, k * TH, looked)
            for k in range(36):
                a, y = _as_rows(looked[k], images * TH, C), _as_rows(product[k], images * TH, OC)
                gemm(a, False, w[k], False, False, y)
            for k in range(images):
                output_transform(product, k * TH, lines[thread], columns[thread], gout, OC, bias, out[n + k])
                if len(partials):
                    add_moments(out[n + k].reshape(-1), n + k == first, moment)
        if len(partials):
            fold_moments((last - first) * g.OH * len(moment[0]), moment, moment.shape[1], partials[t])
            if fetch_add(counters[1:]) == chunks - 1:
                merge_moments(partials, statistics)


@kernel(flops=lambda a: 4 * a.w.size * len(a.x) * -(-a.g.OH // 4) * -(-a.g.OW // 4))
def _backward(
    work,
    counters,
    dy,
    raw,
    coefficients,
    x,
    norm,
    w,
    transpose,
    g,
    gout,
    B,
    planes,
    dplanes,
    lines,
    dlines,
    rows,
    drows,
    seen,
    products,
    lanes,
    skip,
    dx,
    sums,
    dws,
):
    N, H, chunks, TH, C, OC = len(x), x.shape[1], len(dws), (g.OH + 3) // 4, dws.shape[2], dws.shape[3]
    thread = fetch_add(counters)
    line, plane, looked = lines[thread], planes[thread], seen[thread]  # this thread's own
    product, lane = products[thread], lanes[thread]
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        lane[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(x[n + k], norm, g, C, line, plane)
                input_transform(plane[0], rows[thread], C, k * TH, looked)
                _output_transform_backward(
                    dy[n + k],
                    raw[n + k],
                    coefficients,
                    dlines[thread],
                    dplanes[thread],
                    drows[thread],
                    gout,
                    OC,
                    k * TH,
                    product,
                )
            for k in range(36):
                a, d = _as_rows(looked[k], images * TH, C), _as_rows(product[k], images * TH, OC)
                gemm(a, True, d, False, n > first, dws[t, k])
                gemm(
                    d, False, w[k], transpose, False, a
                )  # what was seen has done its duty: its gradient takes its place
            for k in range(images):
                plane[:] = 0
                _input_transform_backward(looked, k * TH, rows[thread], C, plane[0])
                for h in range(H):
                    collect(plane, h, g, C, line)
                    finish(line, x[n + k, h], norm, line_of(skip, n + k, h), dx[n + k, h], lane)
            plane[:] = 0
        fold(lane, lane.shape[1], sums[t])


@tile
def _as_rows(lines, count, C):
    """The tiles of `count` lines as rows of C channels."""
    return lines[:count].reshape(count * (lines.shape[1] // C), C)


@tile
def input_transform(plane, rows, C, first, seen):
    """B' x B of an image, tile line by tile line; `plane` is (4, lines, columns*C)."""
    L = seen.shape[2]
    for i in range(plane.shape[1] // 4):
        for p in range(4):
            x = plane[p, 4 * i :]
            input_transform_lines(x[0], x[1], x[2], x[3], x[4], x[5], rows, 0, p)
        for a in range(6):
            x = rows[a]  # with the next tile's first two columns
            input_transform_lines(x[0, :L], x[1, :L], x[2, :L], x[3, :L], x[0, C:], x[1, C:], seen, 6 * a, first + i)


@tile
def _input_transform_backward(seen, first, rows, C, plane):
    """The adjoint of `input_transform`: B X B' added to the plane."""
    L = seen.shape[2]
    for i in range(plane.shape[1] // 4):
        rows[:] = 0
        for a in range(6):
            x = rows[a]
            input_transform_lines_backward(
                seen, 6 * a, first + i, x[0, :L], x[1, :L], x[2, :L], x[3, :L], x[0, C:], x[1, C:]
            )
        for p in range(4):
            x = plane[p, 4 * i :]
            input_transform_lines_backward(rows, 0, p, x[0], x[1], x[2], x[3], x[4], x[5])


@tile
def output_transform(products, first, lines, columns, g, OC, bias, out):
    """A' Y A of an image into its output lines."""
    for i in range((len(out) + 3) // 4):
        for b in range(6):
            output_transform_lines(products, b, 6, first + i, lines[b, 0], lines[b, 1], lines[b, 2], lines[b, 3])
        for r in range(min(4, len(out) - 4 * i)):
            output_transform_lines(lines, 0, 1, r, columns[0], columns[1], columns[2], columns[3])
            interleave(columns.reshape(-1), 0, columns.shape[1], g, OC, out[4 * i + r])
            for k in range(len(bias)):
                out[4 * i + r, k] += bias[k]


@tile
def _output_transform_backward(dy, raw, coefficients, line, dplane, rows, g, OC, first, products):
    """The adjoint of `output_transform`: A dy A' of an image."""
    for i in range(len(dy)):
        multiply_add(dy[i], raw[i], coefficients, line)
        deinterleave(line, dplane.reshape(-1), i * dplane.shape[2], dplane.shape[1] * dplane.shape[2], g, OC)
    for i in range((len(dy) + 3) // 4):
        for p in range(4):
            d = dplane[p, 4 * i :]
            output_transform_lines_backward(d[0], d[1], d[2], d[3], rows, 0, p)
        for a in range(6):
            d = rows[a]
            output_transform_lines_backward(d[0], d[1], d[2], d[3], products, 6 * a, first + i)
