"""From a model to the steps that are exported.

The trace is that of `nn.fold`: a network is run on a value without numbers, and its layers say what they do, so that a
block or network of one's own needs no rule. A rule here says which steps a node of the trace stands for, or a layer
that `nn.fold` calls as it is.
"""

import numpy as np

from minighost.engine.activations import Clip, Floor, is_identity
from minighost.engine.padding import sides
from minighost.exporting.graph import Graph, Value
from minighost.exporting.recorded import Elementwise, Recorded, Reduction
from minighost.nn import channels, fold_nodes, normalization, upsampling
from minighost.nn.activations import LAYERS
from minighost.nn.fold_graph import ops_of
from minighost.nn.folding import Trace, evaluating, known_layers
from minighost.nn.functional.traced import Unreadable
from minighost.nn.kept_fold import layer_by_layer
from minighost.nn.pooling import Subsample
from minighost.ops.shift_max import next_channels
from minighost.ops.windows import adaptive_bounds, pooling_windows

__all__ = ["graph_of", "rule"]

_rules: dict = {}
_ACTS = {(type(kind.function.act), *kind.function.act): name for name, kind in LAYERS.items()}


def rule(kind):
    """Decorator: ``function(layer, graph, x)`` adds the steps of a layer of exactly this class, and returns a `Value`.

    Parameters
    ----------
    kind : class
        A layer of your own.

    Examples
    --------
    ::

        @minighost.exporting.rule(Swish)
        def swish(layer, graph, x):
            return graph("silu", x)
    """

    def add(function):
        _rules[kind] = getattr(kind, "forward", None), function
        return function

    return add


def graph_of(model, shape, mean=None, std=None):
    """The `Graph` of a model in evaluation.

    Parameters
    ----------
    model : Module
        It is not modified.
    shape : (int, int, int)
        H, W, C of its images.
    mean, std : array_like, shape (C,), optional
        What images from 0 to 1 are normalised with, as the first step.

    Raises
    ------
    ValueError
        A layer that nothing is known of, or that does not take such images.
    """
    model = evaluating(model).astype(np.float32)
    with layer_by_layer(), np.errstate(all="ignore"):
        model(np.zeros((1, *shape), np.float32))  # whoever does not take such images says so
    trace = Trace(model, itself=True)
    try:
        result = trace(model, Recorded(trace, channels=shape[2]))
    except Unreadable as reason:
        raise ValueError(f"export: {reason}; {_known()}") from None
    graph = Graph(Value("images", tuple(shape)))
    first = graph.images
    if mean is not None:
        graph.layer, scale = "normalize", 1 / np.asarray(std, np.float64)
        first = graph("affine", first, arrays={"scale": scale, "shift": -np.asarray(mean) * scale})
    values: dict = {}
    for op in ops_of(result):
        sources = [values[id(source)] for source in op.sources]
        values[id(op)] = _lower(op, graph, sources) if op.node is not None else first
    graph.finish(values[id(op)])
    return graph


def _lower(op, graph, sources):
    node, path = op.node, op.layers[0] if op.layers else ""
    layer = node.layer if isinstance(node, fold_nodes.Plain) else node
    known_forward, function = _rules.get(type(layer), (None, None))
    if function is None or "forward" in vars(layer) or known_forward is not getattr(type(layer), "forward", None):
        reason = getattr(node, "reason", "it has no rule")
        raise ValueError(
            f"export: {path or 'the model'} ({type(layer).__name__}) cannot be exported: {reason}; {_known()}"
        )
    graph.layer = path
    return function(layer, graph, *sources)


def _known():
    layers = sorted({kind.__name__ for kind in (*known_layers(), *_rules) if hasattr(kind, "forward")})
    return f"blocks of any kind are, if they are built from {', '.join(layers)}"


# Nodes of the trace --------------------------------------------------------------------------------------------


@rule(fold_nodes.Convolution)
def _convolution(node, graph, x):
    KH, KW, C, OC = node.w.shape
    if len(x.shape) == 1:
        out = graph("linear", x, arrays={"w": node.w[0, 0], "b": node.b})
        return _activated(graph, out, node.act)
    groups = node.groups
    if C == 1 < groups and groups * node.filters != OC:  # the last channels were cut off
        x, groups = _select(graph, x, np.arange(OC) // node.filters), OC
    padding = sides(node.padding, x.shape[:2], (KH, KW), node.stride, node.dilation)
    options = {"stride": node.stride, "padding": padding, "dilation": node.dilation, "groups": groups}
    out = graph("conv", x, arrays={"w": node.w, "b": node.b}, **_plain(options))
    return _activated(graph, out, node.act)


@rule(fold_nodes.Affine)
def _affine(node, graph, x):
    scale, shift = (np.asarray(v, np.float64) for v in (node.scale, node.shift))
    if (scale != 1).any() or (shift != 0).any():
        x = graph("affine", x, arrays={"scale": scale, "shift": shift})
    return _activated(graph, x, node.act)


def _activated(graph, x, act):
    if is_identity(act):
        return x
    if isinstance(act, Floor):
        return graph("clip", x, low=float(act.low), high=None)
    if isinstance(act, Clip):
        return graph("clip", x, low=float(act.low), high=float(act.high))
    return graph(_ACTS[(type(act), *act)], x)


@rule(fold_nodes.Pad)
def _pad(node, graph, x):
    padding = sides(node.padding, x.shape[:2], (1, 1))
    return graph("pad", x, mode=node.mode, **_plain({"padding": padding}))


@rule(fold_nodes.Pool)
def _pool(node, graph, x):
    """Windows that reach over the end see as much more padding; what a mean is divided by is set right afterwards."""
    windows = pooling_windows("export", x.shape[:2], node.kernel_size, node.stride, node.padding, node.ceil_mode)
    g, (H, W) = windows.g, x.shape[:2]
    below = max(0, (g.OH - 1) * g.SH + g.KH - H - g.PH)
    right = max(0, (g.OW - 1) * g.SW + g.KW - W - g.PW)
    options = {"kernel_size": (g.KH, g.KW), "stride": (g.SH, g.SW), "padding": ((g.PH, below), (g.PW, right))}
    if node.maximum:
        return graph("max_pool", x, **_plain(options))
    x = graph("avg_pool", x, **_plain(options))
    rows, columns = windows.counts(node.count_include_pad)
    share = (g.KH * g.KW) / np.outer(rows, columns)[:, :, None]
    return x if (share == 1).all() else _times(graph, x, share)


@rule(fold_nodes.AdaptivePool)
def _adaptive_pool(node, graph, x):
    if not node.has_planes:
        return graph("plane_max" if node.maximum else "plane_mean", x)
    rows, columns = bounds = adaptive_bounds("export", x.shape[:2], node.output_size)
    size = tuple(map(len, bounds))
    if all(length % outputs == 0 for length, outputs in zip(x.shape[:2], size, strict=True)):
        kernel = tuple(length // outputs for length, outputs in zip(x.shape[:2], size, strict=True))
        op, none = ("max_pool" if node.maximum else "avg_pool"), ((0, 0), (0, 0))
        return graph(op, x, **_plain({"kernel_size": kernel, "stride": kernel, "padding": none}))
    return graph("uneven_pool", x, rows=rows.tolist(), columns=columns.tolist(), maximum=node.maximum)


@rule(fold_nodes.GlobalMean)
def _global_mean(node, graph, x):
    return graph("plane_mean", x)


@rule(fold_nodes.Flatten)
def _flatten(node, graph, x):
    return x if len(x.shape) == 1 else graph("flatten", x)


@rule(fold_nodes.ResponseNorm)
def _response_norm(node, graph, x):
    numbers = {"alpha": float(node.alpha), "k": float(node.k), "beta": float(node.beta)}
    return graph("local_response_norm", x, size=node.size, **numbers)


@rule(fold_nodes.Concat)
def _concat(node, graph, *xs):
    return graph("concat", *xs) if len(xs) > 1 else xs[0]


@rule(fold_nodes.Add)
def _add(node, graph, a, b):
    return graph("add", a, b)


@rule(fold_nodes.Gate)
def _gate(node, graph, x, gates):
    if len(gates.shape) == 3 and gates.shape[:2] != x.shape[:2]:
        gates = graph("resize_nearest", gates, size=list(x.shape[:2]))
    return graph("gate", x, gates)


@rule(fold_nodes.ShiftMax)
def _shift_max(node, graph, x, coefficients):
    return graph("shift_max", x, coefficients, following=next_channels(x.shape[2], node.groups).tolist())


@rule(fold_nodes.Select)
def _selection(node, graph, x):
    return _select(graph, x, node.index)


@rule(Elementwise)
def _elementwise(node, graph, *xs):
    if len({len(x.shape) for x in xs}) > 1:
        raise ValueError("export: a layer combines planes (N, H, W, C) with rows (N, C); give the rows two more axes")
    given = {f"c{k}": constant for k, constant in enumerate(node.constants) if constant is not None}
    places = [None if constant is None else f"c{k}" for k, constant in enumerate(node.constants)]
    return graph("elementwise", *xs, function=node.function, places=places, arrays=given)


@rule(Reduction)
def _reduction(node, graph, x):
    rank = len(x.shape) + 1
    axes = sorted({a % rank for a in np.atleast_1d(range(rank) if node.axis is None else node.axis).tolist()})
    if 0 in axes or not (node.keepdims or axes == [1, 2]):
        raise ValueError(
            f"export: a layer takes a {node.function} over axis={node.axis}, which cannot be exported; without keepdims"
            " only axis=(1, 2) can be, and never the images"
        )
    return graph("reduction", x, function=node.function, axis=axes, keepdims=node.keepdims)


# Layers that `nn.fold` calls as they are -----------------------------------------------------------------------


@rule(upsampling.ConvTranspose2d)
def _conv_transpose(layer, graph, x):
    arrays = {"w": layer.weight.data, "b": np.zeros(layer.weight.shape[2] * layer.groups)}
    if layer.bias is not None:
        arrays["b"] = layer.bias.data
    options = {name: getattr(layer, name) for name in ("stride", "padding", "output_padding", "dilation", "groups")}
    return graph("conv_transpose", x, arrays=arrays, **_plain(options))


@rule(upsampling.Resize)
def _resize(layer, graph, x):
    size = layer.size or tuple(np.multiply(x.shape[:2], layer.factor).tolist())
    return x if size == x.shape[:2] else graph(f"resize_{layer.mode}", x, size=list(size))


@rule(upsampling.DepthToSpace)
def _depth_to_space(layer, graph, x):
    return graph("depth_to_space", x, **_plain(layer._options))


@rule(upsampling.SpaceToDepth)
def _space_to_depth(layer, graph, x):
    return graph("space_to_depth", x, **_plain(layer._options))


@rule(normalization.Softmax)
def _softmax(layer, graph, x):
    axis, rank = layer._options["axis"], len(x.shape) + 1
    if axis % rank == 0:
        raise ValueError("export: a softmax over the images of a batch cannot be exported; give its layer another axis")
    return graph("softmax", x, axis=axis % rank)


@rule(channels.Shift)
def _shift(layer, graph, x):
    """With zeros around the plane it folds; this one repeats the edge."""
    K, C = layer.kernel_size, len(layer.offsets)
    w = np.zeros((K, K, 1, C))
    w[layer.offsets[:, 0] + K // 2, layer.offsets[:, 1] + K // 2, 0, np.arange(C)] = 1
    around = [[K // 2, K // 2]] * 2
    x = graph("pad", x, padding=around, mode="edge")
    options = {"stride": [1, 1], "padding": [[0, 0], [0, 0]], "dilation": [1, 1], "groups": C}
    return graph("conv", x, arrays={"w": w, "b": np.zeros(C)}, **options)


@rule(Subsample)
def _subsample(layer, graph, x):
    """A 1x1 convolution, after a layer that did not say how many channels it returns."""
    C, OC = x.shape[2], layer._options["out_channels"]
    w = np.eye(C, OC, (OC - C) // 2)[None, None]
    return _convolution(fold_nodes.Convolution(w, np.zeros(OC), layer._options["stride"]), graph, x)


@rule(channels.ChannelShuffle)
@rule(channels.ChannelUnshuffle)
def _shuffle(layer, graph, x):
    """After such a layer."""
    C, groups = x.shape[2], layer._options["groups"]
    rows = groups if type(layer) is channels.ChannelShuffle else C // groups
    return _select(graph, x, np.arange(C).reshape(rows, -1).T.ravel())


# Shared --------------------------------------------------------------------------------------------------------


def _select(graph, x, index):
    index = index[index < x.shape[-1]]
    return x if np.array_equal(index, np.arange(x.shape[-1])) else graph("channels", x, index=index.tolist())


def _times(graph, x, constant):
    return graph("elementwise", x, function="multiply", places=[None, "c0"], arrays={"c0": constant})


def _plain(options):
    """Tuples as lists and NumPy's numbers as Python's, which is what comes back from JSON."""
    return {name: _listed(value) for name, value in options.items()}


def _listed(value):
    return [_listed(one) for one in value] if isinstance(value, tuple) else getattr(value, "item", lambda: value)()
