"""Listening to modules: what goes into their forward and backward, and what comes out."""

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import TypeVar

from minighost.nn.functional import materialize
from minighost.nn.module import Module
from minighost.type_aliases import Array

__all__ = ["Hook", "hooked"]

_Hook = TypeVar("_Hook", bound="Hook")


class Hook:
    """What is called around the passes of modules; a subclass overrides what it wants to know of.

    Examples
    --------
    >>> import numpy as np
    >>> from minighost import nn
    >>> class Shapes(nn.Hook):
    ...     def after_forward(self, module, x, out):
    ...         print(type(module).__name__, x.shape, out.shape)
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    >>> with nn.hooked(model, Shapes()):
    ...     out = model(np.ones((1, 4, 4, 1), np.float32))
    Conv2d (1, 4, 4, 1) (1, 4, 4, 2)
    ReLU (1, 4, 4, 2) (1, 4, 4, 2)
    """

    def before_forward(self, module: Module, x: Array) -> None:
        """A module is about to run on x."""

    def after_forward(self, module: Module, x: Array, out: Array) -> None:
        """It has returned `out`."""

    def before_backward(self, module: Module, dout: Array) -> None:
        """Its backward is about to run."""

    def after_backward(self, module: Module, dout: Array, dx: Array | None) -> None:
        """It has returned `dx`, which may be None."""


@contextlib.contextmanager
def hooked(modules: Module | Iterable[Module], hook: _Hook) -> Iterator[_Hook]:
    """Have a hook listen for a block of code; afterwards each module is as before.

    Parameters
    ----------
    modules : Module or iterable of Module
        Of a Module, its layers: all modules inside that have none inside themselves.
    hook : Hook

    Notes
    -----
    A hook is given arrays, so nothing is fused across a module that is listened to. It must not change them.
    """
    if hasattr(modules, "modules"):
        modules = [module for module in modules.modules() if not list(module.children())]
    own = []
    try:
        for module in modules:
            for name, around in (("forward", _forward), ("backward", _backward)):
                before, after = f"before_{name}", f"after_{name}"
                if any(getattr(type(hook), one) is not getattr(Hook, one) for one in (before, after)):
                    own.append((module, name, vars(module).get(name)))
                    setattr(module, name, around(module, getattr(module, name), hook))
        yield hook
    finally:
        for module, name, method in reversed(own):
            if method is None:
                delattr(module, name)
            else:
                setattr(module, name, method)


def _forward(module, forward, hook):
    @functools.wraps(forward)
    def listening(x, *args, **kwargs):
        x = materialize(x)
        hook.before_forward(module, x)
        out = materialize(forward(x, *args, **kwargs))
        hook.after_forward(module, x, out)
        return out

    listening.hook = hook  # type: ignore[attr-defined]  # by which whoever meets a wrapped method knows it
    return listening


def _backward(module, backward, hook):
    @functools.wraps(backward)
    def listening(dout):
        dout = materialize(dout)
        hook.before_backward(module, dout)
        dx = materialize(backward(dout))
        hook.after_backward(module, dout, dx)
        return dx

    return listening
