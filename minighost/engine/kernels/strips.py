"""A depthwise convolution, one register's width of columns at a time, and what is done to each result on the way out.

In the padded plane (`plane`) what lies under a tap along an output line is one stretch. So cut the lines into strips of
one register each and walk down a strip: a 3x3 kernel keeps its nine weights in registers, and each further line costs
three loads and nine products. A 5x5 kernel goes column by column, four lines at a time, which share what they load. The
sums over the plane - of the result for its batch norm, or of gradient times pixel for a weight - stay in registers too
until the strip ends.

An *epilogue* says where results go and what is done to them on the way: `begin` loads what a strip needs, `step` takes
a register of results to its place and into the sums, `end` puts the sums back. `Result` ends a forward in training,
`Activated` one in inference, `InputGradient` a backward.

Weights and sums are per channel, repeated for `pitch` numbers; then they begin again (`deferred.period`).

Letters: L numbers in an output line, `width` numbers in a line of the plane, K taps.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from minighost.engine.activations import gradient, value
from minighost.engine.dispatch import method
from minighost.engine.launch import tile
from minighost.engine.vectors import fill, lanes, load, load_part, store, store_part

__all__ = ["Activated", "InputGradient", "Result", "add_products", "convolve", "square"]


# Epilogues -----------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """Where a forward's results go: `out`, in which lines begin `line` numbers apart; `bias` (pitch,) or (0,);
    `sums` (3, pitch) or (0, pitch).

    The rows of `sums` are pivot, sum and sum of squares about the pivot; while they are `fresh`, the first line of
    results becomes the pivot.
    """

    out: np.ndarray
    line: int
    bias: np.ndarray
    sums: np.ndarray
    fresh: bool

    def begin(self, q):
        """The strip's bias, and its sums so far."""
        zero = fill(self.out, 0)
        bias = load(self.bias, q) if len(self.bias) else zero
        if len(self.sums):
            return bias, load(self.sums[0], q), load(self.sums[1], q), load(self.sums[2], q)
        return bias, zero, zero, zero

    def step(self, state, h, s, L, v):
        """Line h."""
        bias, pivot, total, squares = state
        v = v + bias
        store_part(self.out, h * self.line + s, L - s, v)
        if self.fresh and h == 0 and s < self.sums.shape[1]:
            pivot = v
        d = v - pivot
        return bias, pivot, total + d, squares + d * d

    def end(self, q, state):
        """Put the sums back."""
        if len(self.sums):
            _, pivot, total, squares = state
            store(self.sums[0], q, pivot)
            store(self.sums[1], q, total)
            store(self.sums[2], q, squares)


class Activated(NamedTuple):
    """Where inference's results go: `out`, shape (OH*L,); `bias` (pitch,); `act`, see `engine.activations`."""

    out: np.ndarray
    bias: np.ndarray
    act: Any

    def begin(self, q):
        """The strip's bias."""
        return load(self.bias, q)

    def step(self, bias, h, s, L, v):
        """Line h."""
        store_part(self.out, h * L + s, L - s, value(self.act, v + bias))
        return bias

    def end(self, q, bias):
        """Nothing is left."""


class InputGradient(NamedTuple):
    """Where the gradient of the input goes: through its activation, to the one that skips the layer, into the sums.

    `dx`, `x` : (H*L,); `norm` (3, pitch), rows scale, shift and mean, or (3, 0) where there is no activation; `act`,
    see `engine.activations`; `skip` (H*L,), a gradient that is added, or (0,); `sums` (2, pitch), of the gradient and
    of the gradient times ``x - mean``.
    """

    dx: np.ndarray
    x: np.ndarray
    norm: np.ndarray
    act: Any
    skip: np.ndarray
    sums: np.ndarray

    def begin(self, q):
        """The strip's scale, shift and mean, and its sums so far."""
        zero = fill(self.dx, 0)
        if self.norm.shape[1] == 0:
            return zero, zero, zero, zero, zero
        norm, sums = self.norm, self.sums
        return load(norm[0], q), load(norm[1], q), load(norm[2], q), load(sums[0], q), load(sums[1], q)

    def step(self, state, h, s, L, v):
        """Line h."""
        scale, shift, mean, total, moment = state
        k, n = h * L + s, L - s
        if self.norm.shape[1]:
            x = load_part(self.x, k, n)
            v = gradient(self.act, x * scale + shift, v)
            if len(self.skip):
                v = v + load_part(self.skip, k, n)
            total, moment = total + v, moment + v * (x - mean)
        elif len(self.skip):
            v = v + load_part(self.skip, k, n)
        store_part(self.dx, k, n, v)
        return scale, shift, mean, total, moment

    def end(self, q, state):
        """Put the sums back."""
        if self.norm.shape[1]:
            _, _, _, total, moment = state
            store(self.sums[0], q, total)
            store(self.sums[1], q, moment)


begin, step, end = method("begin"), method("step"), method("end")


@register_jitable
def square(g):
    """The side of a square kernel that has loops of its own, 3 or 5, or 0; g is a `Geometry`."""
    fits = g.KH == g.KW and g.SH == g.SW == g.DH == g.DW == 1
    return g.KH if fits and (g.KH == 3 or g.KH == 5) else 0


# The convolution -----------------------------------------------------------------------------------------------


@tile
def convolve(plane, start, width, C, offsets, side, w, pitch, lines, L, to):
    """Output lines 0 to `lines`: the sum over taps k of ``plane[start + offsets[k] + h*width + s] * w[k*pitch + s]``,
    where s is taken modulo the pitch in w.

    `side`, see `square`, is 3 or 5 where the taps are those of a square kernel without stride or dilation.
    """
    if side != 3:
        _convolve_any(plane, start, width, C, offsets, side, w, pitch, lines, L, to)
        return
    q = 0  # s modulo the pitch
    for s in range(0, L, lanes(plane)):
        w0, w1, w2 = load(w, q), load(w, q + pitch), load(w, q + 2 * pitch)
        w3, w4, w5 = load(w, q + 3 * pitch), load(w, q + 4 * pitch), load(w, q + 5 * pitch)
        w6, w7, w8 = load(w, q + 6 * pitch), load(w, q + 7 * pitch), load(w, q + 8 * pitch)
        p, state = start + s, begin(to, q)
        a0, a1, a2 = load(plane, p), load(plane, p + C), load(plane, p + 2 * C)
        p += width
        b0, b1, b2 = load(plane, p), load(plane, p + C), load(plane, p + 2 * C)
        for h in range(lines):
            p += width
            c0, c1, c2 = load(plane, p), load(plane, p + C), load(plane, p + 2 * C)
            top, middle, bottom = a0 * w0 + a1 * w1 + a2 * w2, b0 * w3 + b1 * w4 + b2 * w5, c0 * w6 + c1 * w7 + c2 * w8
            state = step(to, state, h, s, L, top + middle + bottom)
            a0, a1, a2, b0, b1, b2 = b0, b1, b2, c0, c1, c2
        end(to, q, state)
        q = q + lanes(plane) if q + lanes(plane) < pitch else 0


@tile
def _convolve_any(plane, start, width, C, offsets, side, w, pitch, lines, L, to):
    """Any other kernel, four lines at a time, for they share the weights; where fewer are left, the last one again.

    Four lines of a 5x5 kernel see eight of the plane, and share those too.
    """
    q, last = 0, lines - 1
    for s in range(0, L, lanes(plane)):
        state, zero, first = begin(to, q), fill(plane, 0), start + s
        for h in range(0, lines, 4):
            p0, p1 = first + h * width, first + min(h + 1, last) * width
            p2, p3 = first + min(h + 2, last) * width, first + min(h + 3, last) * width
            a, b, c, d = zero, zero, zero, zero
            if side == 5:
                p1, p2, p3 = p0 + width, p0 + 2 * width, p0 + 3 * width
                p4, p5 = p0 + 4 * width, first + min(h + 5, last + 4) * width
                p6, p7 = first + min(h + 6, last + 4) * width, first + min(h + 7, last + 4) * width
                for j in range(5):
                    k, o = j * pitch + q, j * C
                    w0, w1, w2 = load(w, k), load(w, k + 5 * pitch), load(w, k + 10 * pitch)
                    w3, w4 = load(w, k + 15 * pitch), load(w, k + 20 * pitch)
                    x0, x1, x2, x3 = load(plane, p0 + o), load(plane, p1 + o), load(plane, p2 + o), load(plane, p3 + o)
                    x4, x5, x6, x7 = load(plane, p4 + o), load(plane, p5 + o), load(plane, p6 + o), load(plane, p7 + o)
                    a = a + x0 * w0 + x1 * w1 + x2 * w2 + x3 * w3 + x4 * w4
                    b = b + x1 * w0 + x2 * w1 + x3 * w2 + x4 * w3 + x5 * w4
                    c = c + x2 * w0 + x3 * w1 + x4 * w2 + x5 * w3 + x6 * w4
                    d = d + x3 * w0 + x4 * w1 + x5 * w2 + x6 * w3 + x7 * w4
            else:
                for k in range(len(offsets)):
                    weight, o = load(w, k * pitch + q), offsets[k]
                    a, b = a + load(plane, p0 + o) * weight, b + load(plane, p1 + o) * weight
                    c, d = c + load(plane, p2 + o) * weight, d + load(plane, p3 + o) * weight
            state = step(to, state, h, s, L, a)
            if h + 1 < lines:
                state = step(to, state, h + 1, s, L, b)
            if h + 2 < lines:
                state = step(to, state, h + 2, s, L, c)
            if h + 3 < lines:
                state = step(to, state, h + 3, s, L, d)
        end(to, q, state)
        q = q + lanes(plane) if q + lanes(plane) < pitch else 0


# Its weights' gradient -----------------------------------------------------------------------------------------


@tile
def add_products(d, first, pace, plane, width, C, offsets, side, lines, L, sums, pitch):
    """``sums[k*pitch + s] += d[first + h*pace + s] * plane[offsets[k] + h*width + s]``; s modulo the pitch in sums."""
    if side == 3:
        _add_nine_products(d, first, pace, plane, width, C, lines, L, sums, pitch)
        return
    q = 0
    for s in range(0, L, lanes(plane)):
        if side == 5:  # by columns: what a tap reads in a line, the one above it reads in the next
            for j in range(5):
                k, p, r = j * pitch + q, s + j * C, first + s
                g0, g1, g2 = load(sums, k), load(sums, k + 5 * pitch), load(sums, k + 10 * pitch)
                g3, g4 = load(sums, k + 15 * pitch), load(sums, k + 20 * pitch)
                x0, x1 = load(plane, p), load(plane, p + width)
                x2, x3 = load(plane, p + 2 * width), load(plane, p + 3 * width)
                p += 4 * width
                for _ in range(lines):
                    x4, v = load(plane, p), load(d, r)
                    p += width
                    r += pace
                    g0, g1, g2, g3, g4 = g0 + v * x0, g1 + v * x1, g2 + v * x2, g3 + v * x3, g4 + v * x4
                    x0, x1, x2, x3 = x1, x2, x3, x4
                store(sums, k, g0)
                store(sums, k + 5 * pitch, g1)
                store(sums, k + 10 * pitch, g2)
                store(sums, k + 15 * pitch, g3)
                store(sums, k + 20 * pitch, g4)
        else:
            for k in range(0, len(offsets), 2):
                j = min(k + 1, len(offsets) - 1)  # of an odd number of taps the last is its own partner
                a, b = load(sums, k * pitch + q), load(sums, j * pitch + q)
                for h in range(lines):
                    p, v = h * width + s, load(d, first + s + h * pace)
                    a, b = a + v * load(plane, offsets[k] + p), b + v * load(plane, offsets[j] + p)
                store(sums, k * pitch + q, a)
                store(sums, j * pitch + q, b)
        q = q + lanes(plane) if q + lanes(plane) < pitch else 0


@tile
def _add_nine_products(d, first, pace, plane, width, C, lines, L, sums, pitch):
    q = 0
    for s in range(0, L, lanes(plane)):
        g0, g1, g2 = load(sums, q), load(sums, q + pitch), load(sums, q + 2 * pitch)
        g3, g4, g5 = load(sums, q + 3 * pitch), load(sums, q + 4 * pitch), load(sums, q + 5 * pitch)
        g6, g7, g8 = load(sums, q + 6 * pitch), load(sums, q + 7 * pitch), load(sums, q + 8 * pitch)
        p, r = s, first + s
        a0, a1, a2 = load(plane, p), load(plane, p + C), load(plane, p + 2 * C)
        p += width
        b0, b1, b2 = load(plane, p), load(plane, p + C), load(plane, p + 2 * C)
        for _ in range(lines):
            p += width
            v = load(d, r)
            r += pace
            c0, c1, c2 = load(plane, p), load(plane, p + C), load(plane, p + 2 * C)
            g0, g1, g2 = g0 + v * a0, g1 + v * a1, g2 + v * a2
            g3, g4, g5 = g3 + v * b0, g4 + v * b1, g5 + v * b2
            g6, g7, g8 = g6 + v * c0, g7 + v * c1, g8 + v * c2
            a0, a1, a2, b0, b1, b2 = b0, b1, b2, c0, c1, c2
        store(sums, q, g0)
        store(sums, q + pitch, g1)
        store(sums, q + 2 * pitch, g2)
        store(sums, q + 3 * pitch, g3)
        store(sums, q + 4 * pitch, g4)
        store(sums, q + 5 * pitch, g5)
        store(sums, q + 6 * pitch, g6)
        store(sums, q + 7 * pitch, g7)
        store(sums, q + 8 * pitch, g8)
        q = q + lanes(plane) if q + lanes(plane) < pitch else 0
