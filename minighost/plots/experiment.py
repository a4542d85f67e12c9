"""An experiment's arms: side by side, or accuracy against what an arm costs."""

import math
import statistics

from minighost.plots.figure import picture
from minighost.plots.style import INK, PALE, SERIES, TEST, named, plain

__all__ = ["against_cost", "side_by_side"]

SEED = {"marker": "o", "linestyle": "none", "markersize": 4.5, "markeredgewidth": 0, "alpha": 0.4, "zorder": 2}
DECADE = 8.0  # from this ratio of the largest to the smallest cost on, the axis is logarithmic


def side_by_side(arms, path, title):
    """Each seed as a pale point, the mean with its standard deviation beside them.

    Parameters
    ----------
    arms : list of (str, list of float)
        Name, and the test accuracy of each seed in percent.
    path : path
    title : str
    """
    with picture(path, max(5.0, 1.0 * len(arms) + 2.0), 4.6) as figure:
        axes = _axes(figure, title)
        for k, (_, accuracies) in enumerate(arms):
            axes.plot([k - 0.12] * len(accuracies), accuracies, color=TEST, **SEED)
            _mean(axes, k + 0.08, accuracies, TEST)
        axes.set_xticks(range(len(arms)), [named(name, 24) for name, _ in arms])
        if max(len(name) for name, _ in arms) > 8 and len(arms) > 3:
            axes.tick_params(axis="x", rotation=20)
        axes.set_xlim(-0.5, len(arms) - 0.5)


def against_cost(points, cost, path, title):
    """The mean of each arm with its standard deviation over its cost; arms of one family are joined.

    Parameters
    ----------
    points : list of (str, str, float, list of float)
        Name, family ("" for none), cost, and the test accuracy of each seed in percent.
    cost : str
        What it is, with its unit.
    path : path
    title : str
    """
    families = dict.fromkeys(family for _, family, _, _ in points)
    with picture(path, 7.2, 5.2) as figure:
        axes = _axes(figure, title)
        for k, family in enumerate(families):
            colour = SERIES[k % len(SERIES)]
            own = sorted((point for point in points if point[1] == family), key=lambda point: point[2])
            if family:
                means = [statistics.fmean(accuracies) for *_, accuracies in own]
                axes.plot([point[2] for point in own], means, color=colour, linewidth=1.4, label=named(family, 40))
            for name, _, at, accuracies in own:
                axes.plot([at] * len(accuracies), accuracies, color=colour, **SEED)
                _mean(axes, at, accuracies, colour)
                place = (at, statistics.fmean(accuracies))
                axes.annotate(
                    named(name, 24), place, (6, -11), textcoords="offset points", color=INK, fontsize=8, zorder=5
                )
        costs = [at for _, _, at, _ in points]
        if min(costs) > 0 and max(costs) / min(costs) >= DECADE:
            _logarithmic(axes)
        axes.margins(x=0.15)
        axes.set_xlabel(cost, color=INK)
        if any(families):
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def _logarithmic(axes):
    """With plain numbers, as many as have room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _axes(figure, title):
    axes = figure.subplots()
    plain(axes)
    axes.set_title(title, color=INK, fontsize=13, fontweight="bold", loc="left")
    axes.set_ylabel("test accuracy (%)", color=INK)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=9, length=3, color=PALE)
    return axes


def _mean(axes, at, accuracies, colour):
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else math.nan
    axes.errorbar(
        [at], [statistics.fmean(accuracies)], [spread], color=colour, marker="D", markersize=6, capsize=4, zorder=3
    )
