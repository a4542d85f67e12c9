"""A network of one's own: ``create("my.py:Net", num_classes=10)``.

``Net`` is a class derived from `nn.Module`, or a function that returns one. It is called with ``num_classes``, ``rng``
and ``width`` only if it takes them; whatever else it takes is an option, as of any network.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minighost import own_code
from minighost.nn import Module
from minighost.registry import nearest

__all__ = ["check_options", "create", "entry", "spec_of", "takes", "try_out"]

USUAL = {"num_classes": 10, "rng": 0}  # what a network need not take, and gets if it must have it
EMPTY = inspect.Parameter.empty


def spec_of(name: Any) -> own_code.Spec | None:
    """The parts of ``FILE.py:NAME``; None for the name of a registered network."""
    spec = own_code.parse(name) if isinstance(name, str) else None
    if spec is None and isinstance(name, str) and ":" in name:
        raise ValueError(f"{name}: a network of your own is given as FILE.py:NAME, as in my.py:Net")
    return spec


def entry(spec: own_code.Spec) -> Callable[..., Any]:
    """The class or function; ValueError if it is neither, or a class that is no `Module`."""
    found = own_code.find(spec)
    if isinstance(found, type) and issubclass(found, Module):
        return found
    if isinstance(found, type):
        raise ValueError(f"{spec}: this class is not a network; derive it from minighost.nn.Module")
    if isinstance(found, Module):
        raise ValueError(f"{spec}: is a network that is made already; give a function that makes and returns it")
    if not callable(found):
        raise ValueError(
            f"{spec}: is of type {type(found).__name__}, not a network; give a class or a function that returns one"
        )
    return found


def takes(found: Callable[..., Any], option: str) -> bool:
    """Whether a class or function takes an argument of that name."""
    parameters = _parameters(found)
    return option in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _parameters(found: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(found).parameters


def check_options(found: Callable[..., Any], label: str, options: Mapping[str, Any]) -> None:
    """ValueError, prefixed with `label`, if a class or function does not take an option, or needs one not given."""
    parameters = _parameters(found)
    names = [name for name, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for option in options:
        if option not in USUAL and not takes(found, option):
            words = f"it takes {', '.join(names)}" if names else "it takes none"
            raise ValueError(f"{label} has no option {option!r}{nearest(option, names)}; {words}")
    for name in names:
        if parameters[name].default is EMPTY and name not in (*options, *USUAL):
            raise ValueError(
                f"{label} needs {name}, which has no default; give --set model.{name}=VALUE, or a default in the file"
            )


def create(found: Callable[..., Any], label: str, options: Mapping[str, Any]) -> Module:
    """Call a class or function; ValueError as `check_options`, or if what it returns is no network."""
    check_options(found, label, options)
    parameters = _parameters(found)
    needed = {name: value for name, value in USUAL.items() if name in parameters and parameters[name].default is EMPTY}
    options = {**needed, **options}
    options = {option: value for option, value in options.items() if takes(found, option)}
    model = found(**options)
    if not isinstance(model, Module):
        raise ValueError(f"{label}: returned {_kind(model)}; it must return a network, a minighost.nn.Module")
    return model


def try_out(model: Module, name: str, shape: Sequence[int], num_classes: int) -> None:
    """Run a copy of a network forward and backward on two images, to find out before a training whether it can be.

    Parameters
    ----------
    model : Module
    name : str
        For messages.
    shape : tuple of int
        (H, W, C) of one image.
    num_classes : int

    Raises
    ------
    ValueError
        It has no parameters, or no backward, or returns what has another shape than it must. What its own code raises
        is passed on.
    """
    if not list(model.parameters()):
        raise ValueError(f"{name}: has no parameters, so there is nothing to train")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *shape)).astype(np.float32)
    model, images = copy.deepcopy(model).train(), f"2 images {'x'.join(map(str, x.shape))}"
    try:
        out = model(x)
        if out.shape != (2, num_classes):
            raise ValueError(
                f"{name}: returns shape {out.shape} for {images}; it must be (2, {num_classes}), a number per class"
            )
        if out.dtype != x.dtype:
            raise ValueError(f"{name}: returns {out.dtype} for images of {x.dtype}; somewhere it leaves {x.dtype}")
        dx = model.backward(rng.normal(size=out.shape).astype(out.dtype))
    except NotImplementedError as error:
        raise ValueError(f"{name}: {error}; every layer needs a forward and a backward") from error
    if dx is not None and np.shape(dx) != x.shape:
        raise ValueError(
            f"{name}: backward returns shape {np.shape(dx)} for {images}; it must be the shape of the images, or None"
        )
    for path, parameter in model.named_parameters():
        if parameter.grad is None:
            raise ValueError(
                f"{name}: backward adds nothing to the gradient of {path}, so it would never be trained; "
                f"call accumulate(gradient) on it there"
            )
        if np.shape(parameter.grad) != parameter.shape:
            raise ValueError(
                f"{name}: the gradient of {path} has shape {np.shape(parameter.grad)}, not {parameter.shape}"
            )


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"
