"""Activations of lazy values: what waits is given an activation, and no pixel is touched."""

from typing import NamedTuple

import numpy as np

from minighost import ops
from minighost.engine import check, kernels
from minighost.engine.activations import RELU, is_identity
from minighost.nn.functional.gradients import InputGradient, RectifiedGradient
from minighost.nn.functional.joins import split
from minighost.nn.functional.values import Activation, Sum, materialize

__all__ = ["activation_backward", "activation_forward", "crelu_backward", "crelu_forward", "through_activation"]


class _Activated(NamedTuple):
    """The parts without the activation, and with it."""

    before: list
    after: list


def activation_forward(x, function):
    """``function.forward(x)``, where `function` is an `ops.Activation`."""
    if isinstance(x, Sum) and function.act == RELU and not (x.relu or x.is_read()):
        out = Sum(x.parts, x.shortcut, relu=True)
        return out, out
    before = _waiting(x)
    if before is None:
        return function.forward(materialize(x))
    after = [p._replace(act=function.act) for p in before]
    return Activation(after), _Activated(x.parts, after)


def activation_backward(dout, cache, function):
    """``function.backward(dout, cache)``; the convolution after it may have cut its gradient already."""
    if isinstance(cache, Sum):
        return RectifiedGradient(np.asarray(dout), cache.materialize())
    if not isinstance(cache, _Activated):
        return function.backward(materialize(dout), cache)
    return through_activation(f"{function.name} backward", dout, cache.after).of(cache.before)


def crelu_forward(x):
    """`ops.crelu_forward`; what waits is read twice, the second time with its sign changed."""
    before = _waiting(x)
    if before is None or len(before) > 1:
        return ops.crelu_forward(materialize(x))
    (part,) = before
    sign = np.array([-1, -1, 1], x.dtype)[:, None]  # the mean is that of the numbers themselves
    after = [part._replace(act=RELU), part._replace(norm=part.norm * sign, act=RELU)]
    return Activation(after), _Activated(x.parts, after)


def crelu_backward(dout, cache):
    """`ops.crelu_backward`: the difference of the two phases' gradients."""
    if not isinstance(cache, _Activated):
        return ops.crelu_backward(materialize(dout), cache)
    both = through_activation("crelu backward", dout, cache.after)
    (up, down), (sums_up, sums_down) = both.dys, both.sums
    return InputGradient(cache.before, [up - down], [sums_up - sums_down])


def _waiting(x):
    """The parts of a value that an activation can be left with, each normalised; None if there are none."""
    if not isinstance(x, Activation):
        return None
    if x.is_normalized():
        return x.parts
    if x.statistics is None or any(len(p.gate) or p.norm.shape[1] or not is_identity(p.act) for p in x.parts):
        return None
    return [p._replace(norm=_as_it_is(p.raw)) for p in x.parts]  # a convolution without batch norm


def _as_it_is(raw):
    norm = np.zeros((3, raw.shape[3]), raw.dtype)
    norm[0] = 1
    return norm


def through_activation(op, dout, parts):
    """`dout`, the gradient with respect to the parts, as that with respect to what their activations got, and its sums.

    What a convolution has cut already it leaves as it is.
    """
    if isinstance(dout, InputGradient) and dout.belongs_to(parts) and dout.dgates is None:
        if dout.sums is not None:
            return dout
        pieces = dout.dys
    else:
        dout = check.array(op, "dout", np.asarray(dout), 4)
        check.shape_is(op, "dout", dout, (*parts[0].raw.shape[:3], sum(p.raw.shape[3] for p in parts)))
        check.same_dtype(op, dout=dout, x=parts[0].raw)
        pieces = [np.ascontiguousarray(d) for d in split(dout, parts)]
    done = [kernels.activation_backward(d, part) for d, part in zip(pieces, parts, strict=True)]
    dys, sums = zip(*done, strict=True)
    return InputGradient(parts, list(dys), list(sums))
