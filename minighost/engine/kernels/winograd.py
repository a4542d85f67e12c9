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

A tile is transformed in registers, some of its channels at a time: first its columns, then its rows. A register may
reach beyond the last channel; what it leaves there is written over by the next tile, which comes after it.

Letters: TH, TW tiles in a column and in a line; B images at a time.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from minighost.engine.dispatch import inlined
from minighost.engine.gemm import gemm, transposed
from minighost.engine.geometry import Geometry
from minighost.engine.kernels.deferred import gradient_lines_of, input_gradient, lines_of, period
from minighost.engine.kernels.plane import fill
from minighost.engine.kernels.tiles import finish, fold, line_of, multiply_add
from minighost.engine.kernels.winograd_sums import (
    OUTPUTS,
    PIXELS,
    outputs,
    outputs_backward,
    pixels,
    pixels_backward,
    taps_backward,
    taps_forward,
    taps_forward_reference,
)
from minighost.engine.launch import kernel, share, thread_id, threads, tile
from minighost.engine.memory import empty, workspace
from minighost.engine.moments import add_moments, close_moments, room_for_moments
from minighost.engine.vectors import copy, lanes, like, load, load_part, store, store_part, width

__all__ = [
    "apart",
    "input_transform",
    "output_transform",
    "rows_of",
    "suits",
    "tiles_at_a_time",
    "winograd_backward",
    "winograd_forward",
    "winograd_forward_reference",
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

    g: Geometry
    TH: int
    TW: int
    B: int
    chunks: int


class Scratch(NamedTuple):
    """Memory of each thread's own; the first axis counts threads."""

    plane: np.ndarray  # (threads, 1, 1, 4*TH + 2 or more, (4*TW + 2)*C), the pixels
    grid: np.ndarray  # (threads, 36 registers), a tile on its way
    seen: np.ndarray  # (threads, 36, B*TH*TW*C and some), B' x B
    products: np.ndarray  # (threads, 36, B*TH*TW*OC and some)
    dplane: np.ndarray  # (threads, 0, 0) forward, (threads, 4*TH + 1 or more, 4*TW*OC) backward, the outputs' gradient
    dpixels: np.ndarray  # (threads, 0, 0) forward, as plane backward
    sums: np.ndarray  # (threads, 3, lanes) forward, (threads, 2, lanes) backward


def winograd_forward(deferred, w, g, b=None, summing=True):
    """Forward; parameters and results as for `conv_forward`."""
    N, OC = len(deferred.raw), w.shape[3]
    tiles, shapes = _prepare(deferred, w, g, 32)
    n = shapes[0][0]
    lane = n, 3, min(g.OW * OC, period(g.OW, OC, w.dtype))
    scratch = Scratch(*workspace(w.dtype, *shapes, (n, 0, 0), (n, 0, 0), lane))
    out = empty((N, g.OH, g.OW * OC), w.dtype)
    partials, statistics = room_for_moments(tiles.chunks if summing else 0, OC)
    bias = w[0, 0, 0, :0] if b is None else b
    lines = lines_of(deferred)
    _forward(lines, taps_forward(w), bias, tiles, scratch, out, partials, statistics, n_threads=n)
    return out.reshape(N, g.OH, g.OW, OC), statistics


def winograd_backward(gradient, deferred, w, g, skip_grad=None, overwrite_skip=False, wanted=True):
    """Backward; parameters and results as for `conv_backward`."""
    C, OC = w.shape[2:]
    tiles, shapes = _prepare(deferred, w, g, max(4, min(32, (1 << 22) // w.size)))
    n, plane = shapes[0][0], shapes[0][3:]
    lines = lines_of(deferred)
    back = input_gradient(lines, C, tiles.chunks, skip_grad, overwrite_skip, wanted)
    dplane = n, *_lines(4 * tiles.TH, 4 * tiles.TW * OC, w.dtype)
    scratch = Scratch(*workspace(w.dtype, *shapes, dplane, (n, *plane), (n, 2, back.norm.shape[1])))
    dws = empty((tiles.chunks, 36, C, OC), w.dtype)
    taps = taps_forward(transposed(w))
    _backward(gradient_lines_of(gradient), lines, taps, tiles, scratch, back, dws, n_threads=n)
    return back.dx.reshape(deferred.raw.shape) if wanted else None, back.sums, taps_backward(dws)


def _prepare(deferred, w, g, most):
    """`Tiles`, and the shapes of `Scratch` up to `products`."""
    N, (C, OC), n_threads = len(deferred.raw), w.shape[2:], threads().count
    TH, TW = -(-g.OH // 4), -(-g.OW // 4)
    B = min(-(-tiles_at_a_time(C, OC) // (TH * TW)), -(-N // 4))  # at least four chunks, for the threads to share
    return Tiles(g, TH, TW, B, min(most, -(-N // B))), (
        (n_threads, 1, 1, *_lines(4 * TH + 2, (4 * TW + 2) * C, w.dtype)),
        (n_threads, 36 * width(w.dtype)),
        (n_threads, 36, apart(B * TH * TW * C)),
        (n_threads, 36, apart(B * TH * TW * OC)),
    )


def _lines(lines, numbers, dtype):
    """Lines of a plane, with some more for a register that reaches beyond the last, and the numbers in each."""
    return lines + -(-width(dtype) // numbers), numbers


@register_jitable
def apart(numbers):
    """Room for the numbers and a register more, in an odd number of cache lines, so that 36 of them spread over it."""
    return (numbers // 16 + 2 | 1) * 16


@kernel(flops=lambda a: 2 * a.w.size * len(a.lines.x) * a.tiles.TH * a.tiles.TW)
def _forward(work, lines, w, bias, tiles, scratch, out, partials, statistics):
    N, g, C, OC = len(out), tiles.g, w.shape[1], w.shape[2]
    B, chunks, count, thread = tiles.B, tiles.chunks, tiles.TH * tiles.TW, thread_id(work)
    plane, seen, products = scratch.plane[thread], scratch.seen[thread], scratch.products[thread]
    grid, moment = scratch.grid[thread], scratch.sums[thread]
    plane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        moment[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(lines.x[n + k], lines.norm, lines.act, g, C, grid, plane)
                input_transform(plane[0, 0], tiles.TH, tiles.TW, C, grid, k * count, seen)
            for k in range(36):
                a, y = rows_of(seen[k], images * count, C), rows_of(products[k], images * count, OC)
                gemm(a, False, w[k], False, y)
            for k in range(images):
                output_transform(products, k * count, g, OC, grid, bias, out[n + k])
                if len(partials):
                    add_moments(out[n + k].reshape(-1), n + k == first, moment)
        close_moments(work, t, (last - first) * out[0].size, moment, moment.shape[1], partials, statistics)


@kernel(flops=lambda a: (4 if len(a.back.dx) else 2) * a.w.size * len(a.lines.x) * a.tiles.TH * a.tiles.TW)
def _backward(work, d, lines, w, tiles, scratch, back, dws):
    N, g, TH, TW, C, OC = len(d.dy), tiles.g, tiles.TH, tiles.TW, dws.shape[2], dws.shape[3]
    B, chunks, count, thread = tiles.B, len(dws), TH * TW, thread_id(work)
    plane, seen, products = scratch.plane[thread], scratch.seen[thread], scratch.products[thread]
    grid, lane = scratch.grid[thread], scratch.sums[thread]
    dplane, dpixels = scratch.dplane[thread], scratch.dpixels[thread]
    L = lines.x.shape[2]
    plane[:] = 0
    dplane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        lane[:] = 0
        for n in range(first, last, B):
            images = min(B, last - n)
            for k in range(images):
                fill(lines.x[n + k], lines.norm, lines.act, g, C, grid, plane)
                input_transform(plane[0, 0], TH, TW, C, grid, k * count, seen)
                for i in range(g.OH):
                    multiply_add(d.dy[n + k, i], d.raw[n + k, i], d.coefficients, dplane[i, : g.OW * OC])
                _output_transform_backward(dplane, TH, TW, OC, grid, k * count, products)
            for k in range(36):
                a, y = rows_of(seen[k], images * count, C), rows_of(products[k], images * count, OC)
                gemm(a, True, y, n > first, dws[t, k])
                if len(back.dx):  # what was seen has done its duty: its gradient takes its place
                    gemm(y, False, w[k], False, a)
            for k in range(images if len(back.dx) else 0):
                dpixels[:] = 0
                _input_transform_backward(seen, k * count, TH, TW, C, grid, dpixels)
                for h in range(lines.x.shape[1]):
                    line = dpixels[h + g.PH, g.PW * C : g.PW * C + L]
                    finish(line, lines.x[n + k, h], back.norm, lines.act, line_of(back.skip, n + k, h), lane)
                    copy(line, 0, L, back.dx[n + k, h], 0)
        fold(lane, lane.shape[1], back.sums[t])


@tile
def rows_of(numbers, count, C):
    """The first `count` tiles, of C channels each."""
    return numbers[: count * C].reshape(count, C)


# One tile after the other ---------------------------------------------------------------------------------------


@tile
def input_transform(plane, TH, TW, C, grid, first, seen):
    """B' x B of an image's tiles, which become tile number `first` and following; `plane` is (lines, columns*C)."""
    x, L, R = plane.reshape(-1), plane.shape[1], lanes(plane)
    out, pitch = seen.reshape(-1), seen.shape[1]
    for i in range(TH):
        for j in range(TW):
            for c in range(0, C, R):
                for v in range(6):
                    _put(grid, v * R, 6 * R, pixels(*_six(x, 4 * i * L + (4 * j + v) * C + c, L)))
                at = (first + i * TW + j) * C + c
                for a in range(6):
                    _put(out, 6 * a * pitch + at, pitch, pixels(*_six(grid, 6 * a * R, R)))


@tile
def _input_transform_backward(seen, first, TH, TW, C, grid, dplane):
    """The adjoint of `input_transform`: B d B' added to the plane."""
    x, L, R = dplane.reshape(-1), dplane.shape[1], lanes(dplane)
    d, pitch = seen.reshape(-1), seen.shape[1]
    for i in range(TH):
        for j in range(TW):
            for c in range(0, C, R):
                at = (first + i * TW + j) * C + c
                for a in range(6):
                    _put(grid, 6 * a * R, R, pixels_backward(*_six(d, 6 * a * pitch + at, pitch)))
                for v in range(6):
                    _add(x, 4 * i * L + (4 * j + v) * C + c, L, C - c, pixels_backward(*_six(grid, v * R, 6 * R)))


@tile
def output_transform(products, first, g, OC, grid, bias, out):
    """A' Y A of an image's tiles, and the bias, into its lines (OH, OW*OC)."""
    y, R, TW = out.reshape(-1), lanes(out), (g.OW + 3) // 4
    Y, pitch = products.reshape(-1), products.shape[1]
    for i in range((g.OH + 3) // 4):
        for j in range(TW):
            for c in range(0, OC, R):
                at = (first + i * TW + j) * OC + c
                for b in range(6):
                    y0, y1, y2, y3 = outputs(*_six(Y, b * pitch + at, 6 * pitch))
                    store(grid, b * R, y0)
                    store(grid, (6 + b) * R, y1)
                    store(grid, (12 + b) * R, y2)
                    store(grid, (18 + b) * R, y3)
                shift = load_part(bias, c, OC - c) if len(bias) else like(load(grid, 0), 0)
                for r in range(min(4, g.OH - 4 * i)):
                    k, W = ((4 * i + r) * g.OW + 4 * j) * OC + c, g.OW - 4 * j
                    y0, y1, y2, y3 = outputs(*_six(grid, 6 * r * R, R))
                    store_part(y, k, OC - c, y0 + shift)
                    if W > 1:
                        store_part(y, k + OC, OC - c, y1 + shift)
                    if W > 2:
                        store_part(y, k + 2 * OC, OC - c, y2 + shift)
                    if W > 3:
                        store_part(y, k + 3 * OC, OC - c, y3 + shift)


@tile
def _output_transform_backward(dplane, TH, TW, OC, grid, first, products):
    """The adjoint of `output_transform`: A dy A' of an image; dplane is (lines, 4*TW*OC)."""
    d, L, R = dplane.reshape(-1), dplane.shape[1], lanes(dplane)
    Y, pitch = products.reshape(-1), products.shape[1]
    for i in range(TH):
        for j in range(TW):
            for c in range(0, OC, R):
                for s in range(4):
                    k = 4 * i * L + (4 * j + s) * OC + c
                    d0, d1, d2, d3 = load(d, k), load(d, k + L), load(d, k + 2 * L), load(d, k + 3 * L)
                    _put(grid, s * R, 4 * R, outputs_backward(d0, d1, d2, d3))
                at = (first + i * TW + j) * OC + c
                for a in range(6):
                    k = 4 * a * R
                    d0, d1, d2, d3 = load(grid, k), load(grid, k + R), load(grid, k + 2 * R), load(grid, k + 3 * R)
                    _put(Y, 6 * a * pitch + at, pitch, outputs_backward(d0, d1, d2, d3))


@inlined
def _six(x, k, step):
    """Registers from x[k] on and every `step` numbers."""
    return (
        load(x, k),
        load(x, k + step),
        load(x, k + 2 * step),
        load(x, k + 3 * step),
        load(x, k + 4 * step),
        load(x, k + 5 * step),
    )


@inlined
def _put(x, k, step, v):
    """Six registers to where `_six` would read them."""
    v0, v1, v2, v3, v4, v5 = v
    store(x, k, v0)
    store(x, k + step, v1)
    store(x, k + 2 * step, v2)
    store(x, k + 3 * step, v3)
    store(x, k + 4 * step, v4)
    store(x, k + 5 * step, v5)


@inlined
def _add(x, k, step, n, v):
    """The first n numbers of six registers, added there."""
    v0, v1, v2, v3, v4, v5 = v
    store_part(x, k, n, load_part(x, k, n) + v0)
    store_part(x, k + step, n, load_part(x, k + step, n) + v1)
    store_part(x, k + 2 * step, n, load_part(x, k + 2 * step, n) + v2)
    store_part(x, k + 3 * step, n, load_part(x, k + 3 * step, n) + v3)
    store_part(x, k + 4 * step, n, load_part(x, k + 4 * step, n) + v4)
    store_part(x, k + 5 * step, n, load_part(x, k + 5 * step, n) + v5)
