"""A picture of a wrong gradient: your gradient, the numerical gradient, and their difference."""

import numpy as np

from minighost.errors import printable
from minighost.plots.figure import picture
from minighost.plots.inline import shown

__all__ = ["save", "sheet"]


def sheet(array):
    """An array of any number of axes as rows and columns: the first half of the axes down, the others across."""
    half = array.ndim // 2
    return array.reshape(int(np.prod(array.shape[:half], dtype=int)), -1)


def save(finding, path):
    """Draw `finding` (a `Finding` that is wrong) to a PNG or another file that matplotlib writes; returns the path."""
    given, measured = sheet(finding.given), sheet(finding.measured)
    sizes = np.abs([given, measured])
    peak = sizes[np.isfinite(sizes)].max(initial=1e-300)
    with picture(path, 12, 4.4, dpi=110) as figure:
        figure.suptitle(
            f"gradient of {printable(finding.name)}, shape {'x'.join(map(str, finding.shape))}: "
            f"wrong at {np.count_nonzero(finding.wrong)} of {finding.wrong.size} places",
            parse_math=False,  # a name is not mathematics
        )
        panels = figure.subplots(1, 3)
        titles = "your gradient", "numerical gradient", "difference"
        for axes, values, title in zip(panels, (given, measured, given - measured), titles, strict=True):
            drawn = axes.imshow(values, cmap="RdBu_r", vmin=-peak, vmax=peak, aspect="auto", interpolation="nearest")
            axes.set_title(title)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(_axes_of(finding.given.shape, last=True))
            axes.set_ylabel(_axes_of(finding.given.shape, last=False))
        figure.colorbar(drawn, ax=panels, shrink=0.9)
    return shown(path)


def _axes_of(shape, last):
    half = len(shape) // 2
    chosen = range(half, len(shape)) if last else range(half)
    return ", ".join(f"axis {k} ({shape[k]})" for k in chosen)
