"""Fold a trained network for inference, and run it: a few images at a time through as many layers as possible."""

import contextlib
import itertools
import math
from functools import partial
from typing import Any

import numpy as np

from minighost.engine import check, inference
from minighost.engine.memory import empty
from minighost.nn.fold_graph import Segment, explain, segments_of
from minighost.nn.fold_nodes import Plain
from minighost.nn.folding import Trace, in_evaluation
from minighost.nn.kept_fold import layer_by_layer
from minighost.nn.module import Module
from minighost.nn.parameter import Buffer, Parameter
from minighost.type_aliases import Array

__all__ = ["Folded", "fold"]

_TILE = 1 << 17  # numbers in an arena, so that one stays in a core's own cache
_ROWS = 128  # of a tile, at least; with fewer a product waits for its weights
_PLANS = 32  # input shapes that are remembered


def fold(model: Module) -> "Folded":
    """Prepare a model for inference.

    Parameters
    ----------
    model : Module
        It is not modified. Its weights are *copied*: fold again after training it further. (A model in evaluation mode
        keeps a fold by itself, and makes a new one where needed; this one is yours, and does not change.)

    Returns
    -------
    Folded
        A function ``f(x) -> out`` that computes what the model's layers do in evaluation, up to rounding; arrays in
        and out, of the model's dtype. The first call at a shape of input makes a plan for it, which takes some
        milliseconds.

    Raises
    ------
    TypeError
        If `model` is not a Module.

    Notes
    -----
    A batch is taken through the network a few images at a time. How many depends on the shapes alone, so results are
    the same bits for any number of threads; a single image is one thread's work.

    Examples
    --------
    >>> from minighost.nn import ReLU
    >>> f = fold(ReLU())
    >>> f(np.array([-1.0, 2.0]).reshape(1, 1, 1, 2)).ravel()
    array([0., 2.])
    """
    if not isinstance(model, Module):
        raise TypeError(f"fold: model must be a Module, got {type(model).__name__}")
    return Folded(model)


class Folded:
    """A network that is ready for inference; `fold` makes it.

    Parameters
    ----------
    model : Module
    itself : bool
        As in `Trace`. Then there is no copy of the layers to look at what comes in: only `run` may be called.

    Attributes
    ----------
    segments : list of Segment
        What it consists of.
    """

    def __init__(self, model: Module, itself: bool = False) -> None:
        # A layer's own forward, set on the object, may be bound to this very model: no copy changes that.
        self._bound = model if any("forward" in vars(m) for m in model.modules()) else None
        dtypes = [value._data.dtype for _, value in model._named((Parameter, Buffer))]
        with self._evaluation():
            trace = Trace(model, itself)
            result = trace.result()
        self._hollow: Any = None if itself else trace.hollow  # to ask whether an input fits
        self.segments, weights = segments_of(result), _Weights()
        for segment in self.segments:
            for op in segment.ops:
                op.node.seal(weights)
        self._weights = weights.together(dtypes[0] if dtypes else np.float64)
        self._plans: dict = {}

    def explain(self) -> dict[str, str]:
        """What became of each layer: a dictionary from its path to one line, in the order of the computation.

        Layers that do nothing in evaluation are not in it.
        """
        return explain(self.segments)

    def _evaluation(self):
        return contextlib.nullcontext() if self._bound is None else in_evaluation(self._bound)

    def __call__(self, x: Array) -> Array:
        """(N, ...) -> what the model would return in evaluation mode.

        Raises
        ------
        TypeError, ValueError
            What the model's layers raise if the input does not fit.
        """
        with self._evaluation():
            if not (isinstance(x, np.ndarray) and (x.shape, x.dtype) in self._plans):
                known = not any(segment.has(Plain) for segment in self.segments)
                out = self._try(x, known)
                if x.ndim == 0 or len(x) == 0:
                    return out
            return self.run(x)

    def run(self, x):
        """The result for an input that fits."""
        plan = self._plans.get((x.shape, x.dtype)) or self._plan(x)
        for stage in plan:
            x = stage(x)
        return x

    def _plan(self, x):
        """Divide the segments into stages, and write a program for each."""
        plan: list = []
        for by_machine, run in itertools.groupby(self.segments, lambda one: not one.has(Plain)):
            segments = list(run)
            plan += [_Stages(segments, self._weights)] if by_machine else [_Calls(s, self._weights) for s in segments]
        plan = plan or [np.copy]
        self._plans[x.shape, x.dtype] = plan
        for oldest in list(self._plans)[: max(0, len(self._plans) - _PLANS)]:  # a copy: other Python threads do it too
            self._plans.pop(oldest, None)
        return plan

    def _try(self, x, known):
        """Have the layers look at the input: at none of its images where that will do, for it is much quicker."""
        with np.errstate(all="ignore"), layer_by_layer(), contextlib.suppress(TypeError, ValueError):
            if known and isinstance(x, np.ndarray) and x.ndim:
                return self._hollow(x[:0])
        with np.errstate(all="ignore"), layer_by_layer():
            return self._hollow(x)


class _Weights:
    """One long array in the making."""

    def __init__(self):
        self.arrays, self.size = [], 0

    def add(self, w):
        place = self.size
        self.arrays.append(w.reshape(-1))
        self.size += w.size
        return place

    def together(self, dtype):
        out = np.zeros(max(1, self.size), dtype)
        if self.arrays:
            np.concatenate(self.arrays, out=out[: self.size], casting="same_kind")
        return out


class _Calls:
    """A segment with an unknown layer in it, one op after the other."""

    def __init__(self, segment, weights):
        self.segment = segment
        self.stages = {id(op): _stage(op, weights) for op in segment.ops}

    def __call__(self, x):
        values = {id(self.segment.source): x}
        for op in self.segment.ops:
            values[id(op)] = self.stages[id(op)](*(values[id(source)] for source in op.sources))
        return values[id(self.segment.ops[-1])]


def _stage(op, weights):
    if isinstance(op.node, Plain):
        return op.node
    if hasattr(op.node, "apply"):
        return op.node.apply
    return _Stages([Segment(op.sources[0], [op])], weights)


class _Stages:
    """Segments in a row that the machine can run, written down for one shape of input at the first call.

    Each stage is a kernel's run over the batch, for as many images at a time as its activations fit into the cache.
    """

    def __init__(self, segments, weights):
        self.segments, self.weights = segments, weights
        self.written: tuple[Any, list[Any]] = None, []

    def __call__(self, x):
        x = check.array("fold", "x", x, x.ndim)
        fit, stages = self.written
        if fit != (x.shape, x.dtype):  # what an unknown layer returns may differ from call to call
            fit, stages = self.written = (x.shape, x.dtype), self._write(x)
        for shape, run in stages:
            out = empty(shape, x.dtype)
            run(x, out)
            x = out
        return x

    def _write(self, x):
        weights = self.weights.astype(x.dtype, copy=False)  # where no weights say what dtype, the input does
        segments, stages, shape = self.segments, [], x.shape
        sizes = self._images_at_a_time(x)
        while segments:
            B = sizes[0]
            count = next((k for k, other in enumerate(sizes) if other != B), len(segments))
            program, value = _begin(shape, x.dtype)
            for segment in segments[:count]:
                value = segment.emit(program, value)
            program.finish(value)
            steps, size = program.assemble(B)
            shape = _shape(shape, segments[:count], value)
            lines = np.concatenate([np.zeros(0, x.dtype), *program.lines])
            tables = np.concatenate([np.zeros(0, np.int64), *program.tables])
            stages.append((shape, partial(inference.run, steps, weights, lines, tables, size, B)))
            segments, sizes = segments[count:], sizes[count:]
        return stages

    def _images_at_a_time(self, x):
        """For each segment; a power of 2, and small enough that there are some tiles for the threads to share."""
        sizes, shape = [], x.shape
        for segment in self.segments:
            program, value = _begin(shape, x.dtype)
            value = segment.emit(program, value)
            program.finish(value)
            fit = max(_TILE // max(1, program.assemble(1)[1]), _ROWS // (value.H * value.W), program.least)
            fit = min(fit, -(-len(x) // 4))
            sizes.append(1 << max(0, fit.bit_length() - 1))
            shape = _shape(shape, [segment], value)
        return sizes


def _begin(shape, dtype):
    """A program and the value that it starts from."""
    *plane, C = shape[1:] or (1,)
    H, W = plane if len(plane) == 2 else (math.prod(plane), 1)
    return inference.Program(dtype), inference.Value((inference.Part(inference.INPUT, C),), H, W)


def _shape(shape, segments, value):
    """Of the result: the planes are gone after a global mean."""
    if not all(segment.ops[-1].node.has_planes for segment in segments):
        return (shape[0], value.C)
    if len(shape) == 4:
        return (shape[0], value.H, value.W, value.C)
    return (*shape[:-1], value.C) if len(shape) > 1 else shape
