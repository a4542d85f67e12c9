"""The graph that is exported: steps, the arrays that they need, and the shape of every value.

A step is added by naming its operation; what shape comes out is found by running it on no images.
"""

import itertools
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minighost.exporting.numpy_graph import OPERATIONS, Step, run

__all__ = ["Graph", "Value"]


@dataclass(frozen=True)
class Value:
    """What a step writes: its name, and its shape without N."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Graph:
    """Steps in their order.

    Attributes
    ----------
    images : Value
        The input, (H, W, C) per image.
    steps : list of Step
    arrays : dict of str to ndarray
        float32.
    shapes : dict of str to tuple of int
        Of every value, without N; channels last.
    """

    images: Value
    steps: list[Step] = field(default_factory=list)
    arrays: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    layer: str = ""  # whose steps are being added: it names values and arrays

    def __post_init__(self):
        self.shapes[self.images.name] = self.images.shape

    def __call__(self, op, *inputs, arrays=None, **options):
        """Add a step and return the `Value` that it writes.

        Parameters
        ----------
        op : str
            A key of `numpy_graph.OPERATIONS`.
        *inputs : Value
        arrays : dict of str to array_like, optional
            Arguments that are arrays of numbers.
        **options
            The other arguments.
        """
        given = {argument: np.asarray(array, np.float32) for argument, array in (arrays or {}).items()}
        nothing = [np.zeros((0, *value.shape), np.float32) for value in inputs]
        with np.errstate(all="ignore"):
            shape = OPERATIONS[op](*nothing, **given, **options).shape[1:]
        output = self._free(re.sub(r"\W", "_", self.layer or op), self.shapes)
        named = {}
        for argument, array in given.items():
            name = self._free(".".join(filter(None, [self.layer, _ARGUMENTS.get(argument, argument)])), self.arrays)
            self.arrays[name], named[argument] = np.ascontiguousarray(array), name
        self.steps.append(Step(op, tuple(value.name for value in inputs), output, named, options))
        self.shapes[output] = shape
        return Value(output, shape)

    def finish(self, value):
        """Say which value is the output; it is called "logits" from now on."""
        self.layer = ""
        if value is self.images:  # a network that does nothing
            value = self("affine", value, arrays={"scale": 1, "shift": 0})

        def named(name):
            return "logits" if name == value.name else name

        self.steps = [
            step._replace(inputs=tuple(map(named, step.inputs)), output=named(step.output)) for step in self.steps
        ]
        self.shapes = {named(name): shape for name, shape in self.shapes.items()}

    def run(self, images):
        """Logits of images (N, H, W, C), float32, in plain NumPy."""
        return run(self.steps, self.arrays, images)

    def _free(self, name, taken):
        """The name, with a number if it is taken."""
        numbered = (f"{name}_{k}" for k in itertools.count(2))
        return name if name not in taken else next(one for one in numbered if one not in taken)


_ARGUMENTS = {"w": "weight", "b": "bias"}
