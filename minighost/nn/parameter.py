"""What a module owns: arrays that are learnt, and arrays that belong to its state."""

import itertools
from typing import Any

import numpy as np

from minighost.engine.check import is_plain
from minighost.type_aliases import Array

__all__ = ["Buffer", "Held", "Parameter", "stamps"]


class _Stamps:
    """Numbers that never come twice, and the last one that was given out."""

    def __init__(self):
        self.latest, self._numbers = 0, itertools.count(1)

    def next(self):
        """A new one; two Python threads get different ones."""
        self.latest = number = next(self._numbers)
        return number


stamps = _Stamps()


class Held:
    """An array that a module owns.

    Whoever gets hold of `data` may write to it, so reading it leaves a stamp; `_data` is for those who only read.
    """

    stamp = 0
    frozen = False  # by `nn.freeze`: no gradient, no optimizer and no average moves it
    place: Any  # of nn/flat.py, or None

    def __init__(self, data: Array) -> None:
        _must_be_array(type(self).__name__, data)
        self._data, self.place, self.stamp = data, None, stamps.next()

    @property
    def data(self) -> Array:
        """The array itself, not a copy. What is assigned is copied into it."""
        self.stamp = stamps.next()
        return self._data

    @data.setter
    def data(self, value: Array) -> None:
        array = _assigned(type(self).__name__, self._data, value)
        if array is not self._data:
            self.replace(array)
        self.stamp = stamps.next()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return self._data.shape

    @property
    def size(self) -> int:
        """Number of scalars."""
        return self._data.size

    def replace(self, array: Array) -> None:
        """Hold another array, of any shape and dtype; whoever holds the old one sees nothing of it."""
        self._data, self.place, self.stamp = array, None, stamps.next()

    def move_to(self, place: Any) -> None:
        """Lie in a `Flat`."""
        place.data[...] = self._data
        self._data, self.place, self.stamp = place.data, place, stamps.next()

    def __getstate__(self):
        return {**vars(self), "place": None}  # a copy's array is its own


def _assigned(kind, own, value):
    """`own` with the numbers of `value`, or where kernels cannot write to `own` a plain array with them."""
    if value is own:  # as after p.data += 1
        return own
    _must_be_array(kind, value)
    if value.shape != own.shape:
        raise ValueError(
            f"{kind}.data has shape {own.shape}, got {value.shape}; an array of another shape needs a new {kind}: "
            f"layer.name = nn.{kind}(array)"
        )
    if value.dtype.newbyteorder("=") != own.dtype.newbyteorder("="):
        raise TypeError(
            f"{kind}.data has dtype {own.dtype}, got {value.dtype}; convert the array with "
            f".astype(np.{own.dtype.name}), or the whole model with model.astype"
        )
    if not is_plain(own):
        return np.array(value, own.dtype.newbyteorder("="), order="C")
    own[...] = value
    return own


def _must_be_array(kind, data):
    if not isinstance(data, (np.ndarray, np.generic)):
        raise TypeError(f"{kind}.data must be a NumPy array, got {type(data).__name__}; convert it with np.asarray")


class Parameter(Held):
    """An array that is learnt.

    Parameters
    ----------
    data : ndarray
        Taken as it is, not copied.

    Attributes
    ----------
    data : ndarray
        Assigning copies into it after a check of shape and dtype, so that whoever holds the array sees the new
        numbers. Only one that kernels cannot write to - read-only, not C-contiguous - gives way to a plain copy.
    grad : ndarray or None
        Gradient of the loss, summed over all backward passes since `Module.zero_grad`.
    place : Place or None
        Where in a `Flat` it lies, after `nn.flatten`.

    Raises
    ------
    TypeError, ValueError
        What is given or assigned is no array, or what is assigned has another dtype or shape; nothing has changed then.
    """

    def __init__(self, data: Array) -> None:
        super().__init__(data)
        self.grad: Array | None = None

    def accumulate(self, grad: Array | None) -> None:
        """Add `grad` to what is there; None (a parameter without gradient) is passed over, and all of a frozen one."""
        if grad is None or self.frozen:
            return
        own = None if self.place is None else self.place.grad
        if own is None or type(grad) is not np.ndarray or grad.shape != own.shape or grad.dtype != own.dtype:
            self.grad = grad if self.grad is None else self.grad + grad
        elif self.grad is None:
            own[...] = grad
            self.grad = own
        elif self.grad is own:
            own += grad
        else:
            self.grad = self.grad + grad

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self._data.dtype})"


class Buffer(Held):
    """An array that belongs to the state but is not learnt, such as a running mean; assigned to as a `Parameter`."""
