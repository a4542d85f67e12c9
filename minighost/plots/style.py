"""One look for all pictures: a few colours, and only the lines that carry meaning."""

import numpy as np

from minighost.errors import printable

__all__ = ["GRID", "INK", "PALE", "RATE", "SERIES", "TEST", "TRAIN", "WRONG", "named", "plain", "rgb"]

INK, PALE, GRID = "#22303c", "#9aa5b1", "#e8ecef"  # text, frame, grid
TRAIN, TEST, RATE, WRONG = "#e07a3f", "#2a6f97", "#6a7f4f", "#c1352b"
SERIES = TEST, RATE, WRONG, "#7b5ea7", "#b08d57", "#468faf", "#5c4d3c"  # any number of things side by side


def plain(axes, grid="y"):
    """No frame above and on the right, and a grid for one direction behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def named(name, most=18):
    """A class's name as a label: shortened, and with nothing in it that matplotlib takes for mathematics."""
    name = printable(name)
    return (name if len(name) <= most else f"{name[: most - 3]}...").replace("$", r"\$")


def rgb(image):
    """An image (H, W, 3) or (H, W, 1) with three channels: matplotlib would draw a single one in false colours."""
    return np.broadcast_to(image, (*image.shape[:2], 3))
