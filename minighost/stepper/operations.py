"""From a name and a few numbers to everything that a page shows."""

from importlib import import_module
from pathlib import Path

import numpy as np

from minighost.stepper.arrays import draw_input
from minighost.stepper.choices import check_options
from minighost.stepper.files import load
from minighost.stepper.frames import Story
from minighost.stepper.pages import PAGES

__all__ = ["build"]


def build(op, x=None, w=None, seed=0, **options):
    """Everything that a page or a terminal needs to step through an operation.

    Parameters
    ----------
    op : str
        One of `NAMES`.
    x : ndarray, str or Path, optional
        The input, or a file with it: (H, W), (H, W, C) or (1, H, W, C); for batchnorm (N, H, W, C).
    w : ndarray, str or Path, optional
        The weights, or a file with them: (KH, KW) or (KH, KW, C/G, OC).
    seed : int
        Of all arrays that are drawn.
    **options
        Those of ``PAGES[op]``; None takes the default.

    Returns
    -------
    Story

    Raises
    ------
    ValueError
        If an option does not exist for the operation, is out of its limits, or contradicts a file.
    """
    page = PAGES.find(op)
    given = {name: value for name, value in options.items() if value is not None}
    check_options(op, given, seed, x, w)
    chosen = {**page.options, **given}
    rng = np.random.default_rng(seed)
    xs = draw_input(op, x, chosen, rng)
    home = import_module(f"minighost.stepper.{page.home}")
    scripts, shown, shapes = home.build(op, xs, None if w is None else load(w), chosen, rng)
    drawn = [name for name, file in (("x", x), ("w", w)) if file is None and (name == "x" or page.takes_w)]
    where = [f"{name} {_whence(file)}" for name, file in (("x", x), ("w", w)) if file is not None]
    all_drawn = ", ".join(drawn) + " and dout" if drawn else "dout"
    facts = [shapes, "; ".join([*where, f"{all_drawn} drawn with seed {seed}"]), *([page.note] if page.note else [])]
    return Story(op, page.title, page.formula, facts, scripts, shown)


def _whence(given):
    return "given" if isinstance(given, np.ndarray) else f"from {Path(given).name}"
