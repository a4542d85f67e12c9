"""Parameters side by side in one array: what visits each number once is then one kernel for all of them.

    [ kernels and matrices | biases and batch norm's vectors | running statistics ]    data
    [ their gradients      | theirs                          ]                         grad

`flatten` moves parameters and buffers there. Each stays the object that it was and keeps its shape: its `data` becomes
a view of the row, and so does its `grad` when a backward adds to it. Whoever walks along the row asks `neighbours`
which of them lie side by side: one that has been replaced, or converted, or was never moved stands alone, and is
worked on by itself, by the same kernels.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minighost.engine.check import is_plain
from minighost.engine.memory import zeros
from minighost.nn.module import Module
from minighost.nn.parameter import Buffer, Parameter

__all__ = ["Flat", "Place", "flatten", "neighbours"]

LINE = 64  # bytes; each begins on a cache line of its own, and the gaps hold zeros


class Flat:
    """One row of numbers.

    Parameters
    ----------
    values : list of Parameter and Buffer
        Of one dtype, parameters first. They are moved.

    Attributes
    ----------
    count : int
        How many were moved.
    data : ndarray, shape (size,)
    grad : ndarray
        Of the parameters, at the same places.
    """

    def __init__(self, values):
        dtype = values[0].data.dtype
        room = [-(-value.data.nbytes // LINE) * LINE // dtype.itemsize for value in values]
        ends = np.cumsum(room).tolist()
        learnt = max([end for end, value in zip(ends, values, strict=True) if isinstance(value, Parameter)], default=0)
        self.count, self.data, self.grad = len(values), zeros((ends[-1],), dtype), zeros((learnt,), dtype)
        for value, end, size in zip(values, ends, room, strict=True):
            value.move_to(Place(self, end - size, end, value))


class Place:
    """Where in a `Flat` one parameter or buffer lies.

    Attributes
    ----------
    flat : Flat
    start, end : int
        Of its numbers and the gap after them.
    data, grad : ndarray
        Views of its shape; `grad` of a buffer is None.
    """

    __slots__ = ("data", "end", "flat", "grad", "start")

    def __init__(self, flat, start, end, value):
        self.flat, self.start, self.end = flat, start, end
        self.data = self.of(flat.data, value.shape)
        self.grad = self.of(flat.grad, value.shape) if isinstance(value, Parameter) else None

    def of(self, row, shape):
        """The part of a row, cut like the flat's, that lies here."""
        return row[self.start : self.start + int(np.prod(shape))].reshape(shape)


def flatten(values: Module | Iterable[Parameter | Buffer]) -> None:
    """Move parameters and buffers into one row of memory for each dtype.

    Parameters
    ----------
    values : Module, or iterable of Parameter and Buffer

    Notes
    -----
    An array that was taken before (``w = layer.weight.data``) keeps the old numbers and is followed by nobody; take
    it again. Gradients are from then on written into one place: keep a copy of `p.grad`, not the array, beyond the
    next backward. Those that already lie in one row stay where they are. Left alone is what kernels cannot write to
    (read-only, not C-contiguous, not float32 or float64), and what shares its memory with another.

    Examples
    --------
    >>> from minighost import nn
    >>> layer = nn.Linear(2, 3)
    >>> nn.flatten(layer)
    >>> layer.weight.place.flat is layer.bias.place.flat
    True
    """
    if isinstance(values, Module):
        buffers = (buffer for _, buffer in values.named_buffers())
        held: list[Parameter | Buffer] = [*values.parameters(), *buffers]
        return flatten(held)
    each = {id(value): value for value in values}.values()
    apart = _apart([v for v in each if v.data.size and is_plain(v.data)])
    for dtype in (np.float32, np.float64):
        own = sorted((value for value in apart if value.data.dtype == dtype), key=_rank)
        flats = {id(value.place and value.place.flat) for value in own}
        if own and not (len(flats) == 1 and own[0].place and own[0].place.flat.count == len(own)):
            Flat(own)


def _rank(value):
    """What an optimizer treats alike lies together; what only an average looks at comes last."""
    return 2 if not isinstance(value, Parameter) else 0 if value.data.ndim > 1 else 1


def _apart(values):
    """Those that share no byte with another."""
    spans = sorted((value.data.ctypes.data, value.data.ctypes.data + value.data.nbytes, id(value)) for value in values)
    shared, reach, last = set(), 0, None
    for start, end, value in spans:
        if start < reach:
            shared |= {last, value}
        if end > reach:
            reach, last = end, value
    return [value for value in values if id(value) not in shared]


def neighbours(values):
    """Lists of those that lie side by side in one row; whoever lies in none has a list to itself, and comes first.

    Parameters
    ----------
    values : iterable of Parameter and Buffer

    Returns
    -------
    list of list
    """
    alone: list[Any] = []
    placed: list[Any] = []
    for value in values:
        (alone if value.place is None else placed).append(value)
    order = {flat: k for k, flat in enumerate(dict.fromkeys(value.place.flat for value in placed))}
    placed.sort(key=lambda value: (order[value.place.flat], value.place.start))
    runs, before = [[value] for value in alone], None
    for value in placed:
        place = value.place
        if before is not None and place.flat is before.flat and place.start == before.end:
            runs[-1].append(value)
        else:
            runs.append([value])
        before = place
    return runs
