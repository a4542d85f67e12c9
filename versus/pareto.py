"""``python -m versus.pareto``: minutes of training against accuracy, one line per run.

    python -m versus.pareto runs/* --out pareto.png

A run is a folder that `minighost train` has left, with ``summary.json`` and ``log.jsonl``. Its line goes from epoch to
epoch; minutes count the training and the evaluation after each epoch. A ring marks the ends that no other run beats in
both minutes and accuracy: the Pareto front.
"""

import argparse
import json
import sys
from pathlib import Path

from minighost.plots.figure import picture
from minighost.plots.style import INK, SERIES, plain

__all__ = ["draw", "front", "main", "read"]


def read(folder):
    """A run's name and its epochs, as (minutes, test accuracy in per cent).

    Raises
    ------
    ValueError
        If the folder holds no finished run.
    """
    folder = Path(folder)
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        missing = error.filename
        raise ValueError(f"{folder}: holds no finished run of `minighost train`; {missing} is missing") from None
    minutes, points = 0.0, []
    for record in map(json.loads, lines):
        if record["kind"] == "epoch":
            minutes += (record["seconds"] + record["test_seconds"]) / 60
            points.append((minutes, 100 * record["test_accuracy"]))
    points[-1] = (summary["seconds"] / 60, points[-1][1])  # with what came before the first epoch and after the last
    return folder.resolve().name, points


def front(ends):
    """Of points (minutes, accuracy), those than which no other takes less time and is right more often."""
    return [p for p in ends if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in ends)]


def draw(runs, path):
    """Draw runs, a dict of name to points as from `read`, into a PNG file."""
    with picture(path, 8, 4.5) as figure:
        axes = figure.subplots()
        best = front([points[-1] for points in runs.values()])
        for k, (name, points) in enumerate(runs.items()):
            minutes, accuracy = zip(*points, strict=True)
            colour = SERIES[k % len(SERIES)]
            axes.plot(minutes, accuracy, color=colour, linewidth=1.2, alpha=0.6)
            axes.plot(minutes[-1], accuracy[-1], "o", color=colour, markersize=6, label=f"{name}  {accuracy[-1]:.2f} %")
            if points[-1] in best:
                axes.plot(minutes[-1], accuracy[-1], "o", color=INK, markersize=12, fillstyle="none")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=70)
        axes.set_xlabel("minutes of training, evaluation included", fontsize=9, color=INK)
        axes.set_ylabel("test accuracy (%)", fontsize=9, color=INK)
        plain(axes)
        axes.legend(loc="lower right", fontsize=8, frameon=False)


def main(argv=None):
    """Returns the exit status: 2 if a folder holds no finished run."""
    parser = argparse.ArgumentParser(prog="python -m versus.pareto", description="Draw accuracy over training.")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folders of finished runs")
    parser.add_argument("--out", metavar="FILE", default="pareto.png", help="picture (pareto.png)")
    args = parser.parse_args(argv)
    try:
        draw(dict(map(read, args.runs)), args.out)
    except ValueError as error:
        print(f"pareto: error: {error}", file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
