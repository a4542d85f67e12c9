"""The padded plane: an image laid out so that the pixels under a tap of the kernel are unbroken stretches of memory.

The plane has a border of zeros. Without a stride it is the padded image: moving the window by one pixel moves every tap
by one pixel, so what lies under a tap along an output line is a stretch of the plane. A stride would leave gaps; so the
plane's lines are divided into SH phases and its columns into SW phases, each taking every SH-th or SW-th in turn:

    columns  0 1 2 3 4 5 6    SW = 2    0 2 4 6 | 1 3 5      a tap sees the even columns or the odd ones, never both

    plane[phase of lines, phase of columns, line, column*C + channel]

Zero padding is put around the *normalised* image, as it must be.
"""

import functools
from typing import Any

import numpy as np

from minighost.engine.geometry import Geometry
from minighost.engine.kernels.tiles import normalise
from minighost.engine.launch import tile
from minighost.engine.vectors import copy, width

__all__ = [
    "collect",
    "deinterleave",
    "fill",
    "interleave",
    "tap_offsets",
    "plane_shape",
    "input_gradient_taps",
    "phases_inside",
]


@functools.lru_cache(1 << 10)
def plane_shape(H, W, C, g, dtype):
    """Shape of the plane of an image: (SH, SW, lines, columns*C)."""
    numbers = -(-(W + 2 * g.PW) // g.SW) * C
    spare = -(-width(dtype) // numbers)  # lines, for a register that is read at the end of the last
    return g.SH, g.SW, -(-(H + 2 * g.PH) // g.SH) + spare, numbers


@functools.lru_cache(1 << 10)
def tap_offsets(shape, g, C):
    """Where in a flattened plane of this shape the stretch under each tap begins, along output line 0: (KH*KW,), int64.

    Each further output line is one line of the plane on. A table, for in a kernel the divisions would take longer than
    a short stretch.
    """
    SH, SW, lines, width = shape
    u, v = np.divmod(np.arange(g.KH * g.KW), g.KW)
    (line, row), (column, phase) = np.divmod(u * g.DH, SH), np.divmod(v * g.DW, SW)
    return ((row * SW + phase) * lines + line) * width + column * C


@functools.lru_cache(1 << 10)
def input_gradient_taps(g, width, C):
    """Where the gradient of a pixel comes from: what `tap_offsets` is for the way there.

    A pixel is seen by the taps of its phase only, so its gradient is a convolution, without stride and with these
    taps, of the output's gradient - which has to lie in a plane of its own, after some lines and columns of zeros.

    Parameters
    ----------
    g : Geometry
    width : int
        Numbers in a line of the pixels' plane; a line of the gradient's has as many, and the zeros before them.
    C : int

    Returns
    -------
    above, before : int
        Lines of zeros, and numbers of zeros in a line.
    taps : ndarray, shape (KH*KW,), int64
        Phase by phase, each from its last tap to its first.
    offsets : ndarray, shape (KH*KW,), int64
        Where in the flattened plane the stretch for each of them begins, for line 0 of its phase.
    bounds : ndarray, shape (SH*SW + 1,), int64
        Phase p, which is SW times the phase of its lines and that of its columns, has ``taps[bounds[p]:bounds[p+1]]``.
    """
    above, columns = (g.KH - 1) * g.DH // g.SH, (g.KW - 1) * g.DW // g.SW
    u, v = np.divmod(np.arange(g.KH * g.KW)[::-1], g.KW)
    (line, row), (column, phase) = np.divmod(u * g.DH, g.SH), np.divmod(v * g.DW, g.SW)
    order = np.argsort(row * g.SW + phase, kind="stable")
    offsets = (above - line) * (columns * C + width) + (columns - column) * C
    bounds = np.searchsorted((row * g.SW + phase)[order], np.arange(g.SH * g.SW + 1))
    return above, columns * C, (u * g.KW + v)[order], offsets[order], bounds


@functools.lru_cache(1 << 10)
def phases_inside(H, W, g):
    """Which lines and columns of each phase lie in the image and not in its border: (SH*SW, 4), int64.

    The first line, the first one after the last, the first column, the first one after the last.
    """
    line, column = np.divmod(np.arange(g.SH * g.SW), g.SW)
    lines = [-((line - padding) // g.SH) for padding in (g.PH, g.PH + H)]
    columns = [-((column - padding) // g.SW) for padding in (g.PW, g.PW + W)]
    return np.stack([*lines, *columns], axis=1)


@tile
def fill(x, norm, act, g, C, line, plane):
    """Normalise an image, given as lines (H, W*C), into the inside of its plane; `line` is scratch for one line."""
    H, L = x.shape
    for h in range(H):
        row = h + g.PH
        if g.SW == 1:
            normalise(x[h], norm, act, plane[row % g.SH, 0, row // g.SH, g.PW * C : g.PW * C + L])
        else:
            normalise(x[h], norm, act, line)
            deinterleave(line, plane.reshape(-1), *_row(plane, row, g), g, C)


@tile
def collect(plane, h, g, C, line):
    """Line h of the image, put together from the phases of its plane."""
    row = h + g.PH
    if g.SW == 1:
        first, _ = _row(plane, row, g)
        copy(plane.reshape(-1), first + g.PW * C, len(line), line, 0)
    else:
        interleave(plane.reshape(-1), *_row(plane, row, g), g, C, line)


@tile
def _row(plane: Any, row: Any, g: Geometry) -> tuple[Any, Any]:
    """Where a line of the padded image begins in its plane, and how far the next phase of its columns is."""
    _, SW, lines, L = plane.shape
    return (row % g.SH * SW * lines + row // g.SH) * L, lines * L


@tile
def deinterleave(line, plane, first, pitch, g, C):
    """Divide a line's pixels into phases, which begin at ``plane[first]`` and every `pitch` numbers from there."""
    for k in range(len(line) // C):
        column = g.PW + k
        copy(line, k * C, C, plane, first + column % g.SW * pitch + column // g.SW * C)


@tile
def interleave(plane, first, pitch, g, C, line):
    """A line, put together from its phases."""
    for k in range(len(line) // C):
        column = g.PW + k
        copy(plane, first + column % g.SW * pitch + column // g.SW * C, C, line, k * C)
