"""What a sweep found, as a picture: one panel for each swept key, its values against the test accuracy."""

import math

from minighost.plots.figure import picture
from minighost.plots.style import INK, PALE, TEST, TRAIN, plain

__all__ = ["sweep"]

COLUMNS = 3  # panels side by side
FEW = 12  # values of a key whose means are joined by a line
DECADE = 8.0  # from this ratio of its largest to its smallest value on a key has a logarithmic axis


def sweep(points, keys, path, title):
    """Each trial as a point, the mean of each value as a line where values come more than once.

    Parameters
    ----------
    points : list of (dict of str to value, float)
        For each finished trial the values of `keys`, and its test accuracy in 0..1.
    keys : list of str
    path : path
    title : str
    """
    columns = min(COLUMNS, len(keys))
    rows = math.ceil(len(keys) / columns)
    with picture(path, 4.4 * columns + 0.6, 3.6 * rows + 0.5) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        figure.suptitle(f"{title}: {len(points)} trials", color=INK, fontsize=14, fontweight="bold")
        best = max(accuracy for _, accuracy in points)
        for panel, key in zip(panels, keys, strict=False):
            _panel(panel, key, [(values[key], 100 * accuracy) for values, accuracy in points], len(keys) == 1)
            panel.axhline(100 * best, color=PALE, linewidth=0.8, linestyle=":", zorder=0)
        for panel in panels[: len(keys)]:
            panel.spines[["left", "bottom"]].set_color(PALE)
            panel.tick_params(colors=INK, labelsize=9, length=3, color=PALE)
        for row in range(rows):
            panels[row * columns].set_ylabel("test accuracy (%)", color=INK)
        for panel in panels[len(keys) :]:
            panel.axis("off")


def _panel(axes, key, pairs, alone):
    """One key: where its values lie on the axis, the points, and the means."""
    plain(axes)
    values = _distinct([value for value, _ in pairs])
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    where = dict(zip(map(repr, values), values if numeric else range(len(values)), strict=True))
    x, y = [where[repr(value)] for value, _ in pairs], [accuracy for _, accuracy in pairs]
    axes.plot(x, y, "o", color=TEST, alpha=0.55, markersize=6, markeredgewidth=0)
    if alone or len(values) < len(pairs) and len(values) <= FEW:  # a line through single draws would only be noise
        at = sorted(set(x))
        means = [sum(b for a, b in zip(x, y, strict=True) if a == place) / x.count(place) for place in at]
        axes.plot(at, means, color=TRAIN, linewidth=1.8, marker="_", markersize=12, zorder=3)
    if numeric and min(values) > 0 and max(values) / min(values) >= DECADE:
        axes.set_xscale("log")
    if not numeric:
        axes.set_xticks(range(len(values)), [_text(value) for value in values], rotation=20 if len(values) > 4 else 0)
        axes.set_xlim(-0.5, len(values) - 0.5)
    elif len(values) <= 6:
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
    axes.set_xlabel(key, color=INK)


def _text(value):
    return (str(value).lower() if isinstance(value, bool) else str(value))[:20]


def _distinct(values):
    """Each value once: numbers ascending, others in their order."""
    once = list({repr(value): value for value in values}.values())
    return sorted(once) if all(isinstance(value, (int, float)) for value in once) else once
