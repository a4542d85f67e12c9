"""Pictures that the commands draw: a contact sheet of a data set, a sheet of predictions."""

from pathlib import Path

import numpy as np

from minighost.errors import printable
from minighost.plots.figure import picture
from minighost.plots.style import named, rgb

__all__ = ["contact_sheet", "predictions"]

MOST = 100  # classes that a sheet has room for


def contact_sheet(dataset, path, columns=12):
    """Draw the first images of every class, but of `MOST` at most, one row per class, and write them to a file.

    Parameters
    ----------
    dataset : Dataset
    path : str or path-like
        Overwritten if it exists.
    columns : int
        Images per row; a class that has fewer leaves the rest of its row white.
    """
    (H, W), classes = dataset.images.shape[1:3], dataset.classes[:MOST]
    down, across = H + 2, W + 2  # a gap of two pixels keeps neighbours apart
    sheet = np.full((down * len(classes), across * columns, 3), 255, np.uint8)
    for k in range(len(classes)):
        for column, image in enumerate(dataset.images[np.flatnonzero(dataset.labels == k)[:columns]]):
            sheet[k * down : k * down + H, column * across : column * across + W] = image  # grey: in all three channels
    with picture(path, columns * 0.62 + 1.4, len(classes) * 0.62 * down / across + 0.5) as figure:
        axes = figure.subplots()
        axes.imshow(sheet, interpolation="nearest")
        axes.set_yticks([k * down + H / 2 for k in range(len(classes))], [named(name) for name in classes])
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        which = "each class" if len(classes) == len(dataset.classes) else f"the first {MOST} classes"
        axes.set_title(f"{named(dataset.name, 40)}: the first {columns} images of {which}")


def predictions(items, path):
    """Draw each image beside its most probable classes and write them to a file.

    Parameters
    ----------
    items : list of (str, ndarray, list of (str, float))
        Title, image (H, W, C) uint8 as the network saw it, classes with their probabilities, the most probable first.
    path : str or path-like
        Overwritten if it exists.
    """
    with picture(path, 6.4, 1.9 * len(items)) as figure:
        rows = figure.subplots(len(items), 2, squeeze=False, width_ratios=(1, 2))
        for (title, image, ranking), (left, right) in zip(items, rows, strict=True):
            left.imshow(rgb(image), interpolation="nearest")
            left.set_axis_off()
            names, shares = zip(*ranking, strict=True)
            bars = right.barh(range(len(names)), shares, color=["tab:blue"] + ["lightsteelblue"] * (len(names) - 1))
            right.bar_label(bars, [f"{100 * share:.1f} %" for share in shares], padding=3)
            right.set_yticks(range(len(names)), [named(name, 30) for name in names])
            right.invert_yaxis()
            right.set_xlim(0, 1.2)  # room for the label of a bar of 100 %
            right.set_xticks([])
            right.tick_params(length=0)
            right.spines[:].set_visible(False)
            name = printable(Path(title).name)
            right.set_title(name, fontsize=9, loc="left", parse_math=False)  # a file name is not mathematics
