"""Pictures of a run: its curves, what it confuses, and its most confident mistakes.

A number that is not finite is a gap in a curve.
"""

import math

import numpy as np

from minighost.errors import one_line
from minighost.plots.figure import picture
from minighost.plots.style import INK, PALE, RATE, TEST, TRAIN, WRONG, named, plain, rgb
from minighost.wording import counted

__all__ = ["attempt", "confusion", "curves", "everything", "mistakes"]


def everything(records, drawings, folder, title, warn):
    """All pictures of a finished run.

    Parameters
    ----------
    records, title
        As for `curves`.
    drawings : dict of str to callable
        Other pictures beside the curves: ``draw(path)`` by the name of the file.
    folder : Path
    warn : callable
        Is given a line for each picture that cannot be drawn.

    Returns
    -------
    list of str
        The names of the files that were written.
    """
    drawings = {"curves.png": lambda path: curves(records, path, title), **drawings}
    return [name for name, draw in drawings.items() if attempt(draw, folder / name, warn)]


def attempt(draw, path, warn):
    """Call ``draw(path)``; whether that went well. No picture is worth a training run: an error is only reported."""
    try:
        draw(path)
    except Exception as error:
        warn(f"warning: {path} could not be drawn: {type(error).__name__}: {one_line(error)}")
        return False
    return True


def curves(records, path, title):
    """Loss, accuracy and learning rate over the epochs, one above the other.

    Parameters
    ----------
    records : list of dict
        The run's log (`read_log`); step lines draw the thin curves, epoch lines the points.
    path : path
    title : str
    """
    steps = [r for r in records if r["kind"] == "step"]
    epochs = [r for r in records if r["kind"] == "epoch"]
    if not epochs:
        return
    per_epoch = epochs[0]["step"] / epochs[0]["epoch"]
    x, at = [r["epoch"] for r in epochs], [r["step"] / per_epoch for r in steps]
    with picture(path, 8, 8) as figure:
        loss, score, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.6))
        figure.suptitle(title, color=INK, fontsize=14, fontweight="bold")
        _pair(loss, at, _numbers(steps, "loss"), x, epochs, "loss", 1.0)
        if "train_accuracy" in epochs[0]:
            _pair(score, at, 100 * _numbers(steps, "accuracy"), x, epochs, "accuracy", 100.0)
            loss.set_ylabel("loss (nats)", color=INK)
            score.set_ylabel("accuracy (%)", color=INK)
            low = (epochs[-1].get("test_accuracy") or epochs[-1]["train_accuracy"] or 0) < 0.5  # the curves lie below
        else:
            low = _precision(score, x, epochs)
            for key, words, style in (("class_loss", "of classes", "--"), ("box_loss", "of boxes", ":")):
                parts = _numbers(epochs, f"train_{key}")
                loss.plot([e - 0.5 for e in x], parts, color=TRAIN, linestyle=style, label=f"training, {words}")
            loss.legend(loc="upper right", frameon=False, fontsize=10, labelcolor=INK)
            loss.set_ylabel("loss", color=INK)
        score.legend(loc="upper left" if low else "lower right", frameon=False, fontsize=10, labelcolor=INK)
        every = sorted((r["step"] / per_epoch, r["lr"]) for r in records)
        rate.plot(*zip(*every, strict=True), color=RATE, linewidth=1.8)
        rate.fill_between(*zip(*every, strict=True), color=RATE, alpha=0.15, linewidth=0)
        rate.set_ylim(bottom=0)
        rate.set_ylabel("learning rate", color=INK)
        rate.set_xlabel("epoch", color=INK)
        rate.set_xlim(0, x[-1] * 1.02)
        rate.xaxis.get_major_locator().set_params(integer=True)
        for axes in (loss, score, rate):
            plain(axes)
            axes.spines[["left", "bottom"]].set_color(PALE)
            axes.tick_params(colors=INK, labelsize=9, length=3, color=PALE)
        figure.align_ylabels()


def _precision(axes, x, epochs):
    """Mean average precision on the test images; whether it ends low."""
    axes.set_ylabel("test mAP (%)", color=INK)
    axes.set_ylim(0, 101)
    last = 0.0
    for key, words, style in (("test_map50", "mAP@0.5", "-"), ("test_map", "mAP@0.5:0.95", "--")):
        tested = [r for r in epochs if key in r]
        if tested:
            values = 100 * _numbers(tested, key)
            axes.plot(
                [r["epoch"] for r in tested],
                values,
                color=TEST,
                linewidth=2,
                linestyle=style,
                marker="o",
                markersize=5,
                label=words,
            )
            last = last or values[-1]
    return last < 50


def _numbers(records, key):
    """One number of each record; NaN where there is none, or the log's null, which stands for what is not finite."""
    return np.array([math.nan if r.get(key) is None else r[key] for r in records], np.float64)


def _pair(axes, at, values, x, epochs, name, scale):
    """Training as a thin line by step and as its epoch's mean, testing as points with the last one written out."""
    from matplotlib.patheffects import withStroke

    axes.plot(at, values, color=TRAIN, alpha=0.45, linewidth=1, label="training, single steps")
    means = scale * _numbers(epochs, f"train_{name}")
    tested = [r for r in epochs if f"test_{name}" in r]
    tests = scale * _numbers(tested, f"test_{name}")
    middles = [e - 0.5 for e in x]
    axes.plot(middles, means, color=TRAIN, linewidth=2, marker="o", markersize=4, label="training, mean of the epoch")
    if tested:
        axes.plot([r["epoch"] for r in tested], tests, color=TEST, linewidth=2, marker="o", markersize=5, label="test")
    accuracy = name == "accuracy"
    halo = [withStroke(linewidth=3, foreground="white")]  # the number stays legible on top of a curve
    note = dict(textcoords="offset points", ha="right", color=TEST, fontsize=11, fontweight="bold", path_effects=halo)
    if tested and math.isfinite(tests[-1]):
        text = f"{tests[-1]:.2f} %" if accuracy else f"{tests[-1]:.3f}"
        axes.annotate(text, (tested[-1]["epoch"], tests[-1]), xytext=(-6, -20 if accuracy else 9), **note)
    if accuracy:
        axes.set_ylim(0, 101)
        return
    # A test loss may explode while the rate is high: it is written at the border, so that it does not flatten the rest.
    seen = np.concatenate([values, means, tests[-1:]])
    top = 1.1 * seen[np.isfinite(seen)].max(initial=0.1)
    axes.set_ylim(0, top)
    for epoch, loss in zip((r["epoch"] for r in tested), tests, strict=True):
        if loss > top:
            axes.annotate(f"{loss:.1f} ↑" if loss < 1e6 else f"{loss:.1e} ↑", (epoch, top), xytext=(-6, -14), **note)


def confusion(evaluation, classes, path, title):
    """Which class is confused with which: rows are true classes and add up to 100 %; only the diagonal is correct."""
    counts = evaluation.confusion
    share = 100 * counts / counts.sum(axis=1, keepdims=True).clip(1)
    K = len(classes)
    size = max(5.0, 0.62 * K + 2) if K <= 20 else min(14.4 + 0.15 * (K - 20), 40)
    cell = 72 * (size - 3) / K  # points
    every = range(0, K, 1 + int(5 / cell))  # of a thousand classes not each has room for its name
    with picture(path, size, size) as figure:
        from matplotlib.colors import LinearSegmentedColormap

        axes = figure.subplots()
        right, wrong = np.where(np.eye(K, dtype=bool), share, np.nan), np.where(np.eye(K, dtype=bool), np.nan, share)
        axes.imshow(right, cmap=LinearSegmentedColormap.from_list("right", ["#eef4f8", TEST]), vmin=0, vmax=100)
        axes.imshow(
            wrong,
            cmap=LinearSegmentedColormap.from_list("wrong", ["#fdfdfd", "#f2b8a0", WRONG]),
            vmin=0,
            vmax=max(10.0, np.nanmax(wrong, initial=0.0)),
        )
        largest = max(10.0, np.nanmax(wrong, initial=0.0))
        for (i, j), value in np.ndenumerate(share) if K <= 20 else ():
            if counts[i, j]:
                dark = value > (55 if i == j else 0.6 * largest)
                axes.text(
                    j,
                    i,
                    f"{value:.1f}" if value < 9.95 or 99 < value < 100 else f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=10,
                    color="white" if dark else INK,
                    fontweight="bold" if i == j else "normal",
                )
        names = [named(classes[k]) for k in every]
        axes.set_xticks(every, names, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(every, names)
        axes.tick_params(colors=INK, labelsize=min(10, max(4, cell * len(every) / K)), length=0)
        axes.spines[:].set_visible(False)
        axes.set_xticks(np.arange(K + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(K + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=min(2, cell / 8))
        axes.tick_params(which="minor", length=0)
        axes.set_xlabel("predicted class", color=INK, fontsize=11)
        axes.set_ylabel("true class", color=INK, fontsize=11)
        headline = f"{title}: {100 * evaluation.accuracy:.2f} % correct\n"
        axes.set_title(headline, color=INK, fontsize=13, fontweight="bold")
        note = dict(transform=axes.transAxes, ha="center", color=INK, fontsize=10)
        axes.text(0.5, 1.015 if K <= 20 else 1 + 0.09 / size, "percent of each true class", **note)


def mistakes(evaluation, dataset, path, title, rows=4, columns=8):
    """The network's mistakes, most confident first; followed by correct answers if there are few.

    Parameters
    ----------
    evaluation : Evaluation
        Of `dataset`, in its order.
    dataset : Dataset
    path : path
    title : str
    """
    probabilities, guesses = evaluation.probabilities, evaluation.predictions
    sure = probabilities[np.arange(len(guesses)), guesses]
    wrong = guesses != evaluation.labels
    order = np.lexsort((-sure, ~wrong))[: rows * columns]
    with picture(path, 1.25 * columns, 1.62 * rows + 0.6) as figure:
        cells = figure.subplots(rows, columns, squeeze=False).ravel()
        few = ", then correct answers" if wrong.sum() < rows * columns else ""
        figure.suptitle(
            f"{title}: {int(wrong.sum())} of {counted(len(wrong), 'test', 'image')} wrong\n"
            f"most confident mistakes first{few}",
            color=INK,
            fontsize=13,
            fontweight="bold",
        )
        for cell in cells:
            cell.axis("off")
        for cell, index in zip(cells, order, strict=False):
            cell.imshow(rgb(dataset.images[index]), interpolation="nearest")
            guess, truth = (named(dataset.classes[k], 12) for k in (guesses[index], evaluation.labels[index]))
            colour = WRONG if wrong[index] else TEST
            cell.set_title(f"{guess} {100 * sure[index]:.0f} %", fontsize=8.5, color=colour, fontweight="bold", pad=3)
            cell.text(
                0.5,
                -0.04,
                f"is {truth}" if wrong[index] else "correct",
                transform=cell.transAxes,
                ha="center",
                va="top",
                fontsize=8.5,
                color=INK,
            )
