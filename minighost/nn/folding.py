"""Which nodes a layer stands for in a folded network: batch norm in the convolution, activation behind it.

In evaluation batch norm is ``scale*x + shift`` with fixed numbers, so it disappears into the weights of the convolution
in front of it (Jacob et al. 2018, "Quantization and training of neural networks", §3.2): ``conv(x, w*scale) + shift``.

A layer that is not known here takes part as it is, as a copy in evaluation mode: right, but not faster. To make a layer
known, `rule` has to be told which nodes it stands for; a network that runs its layers one after the other says so with
`Module.chain`.
"""

import contextlib
import copy
from dataclasses import replace

import numpy as np

from minighost.engine import inference
from minighost.engine.check import pair
from minighost.nn import layers
from minighost.nn.blocks import ConvBNAct, SqueezeExcite
from minighost.nn.fold_nodes import Affine, Convolution, GlobalMean, Plain, Pool, Side
from minighost.nn.ghost import GhostBottleneck, GhostModule
from minighost.nn.module import Buffer, Parameter
from minighost.nn.residual import ResidualBlock
from minighost.nn.whitening import PatchWhitening

__all__ = ["evaluating", "in_evaluation", "nodes_of", "rule"]

_METHODS = {"forward", "maps", "_path", "children", "named_children"}  # one of a layer's own makes it unknown
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
        return [Plain(evaluating(layer))]
    return _merged([node for link in chain for node in nodes_of(link)])


class _Unknown(Exception):
    """A layer inside has no rule."""


def _known(*chain):
    """The nodes of layers one after the other, if all are known; None in place of a layer is passed over."""
    nodes = []
    for layer in chain:
        if layer is None:
            continue
        if type(layer) in _rules and _METHODS.isdisjoint(vars(layer)):
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
        if "forward" in vars(kind) or "__call__" in vars(kind):
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
    steps = (pair("Conv2d", name, getattr(layer, name), 0) for name in ("stride", "padding", "dilation"))
    return [Convolution(_double(layer.weight), b, *steps, layer.groups, filters)]


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
    return _known(layer.conv, layer.pool, layer.bn, layer.act)


@rule(layers.CReLU)
def _crelu(layer):
    return [Side("concatenate", [Affine(1.0, 0.0, inference.RELU)], [Affine(-1.0, 0.0, inference.RELU)])]


@rule(PatchWhitening)
def _patch_whitening(layer):
    return [Convolution(_double(layer.weight), _double(layer.bias), padding=layer.padding), *_known(layer.act)]


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
    if layer.cheap is None:
        return primary
    cheap = _known(layer.cheap)
    ghosts = layer.out_channels - _channels(primary)
    surplus = _channels(cheap) - ghosts
    if ghosts <= 0:
        return primary
    if surplus > 0:
        if len(cheap) > 1 or cheap[0].w.shape[2] > 1 < cheap[0].groups:
            raise _Unknown  # the last maps cannot be cut off
        cheap = [replace(cheap[0], w=cheap[0].w[..., :ghosts], b=cheap[0].b[:ghosts])]  # the surplus is not computed
    return [*primary, Side("concatenate", [], cheap)]


def _channels(nodes):
    """How many come out of a convolution and what follows it and keeps their number."""
    kinds = [type(node) for node in nodes]
    if kinds[:1] != [Convolution] or not {Affine, Pool}.issuperset(kinds[1:]):
        raise _Unknown
    return nodes[0].w.shape[3]


@rule(GhostBottleneck)
def _ghost_bottleneck(layer):
    path = _known(layer.ghost1, layer.depthwise, layer.se, layer.ghost2)
    return [Side("add", path, _known(layer.shortcut))]


@rule(ResidualBlock)
def _residual_block(layer):
    return [Side("add", _known(layer.first, layer.second), _known(layer.shortcut)), *_known(layer.act)]


for _kind, _act in _ACTS.items():
    rule(_kind)(lambda layer, act=_act: [Affine(1.0, 0.0, act)])


def _double(value):
    return np.array(value.data, np.float64, order="C")


def evaluating(layer, hollow=False):
    """A copy in evaluation mode, without gradients and caches; a hollow one has zeros for weights, and no memory."""
    memo: dict = {id(p.grad): None for p in layer.parameters() if p.grad is not None}
    if hollow:
        for _, value in layer._named((Parameter, Buffer)):
            memo[id(value.data)] = np.broadcast_to(np.zeros((), value.data.dtype), value.data.shape)
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
