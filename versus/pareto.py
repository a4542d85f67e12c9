"""``python -m versus.pareto``: minutes of training against accuracy, one line per recipe.

    python -m versus.pareto runs/* record.json --out pareto.png

A run is a folder that `minighost train` has left, with ``summary.json``, ``config.json`` and ``log.jsonl``, or a run in
a file of `versus.record`. Its line goes from one evaluation to the next; minutes count training and evaluations, but
for those between the epochs of a record's run, which its recipe does not have. Runs that differ in nothing but their
seed, in folders called quick-0 and quick-1, are one line, their mean, and the bars at its end are their standard
deviations. A ring marks the ends that no other line beats in both minutes and accuracy: the Pareto front.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from minighost.errors import one_line
from minighost.plots.figure import picture
from minighost.plots.style import INK, SERIES, plain

__all__ = ["Line", "draw", "front", "gather", "main", "read"]

ELSEWHERE = "seed", "out", "dir", "archive"  # settings that do not matter to what is trained, nor to how long it takes


class Line(NamedTuple):
    """Runs that differ in their seed alone, each a list of (minutes, test accuracy in per cent)."""

    name: str  # without the seed
    folder: str  # with the seed of the first
    settings: object
    runs: list


def read(path):
    """The runs at `path`, as a `Line`.

    Raises
    ------
    ValueError
        If `path` is no folder of a finished run, and no file with one.
    """
    path = Path(path)
    return _of_record(path) if path.suffix == ".json" else _of_folder(path)


def _of_folder(folder):
    try:
        summary, config = (
            json.loads((folder / f"{n}.json").read_text(encoding="utf-8")) for n in ("summary", "config")
        )
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        missing = error.filename
        raise ValueError(f"{folder}: holds no finished run of `minighost train`; {missing} is missing") from None
    minutes, points = 0.0, []
    for record in map(json.loads, lines):
        if record["kind"] == "epoch":
            minutes += (record["seconds"] + record.get("test_seconds", 0)) / 60
            if "test_accuracy" in record:  # a recipe may leave some epochs without
                points.append((minutes, 100 * record["test_accuracy"]))
    points[-1] = (summary["seconds"] / 60, points[-1][1])  # with what came before the first epoch and after the last
    name = folder.resolve().name
    return Line(name.removesuffix(f"-{summary['seed']}"), name, _without(config), [points])


def _without(settings):
    if not isinstance(settings, dict):
        return settings
    return {key: _without(value) for key, value in settings.items() if key not in ELSEWHERE}


def _of_record(file):
    """The last point is the accuracy with six views, in place of that without, as it is in our own recipes.

    Evaluations between epochs take no time here: the recipe has none.
    """
    try:
        outcome = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        outcome = None
    if not isinstance(outcome, dict) or not outcome.get("runs"):
        raise ValueError(f"{file}: holds no finished run of `python -m versus.record`")
    runs = []
    for run in outcome["runs"]:
        seconds, points = run["setup_seconds"], []
        ends = [(0.0, epoch["test_accuracy"]) for epoch in run["epochs"][:-1]]
        ends.append((run["test_seconds"], run["test_accuracy"]))
        for epoch, (test_seconds, accuracy) in zip(run["epochs"], ends, strict=True):
            seconds += epoch["seconds"] + test_seconds
            points.append((seconds / 60, 100 * accuracy))
        runs.append(points)
    name = f"{outcome['recipe']}, {outcome['framework']}"
    return Line(name, f"{name}, {file.stem}", str(file), runs)


def front(ends):
    """Of points (minutes, accuracy), those than which no other takes less time and is right more often."""
    return [p for p in ends if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in ends)]


def gather(found):
    """From lines as `read` returns them to a dict of name to runs, seeds of one recipe side by side.

    If several recipes have one name, each is called by the folder of its first run.
    """
    lines = []
    for one in found:
        same = next((line for line in lines if (line.name, line.settings) == (one.name, one.settings)), None)
        if same is None:
            lines.append(one)
        else:
            same.runs.extend(one.runs)
    names = [line.name for line in lines]
    return {line.name if names.count(line.name) == 1 else line.folder: line.runs for line in lines}


def draw(lines, path):
    """Draw lines, a dict of name to runs as from `gather`, into a PNG file."""
    means = {name: _mean(runs) for name, runs in lines.items()}
    ends = [points[-1] for points in means.values()]
    with picture(path, 8, 4.5) as figure:
        axes = figure.subplots()
        for k, (name, points) in enumerate(means.items()):
            colour, (minutes, accuracy) = SERIES[k % len(SERIES)], points[-1]
            bars = [_deviation(values) for values in zip(*(run[-1] for run in lines[name]), strict=True)]
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.2, alpha=0.6)
            label = _label(name, accuracy, bars[1], len(lines[name]))
            axes.plot(minutes, accuracy, "o", color=colour, markersize=6, label=label)
            axes.errorbar(minutes, accuracy, xerr=bars[0], yerr=bars[1], color=colour, capsize=3)
            if points[-1] in front(ends):
                axes.plot(minutes, accuracy, "o", color=INK, markersize=12, fillstyle="none")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=max(0, math.floor(min(accuracy for _, accuracy in ends)) - 8))
        axes.set_xlabel("minutes of training, evaluation included", fontsize=9, color=INK)
        axes.set_ylabel("test accuracy (%)", fontsize=9, color=INK)
        plain(axes)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, frameon=False)


def _mean(runs):
    return [
        tuple(statistics.fmean(values) for values in zip(*points, strict=True)) for points in zip(*runs, strict=True)
    ]


def _deviation(values):
    return statistics.stdev(values) if len(values) > 1 else None


def _label(name, accuracy, spread, n):
    return f"{name}  {accuracy:.2f}{'' if spread is None else f' ± {spread:.2f}'} % (n = {n})"


def main(argv=None):
    """Returns the exit status: 2 if there is no finished run."""
    parser = argparse.ArgumentParser(prog="python -m versus.pareto", description="Draw accuracy over training.")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folders of finished runs, files of versus.record")
    parser.add_argument("--out", metavar="FILE", default="pareto.png", help="picture (pareto.png)")
    args = parser.parse_args(argv)
    try:
        draw(gather(map(read, args.runs)), args.out)
    except (ValueError, OSError) as error:
        print(f"pareto: error: {one_line(error)}", file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
