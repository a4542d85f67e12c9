"""The table of MicroNet (Li et al. 2021, table 2), in the numbers of the authors' code.

A row is: stride, output channels, kernel; outputs per channel of both halves of what widens; groups of the widening 1x1
convolution (0: a depthwise one widens) and of the narrowing one (0: none); terms of dynamic shift-max after each of the
three convolutions; reduction. `MicroBlock` makes a block of it.
"""

from typing import NamedTuple

from minighost.nn import MicroRow

__all__ = ["VARIANTS", "Variant"]


def _rows(text: str) -> list[MicroRow]:
    """One `MicroRow` a line."""
    rows = []
    for line in text.strip().splitlines():
        stride, out, kernel, e1, e2, g1, g2, g3, g4, y1, y2, y3, r = map(int, line.replace(",", " ").split())
        rows.append(MicroRow(stride, out, kernel, (e1, e2), (g1, g2), (g3, g4), (y1, y2, y3), r))
    return rows


class Variant(NamedTuple):
    """A column of the paper's table."""

    stem: tuple[int, int]  # outputs of the 3x1 convolution, and per channel of the 1x3 one
    rows: list[MicroRow]
    features: int
    dropout: float
    initial: tuple[tuple[float, float], ...] = ((1.0, 0.0), (1.0, 0.0))


VARIANTS = {
    "M0": Variant(
        (2, 2),
        _rows("""
            2   8 3, 2 2,  0  4, 2 2, 2 0 1, 1
            2  12 3, 2 2,  0  8, 4 4, 2 2 1, 1
            2  16 5, 2 2,  0 12, 4 4, 2 2 1, 1
            1  32 5, 1 4,  4  4, 4 4, 2 2 1, 1
            2  64 5, 1 4,  8  8, 8 8, 2 2 1, 1
            1  96 3, 1 4,  8  8, 8 8, 2 2 1, 2
            1 384 3, 1 4, 12 12, 0 0, 2 2 1, 2"""),
        640,
        0.05,
    ),
    "M1": Variant(
        (3, 2),
        _rows("""
            2   8 3, 2 2,  0  6, 2 2, 2 0 1, 1
            2  16 3, 2 2,  0  8, 4 4, 2 2 1, 1
            2  16 5, 2 2,  0 16, 4 4, 2 2 1, 1
            1  32 5, 1 6,  4  4, 4 4, 2 2 1, 1
            2  64 5, 1 6,  8  8, 8 8, 2 2 1, 1
            1  96 3, 1 6,  8  8, 8 8, 2 2 1, 2
            1 576 3, 1 6, 12 12, 0 0, 2 2 1, 2"""),
        960,
        0.05,
    ),
    "M2": Variant(
        (4, 2),
        _rows("""
            2  12 3, 2 2,  0  8, 4 4, 2 0 1, 1
            2  16 3, 2 2,  0 12, 4 4, 2 2 1, 1
            1  24 3, 2 2,  0 16, 4 4, 2 2 1, 1
            2  32 5, 1 6,  6  6, 4 4, 2 2 1, 1
            1  32 5, 1 6,  8  8, 4 4, 2 2 1, 2
            1  64 5, 1 6,  8  8, 8 8, 2 2 1, 2
            2  96 5, 1 6,  8  8, 8 8, 2 2 1, 2
            1 128 3, 1 6, 12 12, 8 8, 2 2 1, 2
            1 768 3, 1 6, 16 16, 0 0, 2 2 1, 2"""),
        1024,
        0.1,
    ),
    "M3": Variant(
        (4, 3),
        _rows("""
            2  16 3, 2 2,  0 12,  4  4, 0 2 0, 1
            2  24 3, 2 2,  0 16,  4  4, 0 2 0, 1
            1  24 3, 2 2,  0 24,  4  4, 0 2 0, 1
            2  32 5, 1 6,  6  6,  4  4, 0 2 0, 1
            1  32 5, 1 6,  8  8,  4  4, 0 2 0, 2
            1  64 5, 1 6,  8  8,  8  8, 0 2 0, 2
            1  80 5, 1 6,  8  8,  8  8, 0 2 0, 2
            1  80 5, 1 6, 10 10,  8  8, 0 2 0, 2
            2 120 5, 1 6, 10 10, 10 10, 0 2 0, 2
            1 120 5, 1 6, 12 12, 10 10, 0 2 0, 2
            1 144 3, 1 6, 12 12, 12 12, 0 2 0, 2
            1 864 3, 1 6, 12 12,  0  0, 0 2 0, 2"""),
        1024,
        0.1,
        ((1.0, 0.0), (0.5, 0.5)),
    ),
}
