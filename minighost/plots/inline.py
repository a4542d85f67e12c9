"""A figure of one's own: below the cell in a notebook, a file from a script."""

import io

from minighost import notebook
from minighost.files import write_atomic
from minighost.inputs import read_regular
from minighost.plots.figure import suffix

__all__ = ["show", "shown"]

LARGEST = 1 << 26  # bytes of a picture


def show(figure, name, dpi=120):
    """Show a figure in a notebook; elsewhere write it to a file and say so.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : path-like
        The file; its suffix names the format, PNG without one.
    dpi : int

    Examples
    --------
    ::

        figure = matplotlib.figure.Figure(layout="constrained")
        figure.subplots().plot([1, 2, 3])
        mg.plots.show(figure, "three.png")
    """
    inline, content = notebook.running(), io.BytesIO()
    figure.savefig(content, format="png" if inline else suffix(name), dpi=dpi)
    if inline:
        notebook.show_image(content.getvalue(), str(name))
    else:
        write_atomic(name, content.getvalue())
        print(f"wrote {name}")


def shown(path):
    """Show the picture in a file in a notebook, too, if it is a PNG; returns the path."""
    if not isinstance(path, io.BytesIO) and suffix(path) == "png" and notebook.running():
        notebook.show_image(read_regular(path, LARGEST), str(path))
    return path
