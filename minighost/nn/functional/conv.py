"""Convolution of lazy activations: normalised on the way in, summed for the next batch norm on the way out."""

import functools
from typing import Any, NamedTuple

import numpy as np

from minighost import ops
from minighost.engine import check, kernels
from minighost.engine.activations import is_cut
from minighost.engine.geometry import Geometry, geometry
from minighost.nn.functional.calls import fuses
from minighost.nn.functional.gradients import InputGradient, RawGradient
from minighost.nn.functional.joins import add, shares
from minighost.nn.functional.values import Activation, Sum, activation, materialize, waits
from minighost.ops.bias import bias_gradient

__all__ = ["conv2d_backward", "conv2d_forward"]


class _Conv(NamedTuple):
    """What the backward of a lazy convolution needs; `parts` are those of x."""

    parts: list
    w: np.ndarray
    b: np.ndarray | None
    g: Geometry
    groups: int
    kind: Any


def conv2d_forward(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, lazy=False):
    """`ops.conv2d_forward`, which with ``lazy=True`` takes and returns an `Activation` where it can."""
    if not (lazy and fuses() and _fits(x, w, b, groups)):
        return ops.conv2d_forward(materialize(x), w, b, stride, padding, dilation, groups)
    if isinstance(x, np.ndarray):
        x = check.array("conv2d", "x", x, 4)
    w, b = check.array("conv2d", "w", w, 4), None if b is None else check.array("conv2d", "b", b, 1)
    x = activation(x)
    hashable = all(type(value) in (int, tuple) for value in (stride, padding, dilation))  # a list cannot be a key
    plan = _plan if hashable else _plan.__wrapped__
    kind, g = plan(x.shape[1:3], w.shape, stride, padding, dilation, groups)
    cache = _Conv(kind.parts_of(x), w, b, g, groups, kind)
    results = kind.forward(cache)
    out = Activation([kernels.plain(raw) for raw, _ in results], [statistics for _, statistics in results])
    return out, cache


@functools.lru_cache(1 << 10)
def _plan(plane, shape, stride, padding, dilation, groups):
    """Which of the three convolutions it is, and its geometry."""
    KH, KW, C, _ = shape
    g = geometry("conv2d", plane, (KH, KW), stride, padding, dilation)
    if C == 1 < groups:
        return _Depthwise, g
    pointwise = groups == KH == KW == 1 and (g.SH, g.SW, g.PH, g.PW) == (1, 1, 0, 0)
    return (_Pointwise if pointwise else _Dense), g


def conv2d_backward(dout, cache, dx_wanted=True, onto=None):
    """`ops.conv2d_backward`; `onto` is a gradient that reaches x another way, and dx is the sum of both.

    A lazy `onto` whose arrays nobody else has is used up: the sum is written over it.
    """
    if not isinstance(cache, _Conv):
        dx, dw, db = ops.conv2d_backward(materialize(dout), cache, dx_wanted)
        return (add(dx, onto) if dx_wanted else None), dw, db
    db = None if cache.b is None else bias_gradient(np.ascontiguousarray(materialize(dout)), cache.b)
    dx, dw = cache.kind.backward(_raw_gradients(dout, cache), cache, dx_wanted, _cut(onto, cache.parts))
    return (dx if dx_wanted else None), dw.reshape(cache.w.shape), db


def _fits(x, w, b, groups):
    """Whether the arguments fit a kernel; `ops` takes or refuses all others."""
    C, OC = w.shape[2:] if w.ndim == 4 else (0, 0)
    return (
        isinstance(x, (np.ndarray, Activation, Sum))
        and x.ndim == 4
        and x.size > 0 < w.size
        and x.dtype == w.dtype
        and x.shape[3] == C * groups
        and OC % groups == 0
        and (b is None or b.shape == (OC,) and b.dtype == w.dtype)
    )


def _raw_gradients(dout, cache):
    """The gradient with respect to the raw result, part by part."""
    g, parts = cache.g, cache.parts if cache.kind is _Depthwise else cache.parts[:1]
    planes = (len(parts[0].raw), g.OH, g.OW)
    channels = _Depthwise.widths(cache) if cache.kind is _Depthwise else [cache.w.shape[3]]
    if isinstance(dout, RawGradient) and not dout.is_read():
        if [p.dy.shape for p in dout.parts] == [(*planes, C) for C in channels]:
            return dout.parts
    dout = check.array("conv2d backward", "dout", np.asarray(dout), 4)
    check.shape_is("conv2d backward", "dout", dout, (*planes, cache.w.shape[3]))
    check.same_dtype("conv2d backward", dout=dout, w=cache.w)
    return [kernels.plain_gradient(np.ascontiguousarray(d)) for d in (dout[..., mine] for mine in shares(channels))]


class _Pointwise:
    """A matrix product, pixel by pixel; x in one part or two, with gates."""

    @staticmethod
    def parts_of(x):
        return x.parts if len(x.parts) < 3 else [x.as_one()]

    @staticmethod
    def forward(c):
        return [kernels.pointwise_forward(c.parts, c.w[0, 0], c.b)]

    @staticmethod
    def backward(gradients, c, dx_wanted, onto):
        skip = _skip_grad(onto, c.parts) if not any(len(p.gate) for p in c.parts) else None
        branches, dw = kernels.pointwise_backward(gradients[0], c.parts, c.w[0, 0], skip)
        dys, sums, dgates = zip(*branches, strict=True)
        dx = _input_gradient(c.parts, dys, sums, dgates if len(c.parts[0].gate) else None)
        return (dx if skip is not None else add(dx, onto)), dw


class _Depthwise:
    """Filters of one channel each, so that each part is a convolution of its own."""

    @staticmethod
    def parts_of(x):
        return [x.as_one()] if any(len(p.gate) for p in x.parts) else x.parts

    @staticmethod
    def widths(c):
        """Output channels that come from each part."""
        return [p.raw.shape[3] * _multiplier(c) for p in c.parts]

    @staticmethod
    def _inputs(c):
        """Each part, every channel as often as there are filters for it, and the filters (KH, KW, channels)."""
        parts, w = [kernels.repeat_channels(p, _multiplier(c)) for p in c.parts], c.w[:, :, 0]
        return parts, [np.ascontiguousarray(w[..., mine]) for mine in shares(_Depthwise.widths(c))]

    @staticmethod
    def forward(c):
        biases = [None if c.b is None else c.b[mine] for mine in shares(_Depthwise.widths(c))]
        return [
            kernels.depthwise_forward(part, w, c.g, b)
            for part, w, b in zip(*_Depthwise._inputs(c), biases, strict=True)
        ]

    @staticmethod
    def backward(gradients, c, dx_wanted, onto):
        M, skips, overwrite = _multiplier(c), [None] * len(c.parts), False
        if M == 1 and len(c.parts) == 1:
            skips = [_skip_grad(onto, c.parts)]
            overwrite = skips[0] is not None and _used_up(onto)
        elif M == 1 and isinstance(onto, InputGradient) and onto.belongs_to(c.parts):
            skips = onto.dys
        done = [
            kernels.depthwise_backward(gradient, part, w, c.g, skip, overwrite)
            for gradient, part, w, skip in zip(gradients, *_Depthwise._inputs(c), skips, strict=True)
        ]
        dys, sums, dws = zip(*done, strict=True)
        if M > 1:
            dys = tuple(kernels.sum_repeated(dy, M) for dy in dys)
            sums = tuple(each.reshape(*each.shape[:2], -1, M).sum(3) for each in sums)
        dx = _input_gradient(c.parts, dys, sums)
        return (dx if skips[0] is not None else add(dx, onto)), np.concatenate(dws, axis=-1)


def _multiplier(c):
    return c.w.shape[3] // c.groups


class _Dense:
    """Any other kernel, groups included; x in one part without a gate."""

    @staticmethod
    def parts_of(x):
        return [x.as_one()]

    @staticmethod
    def forward(c):
        return [kernels.conv_forward(c.parts[0], c.w, c.g, c.groups, c.b)]

    @staticmethod
    def backward(gradients, c, dx_wanted, onto):
        skip = _skip_grad(onto, c.parts)
        overwrite = skip is not None and _used_up(onto)
        dy, sums, dw = kernels.conv_backward(gradients[0], c.parts[0], c.w, c.g, c.groups, dx_wanted, skip, overwrite)
        if not dx_wanted:
            return None, dw
        dx = _input_gradient(c.parts, [dy], [sums])
        return (dx if skip is not None else add(dx, onto)), dw


def _input_gradient(parts, dys, sums, dgates=None):
    """An `InputGradient`; where a plain array went in, an array."""
    if len(parts) == 1 and parts[0].norm.shape[1] == len(parts[0].gate) == 0:
        return dys[0]
    cut = dgates is not None or all(is_cut(p.act) for p in parts)
    return InputGradient(parts, list(dys), list(sums) if cut else None, dgates)


def _cut(onto, parts):
    """An array that reaches a single deferred part another way, cut as its activation cuts; all else as it is."""
    if not (isinstance(onto, np.ndarray) and len(parts) == 1 and waits(parts) and is_cut(parts[0].act)):
        return onto
    onto = check.array("conv2d backward", "onto", onto, 4)
    check.shape_is("conv2d backward", "onto", onto, parts[0].raw.shape)
    dy, sums = kernels.activation_backward(onto, parts[0])
    return InputGradient(parts, [dy], [sums])


def _used_up(onto):
    """Whether a kernel may write over `onto`; then nobody can read it any more."""
    if not (isinstance(onto, InputGradient) and onto.owned):
        return False
    onto.use_up()
    return True


def _skip_grad(onto, parts):
    """The array in `onto` that a kernel can add in passing, or None: of a single part, and cut as the part is."""
    if len(parts) != 1:
        return None
    if isinstance(onto, InputGradient):
        return onto.dys[0] if onto.belongs_to(parts) and onto.dgates is None else None
    as_it_is = parts[0].norm.shape[1] == 0 or not is_cut(parts[0].act)
    fits = isinstance(onto, np.ndarray) and as_it_is and check.is_plain(onto)
    return onto if fits and onto.shape == parts[0].raw.shape and onto.dtype == parts[0].raw.dtype else None
