"""A layer or network of one's own, made small and checked: ``minighost gradcheck my.py:Net``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minighost import own_code
from minighost.gradcheck.catalogue import perturbed
from minighost.models import own
from minighost.nn import Module

__all__ = ["own_piece"]

SMALL = {"num_classes": 5, "width": 0.25}  # what a network is made with, if it takes it
IMAGES = (16, 16, 3), (32, 32, 3)  # (H, W, C) that networks are tried on
PLANES = tuple((5, 4, C) for C in (3, 4, 6, 8))  # and layers, after the numbers that they are made with


def own_piece(
    spec: own_code.Spec, options: Mapping[str, Any], shape: Sequence[int] | None = None, seed: int = 0
) -> tuple[str, Module, np.ndarray]:
    """What to hand to `gradcheck.check` for a class or function in a file: its name, the layer, an input.

    Parameters
    ----------
    spec : Spec
    options : dict
        For the class or function. A network is made narrow, with few classes, where it lets us.
    shape : tuple of int, optional
        (H, W, C) of one image, or (C,) of a row. By default the first of a few that the layer takes.
    seed : int
        Of weights and input.

    Raises
    ------
    ValueError
        As `models.own.create`; or none of the shapes fits.
    """
    found, rng = own.entry(spec), np.random.default_rng(seed)
    network = own.takes(found, "num_classes")
    usual = {name: value for name, value in SMALL.items() if network and own.takes(found, name)}
    layer = perturbed(own.create(found, str(spec), {**usual, "rng": seed, **options}), rng)
    channels = [value for value in options.values() if type(value) is int and 0 < value <= 256]
    shapes = [*IMAGES, *PLANES] if network else [*((5, 4, C) for C in channels), *PLANES, *IMAGES]
    x = _first_that_fits(layer, spec, shapes if shape is None else [shape], 6 if network else 3, rng)
    return str(spec), layer, x


def _first_that_fits(layer, spec, shapes, N, rng):
    """Random images of the first shape that does not make the forward raise."""
    errors: list[Exception] = []
    for shape in shapes:
        x = rng.normal(size=(N, *shape)).astype(np.float32)
        try:
            layer(x)
        except NotImplementedError as error:
            raise ValueError(f"{spec}: {error}") from error
        except Exception as error:
            errors.append(error)
        else:
            return x.astype(np.float64)
    if len(shapes) == 1:
        raise errors[0]
    where, tried = own_code.place(errors[0]), "; ".join("x".join(map(str, shape)) for shape in shapes)
    raise ValueError(
        f"{spec}: its forward raises for each shape that was tried ({tried}); give the shape of one input, as in "
        f"--input 8x8x4. The first time: {f'{where}: ' if where else ''}{errors[0]}"
    ) from errors[0]
