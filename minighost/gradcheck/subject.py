"""What is checked, in one form: named arrays in float64, a forward that reads them, a backward.

A layer is copied, so that the caller's stays as it is. Both kinds give the same result for the same arrays each time:
random generators inside a layer are set back before each forward.
"""

import copy
import inspect

import numpy as np

from minighost.gradcheck.failure import GradientError
from minighost.nn import Module
from minighost.nn.kept_fold import layer_by_layer

__all__ = ["subject_of"]


def subject_of(what, inputs, backward=None, name=None):
    """The `Subject` for a layer, for a pair ``(forward, backward)``, or for a forward with `backward` given."""
    inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if isinstance(what, Module):
        if backward is not None or len(inputs) != 1:
            raise TypeError("gradcheck: a layer is checked with one input and its own backward; give check(layer, x)")
        return _Layer(what, inputs[0], name)
    forward = what
    if isinstance(what, tuple) and len(what) == 2 and backward is None:
        forward, backward = what
    if not (callable(forward) and callable(backward)):
        raise TypeError(
            "gradcheck: give a layer, a pair (forward, backward) or check(forward, inputs, backward=...); got "
            f"{type(what).__name__}"
        )
    return _Functions(forward, backward, inputs, name)


class _Functions:
    """A pair of functions.

    ``forward(*inputs)`` returns ``(out, cache)`` or ``out``; then ``backward(dout, cache)``, or ``backward(dout,
    *inputs)``, returns one gradient or a tuple of them. Inputs without fractions - labels, sizes - have no gradient.
    """

    def __init__(self, forward, backward, inputs, name):
        self._forward, self._backward = forward, backward
        self.name = name or getattr(forward, "__name__", "forward")
        self._inputs = [np.array(x, np.float64) if _has_slope(x) else x for x in inputs]
        names = _parameter_names(forward, len(inputs))
        self.arrays = {n: x for n, x in zip(names, self._inputs, strict=True) if _has_slope(x)}
        self._names = names
        if not self.arrays:
            raise TypeError(f"gradcheck {self.name}: no input is an array of floats, so there is no gradient to check")

    def forward(self):
        """The output, as an array; the cache is kept."""
        result = self._forward(*self._inputs)
        self._cached = isinstance(result, tuple)
        if self._cached:
            if len(result) != 2:
                raise GradientError(
                    f"gradcheck {self.name}: forward returned {len(result)} values; it must return (out, cache) or out"
                )
            result, self._cache = result
        return np.asarray(result)

    def backward(self, dout):
        """Gradients by name, for the last forward."""
        dout = dout if dout.ndim else dout[()]
        found = self._backward(dout, self._cache) if self._cached else self._backward(dout, *self._inputs)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(found) > len(self._inputs):  # of optional inputs that are not there, as a bias
            found = [x for x in found if x is not None]
        if len(found) == len(self._inputs):
            pairs = dict(zip(self._names, found, strict=True))
        elif len(found) == len(self.arrays):
            pairs = dict(zip(self.arrays, found, strict=True))
        else:
            raise GradientError(
                f"gradcheck {self.name}: backward returned {len(found)} gradients for {len(self.arrays)} inputs "
                f"({', '.join(self.arrays)}); return one for each, in the same order"
            )
        return {n: None if pairs[n] is None else np.asarray(pairs[n]) for n in self.arrays}

    def from_the_output(self):
        """The arrays' names, in the order in which they are to be looked at."""
        return list(self.arrays)

    def complex_forward(self, name, change):
        """The output where a complex `change` is added to one of the arrays."""
        moved = [x + change if x is self.arrays[name] else x for x in self._inputs]
        result = self._forward(*moved)
        return np.asarray(result[0] if isinstance(result, tuple) else result)


class _Layer:
    """A layer: its input ``x`` and its parameters."""

    complex_forward = None  # the layers' operations take real numbers only

    def __init__(self, layer, x, name):
        if not _has_slope(x):
            raise TypeError(f"gradcheck {type(layer).__name__}: x must be an array of floats")
        self.name = name or type(layer).__name__
        self._layer = copy.deepcopy(layer).astype(np.float64)
        self._x = np.array(x, np.float64)
        self.arrays = {"x": self._x, **{path: p.data for path, p in self._layer.named_parameters()}}
        self._parameters = dict(self._layer.named_parameters())
        generators = [getattr(m, "rng", None) for m in self._layer.modules()]
        self._rng_states = [(g, g.bit_generator.state) for g in generators if isinstance(g, np.random.Generator)]

    def from_the_output(self):
        """Last layers first: a wrong backward spoils all gradients before its layer, and none after it."""
        return list(self.arrays)[::-1]

    def forward(self):
        """The output."""
        for generator, state in self._rng_states:
            generator.bit_generator.state = state
        with layer_by_layer():  # whose backwards are in question
            return np.asarray(self._layer(self._x))

    def backward(self, dout):
        """Gradients by name; a layer forgets its cache, so its forward is run again first."""
        self.forward()
        self._layer.zero_grad()
        dx = self._layer.backward(dout)
        return {"x": dx, **{path: p.grad for path, p in self._parameters.items()}}


def _has_slope(x):
    return (isinstance(x, np.ndarray) and x.dtype.kind == "f") or isinstance(x, float)


def _parameter_names(function, count):
    """Names of the first `count` parameters, from the signature if it has that many."""
    try:
        names = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    return names[:count] if len(names) >= count else [f"input {k}" for k in range(count)]
