"""Where a step's time goes, kernel by kernel: calls, milliseconds, bytes, operations, and the share of the roofline.

A kernel's bytes are those of the arrays that it is given, each counted once, working memory included; its operations
are those that it declares, ``@kernel(flops=...)``: of its products, twice the multiply-adds (Winograd's as carried out,
not as defined). A kernel that declares nothing counts as having none: for it memory is the limit.
"""

from dataclasses import dataclass

import numpy as np

from minighost.bench.cost import Piece
from minighost.bench.timing import measure
from minighost.engine.launch import watching

__all__ = ["KernelTime", "Profile", "profile"]


@dataclass(frozen=True)
class KernelTime:
    """One kernel's part in a step.

    Attributes
    ----------
    kernel : str
        Where it is defined, below `minighost.engine` or `minighost.ops`.
    seconds : float
        Of all its calls in a step; the median over the steps.
    pieces : list of Piece
        One per call.
    """

    kernel: str
    seconds: float
    pieces: list


@dataclass(frozen=True)
class Profile:
    """A step, kernel by kernel, the longest first; `rest` is what Python and NumPy did meanwhile, in seconds."""

    kernels: list
    rest: float


def profile(step, repeats=10, warmup=2):
    """Watch the kernels of a step.

    Parameters
    ----------
    step : callable
        Takes no argument.
    repeats, warmup : int
        As for `measure`.

    Returns
    -------
    Profile

    Examples
    --------
    >>> from minighost import ops
    >>> x = np.ones((2, 4, 4, 8), np.float32)
    >>> [one.kernel for one in profile(lambda: ops.add_forward(x, x), repeats=1, warmup=1).kernels]
    ['add._add']
    """
    pieces: dict = {}
    with watching(lambda kernel, args, _: pieces.setdefault(kernel, []).append(_piece(kernel, args))):
        step()
    steps: list = []

    def watched():
        seconds = dict.fromkeys(pieces, 0.0)
        steps.append(seconds)

        def note(kernel, args, passed):  # must not keep the arguments: their memory is taken again
            seconds[kernel] += passed

        with watching(note):
            step()

    timing = measure(watched, repeats, warmup)
    kernels = [
        KernelTime(_name(kernel), float(np.median([times[kernel] for times in steps[-repeats:]])), of_it)
        for kernel, of_it in pieces.items()
    ]
    kernels.sort(key=lambda one: one.seconds, reverse=True)
    return Profile(kernels, timing.median - sum(one.seconds for one in kernels))


def _name(kernel):
    return f"{kernel.__module__.removeprefix('minighost.engine.').removeprefix('minighost.ops.')}.{kernel.__name__}"


def _piece(kernel, args):
    arrays = {(a.ctypes.data, a.nbytes): a.nbytes for value in args for a in _arrays(value)}
    return Piece(_name(kernel), kernel.flops(*args), sum(arrays.values()))


def _arrays(value):
    """Arrays, also those in a tuple, as a `Deferred` is one."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _arrays(one)
