"""Lazy activations: what is left to do to a convolution's result is written down, and done when the result is read.

    Conv2d        -> Activation: the raw result and its mean and variance
    BatchNorm2d   -> the same numbers, with a scale and a shift per channel
    ReLU          -> the same, with an activation
    concat        -> the parts of both, side by side
    scale         -> the same, with a gate
    add           -> a Sum of two

The next convolution does it all on the way into its tile, so no layer between the two touches a pixel. Anything else
that reads such a value - NumPy, an operation of `ops`, a user's module - gets an array: `materialize`. From then on the
value is that array, for later readers too, and changes made to it in place are seen as they would be in any array.
"""

import math

import numpy as np

from minighost import ops
from minighost.engine import kernels
from minighost.engine.activations import is_identity

__all__ = ["Activation", "Lazy", "Sum", "activation", "materialize", "together", "waits"]


def materialize(x):
    """The array that x stands for; what is not lazy is returned as it is."""
    return x.materialize() if isinstance(x, Lazy) else x


def together(arrays):
    """Shape and dtype of arrays whose channels stand side by side."""
    first = arrays[0]
    if len(arrays) == 1:
        return first.shape, first.dtype
    return (*first.shape[:3], sum(a.shape[3] for a in arrays)), first.dtype


class Lazy(np.lib.mixins.NDArrayOperatorsMixin):
    """What can be used like an array, and is computed then."""

    ndim = 4
    shape: tuple
    dtype: np.dtype

    @property
    def size(self):
        """The number of numbers."""
        return math.prod(self.shape)

    def materialize(self):
        """The array."""
        raise NotImplementedError

    def __array__(self, dtype=None, copy=None):
        return np.array(self.materialize(), dtype, copy=copy)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **kwargs):
        if out:
            kwargs["out"] = tuple(map(materialize, out))
        return getattr(ufunc, method)(*map(materialize, inputs), **kwargs)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.materialize(), name)

    def __getitem__(self, key):
        return self.materialize()[key]

    def __setitem__(self, key, value):
        self.materialize()[key] = value

    def __len__(self):
        return self.shape[0]

    def __iter__(self):
        return iter(self.materialize())

    def __bool__(self):
        return bool(self.materialize())

    def __repr__(self):
        return repr(self.materialize())


class Activation(Lazy):
    """One or more parts whose channels stand side by side.

    Attributes
    ----------
    parts : list of kernels.Deferred
    statistics : list of ndarray, or None
        Mean and variance (2, C) of each part's raw numbers, where a convolution has just taken them.
    """

    def __init__(self, parts, statistics=None):
        self.parts, self.statistics, self._value = parts, statistics, None
        self.shape, self.dtype = together([p.raw for p in parts])

    def materialize(self):
        """The array; this value has one plain part from now on."""
        if self._value is None:
            self._value = _array_of(self.parts)
            self.parts, self.statistics = [kernels.plain(self._value)], None
        return self._value

    def as_one(self):
        """This value as one part without a gate."""
        if len(self.parts) > 1 or len(self.parts[0].gate):
            self.materialize()
        return self.parts[0]

    def is_normalized(self):
        """Whether every part has its scale and shift, and nothing after them."""
        return waits(self.parts) and all(is_identity(p.act) for p in self.parts)


def activation(x):
    """An array, or something lazy, as an `Activation`."""
    return x if isinstance(x, Activation) else Activation([kernels.plain(materialize(x))])


def waits(parts):
    """Whether every part has a scale and a shift to be applied, and no gate."""
    return all(p.norm.shape[1] and not len(p.gate) for p in parts)


def _array_of(parts):
    if len(parts) == 1:
        return _array_of_one(parts[0])
    if len(parts) == 2 and waits(parts):
        return kernels.concat_add_forward(parts)
    return np.concatenate([_array_of_one(p) for p in parts], axis=3)


def _array_of_one(part):
    out = kernels.materialize(part._replace(gate=part.gate[:0])) if part.norm.shape[1] else part.raw
    return ops.scale_forward(out, part.gate)[0] if len(part.gate) else out


class Sum(Lazy):
    """``a + b``, and ``max(a + b, 0)`` after a ReLU.

    Attributes
    ----------
    parts : list of kernels.Deferred
        Of a; each normalised, without activation or gate.
    shortcut : kernels.Deferred
        b; normalised or a plain array.
    relu : bool
    """

    def __init__(self, parts, shortcut, relu=False):
        self.parts, self.shortcut, self.relu, self._value = parts, shortcut, relu, None
        self.shape, self.dtype = shortcut.raw.shape, shortcut.raw.dtype

    def is_read(self):
        """Whether it has become an array, which somebody may have changed."""
        return self._value is not None

    def materialize(self):
        """The array, which is computed once."""
        if self._value is None:
            if len(self.parts) == 2 and not self.relu:
                self._value = kernels.concat_add_forward(self.parts, self.shortcut)
            elif len(self.parts) == 1 and self.relu:
                self._value = kernels.add_relu_forward(self.parts[0], self.shortcut)
            else:
                value = ops.add_forward(_array_of(self.parts), _array_of_one(self.shortcut))[0]
                self._value = ops.relu_forward(value)[0] if self.relu else value
        return self._value
