"""Fused depthwise convolution: normalise an image into a padded plane, convolve it, take the batch norm sums.

In the padded plane (`plane`) the pixels under a tap along an output line are one stretch, and `strips` walks down the
plane, one register's width at a time. Backward, one visit to an image yields `dw`, `dx`, the activation's mask and the
sums for the batch norm before. `dx` is a convolution too, of the gradient in a padded plane of its own: without a
stride with all taps, rotated by 180 degrees; with one, each phase of the pixels was seen by some of the taps only
(`plane.input_gradient_taps`). One filter per channel.
"""

from typing import NamedTuple

import numpy as np

from minighost.engine.geometry import Geometry
from minighost.engine.kernels.deferred import along, chunks_of, gradient_lines_of, input_gradient, lines_of, period
from minighost.engine.kernels.plane import collect, fill, input_gradient_taps, phases_inside, plane_shape, tap_offsets
from minighost.engine.kernels.strips import InputGradient, Result, add_products, convolve, square
from minighost.engine.kernels.tiles import finish, fold, line_of, multiply_add
from minighost.engine.launch import kernel, share, thread_id, threads, tile
from minighost.engine.memory import empty, workspace
from minighost.engine.moments import close_moments, room_for_moments
from minighost.engine.vectors import copy
from minighost.engine.vectors import width as register_width

__all__ = ["depthwise_backward", "depthwise_forward"]


class Taps(NamedTuple):
    """The weights, repeated along a `period`, and where in a flattened plane each tap begins to read."""

    w: np.ndarray  # (KH*KW*pitch,)
    offsets: np.ndarray  # (KH*KW,), int64
    g: Geometry
    C: int
    side: int  # see `strips.square`


class BackwardTaps(NamedTuple):
    """The taps for the gradient of the input, phase by phase; see `plane.input_gradient_taps`."""

    w: np.ndarray  # (KH*KW*pitch,), in the order of `offsets`
    above: int
    before: int
    offsets: np.ndarray  # (KH*KW,), int64
    bounds: np.ndarray  # (SH*SW + 1,), int64
    inside: np.ndarray  # (SH*SW, 4), int64: first line, last, first column, last of a phase that are in the image


class Scratch(NamedTuple):
    """Memory of each thread's own; the first axis counts threads."""

    planes: np.ndarray  # (threads, SH, SW, lines, width)
    lines: np.ndarray  # (threads, W*C)
    sums: np.ndarray  # (threads, 3, pitch) or (threads, 0, pitch) forward, (threads, 2, pitch) backward


class BackwardScratch(NamedTuple):
    """Further memory of each thread's own for the backward pass."""

    dplanes: np.ndarray  # (threads, lines, before + width)
    phases: np.ndarray  # (threads, SH, SW, lines, width); without lines where there is no stride
    products: np.ndarray  # (threads, KH*KW*pitch)


def depthwise_forward(deferred, w, g, b=None, summing=True):
    """Forward; its twin is `ops.depthwise_forward` after a batch norm and a ReLU.

    Parameters
    ----------
    deferred : Deferred, with (N, H, W, C) and no gate
    w : ndarray, shape (KH, KW, C)
    g : Geometry
    b : ndarray, shape (C,), optional
    summing : bool
        Whether the statistics are wanted.

    Returns
    -------
    raw : ndarray, shape (N, OH, OW, C)
    statistics : ndarray, shape (2, C), float64
        Mean and variance of raw, for `finalize_stats`; without channels if they are not wanted.
    """
    N, C = len(deferred.raw), w.shape[2]
    chunks, pitch = chunks_of(N, deferred.raw.size), period(g.OW, C, w.dtype)
    lines, plane, n_threads = lines_of(deferred), _plane(deferred, g), threads().count
    out = empty((N, g.OH, g.OW, C), w.dtype)
    partials, statistics = room_for_moments(chunks if summing else 0, C)
    taps = Taps(along(w.reshape(-1, C), pitch).reshape(-1), tap_offsets(plane, g, C), g, C, square(g))
    bias = np.zeros(0, w.dtype) if b is None else along(b[None], pitch)[0]
    shapes = (n_threads, *plane), (n_threads, lines.x.shape[2]), (n_threads, 3 if summing else 0, pitch)
    scratch = Scratch(*workspace(w.dtype, *shapes))
    _forward(chunks, lines, taps, bias, scratch, out.reshape(N, -1), partials, statistics, n_threads=n_threads)
    return out, statistics


def depthwise_backward(gradient, deferred, w, g, skip_grad=None, overwrite_skip=False):
    """Backward of `depthwise_forward`.

    Parameters
    ----------
    gradient : DeferredGradient
    deferred, w, g
        As in the forward.
    skip_grad : ndarray, shape (N, H, W, C), optional
        Gradient that reaches the same activation another way, masked as the activation masks; the result is the sum of
        both.
    overwrite_skip : bool
        Write the result into `skip_grad`.

    Returns
    -------
    dy : ndarray, shape (N, H, W, C)
        Gradient with respect to the activation, masked already if that only lets through or stops (`is_cut`).
    sums : ndarray, shape (chunks, 2, C), float64
        For `batch_norm_backward`.
    dw : ndarray, shape (KH, KW, C)
    """
    (N, H, W, C), KK, chunks = deferred.raw.shape, g.KH * g.KW, chunks_of(len(deferred.raw), deferred.raw.size)
    lines, plane, n_threads = lines_of(deferred), _plane(deferred, g), threads().count
    width, dws = plane[3], empty((chunks, KK, C), np.float64)
    back = input_gradient(lines, C, chunks, skip_grad, overwrite_skip)
    above, before, order, offsets, bounds = input_gradient_taps(g, width, C)
    pitch = period(W if g.SH == g.SW == 1 else width // C, C, w.dtype)
    taps = Taps(w.reshape(-1)[:0], tap_offsets(plane, g, C), g, C, square(g))
    phase_taps = BackwardTaps(
        along(w.reshape(-1, C)[order], pitch).reshape(-1), above, before, offsets, bounds, phases_inside(H, W, g)
    )
    rows = above + plane[2] + -(-register_width(w.dtype) // (before + width))  # strips read past the last line
    phase_lines = -(-(H + 2 * g.PH) // g.SH) if g.SH * g.SW > 1 else 0
    planes, line, total, dplanes, phases, products = workspace(
        w.dtype,
        (n_threads, *plane),
        (n_threads, W * C),
        (n_threads, 2, back.norm.shape[1]),
        (n_threads, rows, before + width),
        (n_threads, g.SH, g.SW, phase_lines, width),
        (n_threads, KK * period(g.OW, C, w.dtype)),
    )
    scratch, more = Scratch(planes, line, total), BackwardScratch(dplanes, phases, products)
    _backward(gradient_lines_of(gradient), lines, taps, phase_taps, scratch, more, back, dws, n_threads=n_threads)
    return back.dx.reshape(N, H, W, C), back.sums, dws.sum(0).reshape(w.shape).astype(w.dtype)


def _plane(deferred, g):
    """The shape of an image's padded plane."""
    return plane_shape(*deferred.raw.shape[1:], g, deferred.raw.dtype)


@kernel(flops=lambda a: 2 * a.out.size * len(a.taps.offsets))
def _forward(work, chunks, lines, taps, bias, scratch, out, partials, statistics):
    N, g, C, thread = len(out), taps.g, taps.C, thread_id(work)
    L, pitch = g.OW * C, len(taps.w) // len(taps.offsets)
    plane, line, lane = scratch.planes[thread], scratch.lines[thread], scratch.sums[thread]
    flat, width = plane.reshape(-1), plane.shape[3]
    plane[:] = 0
    for t in share(work, chunks):
        first, last = t * N // chunks, (t + 1) * N // chunks
        lane[:] = 0
        for n in range(first, last):
            fill(lines.x[n], lines.norm, lines.act, g, C, line, plane)
            to = Result(out[n], L, bias, lane, n == first)
            convolve(flat, 0, width, C, taps.offsets, taps.side, taps.w, pitch, g.OH, L, to)
        close_moments(work, t, (last - first) * g.OH * L, lane, min(L, pitch), partials, statistics)


@kernel(flops=lambda a: 4 * a.d.raw.size * len(a.taps.offsets))
def _backward(work, d, lines, taps, phase_taps, scratch, more, back, dws):
    (N, H, LX), (_, OH, L), g, C, thread = lines.x.shape, d.dy.shape, taps.g, taps.C, thread_id(work)
    plane, line, lane = scratch.planes[thread], scratch.lines[thread], scratch.sums[thread]
    dplane, phases, products = more.dplanes[thread], more.phases[thread], more.products[thread]
    flat, dflat, width, dwidth = plane.reshape(-1), dplane.reshape(-1), plane.shape[3], dplane.shape[1]
    above, before, pitch = phase_taps.above, phase_taps.before, len(products) // len(taps.offsets)
    chunks, first_pixel = len(dws), above * dwidth + before
    plane[:] = 0
    dplane[:] = 0
    for t in share(work, chunks):
        lane[:] = 0
        products[:] = 0
        for n in range(t * N // chunks, (t + 1) * N // chunks):
            fill(lines.x[n], lines.norm, lines.act, g, C, line, plane)
            for i in range(OH):
                multiply_add(d.dy[n, i], d.raw[n, i], d.coefficients, dplane[above + i, before : before + L])
            add_products(dflat, first_pixel, dwidth, flat, width, C, taps.offsets, taps.side, OH, L, products, pitch)
            if g.SH == g.SW == 1:
                x, dx, skip = lines.x[n].reshape(-1), back.dx[n].reshape(-1), _image(back.skip, n)
                to = InputGradient(dx, x, back.norm, lines.act, skip, lane)
                start, w, offsets = g.PH * dwidth + g.PW * C, phase_taps.w, phase_taps.offsets
                convolve(dflat, start, dwidth, C, offsets, taps.side, w, len(w) // len(offsets), H, LX, to)
            else:
                _convolve_phases(dflat, dwidth, phase_taps, C, phases)
                for h in range(H):
                    collect(phases, h, g, C, line)
                    skip = line_of(back.skip, n, h)
                    finish(line, lines.x[n, h], back.norm, lines.act, skip, lane)
                    copy(line, 0, len(line), back.dx[n, h], 0)
        fold(products.reshape(len(taps.offsets), pitch), min(L, pitch), dws[t])
        if lane.shape[1]:
            fold(lane, min(LX, lane.shape[1]), back.sums[t])


@tile
def _image(lines, n):
    """All lines of image n as one; of no images, nothing."""
    size = lines.shape[1] * lines.shape[2]
    return lines.reshape(-1)[n * size : (n + 1) * size]


@tile
def _convolve_phases(d, width, taps, C, planes):
    """The gradient of an image, phase by phase, where `plane.deinterleave` lays out the image itself."""
    SH, SW, lines, L = planes.shape
    pitch, rows = len(taps.w) // len(taps.offsets), planes.reshape(SH * SW, lines * L)
    for p in range(SH * SW):
        a, b, no = taps.bounds[p], taps.bounds[p + 1], p < 0  # and not False: another type, and compiled once more
        h0, h1, w0, w1 = taps.inside[p]
        to = Result(rows[p][h0 * L + w0 * C :], L, rows[p][:0], rows[p][:0].reshape(0, 1), no)
        start, w = h0 * width + w0 * C, taps.w[a * pitch : b * pitch]
        convolve(d, start, width, C, taps.offsets[a:b], 0 * p, w, pitch, h1 - h0, (w1 - w0) * C, to)
