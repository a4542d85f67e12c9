"""Fold a trained network for inference: batch norm into the convolutions, activations into whatever is before them.

In evaluation batch norm is ``scale*x + shift`` with fixed numbers, so it disappears into the weights of the convolution
in front of it (Jacob et al. 2018, "Quantization and training of neural networks", §3.2): ``conv(x, w*scale) + shift``.
What remains is a chain of nodes - a convolution that knows its bias and activation, a ghost module, a bottleneck - each
of which lists its steps for the machine in `ops.inference`.

A layer that is not known here takes part as it is, as a copy in evaluation mode: right, but not faster. To make a layer
known, `rule` has to be told which nodes it stands for; a network that runs its layers one after the other says so with
`Module.chain`.
"""

import contextlib
import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minighost.nn import layers
from minighost.nn.blocks import ConvBNAct, SqueezeExcite
from minighost.nn.ghost import GhostBottleneck, GhostModule
from minighost.nn.module import Buffer, Module, Parameter
from minighost.ops import check, inference
from minighost.ops.buffers import empty

__all__ = ["Folded", "fold", "rule"]

_TILE = 1 << 17  # numbers in an arena, so that one stays in a core's own cache
_ROWS = 128  # of a tile, at least; with fewer a product waits for its weights
_PLANS = 32  # input shapes that are remembered


def fold(model):
    """Prepare a model for inference.

    Parameters
    ----------
    model : Module
        It is not modified. Its weights are *copied*: fold again after training it further.

    Returns
    -------
    Folded
        A function ``f(x) -> out`` that computes what ``model.eval()(x)`` does, up to rounding; arrays in and out, of
        the model's dtype. The first call at a shape of input makes a plan for it, which takes some milliseconds.

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
    >>> f = fold(layers.ReLU())
    >>> f(np.array([-1.0, 2.0]).reshape(1, 1, 1, 2)).ravel()
    array([0., 2.])
    """
    if not isinstance(model, Module):
        raise TypeError(f"fold: model must be a Module, got {type(model).__name__}")
    return Folded(model)


# What a folded network consists of -------------------------------------------------------------------------------
#
# A node has `emit(program, value)`, which lists its steps and returns the value they leave, and `seal(weights)`, which
# copies its weights into the long array of all of them.


@dataclass
class Affine:
    """A batch norm that found no convolution in front of it, or an activation alone."""

    scale: Any
    shift: Any
    act: tuple = inference.NONE

    def seal(self, weights):
        """It is so small that it is written into each program."""

    def emit(self, program, value):
        """One step a part."""
        one = np.ones(value.C)
        return program.affine(value, self.scale * one, self.shift * one, self.act)


@dataclass
class Convolution:
    """A convolution or linear layer with all that was folded into it: w (KH, KW, C/groups, OC), b (OC,).

    `filters` of a depthwise convolution see the same channel. The last channels of its result may have been cut off.
    """

    w: Any
    b: Any
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1
    filters: int = 1
    act: tuple = inference.NONE
    place: int = 0

    def seal(self, weights):
        """Where the kernels of a depthwise convolution go depends on the plane; all others go into `weights`."""
        if not self._depthwise:
            self.place, self.shape = weights.add(self.w), self.w.shape
            self.w = None

    @property
    def _depthwise(self):
        return self.w is not None and self.w.shape[2] == 1 and self.groups > 1

    def emit(self, program, value):
        """A product where the kernel is a single tap, one filter a channel, or windows and a product."""
        if self._depthwise:
            KH, KW, _, OC = self.w.shape
            if value.C != OC or self.filters > 1:
                value = program.repeat(value, self.filters, OC)
            g = program.window(value, (KH, KW), self.stride, self.padding, self.dilation)
            return program.depthwise(value, self.w[:, :, 0], self.b, self.act, g)
        KH, KW, _, OC = self.shape
        if self.groups == KH == KW == 1 and self.stride == (1, 1) and self.padding == (0, 0):
            return program.product(value, OC, self.place, self.b, self.act)
        g = program.window(value, (KH, KW), self.stride, self.padding, self.dilation)
        return program.conv(value, OC, self.place, self.b, self.act, g, self.groups)


@dataclass
class GlobalMean:
    """The mean over the plane."""

    def seal(self, weights):
        """It has no weights."""

    def emit(self, program, value):
        """One step a part."""
        return program.mean(value)


@dataclass
class Pool:
    """The maximum or the mean over windows."""

    maximum: bool
    kernel_size: Any
    stride: Any
    padding: Any

    def seal(self, weights):
        """It has no weights."""

    def emit(self, program, value):
        """One step a part."""
        stride = self.kernel_size if self.stride is None else self.stride
        return program.pool(value, self.maximum, program.window(value, self.kernel_size, stride, self.padding))


@dataclass
class Side:
    """Two chains that see the same value, and what becomes of their results.

    "concatenate", "add", or "gate": the second weighs what it sees, channel by channel.
    """

    how: str
    first: list
    second: list

    def seal(self, weights):
        """Both chains."""
        for node in (*self.first, *self.second):
            node.seal(weights)

    def emit(self, program, value):
        """First, second, and their union."""
        first, second = _emit(self.first, program, value), _emit(self.second, program, value)
        if self.how == "gate":
            return program.scale(first, program.whole(second))
        if self.how == "add":
            return program.add(first, second)
        return inference.Value(first.parts + second.parts, first.H, first.W)


@dataclass
class Plain:
    """A layer that is not known here, as a copy in evaluation mode."""

    layer: Module

    def __call__(self, x):
        """Run it and forget what it keeps for a backward."""
        out = self.layer(x)
        for module in self.layer.modules():
            module._cache = None
        return out


def _emit(nodes, program, value):
    for node in nodes:
        value = node.emit(program, value)
    return value


# Which nodes a layer stands for ----------------------------------------------------------------------------------

_rules: dict = {}
_ACTS = {
    layers.ReLU: inference.RELU, layers.ReLU6: inference.RELU6, layers.ClipGate: inference.CLIP,
    layers.HardSigmoid: inference.HARD_SIGMOID, layers.HardSwish: inference.HARD_SWISH,
}  # fmt: skip


def rule(kind):
    """Decorator: the function below turns a layer of exactly this class into a list of nodes."""

    def add(function):
        _rules[kind] = function
        return function

    return add


def nodes_of(layer):
    """The nodes that a layer stands for, as few as possible; a layer without a rule is one `Plain` node."""
    try:
        return _known(layer)
    except _Unknown:
        pass
    chain = _chain(layer)
    if chain is None:
        return [Plain(_evaluating(layer))]
    return _merged([node for link in chain for node in nodes_of(link)])


class _Unknown(Exception):
    """A layer inside has no rule."""


def _known(*chain):
    """The nodes of layers one after the other, if all are known; None in place of a layer is passed over."""
    nodes = []
    for layer in chain:
        if layer is None:
            continue
        if type(layer) in _rules and "forward" not in vars(layer):
            nodes += _rules[type(layer)](layer)
        elif (links := _chain(layer)) is not None:
            nodes += _known(*links)
        else:
            raise _Unknown
    return _merged(nodes)


def _chain(layer):
    """`Module.chain`, unless a subclass, or this very layer, has a forward of its own below it."""
    for kind in (layer, *type(layer).__mro__):
        if "chain" in vars(kind):
            return layer.chain()
        if "forward" in vars(kind):
            return None
    return None


def _merged(nodes):
    """Fold what only scales, shifts or clips into the convolution in front of it."""
    merged: list = []
    for node in nodes:
        before = merged[-1] if merged else None
        open_ended = isinstance(before, (Affine, Convolution)) and before.act == inference.NONE
        if not (isinstance(node, Affine) and open_ended):
            merged.append(node)
        elif isinstance(before, Convolution):
            merged[-1] = replace(
                before, w=before.w * node.scale, b=before.b * node.scale + node.shift, act=node.act,
            )  # fmt: skip
        else:
            merged[-1] = Affine(before.scale * node.scale, before.shift * node.scale + node.shift, node.act)
    return merged


@rule(layers.Conv2d)
def _conv2d(layer):
    b = np.zeros(layer.weight.shape[3]) if layer.bias is None else _double(layer.bias)
    filters = layer.weight.shape[3] // layer.groups
    return [Convolution(_double(layer.weight), b, layer.stride, layer.padding, layer.dilation, layer.groups, filters)]


@rule(layers.Linear)
def _linear(layer):
    b = np.zeros(layer.weight.shape[1]) if layer.bias is None else _double(layer.bias)
    return [Convolution(_double(layer.weight)[None, None], b)]


@rule(layers.BatchNorm2d)
def _batch_norm(layer):
    scale = _double(layer.weight) / np.sqrt(_double(layer.running_var) + layer.eps)
    shift = _double(layer.bias) - _double(layer.running_mean) * scale
    return [Affine(scale, shift, inference.RELU if layer.relu else inference.NONE)]


@rule(ConvBNAct)
def _conv_bn_act(layer):
    return _known(layer.conv, layer.bn, layer.act)


@rule(layers.CReLU)
def _crelu(layer):
    return [Side("concatenate", [Affine(1.0, 0.0, inference.RELU)], [Affine(-1.0, 0.0, inference.RELU)])]


@rule(layers.MaxPool2d)
@rule(layers.AvgPool2d)
def _pool(layer):
    return [Pool(type(layer) is layers.MaxPool2d, **layer._options)]


@rule(layers.GlobalAvgPool)
def _global_avg_pool(layer):
    return [GlobalMean()]


@rule(layers.Identity)
@rule(layers.Dropout)
def _nothing(layer):
    return []


@rule(SqueezeExcite)
def _squeeze_excite(layer):
    return [Side("gate", [], [GlobalMean(), *_known(layer.reduce, layer.act, layer.expand, layer.gate)])]


@rule(GhostModule)
def _ghost_module(layer):
    primary = _known(layer.primary)
    ghosts = layer.out_channels - layer.intrinsic
    if layer.cheap is None or ghosts == 0:
        return primary
    cheap = _known(layer.cheap)
    if len(cheap) == 1 and isinstance(cheap[0], Convolution) and ghosts < cheap[0].w.shape[3]:
        cheap = [replace(cheap[0], w=cheap[0].w[..., :ghosts], b=cheap[0].b[:ghosts])]  # the surplus is not computed
    return [*primary, Side("concatenate", [], cheap)]


@rule(GhostBottleneck)
def _ghost_bottleneck(layer):
    path = _known(layer.ghost1, layer.depthwise, layer.se, layer.ghost2)
    return [Side("add", path, _known(layer.shortcut))]


for _kind, _act in _ACTS.items():
    rule(_kind)(lambda layer, act=_act: [Affine(1.0, 0.0, act)])


def _double(value):
    return value.data.astype(np.float64)


def _evaluating(layer, hollow=False):
    """A copy in evaluation mode, without gradients and caches; a hollow one has zeros for weights, and no memory."""
    left_out = [(m, "_cache") for m in layer.modules() if m._cache is not None]
    left_out += [(p, "grad") for p in layer.parameters() if p.grad is not None]
    memo: dict = {id(getattr(owner, name)): None for owner, name in left_out}
    if hollow:
        for _, value in layer._named((Parameter, Buffer)):
            memo[id(value.data)] = np.broadcast_to(np.zeros((), value.data.dtype), value.data.shape)
    return copy.deepcopy(layer, memo).eval()


# Running it ------------------------------------------------------------------------------------------------------


class Folded:
    """A network that is ready for inference; `fold` makes it.

    Parameters
    ----------
    model : Module
    """

    def __init__(self, model):
        self._hollow = _evaluating(model, hollow=True)  # to ask whether an input fits
        dtypes = [value.data.dtype for _, value in model._named((Parameter, Buffer))]
        self._nodes, weights = nodes_of(model), _Weights()
        for node in self._nodes:
            if not isinstance(node, Plain):
                node.seal(weights)
        self._weights = weights.together(dtypes[0] if dtypes else np.float64)
        self._plans: dict = {}

    def __call__(self, x):
        """(N, ...) -> what the model would return in evaluation mode.

        Raises
        ------
        TypeError, ValueError
            What the model's layers raise if the input does not fit.
        """
        plan = self._plans.get((x.shape, x.dtype)) if isinstance(x, np.ndarray) else None
        if plan is None:
            plan = self._plan(x)
        for stage in plan:
            x = stage(x)
        return x

    def _plan(self, x):
        """Check the input, divide the nodes into stages, and write a program for each."""
        known = not any(isinstance(node, Plain) for node in self._nodes)
        out = self._try(x, known)
        if x.ndim == 0 or len(x) == 0:
            return [lambda x: out]
        plan: list = []
        nodes = list(self._nodes)
        while nodes:
            if isinstance(nodes[0], Plain):
                plan.append(nodes.pop(0))
                continue
            count = next((k for k, node in enumerate(nodes) if isinstance(node, Plain)), len(nodes))
            plan.append(_Stages(nodes[:count], self._weights))
            del nodes[:count]
        plan = plan or [np.copy]
        while len(self._plans) >= _PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[x.shape, x.dtype] = plan
        return plan

    def _try(self, x, known):
        """Have the layers look at the input: at none of its images where that will do, for it is much quicker."""
        with np.errstate(all="ignore"), contextlib.suppress(TypeError, ValueError):
            if known and isinstance(x, np.ndarray) and x.ndim:
                return self._hollow(x[:0])
        with np.errstate(all="ignore"):
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


class _Stages:
    """Nodes in a row that are all known, written down for one shape of input at the first call.

    Each stage is a kernel's run over the batch, for as many images at a time as its activations fit into the cache.
    """

    def __init__(self, nodes, weights):
        self.nodes, self.weights, self.stages, self.fit = nodes, weights, [], None

    def __call__(self, x):
        x = check.array("fold", "x", x, x.ndim)
        if self.fit != (x.shape, x.dtype):  # what an unknown layer returns may differ from call to call
            self.stages, self.fit = self._write(x), (x.shape, x.dtype)
        for B, shape, steps, lines, size in self.stages:
            out = empty(shape, x.dtype)
            inference.run(steps, size, self.weights, lines, B, x, out)
            x = out
        return x

    def _write(self, x):
        self.weights = self.weights.astype(x.dtype, copy=False)  # where no weights say what dtype, the input does
        nodes, stages, shape = self.nodes, [], x.shape
        sizes = self._images_at_a_time(x)
        while nodes:
            B = sizes[0]
            count = next((k for k, other in enumerate(sizes) if other != B), len(nodes))
            program, value = _begin(shape, x.dtype)
            value = _emit(nodes[:count], program, value)
            program.finish(value)
            steps, size = program.assemble(B)
            shape = _shape(shape, nodes[:count], value)
            lines = np.concatenate([np.zeros(0, x.dtype), *program.lines])
            stages.append((B, shape, steps, lines, size))
            nodes, sizes = nodes[count:], sizes[count:]
        return stages

    def _images_at_a_time(self, x):
        """For each node; a power of 2, and small enough that there are some tiles for the threads to share."""
        sizes, shape = [], x.shape
        for node in self.nodes:
            program, value = _begin(shape, x.dtype)
            value = node.emit(program, value)
            program.finish(value)
            fit = max(_TILE // max(1, program.assemble(1)[1]), _ROWS // (value.H * value.W))
            fit = min(fit, -(-len(x) // 4))
            sizes.append(1 << max(0, fit.bit_length() - 1))
            shape = _shape(shape, [node], value)
        return sizes


def _begin(shape, dtype):
    """A program and the value that it starts from."""
    *plane, C = shape[1:] or (1,)
    H, W = plane if len(plane) == 2 else (math.prod(plane), 1)
    return inference.Program(dtype), inference.Value((inference.Part(inference.INPUT, C),), H, W)


def _shape(shape, nodes, value):
    """Of the result: the planes are gone behind a global mean."""
    if any(isinstance(node, GlobalMean) for node in nodes):
        return (shape[0], value.C)
    if len(shape) == 4:
        return (shape[0], value.H, value.W, value.C)
    return (*shape[:-1], value.C) if len(shape) > 1 else shape
