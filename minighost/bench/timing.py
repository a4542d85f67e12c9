"""A fair clock: warm-up apart, the garbage collector still, every sample kept.

A mean hides what else the machine was doing, so a `Timing` keeps all samples and reports their median, with the
interquartile range as the spread and the minimum as what an idle machine comes closest to.
"""

import contextlib
import gc
import time
from dataclasses import dataclass

import numpy as np

__all__ = ["Timing", "measure"]


@dataclass(frozen=True)
class Timing:
    """What `measure` saw, in seconds.

    Attributes
    ----------
    first : float
        The very first call: compilation, or loading from the cache on disk, included.
    samples : tuple of float
        The calls after the warm-up, in order.

    Examples
    --------
    >>> timing = Timing(9.0, (1.0, 2.0, 3.0, 4.0, 100.0))
    >>> timing.median, timing.least, timing.spread
    (3.0, 1.0, 2.0)
    """

    first: float
    samples: tuple

    @property
    def median(self):
        """Half of the samples took at most this long."""
        return float(np.median(self.samples))

    @property
    def least(self):
        """The quickest sample."""
        return min(self.samples)

    @property
    def spread(self):
        """Interquartile range: the middle half of the samples lies within it."""
        low, high = np.percentile(self.samples, [25, 75])
        return float(high - low)


def measure(call, repeats=10, warmup=2, setup=None, clock=time.perf_counter):
    """Time a call.

    Parameters
    ----------
    call : callable
        Takes no argument, or what `setup` returned.
    repeats : int
        Samples, at least 1.
    warmup : int
        Calls that are not counted, at least 1: the first one may compile.
    setup : callable, optional
        Runs before each call, outside the clock.
    clock : callable, optional
        Returns seconds.

    Returns
    -------
    Timing

    Raises
    ------
    ValueError
        If `repeats` or `warmup` is less than 1.
    """
    for name, value in (("repeats", repeats), ("warmup", warmup)):
        if value < 1:
            raise ValueError(f"measure: {name}={value} must be at least 1")

    def sample():
        arguments = () if setup is None else (setup(),)
        start = clock()
        call(*arguments)
        return clock() - start

    with _no_collection():
        first, *samples = [sample() for _ in range(warmup + repeats)]
    return Timing(first, tuple(samples[warmup - 1 :]))


@contextlib.contextmanager
def _no_collection():
    """The garbage collector would run in some samples and not in others."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
