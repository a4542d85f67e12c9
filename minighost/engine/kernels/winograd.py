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

from typing import NamedTuple

import numpy as np

from minighost.engine.gemm import gemm, transposed
from minighost.engine.geometry import Geometry
from minighost.engine.kernels.deferred import gradient_lines_of, input_gradient, lines_of, period
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
from minighost.engine.launch import kernel, share, thread_id, threads, tile
from minighost.engine.memory import empty, workspace
from minighost.engine.moments import add_moments, close_moments, room_for_moments
from minighost.engine.vectors import copy

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


class Tiles(NamedTuple):
    """How a batch is cut into tiles."""

    g: Geometry  # of the pixels' plane, every fourth column together: SW = 4
    gout: Geometry  # of the outputs' plane, likewise, without padding
    B: int
    chunks: int


class Scratch(NamedTuple):
    """Memory of each thread's own; the first axis counts threads. AB is B times TH."""

    plane: np.ndarray  # (threads, 1, 4, 4*TH + 2, (TW + 1)*C)
    line: np.ndarray  # (threads, W*C)
    rows: np.ndarray  # (threads, 6, 4, (TW + 1)*C), B' x
    seen: np.ndarray  # (threads, 36, AB, TW*C), B' x B
    products: np.ndarray  # (threads, 36, AB, TW*OC)
    half: np.ndarray  # (threads, 6, 4, TW*OC), A' y forward, dy A backward
    outputs: np.ndarray  # (threads, 4, TW*OC) forward, (threads, 4, 4*TH, TW*OC) backward
    dline: np.ndarray  # (threads, 0) forward, (threads, OW*OC) backward
    sums: np.ndarray  # (threads, 3, lanes) forward, (threads, 2, lanes) backward


def winograd_forward(deferred, w, g, b=None, summing=True):
    """Forward; parameters and results as for `conv_forward`."""
    N, OC = len(deferred.raw), w.shape[3]
    tiles, shapes = _prepare(deferred, w, g, 32)
    n_threads, DL = shapes[0][0], shapes[-1][-1]
    scratch = Scratch(
        *workspace(
            w.dtype,
            *shapes,
            (n_threads, 4, DL),
            (n_threads, 0),
            (n_threads, 3, min(g.OW * OC, period(g.OW, OC, w.dtype))),
        ),
    )
    out = empty((N, g.OH, g.OW * OC), w.dtype)
    partials, statistics = room_for_moments(tiles.chunks if summing else 0, OC)
    bias = w[0, 0, 0, :0] if b is None else np.tile(b, g.OW)
    lines = lines_of(deferred)
    _forward(lines, taps_forward(w), bias, tiles, scratch, out, partials, statistics, n_threads=n_threads)
    return out.reshape(N, g.OH, g.OW, OC), statistics


def winograd_backward(gradient, deferred, w, g, wanted=True, skip_grad=None, overwrite_skip=False):
    """Backward; parameters and results as for `conv_backward`."""
    C, OC = w.shape[2:]
    tiles, shapes = _prepare(deferred, w, g, max(4, min(32, (1 << 22) // w.size)))
    n_threads, DL = shapes[0][0], shapes[-1][-1]
    lines = lines_of(deferred)
    back = input_gradient(lines, C, tiles.chunks, skip_grad, overwrite_skip, wanted)
    outputs, lanes = (n_threads, 4, -(-g.OH // 4) * 4, DL), (n_threads, 2, back.norm.shape[1])
    scratch = Scratch(*workspace(w.dtype, *shapes, outputs, (n_threads, g.OW * OC), lanes))
    dws = empty((tiles.chunks, 36, C, OC), w.dtype)
    w, transpose = transposed(w)
    taps = taps_forward(w)
    _backward(gradient_lines_of(gradient), lines, taps, transpose, tiles, scratch, back, dws, n_threads=n_threads)
    return back.dx.reshape(deferred.raw.shape) if wanted else None, back.sums, taps_backward(dws)


def _prepare(deferred, w, g, most):
    """`Tiles`, and the shapes of `Scratch` up to `half`."""
    (N, _, W, C), OC, n_threads = deferred.raw.shape, w.shape[3], threads().count
    TH, TW = -(-g.OH // 4), -(-g.OW // 4)
    B = min(-(-tiles_at_a_time(C, OC) // (TH * TW)), -(-N // 4))  # at least four chunks, for the threads to share
    return Tiles(g._replace(SW=4), g._replace(SW=4, PW=0), B, min(most, -(-N // B))), (
        (n_threads, 1, 4, 4 * TH + 2, (TW + 1) * C),
        (n_threads, W * C),
        (n_threads, 6, 4, (TW + 1) * C),
        (n_threads, 36, B * TH, TW * C),
        (n_threads, 36, B * TH, TW * OC),
        (n_threads, 6, 4, TW * OC),
    )


@kernel(flops=lambda a: 2 * a.w.size * len(a.lines.x) * -(-a.tiles.g.OH // 4) * -(-a.tiles.g.OW // 4))
def _forward(work, lines, w, bias, tiles, scratch, out, partials, statistics):
    N, g, TH, C, OC = len(out), tiles.g, (tiles.g.OH + 3) // 4, w.shape[1], w.shape[2]
    B, chunks, thread = tiles.B, tiles.chunks, thread_id(work)
    plane, line, rows, seen = scratch.plane[thread], scratch.line[thread], scratch.rows[thread], scratch.seen[thread]
    products, half, outputs = scratch.products[thread], scratch.half[thread], scratch.outputs[thread]
    moment = scratch.sums[thread]
    plane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        moment[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(lines.x[n + k], lines.norm, lines.act, g, C, line, plane)
                input_transform(plane[0], rows, C, k * TH, seen)
            for k in range(36):
                a, y = _as_rows(seen[k], images * TH, C), _as_rows(products[k], images * TH, OC)
                gemm(a, False, w[k], False, False, y)
            for k in range(images):
                output_transform(products, k * TH, half, outputs, tiles.gout, OC, bias, out[n + k])
                if len(partials):
                    add_moments(out[n + k].reshape(-1), n + k == first, moment)
        close_moments(work, t, (last - first) * out[0].size, moment, moment.shape[1], partials, statistics)


@kernel(flops=lambda a: 4 * a.w.size * len(a.lines.x) * -(-a.tiles.g.OH // 4) * -(-a.tiles.g.OW // 4))
def _backward(work, d, lines, w, transpose, tiles, scratch, back, dws):
    N, g, TH, C, OC = len(d.dy), tiles.g, (tiles.g.OH + 3) // 4, dws.shape[2], dws.shape[3]
    B, chunks, thread = tiles.B, len(dws), thread_id(work)
    plane, line, rows, seen = scratch.plane[thread], scratch.line[thread], scratch.rows[thread], scratch.seen[thread]
    products, half, dplane = scratch.products[thread], scratch.half[thread], scratch.outputs[thread]
    dline, lane = scratch.dline[thread], scratch.sums[thread]
    plane[:] = 0
    dplane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        lane[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(lines.x[n + k], lines.norm, lines.act, g, C, line, plane)
                input_transform(plane[0], rows, C, k * TH, seen)
                _spread(d, n + k, dline, tiles.gout, OC, dplane)
                _output_transform_backward(dplane, half, k * TH, products)
            for k in range(36):
                a, y = _as_rows(seen[k], images * TH, C), _as_rows(products[k], images * TH, OC)
                gemm(a, True, y, False, n > first, dws[t, k])
                if len(back.dx):  # what was seen has done its duty: its gradient takes its place
                    gemm(y, False, w[k], transpose, False, a)
            for k in range(images if len(back.dx) else 0):
                plane[:] = 0
                _input_transform_backward(seen, k * TH, rows, C, plane[0])
                for h in range(lines.x.shape[1]):
                    collect(plane, h, g, C, line)
                    skip = line_of(back.skip, n + k, h)
                    finish(line, lines.x[n + k, h], back.norm, lines.act, skip, lane)
                    copy(line, 0, len(line), back.dx[n + k, h], 0)
            plane[:] = 0
        fold(lane, lane.shape[1], back.sums[t])


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
def _spread(d, n, line, g, OC, dplane):
    """The gradient of image n after its batch norm, every fourth column together."""
    for i in range(d.dy.shape[1]):
        multiply_add(d.dy[n, i], d.raw[n, i], d.coefficients, line)
        deinterleave(line, dplane.reshape(-1), i * dplane.shape[2], dplane.shape[1] * dplane.shape[2], g, OC)


@tile
def _output_transform_backward(dplane, rows, first, products):
    """The adjoint of `output_transform`: A dy A' of an image; dplane is (4, 4*TH, TW*OC)."""
    for i in range(dplane.shape[1] // 4):
        for p in range(4):
            d = dplane[p, 4 * i :]
            output_transform_lines_backward(d[0], d[1], d[2], d[3], rows, 0, p)
        for a in range(6):
            d = rows[a]
            output_transform_lines_backward(d[0], d[1], d[2], d[3], products, 6 * a, first + i)
