"""Tracing a network: it is run once in evaluation mode on a value without numbers, and its layers say what they do.

In evaluation batch norm is ``scale*x + shift`` with fixed numbers, so it disappears into the weights of the convolution
before it (Jacob et al. 2018, "Quantization and training of neural networks", §3.2): ``conv(x, w*scale) + shift``.

A layer with a `rule` here says which node it stands for. Any other module just runs, and the layers inside it say what
they do. One that wants to see numbers is unknown: it takes part as it is, as a copy in evaluation mode - right, but not
faster.
"""

import contextlib
import copy

import numpy as np

from minighost.engine.activations import IDENTITY, RELU
from minighost.engine.check import pair
from minighost.engine.padding import padding_option
from minighost.nn import layers, pooling
from minighost.nn.activations import LAYERS, CReLU
from minighost.nn.channels import ChannelShuffle, ChannelUnshuffle, Shift
from minighost.nn.fold_nodes import (
    AdaptivePool,
    Affine,
    Concat,
    Convolution,
    Flatten,
    GlobalMean,
    Pad,
    Plain,
    Pool,
    ResponseNorm,
    Select,
)
from minighost.nn.functional.traced import Traced, Unreadable, known_channels
from minighost.nn.normalization import LocalResponseNorm
from minighost.nn.parameter import Buffer, Parameter
from minighost.nn.stochastic_depth import StochasticDepth
from minighost.nn.whitening import PatchWhitening
from minighost.ops.local_response_norm import response_options

__all__ = ["Trace", "evaluating", "in_evaluation", "known_layers", "rule"]

_rules: dict = {}


def rule(kind):
    """Decorator: ``function(layer, x, layers)`` says what a layer of exactly this class makes of a `Traced` value."""

    def add(function):
        _rules[kind] = kind.forward, function
        return function

    return add


def known_layers():
    """The classes that have a rule."""
    return tuple(_rules)


class Trace:
    """The trace of a model.

    Parameters
    ----------
    model : Module
        It is not modified: a copy without weights runs in its place.
    itself : bool
        The model itself runs. It must be in evaluation mode; what its last forward kept for a backward may be lost.

    Attributes
    ----------
    hollow : Module
        That copy, in evaluation mode; or the model.
    """

    def __init__(self, model, itself=False):
        self.hollow = model if itself else evaluating(model, hollow=True)
        named = list(model.named_modules())
        modules = [*self.hollow.modules(), *(original for _, original in named)]
        self._originals = {id(module): one for module, one in zip(modules, [*named, *named], strict=True)}

    def result(self):
        """The `Traced` value that the model returns."""
        return self(self.hollow, Traced(self))

    def __call__(self, module, *args, **kwargs):
        """What a module that is called with a `Traced` value returns."""
        path, original = self._originals.get(id(module), (type(module).__name__, module))
        known_forward, what = _rules.get(type(module), (None, None))
        if "forward" in vars(module):
            return self._unknown(path, original, args, kwargs, "its forward was replaced")
        try:
            if known_forward is type(module).forward and len(args) == 1 and not kwargs:
                return what(original, args[0], (path,))
            out = module.forward(*args, **kwargs)
        except Unreadable as reason:
            return self._unknown(path, original, args, kwargs, str(reason))
        if not isinstance(out, Traced):
            return self._unknown(path, original, args, kwargs, "its result does not depend on its input alone")
        return out

    def _unknown(self, path, original, args, kwargs, reason):
        if len(args) > 1 or kwargs:
            raise Unreadable(f"{path} is unknown ({reason}) and takes more than one argument")
        return args[0].then(Plain(evaluating(original), reason), layers=(path,))


@rule(layers.Conv2d)
def _conv2d(layer, x, path):
    w, b = _double(layer.weight), _bias(layer)
    filters = w.shape[3] // layer.groups
    stride, dilation = pair("Conv2d", "stride", layer.stride, 1), pair("Conv2d", "dilation", layer.dilation, 1)
    padding = padding_option("Conv2d", layer.padding)
    node = Convolution(w, b, stride, padding, dilation, layer.groups, filters)
    return x.then(node, layers=path, channels=w.shape[3])


@rule(layers.Linear)
def _linear(layer, x, path):
    w = _double(layer.weight)[None, None]
    return x.then(Convolution(w, _bias(layer)), layers=path, channels=w.shape[3])


@rule(layers.BatchNorm1d)
@rule(layers.BatchNorm2d)
def _batch_norm(layer, x, path):
    scale = _double(layer.weight) / np.sqrt(_double(layer.running_var) + layer.eps)
    shift = _double(layer.bias) - _double(layer.running_mean) * scale
    act = RELU if layer.relu else IDENTITY
    return x.then(Affine(scale, shift, act), layers=path, channels=len(scale))


@rule(CReLU)
def _crelu(layer, x, path):
    halves = [x.then(Affine(sign, 0.0, RELU), layers=path) for sign in (1.0, -1.0)]
    return halves[0].then(Concat(), halves[1], channels=x.channels and 2 * x.channels)


@rule(PatchWhitening)
def _patch_whitening(layer, x, path):
    w = _double(layer.weight)
    x = x.then(Convolution(w, _double(layer.bias), padding=layer.padding), layers=path, channels=w.shape[3])
    return x.trace(layer.act, x)


@rule(pooling.MaxPool2d)
@rule(pooling.AvgPool2d)
def _pool(layer, x, path):
    return x.then(Pool(type(layer) is pooling.MaxPool2d, **layer._options), layers=path, channels=x.channels)


@rule(ChannelShuffle)
@rule(ChannelUnshuffle)
def _channel_shuffle(layer, x, path):
    C, groups = known_channels(x), layer._options["groups"]
    if C % groups:
        raise Unreadable(f"groups={groups} do not divide {C} channels")
    rows = groups if type(layer) is ChannelShuffle else C // groups
    index = np.arange(C).reshape(rows, -1).T.ravel()
    return x.then(Select(index), layers=path, channels=len(index))


@rule(pooling.AdaptiveAvgPool2d)
@rule(pooling.AdaptiveMaxPool2d)
def _adaptive_pool(layer, x, path):
    node = AdaptivePool(type(layer) is pooling.AdaptiveMaxPool2d, **layer._options)
    return x.then(node, layers=path, channels=x.channels)


@rule(pooling.GlobalMaxPool)
def _global_max_pool(layer, x, path):
    return x.then(AdaptivePool(True, 1, has_planes=False), layers=path, channels=x.channels)


@rule(pooling.Pad2d)
def _pad(layer, x, path):
    return x.then(Pad(**layer._options), layers=path, channels=x.channels)


@rule(pooling.Flatten)
def _flatten(layer, x, path):
    return x.then(Flatten(), layers=path)


@rule(LocalResponseNorm)
def _local_response_norm(layer, x, path):
    options = response_options("LocalResponseNorm", **layer._options)
    return x.then(ResponseNorm(*options), layers=path, channels=x.channels)


@rule(Shift)
def _shift(layer, x, path):
    if layer._options["border"] != "zero":
        raise Unreadable("its border repeats the edge")
    K, (C, _) = layer.kernel_size, layer.offsets.shape
    w = np.zeros((K, K, 1, C))
    w[layer.offsets[:, 0] + K // 2, layer.offsets[:, 1] + K // 2, 0, np.arange(C)] = 1
    return x.then(Convolution(w, np.zeros(C), padding=(K // 2, K // 2), groups=C), layers=path, channels=C)


@rule(pooling.GlobalAvgPool)
def _global_avg_pool(layer, x, path):
    return x.then(GlobalMean(), layers=path, channels=x.channels)


@rule(pooling.Subsample)
def _subsample(layer, x, path):
    """A 1x1 convolution, if it is known how many channels there are."""
    C, OC = x.channels, layer._options["out_channels"]
    if C is None or C > OC:
        return x.then(Plain(evaluating(layer), "its input may have any number of channels"), layers=path)
    w = np.eye(C, OC, (OC - C) // 2)[None, None]
    return x.then(Convolution(w, np.zeros(OC), layer._options["stride"]), layers=path, channels=OC)


@rule(layers.Identity)
@rule(layers.Dropout)
@rule(StochasticDepth)
def _nothing(layer, x, path):
    return x


def _activation(layer, x, path):
    return x.then(Affine(1.0, 0.0, layer.function.act), layers=path, channels=x.channels)


for _kind in LAYERS.values():
    rule(_kind)(_activation)


def _bias(layer):
    return np.zeros(layer.weight.shape[-1]) if layer.bias is None else _double(layer.bias)


def _double(value):
    return np.array(value._data, np.float64, order="C")


def evaluating(layer, hollow=False):
    """A copy in evaluation mode, without gradients and caches; a hollow one has zeros for weights, and no memory."""
    memo: dict = {id(p.grad): None for p in layer.parameters() if p.grad is not None}
    if hollow:
        for _, value in layer._named((Parameter, Buffer)):
            memo[id(value._data)] = np.broadcast_to(np.zeros((), value._data.dtype), value._data.shape)
    return copy.deepcopy(layer, memo).eval()


@contextlib.contextmanager
def in_evaluation(layer):
    """Have a layer itself in evaluation mode for a block of code; what its modules keep for a backward stays."""
    switched = [m for m in layer.modules() if m.training]
    for m in switched:
        m.training = False
    try:
        yield
    finally:
        for m in switched:
            m.training = True
