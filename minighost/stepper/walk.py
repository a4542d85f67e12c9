"""A kernel's walk over a plane: where it goes, and how planes, kernels and rows of im2col are laid out on the page.

Indices as everywhere: (i, j) is a position of the smaller plane, (u, v) a tap, (h, k) the pixel under it, c and o
channels.
"""

from typing import NamedTuple

import numpy as np

from minighost.engine.geometry import Geometry
from minighost.stepper.frames import Array

__all__ = ["Lines", "Walk", "kernels", "plane", "row", "row_cells"]


class Walk(NamedTuple):
    """Where the kernel goes: its geometry, the plane that it walks over, the channels of both sides."""

    g: Geometry
    plane: tuple  # (H, W)
    C: int
    OC: int
    groups: int

    @property
    def taps(self):
        """How many weights a kernel has in one channel."""
        return self.g.KH * self.g.KW

    def slices(self):
        """Per group the channels it reads and the channels it writes."""
        for k in range(self.groups):
            yield (
                range(k * self.C // self.groups, (k + 1) * self.C // self.groups),
                range(k * self.OC // self.groups, (k + 1) * self.OC // self.groups),
            )

    def window(self, i, j):
        """All taps with the pixel under each, and those of them that lie inside the plane."""
        g = self.g
        taps = [(u, v, i * g.SH + u * g.DH - g.PH, j * g.SW + v * g.DW - g.PW) for u, v in np.ndindex(g.KH, g.KW)]
        return taps, [t for t in taps if 0 <= t[2] < self.plane[0] and 0 <= t[3] < self.plane[1]]

    def positions(self):
        """Positions (i, j) of the smaller plane, row by row."""
        return np.ndindex(self.g.OH, self.g.OW)


class Lines(NamedTuple):
    """Lines of the reference twin: where it turns to a position, where it adds, where it returns."""

    visit: tuple
    add: tuple
    done: tuple


# The arrays ----------------------------------------------------------------------------------------------------


def plane(name, note, values, border=(0, 0)):
    """A picture (H, W, C), one panel per channel, with `border` rows and columns of padding around it."""
    (PH, PW), C = border, values.shape[2]
    padded = np.pad(np.asarray(values, np.float64), [(PH, PH), (PW, PW), (0, 0)])
    titles = [f"channel {c}" for c in range(C)] if C > 1 else None
    return Array(name, note, padded, (2, 0, 1), titles, border)


def kernels(name, note, w, groups):
    """Weights (KH, KW, C/G, OC) as a table of kernels, input channel by output channel; groups leave places empty."""
    KH, KW, per_group, OC = w.shape
    C = per_group * groups
    table, titles = np.full((KH, KW, C, OC), np.nan), []
    for c, o in np.ndindex(C, OC):
        there = c // per_group == o // (OC // groups)
        titles.append(f"{c} \u2192 {o}" if there else None)
        if there:
            table[:, :, c, o] = w[:, :, c % per_group, o]
    if C * OC == 1:
        return Array(name, note, table, (2, 3, 0, 1))
    return Array(name, note, table, (2, 3, 0, 1), titles, across=OC, rows=[], columns=[])


def row(name, note, walk, lines):
    """A row of im2col, cut at each row of the kernel; `lines` are the names of its lines, from top to bottom."""
    g, per_group = walk.g, walk.C // walk.groups
    columns = [f"{v},{c}" if per_group > 1 else str(v) for v in range(g.KW) for c in range(per_group)]
    titles = [f"u = {u}" for u in range(g.KH)] if g.KH > 1 else None
    empty = np.full((g.KH, len(lines), g.KW * per_group), np.nan)
    return Array(name, note, empty, (0, 1, 2), titles, rows=list(lines), columns=columns, narrow=True)


def row_cells(walk, line, taps):
    """The cells of a `row` that belong to the `taps`, on one of its lines."""
    per_group = walk.C // walk.groups
    return [(u, line, v * per_group + c) for u, v, _, _ in taps for c in range(per_group)]
