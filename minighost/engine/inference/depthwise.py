"""Depthwise convolution, two output lines at a time, for the machine.

As in `engine.kernels.depthwise`, the pixels under a tap along an output line are one stretch of a padded line, and the
weights are repeated along it - here only so often that they stay in the innermost cache. Only those padded lines are
kept that are still needed, in a ring: line h of the padded image is row ``h % R`` of R. A stride along the line is
dealt with more simply than there, for there is no way back to prepare: the line is computed as if there were none, and
then only every SW-th pixel of it is kept.

Arrays are flat, with the place of what is meant beside them, for here a slice would take as long as a short line.
Places are unsigned: at a signed index Numba asks whether it counts from the end.
"""

import numpy as np

from minighost.engine.launch import tile

__all__ = ["add_line", "line_of_nine", "pick", "put_line", "two_lines_of_nine"]


@tile
def put_line(a, source, inside, L, out, target):
    """Copy a line to its place between zeros, or zero it if it is not inside the image."""
    source, target, zero = np.uintp(source), np.uintp(target), out.dtype.type(0)
    if inside:
        for k in range(np.uintp(L)):
            out[target + k] = a[source + k]
    else:
        for k in range(np.uintp(L)):
            out[target + k] = zero


@tile
def two_lines_of_nine(plane, width, R, i, C, lines, w, bias, low, high, lanes, L, out, target):
    """Lines i and i+1 of a 3x3 convolution at once, for they share weights and lines; bias and limits included."""
    a, b = np.uintp(i % R * width), np.uintp((i + 1) % R * width)
    c, d = np.uintp((i + 2) % R * width), np.uintp((i + 3) % R * width)
    w, bias, n, C, L = np.uintp(w), np.uintp(bias), np.uintp(lanes), np.uintp(C), np.uintp(L)
    w1, w2, w3, w4 = w + n, w + n + n, w + np.uintp(3) * n, w + np.uintp(4) * n
    w5, w6, w7, w8 = w4 + n, w4 + n + n, w4 + np.uintp(3) * n, w4 + np.uintp(4) * n
    o = np.uintp(target)
    for q in range(np.uintp(0), L, n):
        a0, b0, c0, d0 = a + q, b + q, c + q, d + q
        a1, b1, c1, d1 = a0 + C, b0 + C, c0 + C, d0 + C
        a2, b2, c2, d2 = a1 + C, b1 + C, c1 + C, d1 + C
        p0, p1 = o + q, o + q + L
        for k in range(n):
            x = (
                plane[a0 + k] * lines[w + k]
                + plane[a1 + k] * lines[w1 + k]
                + plane[a2 + k] * lines[w2 + k]
                + plane[b0 + k] * lines[w3 + k]
                + plane[b1 + k] * lines[w4 + k]
                + plane[b2 + k] * lines[w5 + k]
                + plane[c0 + k] * lines[w6 + k]
                + plane[c1 + k] * lines[w7 + k]
                + plane[c2 + k] * lines[w8 + k]
                + lines[bias + k]
            )
            y = (
                plane[b0 + k] * lines[w + k]
                + plane[b1 + k] * lines[w1 + k]
                + plane[b2 + k] * lines[w2 + k]
                + plane[c0 + k] * lines[w3 + k]
                + plane[c1 + k] * lines[w4 + k]
                + plane[c2 + k] * lines[w5 + k]
                + plane[d0 + k] * lines[w6 + k]
                + plane[d1 + k] * lines[w7 + k]
                + plane[d2 + k] * lines[w8 + k]
                + lines[bias + k]
            )
            x, y = low if x <= low else x, low if y <= low else y
            out[p0 + k] = high if x >= high else x
            out[p1 + k] = high if y >= high else y


@tile
def line_of_nine(plane, width, R, top, C, lines, w, bias, low, high, lanes, L, out, target):
    """One line of a 3x3 convolution, the first line of whose window is `top`; bias and limits included."""
    a, b, c = np.uintp(top % R * width), np.uintp((top + 1) % R * width), np.uintp((top + 2) % R * width)
    w, bias, n, C, L = np.uintp(w), np.uintp(bias), np.uintp(lanes), np.uintp(C), np.uintp(L)
    w1, w2, w3, w4 = w + n, w + n + n, w + np.uintp(3) * n, w + np.uintp(4) * n
    w5, w6, w7, w8 = w4 + n, w4 + n + n, w4 + np.uintp(3) * n, w4 + np.uintp(4) * n
    for q in range(np.uintp(0), L, n):
        a0, b0, c0, o = a + q, b + q, c + q, np.uintp(target) + q
        a1, b1, c1 = a0 + C, b0 + C, c0 + C
        a2, b2, c2 = a1 + C, b1 + C, c1 + C
        for k in range(n):
            x = (
                plane[a0 + k] * lines[w + k]
                + plane[a1 + k] * lines[w1 + k]
                + plane[a2 + k] * lines[w2 + k]
                + plane[b0 + k] * lines[w3 + k]
                + plane[b1 + k] * lines[w4 + k]
                + plane[b2 + k] * lines[w5 + k]
                + plane[c0 + k] * lines[w6 + k]
                + plane[c1 + k] * lines[w7 + k]
                + plane[c2 + k] * lines[w8 + k]
                + lines[bias + k]
            )
            x = low if x <= low else x
            out[o + k] = high if x >= high else x


@tile
def add_line(plane, width, R, top, g, C, lines, w, lanes, L, out, target):
    """An output line of any kernel without bias, three taps of a row at a time."""
    n, L, target, zero = np.uintp(lanes), np.uintp(L), np.uintp(target), out.dtype.type(0)
    for k in range(L):
        out[target + k] = zero
    D, three = np.uintp(g.DW * C), np.uintp(3)
    for u in range(g.KH):
        row, tap = np.uintp((top + u * g.DH) % R * width), np.uintp(w + u * g.KW * lanes)
        for v in range(np.uintp(0), np.uintp(g.KW), three):
            rest = np.uintp(g.KW) - v
            for q in range(np.uintp(0), L, n):
                a, x, o = row + v * D + q, tap + v * n, target + q
                b, c, y, z = a + D, a + D + D, x + n, x + n + n
                if rest >= three:
                    for k in range(n):
                        out[o + k] += (
                            plane[a + k] * lines[x + k] + plane[b + k] * lines[y + k] + plane[c + k] * lines[z + k]
                        )
                elif rest > np.uintp(1):
                    for k in range(n):
                        out[o + k] += plane[a + k] * lines[x + k] + plane[b + k] * lines[y + k]
                else:
                    for k in range(n):
                        out[o + k] += plane[a + k] * lines[x + k]


@tile
def pick(line, stride, C, pixels, out, target):
    """Every pixel of a line that the stride lands on."""
    source, target, C, gap = np.uintp(0), np.uintp(target), np.uintp(C), np.uintp(stride * C)
    for _ in range(pixels):
        for c in range(C):
            out[target + c] = line[source + c]
        source += gap
        target += C
