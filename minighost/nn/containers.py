"""Modules that hold other modules in order: a list of layers, and chains that run them one after the other."""

from collections.abc import Iterable, Iterator
from typing import Any, Self, overload

from minighost.nn.functional import add, add_backward, add_forward
from minighost.nn.module import BY_LAYERS, Module, backward_onto
from minighost.type_aliases import Array, InputGrad

__all__ = ["Chain", "ModuleList", "ResidualChain", "Sequential"]


class Chain(Module):
    """A module that is nothing but its attributes one after the other, in the order in which they were set."""

    def forward(self, x: Array) -> Array:
        """First to last."""
        out = self._through(x)
        self._cache = BY_LAYERS
        return out

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """Last to first; returns the gradient with respect to the input, plus `onto` if that is given."""
        self._take_cache(dout)
        return self._back(dout, onto)

    def _through(self, x: Array) -> Array:
        for layer in self.children():
            x = layer(x)
        return x

    def _back(self, dout: Array, onto: Array | None) -> InputGrad:
        layers = list(self.children())
        for layer in reversed(layers[1:]):
            dout = layer.backward(dout)
        return backward_onto(layers[0], dout, onto) if layers else add(dout, onto)


class ResidualChain(Chain):
    """A chain to whose output its input is added, where both have one size: ``x + last(...(first(x)))``.

    A class that is one sets its layers as attributes, in order, and `residual`.

    Attributes
    ----------
    residual : bool
        Whether the input is added; otherwise it is an ordinary chain.
    """

    residual: bool = True

    def forward(self, x: Array) -> Array:
        """First to last, plus x."""
        y = self._through(x)
        if not self.residual:
            return y
        out, cache = add_forward(y, x)
        self._cache = (cache,)
        return out

    def backward(self, dout: Array, onto: Array | None = None) -> InputGrad:
        """The sum hands `dout` to both branches; their gradients meet again at x."""
        cache = self._take_cache(dout)
        if not self.residual:
            return self._back(dout, onto)
        dy, dshortcut = add_backward(dout, *cache)
        return self._back(dy, dshortcut if onto is None else add(dshortcut, onto))


class ModuleList(Module):
    """A list whose layers are trained, saved and switched; their names are "0", "1", ...

    It has no forward: the module that owns it calls the layers. `Sequential` is the list that runs by itself.

    Parameters
    ----------
    modules : iterable of Module

    Raises
    ------
    TypeError
        Something else than a module is put into it.

    Examples
    --------
    >>> from minighost import nn
    >>> layers = nn.ModuleList([nn.Linear(2, 3), nn.ReLU()])
    >>> layers.append(nn.Linear(3, 1))[-1] is layers[2], len(layers[:2])
    (True, 2)
    >>> [path for path, _ in layers.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    is_block = False
    _seen_through = (*Module._seen_through, "_layers")

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._layers = [self._module(layer) for layer in modules]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield ("0", first layer), ...; after them modules in attributes of their own."""
        for k, layer in enumerate(self._layers):
            yield str(k), layer
        yield from super().named_children()

    def _contents(self) -> Iterable[Any]:
        return [*self._layers, *super()._contents()]

    def append(self, layer: Module) -> Self:
        """Put a layer at the end; returns the list."""
        return self.insert(len(self), layer)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Put several at the end; returns the list."""
        self._layers += [self._module(layer) for layer in modules]
        return self

    def insert(self, k: int, layer: Module) -> Self:
        """Put a layer before the one at `k`; returns the list."""
        self._layers.insert(k, self._module(layer))
        return self

    @overload
    def __getitem__(self, k: int) -> Module: ...
    @overload
    def __getitem__(self, k: slice) -> Self: ...
    def __getitem__(self, k: int | slice) -> Module:
        """The layer at `k`; of a slice a list of the same kind, with the same layers."""
        if not isinstance(k, slice):
            return self._layers[k]
        part = ModuleList.__new__(type(self))
        ModuleList.__init__(part, self._layers[k])
        return part

    def __setitem__(self, k: int | slice, layer: Any) -> None:
        if isinstance(k, slice):
            self._layers[k] = [self._module(one) for one in layer]
        else:
            self._layers[k] = self._module(layer)

    def __delitem__(self, k: int | slice) -> None:
        del self._layers[k]

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def _module(self, layer: Any) -> Module:
        if not isinstance(layer, Module):
            raise TypeError(f"{type(self).__name__}: a layer must be a Module, got {type(layer).__name__}")
        return layer


class Sequential(Chain, ModuleList):
    """Layers one after the other; their names are "0", "1", ... and ``chain[0]`` is the first."""

    def __init__(self, *layers: Module) -> None:
        ModuleList.__init__(self, layers)
