"""A layer that is a pair of functions from `minighost.ops`: no parameters, and options that are fixed."""

from typing import Any

from minighost.nn.functional import materialize
from minighost.nn.module import Module
from minighost.type_aliases import Array, InputGrad

__all__ = ["Function"]


class Function(Module):
    """A class of its own names the two functions; a constructor sets the options of the first."""

    _forward: Any
    _backward: Any
    _options: dict[str, Any] = {}

    def forward(self, x: Array) -> Array:
        """Apply the function."""
        if self._has_own("backward", Function):
            x = materialize(x)
        out, self._cache = type(self)._forward(x, **self._options)
        return out

    def backward(self, dout: Array) -> InputGrad:
        """Gradient with respect to x."""
        return type(self)._backward(dout, self._take_cache(dout))
