"""The padded plane: an image laid out so that the pixels under a tap of the kernel are unbroken stretches of memory.

The plane has a border of zeros. Without a stride it is the padded image: moving the window by one pixel moves every tap
by one pixel, so what lies under a tap along an output line is a stretch of the plane. A stride would leave gaps; so the
plane's lines are dealt out into SH phases and its columns into SW phases, as one deals cards:

    columns  0 1 2 3 4 5 6    SW = 2    0 2 4 6 | 1 3 5      a tap sees the even columns or the odd ones, never both

    plane[phase of lines, phase of columns, line, column*C + channel]

Zero padding is put around the *normalised* image, as it must be.
"""

import numpy as np

from minighost.ops.buffers import empty
from minighost.ops.engine import tile
from minighost.ops.fused.tiles import normalise

__all__ = ["collect", "deal", "fill", "gather", "planes_of", "under"]


def planes_of(count, H, W, C, g, dtype):
    """Memory for so many planes, shape (count, SH, SW, lines, columns*C)."""
    return empty((count, g.SH, g.SW, -(-(H + 2 * g.PH) // g.SH), -(-(W + 2 * g.PW) // g.SW) * C), dtype)


@tile
def fill(x, affine, g, C, line, plane):
    """Normalise an image, given as lines (H, W*C), into the inside of its plane; `line` is scratch for one line."""
    H, L = x.shape
    for h in range(H):
        row = h + g.PH
        if g.SW == 1:
            _normalise(x[h], affine, plane[row % g.SH, 0, row // g.SH, g.PW * C : g.PW * C + L])
        else:
            _normalise(x[h], affine, line)
            deal(line, plane[row % g.SH, :, row // g.SH], g, C)


@tile
def collect(plane, h, g, C, line):
    """Line h of the image, put together from the phases of its plane."""
    row = h + g.PH
    if g.SW == 1:
        source = plane[row % g.SH, 0, row // g.SH, g.PW * C : g.PW * C + len(line)]
        for k in range(len(line)):
            line[k] = source[k]
    else:
        gather(plane[row % g.SH, :, row // g.SH], g, C, line)


@tile
def _normalise(x, affine, out):
    if affine.shape[1]:
        normalise(x, affine[0], affine[1], affine[3, 0], out)
    else:
        for k in range(len(x)):
            out[k] = x[k]


# Indices are unsigned here: at a signed one Numba asks each time whether it counts from the end.


@tile
def deal(line, phases, g, C):
    """Deal a line's pixels out into the phases of a plane's line."""
    C, one = np.uintp(C), np.uintp(1)
    for w in range(len(line) // C):
        k = w + g.PW
        phase, target, source = phases[k % g.SW], np.uintp(k // g.SW) * C, np.uintp(w) * C
        for _ in range(C):
            phase[target] = line[source]
            target += one
            source += one


@tile
def gather(phases, g, C, line):
    """A line, put together from its phases."""
    C, one = np.uintp(C), np.uintp(1)
    for w in range(len(line) // C):
        k = w + g.PW
        phase, source, target = phases[k % g.SW], np.uintp(k // g.SW) * C, np.uintp(w) * C
        for _ in range(C):
            line[target] = phase[source]
            target += one
            source += one


@tile
def under(plane, i, tap, g, C, L):
    """The L numbers that lie under a tap along output line i."""
    u, v = tap // g.KW * g.DH, tap % g.KW * g.DW
    start = v // g.SW * C
    return plane[u % g.SH, v % g.SW, i + u // g.SH, start : start + L]
