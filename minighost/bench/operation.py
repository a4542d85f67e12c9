"""One operation of `minighost.ops` on the clock, forward and backward.

Its bytes count every array once: forward reads x and the parameters and writes the output; backward reads dout, x and
the parameters and writes dx and the parameters' gradients. Batch norm in training must see x twice, so where x does
not fit into the cache it cannot reach the whole of this roofline.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from minighost import nn, ops
from minighost.bench.cost import Piece
from minighost.bench.network import Measured
from minighost.bench.timing import measure
from minighost.registry import unknown

__all__ = ["OPERATIONS", "Case", "bench_operation"]


@dataclass
class Case:
    """An operation with its arrays: two functions, what is learnt, operations per number.

    Attributes
    ----------
    forward, backward : callable
        ``out, cache = forward(x)`` and ``backward(dout, cache)``.
    learnt : list of ndarray
        Parameters that have a gradient.
    per_output : (float, float)
        Operations for each number of the output, forward and backward. A multiply-add is two.
    others : dict
        By name other forwards that compute the same, for a comparison.
    """

    forward: Any
    backward: Any
    per_output: tuple
    learnt: list = field(default_factory=list)
    others: dict = field(default_factory=dict)


def bench_operation(name, shape, repeats=10, warmup=2, **settings):
    """Time one operation on random numbers.

    Parameters
    ----------
    name : str
        A key of `OPERATIONS`.
    shape : tuple of int
        (N, H, W, C) of the input.
    repeats, warmup : int
        As for `measure`.
    **settings
        ``kernel``, ``stride``, ``out`` (channels), ``groups``, where the operation has them.

    Returns
    -------
    list of Measured
        Forward, other ways forward if there are any, and backward; `images` is N.

    Raises
    ------
    ValueError
        An unknown operation, a setting that it does not have, or numbers that do not fit together.
    """
    if name not in OPERATIONS:
        raise unknown("bench", "operation", name, OPERATIONS)
    build, defaults = OPERATIONS[name]
    for setting in settings:
        if setting not in defaults:
            has = f"it has {', '.join(defaults)}" if defaults else "it has none"
            raise ValueError(f"bench: {name} has no setting {setting!r}; {has}")
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    case = build(x, rng, **{**defaults, **settings})
    ways = {"forward": case.forward, **{f"forward by {other}": way for other, way in case.others.items()}}
    timings = {way: measure(lambda f=function: f(x), repeats, warmup) for way, function in ways.items()}
    out, _ = case.forward(x)
    dout = rng.normal(size=out.shape).astype(np.float32)
    backward = measure(lambda cache: case.backward(dout, cache), repeats, warmup, setup=lambda: case.forward(x)[1])
    learnt = sum(array.nbytes for array in case.learnt)
    pieces = [
        Piece(way, round(flops * out.size), nbytes)
        for way, flops, nbytes in zip(
            ("forward", "backward"),
            case.per_output,
            (x.nbytes + learnt + out.nbytes, out.nbytes + 2 * (x.nbytes + learnt)),
            strict=True,
        )
    ]
    forwards = [Measured(way, timing, [pieces[0]], shape[0]) for way, timing in timings.items()]
    return [*forwards, Measured("backward", backward, [pieces[1]], shape[0])]


def _weights(rng, *shape):
    return rng.normal(0, np.sqrt(1 / max(1, np.prod(shape[:-1]))), shape).astype(np.float32)


def _conv(x, rng, kernel, stride, out, groups):
    C = x.shape[3]
    out = C if out is None else out
    for channels, name in ((C, "the channels of the shape"), (out, "out")):
        if channels % groups:
            raise ValueError(
                f"bench conv: groups={groups} must divide {name}, {channels} ({channels} % {groups} = "
                f"{channels % groups})"
            )
    w = _weights(rng, kernel, kernel, C // groups, out)
    per = 2 * kernel * kernel * (C // groups)
    return Case(
        lambda x: ops.conv2d_forward(x, w, stride=stride, padding=kernel // 2, groups=groups),
        ops.conv2d_backward,
        (per, 2 * per),
        [w],
    )


def _conv_transpose(x, rng, kernel, stride, out, groups):
    """From H x W to H*stride x W*stride, by each of the constructions."""
    C = x.shape[3]
    out = C if out is None else out
    if out % groups:
        raise ValueError(
            f"bench conv_transpose: groups={groups} must divide out, {out} ({out} % {groups} = {out % groups})"
        )
    w, padding = _weights(rng, kernel, kernel, out // groups, C), max(0, kernel - stride + 1) // 2
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": stride + 2 * padding - kernel,
        "groups": groups,
    }
    forward = partial(ops.conv_transpose2d_forward, w=w, **options)
    per = 2 * kernel * kernel * (C // groups) / stride**2
    methods = ("scatter", "zero_insertion", "depth_to_space")
    others = {method: partial(forward, method=method) for method in methods}
    return Case(forward, ops.conv_transpose2d_backward, (per, 2 * per), [w], others)


def _depthwise(x, rng, kernel, stride):
    w = _weights(rng, kernel, kernel, x.shape[3], 1)
    per = 2 * kernel * kernel
    return Case(
        lambda x: ops.depthwise_forward(x, w, stride=stride, padding=kernel // 2),
        ops.depthwise_backward,
        (per, 2 * per),
        [w],
    )


def _pointwise(x, rng, out):
    C = x.shape[3]
    w = _weights(rng, C, C if out is None else out)
    return Case(lambda x: ops.pointwise_forward(x, w), ops.pointwise_backward, (2 * C, 4 * C), [w])


def _separable(x, rng, kernel, stride, out):
    C = x.shape[3]
    OC = C if out is None else out
    w, p = _weights(rng, kernel, kernel, C, 1), _weights(rng, C, OC)

    def forward(x):
        y, first = ops.depthwise_forward(x, w, stride=stride, padding=kernel // 2)
        out, second = ops.pointwise_forward(y, p)
        return out, (first, second)

    def backward(dout, cache):
        return ops.depthwise_backward(ops.pointwise_backward(dout, cache[1])[0], cache[0])

    per = 2 * (kernel * kernel * C / OC + C)
    return Case(forward, backward, (per, 2 * per), [w, p])


def _batch_norm(relu):
    """Forward: sum, sum of squares, scale and shift. Backward: two sums, then dx out of dy, x and a constant."""

    def build(x, rng):
        gamma, beta, mean, var = (np.full(x.shape[3], v, np.float32) for v in (1, 0, 0, 1))
        return Case(
            lambda x: ops.batch_norm_forward(x, gamma, beta, mean, var, training=True, relu=relu),
            ops.batch_norm_backward,
            (5 + relu, 7 + relu),
            [gamma, beta],
        )

    return build


def _relu(x, rng):
    return Case(ops.relu_forward, ops.relu_backward, (1, 1))


def _channel_shuffle(x, rng, groups):
    """No arithmetic: all of it is memory."""
    return Case(lambda x: ops.channel_shuffle_forward(x, groups), ops.channel_shuffle_backward, (0, 0))


def _pad(x, rng, kernel):
    """No arithmetic: all of it is memory."""
    return Case(lambda x: ops.pad_forward(x, kernel // 2), ops.pad_backward, (0, 0))


def _softmax(x, rng):
    """Forward: maximum, difference, exponential, sum, quotient. Backward: product and sum, difference, product."""
    return Case(ops.softmax_forward, ops.softmax_backward, (5, 4))


def _focal_loss(x, rng):
    """A row for each pixel, with a class in one of a hundred. The gradient counts as the output of the forward.

    Forward: an exponential, a logarithm, two quotients, ten products and sums. Backward: the product with `dout`.
    """
    labels = np.where(rng.random(x.size // x.shape[3]) < 0.01, 0, -1)

    def forward(x):
        dlogits = ops.sigmoid_focal_loss(x.reshape(len(labels), -1), labels)[1].reshape(x.shape)
        return dlogits, dlogits

    return Case(forward, np.multiply, (14, 1))


def _response_norm(x, rng, kernel):
    """Forward: a square and a sum per channel of the window, then two for s and its power's product.

    Backward: the product with the power, two for what the neighbours see, two per channel of the window.
    """
    forward = partial(ops.local_response_norm_forward, size=kernel)
    return Case(forward, ops.local_response_norm_backward, (2 * kernel + 3, 2 * kernel + 4))


def _stochastic_depth(x, rng):
    return Case(lambda x: ops.stochastic_depth_forward(x, 0.2, rng), ops.stochastic_depth_backward, (1, 1))


def _shift(x, rng, kernel):
    """No arithmetic either; the offsets are a layer's."""
    offsets = nn.Shift(x.shape[3], kernel).offsets
    return Case(lambda x: ops.shift_forward(x, offsets), ops.shift_backward, (0, 0))


def _resize(forward, backward, flops):
    """To `stride` times as many rows and columns."""

    def build(x, rng, stride):
        size = x.shape[1] * stride, x.shape[2] * stride
        return Case(lambda x: forward(x, size), backward, (flops, flops))

    return build


def _depth_to_space(x, rng, stride):
    return Case(lambda x: ops.depth_to_space_forward(x, stride), ops.depth_to_space_backward, (0, 0))


def _adaptive(name):
    """To windows of 2 x 2 pixels, where the sides are even."""

    def build(x, rng):
        size = tuple(-(-side // 2) for side in x.shape[1:3])
        return Case(lambda x: getattr(ops, f"{name}_forward")(x, size), getattr(ops, f"{name}_backward"), (4, 4))

    return build


def _shift_max(x, rng, groups):
    N, C = len(x), x.shape[3]
    coefficients = rng.normal(size=(N, 2, 2, C)).astype(np.float32)
    return Case(lambda x: ops.shift_max_forward(x, coefficients, groups), ops.shift_max_backward, (7, 12))


def _pool(forward, backward):
    def build(x, rng, kernel, stride):
        return Case(lambda x: forward(x, kernel, stride), backward, (kernel * kernel, kernel * kernel))

    return build


def _subsample(x, rng, stride, out):
    out = 2 * x.shape[3] if out is None else out
    return Case(lambda x: ops.subsample_forward(x, out, stride), ops.subsample_backward, (0, 0))


OPERATIONS: dict = {  # name: how to build it, and its settings with their defaults (None: as many channels as go in)
    "conv": (_conv, {"kernel": 3, "stride": 1, "out": None, "groups": 1}),
    "conv_transpose": (_conv_transpose, {"kernel": 4, "stride": 2, "out": None, "groups": 1}),
    "depthwise": (_depthwise, {"kernel": 3, "stride": 1}),
    "pointwise": (_pointwise, {"out": None}),
    "separable": (_separable, {"kernel": 3, "stride": 1, "out": None}),
    "batch_norm": (_batch_norm(False), {}),
    "batch_norm_relu": (_batch_norm(True), {}),
    "relu": (_relu, {}),
    "channel_shuffle": (_channel_shuffle, {"groups": 2}),
    "pad": (_pad, {"kernel": 3}),
    "softmax": (_softmax, {}),
    "sigmoid_focal_loss": (_focal_loss, {}),
    "local_response_norm": (_response_norm, {"kernel": 5}),
    "stochastic_depth": (_stochastic_depth, {}),
    "shift": (_shift, {"kernel": 3}),
    "depth_to_space": (_depth_to_space, {"stride": 2}),
    "resize_nearest": (_resize(ops.resize_nearest_forward, ops.resize_nearest_backward, 0), {"stride": 2}),
    "resize_bilinear": (_resize(ops.resize_bilinear_forward, ops.resize_bilinear_backward, 9), {"stride": 2}),
    "adaptive_max_pool": (_adaptive("adaptive_max_pool"), {}),
    "adaptive_avg_pool": (_adaptive("adaptive_avg_pool"), {}),
    "shift_max": (_shift_max, {"groups": 2}),
    "max_pool": (_pool(ops.max_pool_forward, ops.max_pool_backward), {"kernel": 2, "stride": 2}),
    "subsample": (_subsample, {"stride": 2, "out": None}),
    "avg_pool": (_pool(ops.avg_pool_forward, ops.avg_pool_backward), {"kernel": 2, "stride": 2}),
}
