"""The two operations of squeeze-and-excitation on lazy activations, the mean over the plane and the gate; and a plane
of gates."""

from typing import NamedTuple

import numpy as np

from minighost import ops
from minighost.engine import kernels
from minighost.engine.activations import IDENTITY, is_cut
from minighost.nn.fold_nodes import Gate, GlobalMean
from minighost.nn.functional.gradients import GatedGradient, InputGradient
from minighost.nn.functional.joins import add, split
from minighost.nn.functional.traced import is_traced
from minighost.nn.functional.values import Activation, materialize, waits

__all__ = [
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "scale_backward",
    "scale_forward",
    "scale_map_backward",
    "scale_map_forward",
]


class _Scale(NamedTuple):
    """The parts without the gate, and with it."""

    before: list
    after: list


def scale_forward(x, gate):
    """`ops.scale_forward`; what waits to be normalised is given a gate."""
    if is_traced(x, gate):
        return x.then(Gate(), gate, channels=x.channels), None
    if not (
        isinstance(x, Activation) and waits(x.parts) and gate.dtype == x.dtype and gate.shape == (len(x), x.shape[3])
    ):
        return ops.scale_forward(materialize(x), gate)
    parts = [
        p._replace(gate=np.array(g, order="C", ndmin=2)) for p, g in zip(x.parts, split(gate, x.parts), strict=True)
    ]
    return Activation(parts), _Scale(x.parts, parts)


def scale_backward(dout, cache):
    """`ops.scale_backward`: (dx, dgate)."""
    if not isinstance(cache, _Scale):
        return ops.scale_backward(materialize(dout), cache)
    if isinstance(dout, InputGradient) and dout.belongs_to(cache.after) and dout.dgates is not None:
        return GatedGradient(cache.before, cache.after, dout.dys), np.concatenate(dout.dgates, axis=1)
    gate = np.concatenate([p.gate for p in cache.after], axis=1)
    return ops.scale_backward(np.asarray(dout), (Activation(cache.before).materialize(), gate))


def scale_map_forward(x, gate):
    """`ops.scale_map_forward`."""
    if is_traced(x, gate):
        return x.then(Gate(), gate, channels=x.channels), None
    return ops.scale_map_forward(materialize(x), materialize(gate))


def scale_map_backward(dout, cache):
    """`ops.scale_map_backward`."""
    return ops.scale_map_backward(materialize(dout), cache)


class _Mean(NamedTuple):
    parts: list
    shape: tuple


def global_avg_pool_forward(x):
    """`ops.global_avg_pool_forward`; what waits is normalised on the way into the sum."""
    if is_traced(x):
        return x.then(GlobalMean(), channels=x.channels), None
    if not (isinstance(x, Activation) and waits(x.parts)):
        return ops.global_avg_pool_forward(materialize(x))
    means = [kernels.plane_mean(p) for p in x.parts]
    return (means[0] if len(means) == 1 else np.concatenate(means, axis=1)), _Mean(x.parts, x.shape)


def global_avg_pool_backward(dout, cache, onto=None):
    """`ops.global_avg_pool_backward`; `onto` is a gradient that reaches x another way."""
    if not isinstance(cache, _Mean):
        return add(ops.global_avg_pool_backward(dout, cache), onto)
    if isinstance(onto, GatedGradient) and onto.before is cache.parts and not onto.is_read():
        cut = all(is_cut(p.act) for p in cache.parts)
        gated = onto.after if cut else [p._replace(act=IDENTITY) for p in onto.after]  # the slope comes later
        done = [
            kernels.gate_backward(dy, np.ascontiguousarray(dmean), part)
            for dy, dmean, part in zip(onto.dys, split(dout, cache.parts), gated, strict=True)
        ]
        dys, sums = map(list, zip(*done, strict=True))
        return InputGradient(cache.parts, dys, sums if cut else None)
    return add(ops.global_avg_pool_backward(dout, cache.shape), onto)
