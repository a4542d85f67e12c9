"""What a layer of your own is given while a network is traced for export: it writes down what NumPy is asked to do.

    np.where(x > 0, x, slope * x)          x * np.tanh(np.log(1 + np.exp(x)))          x - x.mean((1, 2), keepdims=True)

Functions of each number, sums and means over axes, slices of channels and concatenations become steps. Whoever reads
the numbers themselves, or the shape, is a layer that cannot be exported.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minighost.exporting.numpy_graph import FUNCTIONS, REDUCTIONS
from minighost.nn.fold_nodes import Concat, Node, Select
from minighost.nn.functional.traced import Traced, Unreadable, known_channels

__all__ = ["Elementwise", "Recorded", "Reduction"]


@dataclass
class Elementwise(Node):
    """A function of each number; `constants` has None where a value of the network stands."""

    words = "function of each number"

    function: str
    constants: list


@dataclass
class Reduction(Node):
    """A sum, mean, maximum or minimum over axes."""

    words = "reduction"

    function: str
    axis: Any
    keepdims: bool


class Recorded(Traced):
    """A `Traced` value that knows NumPy's functions."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or options:
            raise Unreadable(f"it calls NumPy's {ufunc.__name__} in a form that cannot be written down")
        return _elementwise(ufunc.__name__, *inputs)

    def __array_function__(self, function, types, args, options):
        name = function.__name__
        if name in REDUCTIONS or name == "clip":
            return getattr(args[0], name)(*args[1:], **options)
        if name == "where" and len(args) == 3:
            return _elementwise("where", *args)
        if name == "concatenate" and all(isinstance(x, Recorded) for x in args[0]):
            if (args[1:] or (options.get("axis", 0),))[0] in (-1, 3):
                C = [x.channels for x in args[0]]
                return args[0][0].then(Concat(), *args[0][1:], channels=sum(C) if all(C) else None)
        raise Unreadable(f"it calls NumPy's {name}, which cannot be written down")

    def clip(self, low=None, high=None):
        """Both limits, one after the other."""
        x = self if low is None else np.maximum(self, low)
        return x if high is None else np.minimum(x, high)

    def mean(self, axis=None, keepdims=False):
        """Over axes of a batch with channels last."""
        return self._reduced("mean", axis, keepdims)

    def sum(self, axis=None, keepdims=False):
        """Over axes of a batch with channels last."""
        return self._reduced("sum", axis, keepdims)

    def max(self, axis=None, keepdims=False):
        """Over axes of a batch with channels last."""
        return self._reduced("max", axis, keepdims)

    def min(self, axis=None, keepdims=False):
        """Over axes of a batch with channels last."""
        return self._reduced("min", axis, keepdims)

    def _reduced(self, function, axis, keepdims):
        plane = axis in ((1, 2), (2, 1), 1, 2)
        return self.then(Reduction(function, axis, bool(keepdims)), channels=self.channels if plane else None)

    def __getitem__(self, key):
        if isinstance(key, tuple) and len(key) == 2 and key[0] is Ellipsis and isinstance(key[1], slice):
            index = np.arange(known_channels(self))[key[1]]
            return self.then(Select(index), channels=len(index))
        raise Unreadable("it reads some of the numbers")


def _elementwise(name, *operands):
    if name not in FUNCTIONS:
        raise Unreadable(f"it calls NumPy's {name}, which cannot be written down; {', '.join(sorted(FUNCTIONS))} can")
    values = [one for one in operands if isinstance(one, Recorded)]
    constants = [None if isinstance(one, Recorded) else np.array(one, np.float64) for one in operands]
    widths = [value.channels for value in values] + [c.shape[-1] for c in constants if c is not None and c.ndim]
    channels = max(widths) if all(widths) else None
    return values[0].then(Elementwise(name, constants), *values[1:], channels=channels)
