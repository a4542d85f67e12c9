"""The machine: a kernel that takes tiles of images through a list of steps.

A step reads one or two operands and writes one; each is a contiguous (images, H, W, C) array that lies in the input,
in the output or in the thread's own memory, its arena. Weights stay in two long arrays of numbers, `weights` as folded
and `lines` repeated along a line of the output, whole numbers in `tables`; a step knows where its own begin. Bias and
activation are part of the step, done while its result is in cache.

The reference twins are the plain operations in `minighost.ops`: `tests/test_nn_fold.py` holds whole networks equal.
Which arena a thread gets does not matter to what it computes, and tiles depend on the shapes alone.
"""

from numba.extending import overload
from numba.np.unsafe.ndarray import to_fixed_tuple

from minighost.engine.activations import IDENTITY, KINDS, Clip, value
from minighost.engine.gemm import gemm
from minighost.engine.geometry import Geometry
from minighost.engine.inference.step import (
    AFFINE,
    CONV,
    DEPTHWISE,
    INPUT,
    JOIN,
    MAX_POOL,
    MEAN,
    OUTPUT,
    PAD,
    PRODUCT,
    RESPONSE_NORM,
    SCALE,
    SELECT,
    SHIFT_MAX,
    WINOGRAD,
    Step,
    row_pitch,
)
from minighost.engine.inference.winograd import winograd
from minighost.engine.kernels.padded import pad_line
from minighost.engine.kernels.plane import fill
from minighost.engine.kernels.response import bracket, damp
from minighost.engine.kernels.strips import Activated, convolve, square
from minighost.engine.launch import kernel, share, thread_id, threads, tile
from minighost.engine.memory import empty
from minighost.engine.vectors import copy

__all__ = ["run"]


def run(steps, weights, lines, tables, size, B, x, out):
    """Take the images of `x` through a program to `out`, B at a time.

    Parameters
    ----------
    steps : ndarray, shape (steps, fields), int64
        From `Program.assemble`.
    weights, lines : ndarray, shape (numbers,)
    tables : ndarray, shape (numbers,), int64
    size, B : int
        Numbers in an arena for B images.
    x, out : ndarray, shape (N, ...)
        C-contiguous, of one dtype with the weights; nothing is checked here.
    """
    n_threads = threads().count
    arenas = empty((n_threads, max(1, size)), x.dtype)
    flat, result = x.reshape(-1), out.reshape(-1)
    _run(steps, weights, lines, tables, len(x), B, flat, result, arenas, n_threads=n_threads)


@kernel
def _run(work, program, weights, lines, tables, N, B, x, out, arenas):
    arena = arenas[thread_id(work)]
    for t in share(work, -(-N // B)):
        n0 = t * B
        n = min(B, N - n0)
        for k in range(len(program)):
            _do(_step(program[k]), n0, n, weights, lines, tables, x, out, arena)


_FIELDS = len(Step._fields)


def _step(numbers):
    """A line of the program as a `Step`."""
    return Step(*numbers)


@overload(_step)
def _step_compiled(numbers):
    return lambda numbers: Step(*to_fixed_tuple(numbers, _FIELDS))


@tile
def _region(place, size, n0, n, x, out, arena):
    """The numbers of n images, the first of which is image n0 of the batch."""
    if place == INPUT:
        return x[n0 * size : (n0 + n) * size]
    if place == OUTPUT:
        return out[n0 * size : (n0 + n) * size]
    return arena[place : place + n * size]


@tile
def _do(s, n0, n, weights, lines, tables, x, out, arena):
    a, o = _region(s.a, s.a_size, n0, n, x, out, arena), _region(s.o, s.o_size, n0, n, x, out, arena)
    g = Geometry(s.KH, s.KW, s.SH, s.SW, s.PH, s.PW, s.DH, s.DW, s.OH, s.OW)
    if s.op == PRODUCT:
        _product(s, a, weights, lines, o)
    elif s.op == DEPTHWISE:
        _depthwise(s, g, n, a, lines, tables, arena[s.scratch :], o)
    elif s.op == CONV:
        _conv(s, g, n, a, weights, lines, arena[s.scratch :], o)
    elif s.op == WINOGRAD:
        winograd(s, n, a, weights, arena[s.scratch :], o)
        _finish(s, lines, o)
    elif s.op == JOIN:
        _join(s, a, _region(s.b, s.b_size, n0, n, x, out, arena), o)
    elif s.op == AFFINE:
        _affine(s, a, lines, o)
    elif s.op == MEAN:
        _mean(s, n, a, o)
    elif s.op == SCALE:
        _scale(s, n, a, _region(s.b, s.b_size, n0, n, x, out, arena), o)
    elif s.op == SHIFT_MAX:
        _shift_max(s, n, a, _region(s.b, s.b_size, n0, n, x, out, arena), tables, o)
    elif s.op == SELECT:
        _select(s, a, tables, o)
    elif s.op == PAD:
        _pad(s, g, n, a, o)
    elif s.op == RESPONSE_NORM:
        _response_norm(s, a, lines[s.w : s.w + 3], o)
    elif s.op == MAX_POOL:
        _max_pool(s, g, n, a, tables[s.table :], o)
    else:
        _avg_pool(s, g, n, a, tables[s.table :], o)


@tile
def _finish(s, lines, x):
    """Bias and activation, in place."""
    bias, L, clip = lines[s.bias : s.bias + s.lanes], s.lanes, Clip(lines[s.limits], lines[s.limits + 1])
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq = x[q : q + n]
        if s.act == 0:
            for k in range(n):
                xq[k] = value(clip, xq[k] + bias[k])
        else:
            for k in range(n):
                xq[k] += bias[k]
            activate(s.act, xq)


def activate(place, x):
    """Apply the activation at this place of `KINDS` to every number."""
    x[:] = KINDS[place]().value(x)


@overload(activate)
def _activate_compiled(place, x):
    chosen = _one_of(1)
    return lambda place, x: chosen(place, x)


def _one_of(first):
    """A function that applies the activation at a place of `KINDS` from `first` on."""
    kind = KINDS[first]
    otherwise = _one_of(first + 1) if first + 1 < len(KINDS) else None

    @tile
    def apply(place, x):
        act = kind()
        for k in range(len(x)):
            x[k] = value(act, x[k])

    if otherwise is None:
        return apply

    @tile
    def choose(place, x):
        if place == first:
            apply(place, x)
        else:
            otherwise(place, x)

    return choose


@tile
def _product(s, a, weights, lines, o):
    """``o = a @ w``, or ``o += a @ w``."""
    rows = len(o) // s.OC
    w, step = _matrix(weights, s.w, s.C, s.OC), max(64, 8192 // s.OC)  # rows that stay in cache
    for r in range(0, rows, step):
        m = min(step, rows - r)
        result = o[r * s.OC : (r + m) * s.OC]
        gemm(a[r * s.C : (r + m) * s.C].reshape(m, s.C), False, w, s.flag % 2 == 1, result.reshape(m, s.OC))
        if s.flag < 2:
            _finish(s, lines, result)


@tile
def _matrix(weights, place, rows, OC):
    """Weights (rows, OC), whose rows do not follow one another closely."""
    pitch = row_pitch(OC)
    return weights[place : place + rows * pitch].reshape(rows, pitch)[:, :OC]


@tile
def _depthwise(s, g, n, a, lines, tables, scratch, o):
    """Image by image: into a padded plane, then strip by strip; one filter per channel."""
    C, L, numbers, KK = s.C, s.W * s.C, g.OH * g.OW * s.OC, g.KH * g.KW
    width = (s.W + 2 * g.PW + g.SW - 1) // g.SW * C
    size, as_it_is = g.SH * g.SW * s.pitch * width, lines[:0].reshape(3, 0)
    flat, line = scratch[:size], scratch[size : size + L]
    plane = flat.reshape(g.SH, g.SW, s.pitch, width)
    w, offsets = lines[s.w : s.w + KK * s.lanes], tables[s.table : s.table + KK]
    bias, clip = lines[s.bias : s.bias + s.lanes], Clip(lines[s.limits], lines[s.limits + 1])
    side = square(g)
    flat[:] = 0
    for k in range(n):
        fill(a[k * s.H * L : (k + 1) * s.H * L].reshape(s.H, L), as_it_is, IDENTITY, g, C, line, plane)
        out = o[k * numbers : (k + 1) * numbers]
        convolve(flat, 0, width, C, offsets, side, w, s.lanes, g.OH, g.OW * C, Activated(out, bias, clip))
        if s.act != 0:
            activate(s.act, out)


@tile
def _conv(s, g, n, a, weights, lines, scratch, o):
    """Image by image: windows of a few output lines as rows (`im2col`), then a product for each group."""
    H, L, OL, K = s.H, s.W * s.C, g.OW * s.OC, g.KH * g.KW * s.C
    width = (s.W + 2 * g.PW) * s.C
    size = (H + 2 * g.PH) * width
    plane = scratch[:size].reshape(H + 2 * g.PH, width)
    plane[:] = 0
    for k in range(n):
        for h in range(H):
            copy(a, (k * H + h) * L, L, scratch, (g.PH + h) * width + g.PW * s.C)
        for i in range(0, g.OH, s.pitch):
            m = min(s.pitch, g.OH - i)
            numbers = scratch[size : size + m * g.OW * K]
            _windows(plane, i, i + m, g, s.C, numbers)
            windows = numbers.reshape(m * g.OW, K)
            out = o[(k * g.OH + i) * OL : (k * g.OH + i + m) * OL].reshape(m * g.OW, s.OC)
            if s.flag == 1:
                gemm(windows, False, _matrix(weights, s.w, K, s.OC), False, out)
            else:
                _grouped(windows, s, weights, out)
        _finish(s, lines, o[k * g.OH * OL : (k + 1) * g.OH * OL])


@tile
def _windows(plane, first, last, g, C, out):
    """The windows of some output lines, one after the other; taps along a line lie together without dilation."""
    length, runs = (g.KW * C, 1) if g.DW == 1 else (C, g.KW)
    width, flat, target = plane.shape[1], plane.reshape(-1), 0
    for i in range(first, last):
        for j in range(g.OW):
            for u in range(g.KH):
                for v in range(runs):
                    copy(flat, (i * g.SH + u * g.DH) * width + (j * g.SW + v * g.DW) * C, length, out, target)
                    target += length


@tile
def _grouped(windows, s, weights, out):
    """A product for each tap and group, for a group's channels lie together within a tap only."""
    C, OC = s.C // s.flag, s.OC // s.flag
    taps = windows.shape[1] // s.C
    for tap in range(taps):
        w = _matrix(weights, s.w + tap * C * row_pitch(s.OC), C, s.OC)
        for k in range(s.flag):
            mine, its = slice(tap * s.C + k * C, tap * s.C + (k + 1) * C), slice(k * OC, (k + 1) * OC)
            gemm(windows[:, mine], False, w[:, its], tap > 0, out[:, its])


@tile
def _affine(s, a, lines, o):
    """``o = act(scale*a + shift)``: a batch norm or an activation with no convolution in front."""
    L = s.lanes
    scale = lines[s.w : s.w + L]
    for q in range(0, len(a), L):
        for k in range(min(L, len(a) - q)):
            o[q + k] = a[q + k] * scale[k]
    _finish(s, lines, o)


@tile
def _join(s, a, b, o):
    """Put a's channels into some columns of the result, and add those of b if there is one."""
    for r in range(len(a) // s.C):
        if s.flag:
            target = r * s.pitch + s.first
            x, y, out = a[r * s.C : (r + 1) * s.C], b[target : target + s.C], o[target : target + s.C]
            for c in range(s.C):
                out[c] = x[c] + y[c]
        else:
            copy(a, r * s.C, s.C, o, r * s.pitch + s.first)


@tile
def _shift_max(s, n, a, b, tables, o):
    """The largest of several mixtures of every channel with another; b has the coefficients of each image."""
    K, C, terms = s.H * s.W, s.C, s.pitch // (2 * s.C)
    x, y, coefficients = a.reshape(n * K, C), o.reshape(n * K, C), b.reshape(n, terms, 2, C)
    following = tables[s.table : s.table + C]
    for r in range(n * K):
        k = r // K
        for c in range(C):
            this, other = x[r, c], x[r, following[c]]
            best = coefficients[k, 0, 0, c] * this + coefficients[k, 0, 1, c] * other
            for t in range(1, terms):
                new = coefficients[k, t, 0, c] * this + coefficients[k, t, 1, c] * other
                best = best if best >= new or best != best else new
            y[r, c] = best


@tile
def _select(s, a, tables, o):
    """Copy OC channels, each to its column of the result."""
    source, target = tables[s.table : s.table + s.OC], tables[s.table + s.OC : s.table + 2 * s.OC]
    for r in range(len(a) // s.C):
        if s.flag:
            copy(a, r * s.C + source[0], s.OC, o, r * s.pitch + target[0])
        else:
            x, y = a[r * s.C : (r + 1) * s.C], o[r * s.pitch : (r + 1) * s.pitch]
            for c in range(s.OC):
                y[target[c]] = x[source[c]]


@tile
def _mean(s, n, a, o):
    """The mean of every plane, in some columns of the result; four pixels at a time."""
    K, first, zero, count = s.H * s.W, s.first, a.dtype.type(0), a.dtype.type(s.H * s.W)
    x, y = a.reshape(n * K, s.C), o.reshape(n, s.pitch)
    for k in range(n):
        for c in range(s.C):
            y[k, first + c] = zero
        last = (k + 1) * K
        for r in range(k * K, last - 3, 4):
            for c in range(s.C):
                y[k, first + c] += (x[r, c] + x[r + 1, c]) + (x[r + 2, c] + x[r + 3, c])
        for r in range(last - K % 4, last):
            for c in range(s.C):
                y[k, first + c] += x[r, c]
        for c in range(s.C):
            y[k, first + c] /= count


@tile
def _scale(s, n, a, b, o):
    """Every pixel times the nearest in the plane of gates; squeeze-and-excitation's is 1x1."""
    C, first = s.C, s.first
    x, gate, y = a.reshape(n * s.H, s.W, C), b.reshape(n * s.KH, s.KW, s.pitch), o.reshape(n * s.H, s.W, C)
    for line in range(n * s.H):
        row = line // s.H * s.KH + line % s.H * s.KH // s.H
        for j in range(s.W):
            column = j * s.KW // s.W
            for c in range(C):
                y[line, j, c] = x[line, j, c] * gate[row, column, first + c]


@tile
def _pad(s, g, n, a, o):
    x, y = a.reshape(n, s.H, s.W, s.C), o.reshape(n, g.OH, g.OW, s.C)
    for line in range(n * g.OH):
        k, i = line // g.OH, line % g.OH
        pad_line(x[k], i - g.PH, g.PW, s.flag == 1, y[k, i])


@tile
def _response_norm(s, a, numbers, o):
    """Each pixel's bracket is written to the result, and read when that is computed."""
    rows = len(a) // s.C
    x, y = a.reshape(rows, s.C), o.reshape(rows, s.C)
    for r in range(rows):
        bracket(x[r], s.flag // 2, (s.flag - 1) // 2, numbers, y[r])
        damp(x[r], y[r], numbers, y[r])


@tile
def _max_pool(s, g, n, a, bounds, o):
    """Where windows begin and end: of each line of them the rows, then of each column of them the columns."""
    C, columns = s.C, bounds[2 * g.OH :]
    x, y = a.reshape(n * s.H, s.W, C), o.reshape(n * g.OH, g.OW, C)
    for line in range(n * g.OH):
        k, i = line // g.OH, line % g.OH
        for j in range(g.OW):
            started = False
            for h in range(k * s.H + bounds[2 * i], k * s.H + bounds[2 * i + 1]):
                for w in range(columns[2 * j], columns[2 * j + 1]):
                    for c in range(C):
                        best, new = y[line, j, c], x[h, w, c]
                        y[line, j, c] = best if started and (new <= best or best != best) else new
                    started = True


@tile
def _avg_pool(s, g, n, a, bounds, o):
    """The bounds are followed by the rows that count in each line of windows, and the columns in each column."""
    C, zero, columns, counts = s.C, a.dtype.type(0), bounds[2 * g.OH :], bounds[2 * (g.OH + g.OW) :]
    x, y = a.reshape(n * s.H, s.W, C), o.reshape(n * g.OH, g.OW, C)
    for line in range(n * g.OH):
        k, i = line // g.OH, line % g.OH
        for j in range(g.OW):
            count = a.dtype.type(counts[i] * counts[g.OH + j])
            for c in range(C):
                y[line, j, c] = zero
            for h in range(k * s.H + bounds[2 * i], k * s.H + bounds[2 * i + 1]):
                for w in range(columns[2 * j], columns[2 * j + 1]):
                    for c in range(C):
                        y[line, j, c] += x[h, w, c]
            for c in range(C):
                y[line, j, c] /= count
