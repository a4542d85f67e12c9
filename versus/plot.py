"""One picture of all ratios: how many times as long as minighost does everybody take?"""

from minighost.plots.figure import picture
from minighost.plots.style import INK, SERIES, TRAIN, plain

__all__ = ["ratios"]


def ratios(outcome, path):
    """Draw the median of each contestant's ratio to minighost, with its quartiles, on a logarithmic axis.

    Parameters
    ----------
    outcome : dict
        As for `report.write`.
    path : path
        PNG file.

    Returns
    -------
    bool
        False if there is nothing to compare; then nothing is written.
    """
    works = {work["work"]: _ratios(work) for work in outcome["works"] if _ratios(work)}
    if not works:
        return False
    labels = list(dict.fromkeys(label for found in works.values() for label in found))
    with picture(path, 8, 1.2 + 0.42 * len(works)) as figure:
        from matplotlib.ticker import LogLocator, NullLocator

        axes = figure.subplots()
        axes.axvline(1, color=TRAIN, linewidth=2, label="minighost")
        for k, label in enumerate(labels):
            colour, offset = SERIES[k % len(SERIES)], 0.5 * ((k + 0.5) / len(labels) - 0.5)
            rows = [(row + offset, found[label]) for row, found in enumerate(works.values()) if label in found]
            heights, middles = [row for row, _ in rows], [r["median"] for _, r in rows]
            reach = [[r["median"] - r["low"] for _, r in rows], [r["high"] - r["median"] for _, r in rows]]
            axes.errorbar(middles, heights, xerr=reach, fmt="o", color=colour, markersize=5, capsize=2, label=label)
        axes.set_xscale("log")
        axes.set_yticks(range(len(works)), works, fontsize=9, color=INK)
        axes.set_ylim(len(works) - 0.5, -0.5)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("times as long as minighost (right: minighost is faster)", fontsize=9, color=INK)
        plain(axes, "x")
        figure.legend(loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return True


def _ratios(work):
    return {
        label: entry["ratio"]
        for label, entry in work["contestants"].items()
        if label != "minighost" and "ratio" in entry
    }
