"""Compile the kernels ahead: tiny steps of whole networks, so that the first real step need not wait.

Kernels are compiled for a dtype and a number of axes, not for a size: a step on two small images compiles all that a
step on many large ones needs.
"""

import os
import time

import numpy as np

from minighost import models
from minighost.bench.network import TrainingStep, inference_of
from minighost.engine import launch
from minighost.models.registry import ABOUT

__all__ = ["kernels_folder", "warm_up"]


def warm_up(name, batch=4, size=None, **options):
    """One training step and one evaluation of a small `name`, in single precision.

    Parameters
    ----------
    name : str
        One of `models.names()`.
    batch, size : int
        Images, and their side in pixels; by default 32, or more if the network needs it.
    **options
        For `models.create`; by default ``width=0.25, num_classes=10``.

    Returns
    -------
    training, inference : float
        Seconds each took: compilation, or loading from the cache, and hardly anything else.

    Raises
    ------
    ValueError
        An unknown network or option.
    """
    model = models.create(name, **{"width": 0.25, "num_classes": 10, "rng": 0, **options})
    if size is None:
        size = max(32, ABOUT[name].side)
    x = np.random.default_rng(0).normal(size=(batch, size, size, 3)).astype(np.float32)
    step = TrainingStep(model, x, np.arange(batch) % 10)
    marks = [time.perf_counter()]
    step()
    marks.append(time.perf_counter())
    inference_of(model)(x)
    marks.append(time.perf_counter())
    return marks[1] - marks[0], marks[2] - marks[1]


def kernels_folder():
    """The folder where compiled kernels are kept from one process to the next; None if they are not kept."""
    return None if os.environ.get("MINIGHOST_CACHE", "1") == "0" else launch.kernels_folder()
