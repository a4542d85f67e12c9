"""The curves of several runs over one another."""

from minighost.plots.figure import picture
from minighost.plots.style import INK, PALE, SERIES, plain

__all__ = ["comparison"]

SCORES = {"test_accuracy": "accuracy", "test_map50": "mAP@0.5"}
LINES = "-", "--", ":"  # when the colours are used up they come again, in another line


def comparison(runs, path):
    """Test accuracy above, or mAP@0.5 of detectors; losses below.

    Parameters
    ----------
    runs : list of (str, dict of str to list of (int, float))
        For each run its name, and the points (epoch, number) of "test_accuracy" or "test_map50", "test_loss" and
        "train_loss".
    path : path
    """
    with picture(path, 9, 8 + 0.2 * len(runs)) as figure:
        accuracy, loss = figure.subplots(2, 1, sharex=True)
        for k, (name, curves) in enumerate(runs):
            look = {"color": SERIES[k % len(SERIES)], "linestyle": LINES[k // len(SERIES) % len(LINES)]}
            score = curves[next(key for key in SCORES if key in curves)]
            _line(accuracy, [(x, 100 * y) for x, y in score], label=name, marker="o", **look)
            _line(loss, curves["test_loss"], marker="o", **look)
            _line(loss, [(x - 0.5, y) for x, y in curves["train_loss"]], alpha=0.45, **look)
        scores = [words for key, words in SCORES.items() if any(key in curves for _, curves in runs)]
        accuracy.set_ylabel(f"test {' or '.join(scores)} (%)", color=INK)
        loss.set_ylabel("loss (nats)", color=INK)
        loss.set_xlabel("epoch", color=INK)
        loss.set_xlim(left=0)
        loss.set_ylim(0, _top(runs))
        loss.xaxis.get_major_locator().set_params(integer=True)
        loss.set_title("points: test; pale: training", loc="right", color=INK, fontsize=9)
        for axes in (accuracy, loss):
            plain(axes)
            axes.spines[["left", "bottom"]].set_color(PALE)
            axes.tick_params(colors=INK, labelsize=9, length=3, color=PALE)
        figure.legend(loc="outside upper left", frameon=False, fontsize=9, labelcolor=INK)
        figure.align_ylabels()


def _line(axes, points, **look):
    x, y = zip(*points, strict=True) if points else ((), ())
    axes.plot(x, y, linewidth=1.8, markersize=4, **look)


def _top(runs):
    """Of the axis of losses: a test loss may explode while the rate is high, and must not flatten the rest."""
    training = [y for _, curves in runs for _, y in curves["train_loss"]]
    ends = [curves["test_loss"][-1][1] for _, curves in runs if curves["test_loss"]]
    return 1.1 * max([*training, *ends], default=1.0) or 1.0
