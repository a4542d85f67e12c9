"""The padded plane: an image laid out so that the pixels under a tap of the kernel are unbroken stretches of memory.

The plane has a border of zeros. Without a stride it is the padded image: moving the window by one pixel moves every tap
by one pixel, so what lies under a tap along an output line is a stretch of the plane. A stride would leave gaps; so the
plane's lines are dealt out into SH phases and its columns into SW phases, as one deals cards:

    columns  0 1 2 3 4 5 6    SW = 2    0 2 4 6 | 1 3 5      a tap sees the even columns or the odd ones, never both

    plane[phase of lines, phase of columns, line, column*C + channel]

Zero padding is put around the *normalised* image, as it must be.
"""

from minighost.ops.buffers import empty
from minighost.ops.engine import tile
from minighost.ops.fused.tiles import normalise

__all__ = ["collect", "fill", "planes_of", "under"]


def planes_of(count, H, W, C, g, dtype):
    """Memory for so many planes, shape (count, SH, SW, lines, columns*C)."""
    return empty((count, g.SH, g.SW, -(-(H + 2 * g.PH) // g.SH), -(-(W + 2 * g.PW) // g.SW) * C), dtype)


@tile
def fill(x, affine, g, C, line, plane):
    """Normalise an image, given as lines (H, W*C), into the inside of its plane; `line` is scratch for one line."""
    H, L = x.shape
    for h in range(H):
        source, row = x[h], h + g.PH
        if affine.shape[1]:
            target = plane[row % g.SH, 0, row // g.SH, g.PW * C : g.PW * C + L] if g.SW == 1 else line
            normalise(source, affine[0], affine[1], affine[3, 0], target)
            source = target
        if g.SW > 1 or affine.shape[1] == 0:
            for w in range(L // C):
                cell, pixel = _cell(plane, h, w, g, C), source[w * C : (w + 1) * C]
                for c in range(C):
                    cell[c] = pixel[c]


@tile
def collect(plane, h, g, C, line):
    """Line h of the image, put together from the phases of its plane."""
    for w in range(len(line) // C):
        cell, pixel = _cell(plane, h, w, g, C), line[w * C : (w + 1) * C]
        for c in range(C):
            pixel[c] = cell[c]


@tile
def under(plane, i, tap, g, C, L):
    """The L numbers that lie under a tap along output line i."""
    u, v = tap // g.KW * g.DH, tap % g.KW * g.DW
    start = v // g.SW * C
    return plane[u % g.SH, v % g.SW, i + u // g.SH, start : start + L]


@tile
def _cell(plane, h, w, g, C):
    """Where pixel (h, w) of the image lies."""
    row, k = h + g.PH, w + g.PW
    return plane[row % g.SH, k % g.SW, row // g.SH, k // g.SW * C : (k // g.SW + 1) * C]
