"""A network's structure as a picture: one row per block, from the image at the top to the logits at the bottom."""

import numpy as np

from minighost.plots.figure import picture
from minighost.plots.style import RATE, TEST, TRAIN, plain

__all__ = ["save"]


def save(title, rows, fields, path):
    """Draw a network's blocks to a PNG or another file that matplotlib writes; returns the path.

    Parameters
    ----------
    title : str
    rows : list of Row
        From `analysis.blocks`.
    fields : list of int or None
        The receptive field of each block's output in pixels; None where there is none.
    path : path-like
    """
    places = np.arange(len(rows))
    with picture(path, 11, max(3.0, 1.4 + 0.2 * len(rows)), dpi=110) as figure:
        figure.suptitle(title, parse_math=False)
        maps, work, sees = figure.subplots(1, 3, sharey=True, width_ratios=(3, 3, 2))
        sides = [row.output_shape[0] if len(row.output_shape) == 3 else 1 for row in rows]
        maps.barh(places, sides, 0.8, color=TEST)
        for place, side, row in zip(places, sides, rows, strict=True):
            maps.text(side, place, f" {'x'.join(map(str, row.output_shape))}", va="center", fontsize=7)
        maps.set_xlim(0, 1.5 * max(sides))
        maps.set_xlabel("side of the maps, pixels")
        work.barh(places, [row.macs / 1e6 for row in rows], 0.8, color=TRAIN)
        work.set_xlabel("multiply-adds, millions")
        known = [(field, place) for field, place in zip(fields, places, strict=True) if field]
        sees.plot([field for field, _ in known], [place for _, place in known], ".-", color=RATE)
        sees.set_xlabel("receptive field, pixels")
        maps.set_yticks(places, [row.path for row in rows], fontsize=7, parse_math=False)
        maps.set_ylim(len(rows) - 0.5, -0.5)
        for axes in (maps, work, sees):
            plain(axes, grid="x")
    return path
