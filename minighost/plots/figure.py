"""Where pictures are drawn: matplotlib with its own defaults, whatever settings the user has.

A matplotlibrc may ask for LaTeX or for fonts that are not here, and ``MPLBACKEND`` may name what only a notebook has:
neither must spoil a picture, let alone end a training run. Figures are made without pyplot: no window, no global state.
"""

import contextlib
import importlib
import io
import os
import sys
import warnings
from pathlib import Path

from minighost.files import check_target, write_atomic

__all__ = ["check_picture", "picture", "png", "suffix"]


def png(draw):
    """The bytes of a PNG that ``draw(path)`` draws with `picture`."""
    content = io.BytesIO()
    draw(content)
    return content.getvalue()


@contextlib.contextmanager
def picture(path, width, height, dpi=120):
    """A figure to draw on, which is written to a file when the block ends.

    Parameters
    ----------
    path : path-like or io.BytesIO
        Its suffix names the format, one that matplotlib writes; PNG without a suffix, and in memory.
    width, height : float
        Inches.
    dpi : int

    Yields
    ------
    matplotlib.figure.Figure
        With constrained layout.

    Raises
    ------
    ValueError
        matplotlib does not write such files.
    OSError
        The file cannot be written; what was there before is untouched.
    """
    with _plain_settings():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout="constrained")
        yield figure
        in_memory = isinstance(path, io.BytesIO)
        content = path if in_memory else io.BytesIO()
        figure.savefig(content, format="png" if in_memory else suffix(path))
    if not in_memory:
        write_atomic(path, content.getvalue())


def check_picture(flag, path):
    """Whether a picture could be written to `path`, asked before the work that ends with drawing it; None is none.

    Raises
    ------
    ValueError
        Its suffix names nothing that matplotlib writes; the message begins with the `flag` that named the file.
    OSError
        As for `minighost.files.check_target`.
    """
    check_target(flag, path)
    if path is not None:
        with _plain_settings():
            from matplotlib.backend_bases import FigureCanvasBase

            known = FigureCanvasBase.get_supported_filetypes()
        if suffix(path) not in known:
            raise ValueError(f"{flag} {path}: unknown format {suffix(path)!r}; available: {', '.join(sorted(known))}")


@contextlib.contextmanager
def _plain_settings():
    """Within the block matplotlib has its default settings."""
    matplotlib = _matplotlib()
    kept = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box in its place says it too
        matplotlib.rcParams.update(kept)
        yield


def suffix(path):
    """The format that the name of a file stands for, "png" without one."""
    return Path(path).suffix.lower().removeprefix(".") or "png"


def _matplotlib():
    """matplotlib; imported without the user's settings if it refuses them."""
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    try:
        return importlib.import_module("matplotlib")
    except Exception:
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # what it had come to
        own = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
        theirs = {key: os.environ.get(key) for key in own}
        os.environ.update(own)
        try:
            with contextlib.chdir(Path(os.__file__).parent):  # a matplotlibrc in the current folder comes before any
                return importlib.import_module("matplotlib")
        finally:
            for key, value in theirs.items():
                if value is None:
                    del os.environ[key]
                else:
                    os.environ[key] = value
