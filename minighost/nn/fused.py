"""Training in as few passes over memory as there can be: fused kernels behind `ConvBNAct` and the ghosts.

Their `forward` and `backward` state what they compute, layer by layer. In training they hand over to the functions
here, which compute the same from the same parameters with the kernels of `engine.kernels`: batch norm takes its sums
where the convolution leaves its result, and inside a bottleneck activations stay unnormalised from layer to layer
(`Deferred`) and a ghost module's two halves stay two arrays. ``with fusing(False):`` goes layer by layer instead.

Whether a block is one that they may replace, `fusable` says.
"""

import numpy as np

from minighost.engine import check, kernels
from minighost.engine.geometry import geometry
from minighost.nn.fusable import (
    bottleneck_applies,
    fusing,
    ghost_applies,
    is_depthwise,
    is_pointwise,
    residual_applies,
    unit_applies,
)
from minighost.nn.module import KEPT_ABOVE
from minighost.ops.conv2d import channels_fit

__all__ = [
    "bottleneck_applies", "bottleneck_backward", "bottleneck_forward", "fusing", "ghost_applies", "ghost_backward",
    "ghost_forward", "residual_applies", "residual_backward", "residual_forward", "unit_applies", "unit_backward",
    "unit_forward",
]  # fmt: skip

# Convolution, batch norm, ReLU ---------------------------------------------------------------------------------


def unit_forward(unit, x):
    """What `ConvBNAct.forward` does; returns the output and the cache for `unit_backward`."""
    x = check.array("ConvBNAct", "x", x, 4)
    deferred, cache = _forward(unit, kernels.plain(x))
    return kernels.materialize(deferred), (deferred, cache)


def unit_backward(unit, dout, cache):
    """What `ConvBNAct.backward` does: fills the parameters' gradients, returns the one of x."""
    deferred, cache = cache
    dy, sums = kernels.relu_backward(_gradient("ConvBNAct", dout, deferred.raw.shape, deferred.raw), deferred)
    return _wanted(unit, _backward(unit, dy, sums, cache)[0])


def _wanted(unit, dx):
    """The gradient, or None where nobody asks for it: `unit` is a first layer, its input an image."""
    return dx if unit.conv.dx_wanted else None


def _gradient(name, dout, shape, x):
    """The gradient, checked against the output that it belongs to."""
    dout = check.array(f"{name} backward", "dout", dout, 4)
    check.shape_is(f"{name} backward", "dout", dout, shape)
    check.same_dtype(f"{name} backward", dout=dout, x=x)
    return dout


def _keep(shape, *modules):
    """Note in modules that are not called themselves that the block keeps what their backward needs."""
    for module in modules:
        module.output_shape, module._cache = shape, KEPT_ABOVE


def _release(*modules):
    """Take that note away; RuntimeError if it is not there, for then their own backward would have nothing either."""
    for module in modules:
        if module._cache is not KEPT_ABOVE:
            raise module._nothing_kept()
        module._cache = None


def _forward(unit, deferred):
    """Any of the three convolutions."""
    conv = unit.conv
    if is_depthwise(conv):
        return _depthwise_forward(unit, deferred)
    if is_pointwise(conv):
        return _pointwise_forward(unit, [deferred])
    w = _weights(conv, [deferred])
    g = geometry("conv2d", deferred.raw.shape[1:3], w.shape[:2], conv.stride, conv.padding, conv.dilation)
    raw, statistics = kernels.conv_forward(deferred, w, g, conv.groups)
    out, norm = _measure(unit, raw, statistics)
    return out, (deferred, w, g, norm)


def _backward(unit, dy, sums, cache, skip_grad=None):
    """Of any of the three; `skip_grad` is a gradient that reaches the input on another way, and may be added to."""
    conv = unit.conv
    if is_depthwise(conv):
        return _depthwise_backward(unit, dy, sums, cache, skip_grad)
    if is_pointwise(conv):
        return _pointwise_backward(unit, dy, sums, cache, skip_grad)[0][:2]
    _release(conv, unit.bn)
    deferred, w, g, norm = cache
    gradient, dgamma, dbeta = kernels.batch_norm_backward(dy, sums, norm)
    dx, sums, dw = kernels.conv_backward(gradient, deferred, w, g, conv.groups, conv.dx_wanted, skip_grad)
    _accumulate(unit, dw, dgamma, dbeta)
    return dx, sums


def _weights(conv, parts, mine=slice(None)):
    """The weights as kernels take them, once they are known to fit; of a depthwise convolution only `mine`."""
    w, C = check.array("conv2d", "w", conv.weight.data, 4), sum(p.raw.shape[3] for p in parts)
    w = w if mine == slice(None) else w[..., mine].copy()
    if w.dtype != parts[0].raw.dtype:
        check.same_dtype("conv2d", x=parts[0].raw, w=w)
    if not w.size:
        raise ValueError(f"conv2d: w of shape {w.shape} must hold a number at least")
    if is_depthwise(conv):
        check.shape_is("conv2d", "w", w, (*w.shape[:2], 1, C))
    elif w.shape[2] * conv.groups != C or w.shape[3] % conv.groups:
        channels_fit(C, w, None, conv.groups)
    return w


# Residual block ------------------------------------------------------------------------------------------------


def residual_forward(block, x):
    """What `ResidualBlock.forward` does; returns the output and the cache for `concat_add_backward`."""
    source = kernels.plain(check.array("ResidualBlock", "x", x, 4))
    shortcut, short = (source, None) if block.shortcut is None else _forward(block.shortcut, source)
    inner, first = _forward(block.first, source)
    branch, second = _forward(block.second, inner)
    check.shape_is("ResidualBlock", "shortcut", shortcut.raw, branch.raw.shape)
    _keep(branch.raw.shape[1:], block.act)
    out = kernels.add_relu_forward(branch, shortcut)
    return out, (first, second, short, branch, shortcut, out)


def residual_backward(block, dout, cache):
    """What `ResidualBlock.backward` does: the sum's gradient goes through both branches and meets again at x."""
    first, second, short, branch, shortcut, out = cache
    dout = _gradient("ResidualBlock", dout, out.shape, out)
    _release(block.act)
    dsum, sums, short_sums = kernels.add_relu_backward(dout, out, branch, shortcut)
    dinner, sums = _backward(block.second, dsum, sums, second)
    if short is not None:
        dsum, _ = _backward(block.shortcut, dsum, short_sums, short)
    return _backward(block.first, dinner, sums, first, dsum)[0]


# Ghost module --------------------------------------------------------------------------------------------------


def ghost_forward(ghost, x):
    """What `GhostModule.forward` does; returns the output and the cache for `ghost_backward`."""
    x = check.array("GhostModule", "x", x, 4)
    intrinsic, primary = _forward(ghost.primary, kernels.plain(x))
    ghosts, cheap = _depthwise_forward(ghost.cheap, intrinsic)
    check.shape_is("GhostModule", "ghosts", ghosts.raw, intrinsic.raw.shape)
    return kernels.concat_add_forward([intrinsic, ghosts]), ([intrinsic, ghosts], primary, cheap)


def ghost_backward(ghost, dout, cache):
    """What `GhostModule.backward` does: an intrinsic map is seen in the output and by the cheap operation."""
    parts, primary, cheap = cache
    raw = parts[0].raw
    dout = _gradient("GhostModule", dout, (*raw.shape[:3], ghost.out_channels), raw)
    ((dintrinsic, _), (dghosts, sums)), _ = kernels.concat_add_backward(dout, parts)
    dintrinsic, sums = _depthwise_backward(ghost.cheap, dghosts, sums, cheap, dintrinsic)
    return _wanted(ghost.primary, _backward(ghost.primary, dintrinsic, sums, primary)[0])


# Ghost bottleneck ----------------------------------------------------------------------------------------------


def bottleneck_forward(block, x):
    """What `GhostBottleneck.forward` does; returns the output and the cache for `bottleneck_backward`."""
    source = kernels.plain(check.array("GhostBottleneck", "x", x, 4))
    parts, ghost1 = _ghost_forward(block.ghost1, [source])
    strided = None
    if block.depthwise is not None:
        parts, strided = _depthwise_parts_forward(block.depthwise, parts)
    if block.se is not None:
        parts = _gate_forward(block.se, parts)
    parts, ghost2 = _ghost_forward(block.ghost2, parts)
    shortcut, short = source, None
    if block.shortcut is not None:
        depthwise, pointwise = block.shortcut
        inner, cache1 = _depthwise_forward(depthwise, source)
        shortcut, cache2 = _pointwise_forward(pointwise, [inner])
        short = cache1, cache2
        _keep(shortcut.raw.shape[1:], block.shortcut)
    *plane, half = parts[0].raw.shape
    check.shape_is("GhostBottleneck", "shortcut", shortcut.raw, (*plane, 2 * half))
    out = kernels.concat_add_forward(parts, shortcut)
    return out, (ghost1, strided, ghost2, short, parts, shortcut)


def bottleneck_backward(block, dout, cache):
    """What `GhostBottleneck.backward` does: fills the parameters' gradients, returns the one of x."""
    ghost1, strided, ghost2, short, parts, shortcut = cache
    dout = _gradient("GhostBottleneck", dout, shortcut.raw.shape, shortcut.raw)
    branches, shortcut_sums = kernels.concat_add_backward(dout, parts, shortcut)
    branches = _ghost_backward(block.ghost2, branches, ghost2)
    if block.se is not None:
        branches = _gate_backward(block.se, branches, ghost2)
    branches = [(dy, sums) for dy, sums, *_ in branches]
    if strided is not None:
        branches = _depthwise_parts_backward(block.depthwise, branches, strided)
    dx = _ghost_backward(block.ghost1, branches, ghost1, dout if short is None else None)[0][0]
    if short is not None:
        depthwise, pointwise = block.shortcut
        [(dy, sums, _)] = _pointwise_backward(pointwise, dout, shortcut_sums, short[1])
        dx, _ = _depthwise_backward(depthwise, dy, sums, short[0], dx)
    return _wanted(block.ghost1.primary, dx)


# The parts of it -----------------------------------------------------------------------------------------------


def _ghost_forward(ghost, parts):
    intrinsic, primary = _pointwise_forward(ghost.primary, parts)
    ghosts, cheap = _depthwise_forward(ghost.cheap, intrinsic)
    check.shape_is("GhostModule", "ghosts", ghosts.raw, intrinsic.raw.shape)
    H, W, m = intrinsic.raw.shape[1:]
    _keep((H, W, 2 * m), ghost)
    return [intrinsic, ghosts], (primary, cheap)


def _ghost_backward(ghost, branches, cache, skip_grad=None):
    """An intrinsic map is seen twice: in the output and by the cheap operation.

    `skip_grad` is a gradient that reaches the module's input on another way.
    """
    (primary, cheap), ((dintrinsic, _), (dghosts, sums)) = cache, branches
    dintrinsic, sums = _depthwise_backward(ghost.cheap, dghosts, sums, cheap, dintrinsic)
    return _pointwise_backward(ghost.primary, dintrinsic, sums, primary, skip_grad)


def _gate_forward(se, parts):
    squeezed = np.concatenate([kernels.plane_mean(p) for p in parts], axis=1)
    gate = se.gate(se.expand(se.act(se.reduce(squeezed))))
    split = parts[0].raw.shape[3]
    gate = check.array("SqueezeExcite", "gate", gate, 2)
    check.shape_is("SqueezeExcite", "gate", gate, squeezed.shape)
    check.same_dtype("SqueezeExcite", x=squeezed, gate=gate)
    _keep((*parts[0].raw.shape[1:3], gate.shape[1]), se)
    gates = gate[:, :split], gate[:, split:]
    return [p._replace(gate=g.copy()) for p, g in zip(parts, gates, strict=True)]


def _gate_backward(se, branches, ghost2):
    ((parts, *_), _) = ghost2
    dgate = np.concatenate([dgate for *_, dgate in branches], axis=1)
    dsqueezed = se.reduce.backward(se.act.backward(se.expand.backward(se.gate.backward(dgate))))
    dsqueezed = check.array("SqueezeExcite backward", "dsqueezed", dsqueezed, 2)
    check.shape_is("SqueezeExcite backward", "dsqueezed", dsqueezed, dgate.shape)
    split = parts[0].raw.shape[3]
    dmeans = dsqueezed[:, :split], dsqueezed[:, split:]
    return [
        kernels.gate_backward(dy, dmean.copy(), part)
        for (dy, *_), dmean, part in zip(branches, dmeans, parts, strict=True)
    ]


def _depthwise_parts_forward(layer, parts):
    """The depthwise convolution of each part with its share of the kernels; channels never meet."""
    split = parts[0].raw.shape[3]
    done = [
        _depthwise_forward(layer, part, mine)
        for part, mine in zip(parts, (slice(None, split), slice(split, None)), strict=True)
    ]
    return [part for part, _ in done], [cache for _, cache in done]


def _depthwise_parts_backward(layer, branches, caches):
    _release(layer.conv, layer.bn)
    done = [_depthwise_gradients(dy, sums, cache) for (dy, sums), cache in zip(branches, caches, strict=True)]
    _accumulate(layer, *(np.concatenate(grads, axis=-1) for grads in zip(*(grads for *_, grads in done), strict=True)))
    return [(dy, sums) for dy, sums, _ in done]


def _pointwise_forward(layer, parts):
    w = _weights(layer.conv, parts)
    w = w.reshape(w.shape[2:])
    raw, statistics = kernels.pointwise_forward(parts, w)
    deferred, norm = _measure(layer, raw, statistics)
    return deferred, (parts, w, norm)


def _pointwise_backward(layer, dy, sums, cache, skip_grad=None):
    _release(layer.conv, layer.bn)
    parts, w, norm = cache
    gradient, dgamma, dbeta = kernels.batch_norm_backward(dy, sums, norm)
    branches, dw = kernels.pointwise_backward(gradient, parts, w, skip_grad)
    _accumulate(layer, dw, dgamma, dbeta)
    return branches


def _depthwise_forward(layer, deferred, mine=slice(None)):
    conv = layer.conv
    w = _weights(conv, [deferred], mine)
    KH, KW, _, C = w.shape
    w = w.reshape(KH, KW, C)
    g = geometry("depthwise", deferred.raw.shape[1:3], (KH, KW), conv.stride, conv.padding, conv.dilation)
    raw, statistics = kernels.depthwise_forward(deferred, w, g)
    out, norm = _measure(layer, raw, statistics, mine)
    return out, (deferred, w, g, norm)


def _depthwise_backward(layer, dy, sums, cache, skip_grad=None):
    _release(layer.conv, layer.bn)
    dx, sums, grads = _depthwise_gradients(dy, sums, cache, skip_grad)
    _accumulate(layer, *grads)
    return dx, sums


def _depthwise_gradients(dy, sums, cache, skip_grad=None):
    deferred, w, g, norm = cache
    gradient, dgamma, dbeta = kernels.batch_norm_backward(dy, sums, norm)
    dx, sums, dw = kernels.depthwise_backward(gradient, deferred, w, g, skip_grad)
    return dx, sums, (dw, dgamma, dbeta)


def _measure(layer, raw, statistics, mine=slice(None)):
    bn = layer.bn
    vectors = (v.data[mine] for v in (bn.weight, bn.bias, bn.running_mean, bn.running_var))
    _keep((*raw.shape[1:3], bn.weight.size), layer, layer.conv, bn)
    return kernels.finalize_stats(raw, statistics, *vectors, bn.momentum, bn.eps, bn.relu)


def _accumulate(layer, dw, dgamma, dbeta):
    layer.conv.weight.accumulate(dw.reshape(layer.conv.weight.shape))
    layer.bn.weight.accumulate(dgamma)
    layer.bn.bias.accumulate(dbeta)
