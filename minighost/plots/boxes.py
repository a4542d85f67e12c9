"""Pictures with boxes drawn on them: a sheet of a data set, what a detector finds, beside what is there."""

import numpy as np

from minighost.errors import printable
from minighost.plots.figure import picture
from minighost.plots.style import INK, named, rgb

__all__ = ["box_sheet", "found_sheet", "on_picture"]

GAP = 2  # pixels between two pictures of a sheet
COLOURS = {True: ("tab10", 10), False: ("tab20", 20)}  # by whether ten are enough; a class has always the same one


def box_sheet(dataset, path, rows=4, columns=8):
    """Draw the first pictures of a data set with their boxes, and write them to a file.

    Parameters
    ----------
    dataset : DetectionSet
    path : str or path-like
        Overwritten if it exists.
    rows, columns : int
        Fewer if there are fewer pictures.
    """
    count = min(len(dataset), rows * columns)
    title = f"{named(dataset.name, 40)}: the first {count} pictures"
    drawings = [(dataset.images[i], dataset.targets[i].boxes, dataset.targets[i].labels, None) for i in range(count)]
    _sheet(drawings, dataset.classes, path, title, columns)


def found_sheet(found, dataset, path, title, least=0.3, rows=4, columns=8):
    """Draw what was found in the first pictures; true boxes are dashed and white.

    Parameters
    ----------
    found : sequence of Detections
        Of `dataset`, in its order.
    dataset : DetectionSet
    path : path
    title : str
    least : float
        Score from which on a detection is drawn.
    """
    drawings = []
    for i in range(min(len(dataset), rows * columns)):
        sure = found[i].scores >= least
        drawings.append(
            (dataset.images[i], found[i].boxes[sure], found[i].labels[sure], found[i].scores[sure], dataset.targets[i])
        )
    words = f"{title}: what is found with a score of {least:g} or more; dashed: true boxes"
    _sheet(drawings, dataset.classes, path, words, columns)


def on_picture(items, classes, path):
    """Draw each picture large, with what was found in it, one below the other, and write them to a file.

    Parameters
    ----------
    items : list of (str, ndarray, Detections)
        Title, image (H, W, C) uint8, and what was found, in its pixels.
    classes : sequence of str
    path : str or path-like
    """
    heights = [min(8.0, 6.4 * image.shape[0] / image.shape[1]) + 0.4 for _, image, _ in items]
    with picture(path, 6.4, sum(heights)) as figure:
        cells = figure.subplots(len(items), 1, squeeze=False, height_ratios=heights).ravel()
        for cell, (title, image, found) in zip(cells, items, strict=True):
            cell.imshow(rgb(image), interpolation="nearest")
            cell.axis("off")
            _label(cell, found.boxes, found.labels, found.scores, classes, (0, image.shape[1]), size=9)
            cell.set_title(printable(title), fontsize=9, loc="left", parse_math=False)


def _sheet(drawings, classes, path, title, columns):
    """All on one pair of axes: a picture of many axes takes seconds."""
    columns = min(columns, len(drawings))
    rows = -(-len(drawings) // columns)
    H, W = drawings[0][0].shape[:2]
    down, across, side = H + GAP, W + GAP, 1.5
    sheet = np.full((rows * down - GAP, columns * across - GAP, 3), 255, np.uint8)
    places = [(k // columns * down, k % columns * across) for k in range(len(drawings))]
    for (top, left), (image, *_) in zip(places, drawings, strict=True):
        sheet[top : top + H, left : left + W] = image
    with picture(path, max(4.0, side * columns), side * rows * down / across + 0.4) as figure:
        axes = figure.subplots()
        axes.set_title(title, color=INK, fontsize=11)
        axes.imshow(sheet, interpolation="nearest")
        axes.axis("off")
        for (top, left), (_, boxes, labels, scores, *truth) in zip(places, drawings, strict=True):
            shift = np.array([left, top, left, top], np.float32)
            for true in truth:
                _outlines(axes, true.boxes + shift, ["white"] * len(true.boxes), linestyle=(0, (2, 2)), linewidth=0.9)
            _label(axes, boxes + shift, labels, scores, classes, (top, left + W))


def _label(axes, boxes, labels, scores, classes, corner, size=5.5):
    """Boxes with the names of their classes, which stay below and left of the corner (top, right) of the picture."""
    from matplotlib import colormaps

    name, count = COLOURS[len(classes) <= 10]
    colours = [colormaps[name](int(k) % count) for k in labels]
    _outlines(axes, boxes, colours, linewidth=size / 4.5)
    for n, (box, k) in enumerate(zip(boxes, labels, strict=True)):
        words = named(classes[k], 14) + ("" if scores is None else f" {100 * scores[n]:.0f}")
        inside, right = box[1] - corner[0] < 4, corner[1] - box[0] < 20
        axes.text(
            box[2 if right else 0] - 0.5,
            box[1] - 0.5,
            words,
            fontsize=size,
            color="white",
            va="top" if inside else "bottom",
            ha="right" if right else "left",
            clip_on=True,
            bbox=dict(boxstyle="square,pad=0.12", facecolor=colours[n], edgecolor="none", alpha=0.9),
        )


def _outlines(axes, boxes, colours, **look):
    from matplotlib.patches import Rectangle

    for (x0, y0, x1, y1), colour in zip(boxes, colours, strict=True):
        corner = (x0 - 0.5, y0 - 0.5)  # matplotlib counts from the middle of the first pixel
        axes.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, edgecolor=colour, **look))
