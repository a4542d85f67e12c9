"""Batch norm and ReLU of lazy activations: numbers per channel are all that is computed."""

from typing import NamedTuple

import numpy as np

from minighost import ops
from minighost.engine import check, kernels
from minighost.nn.functional.gradients import InputGradient, RawGradient, RectifiedGradient
from minighost.nn.functional.joins import shares, split
from minighost.nn.functional.values import Activation, Sum, materialize

__all__ = ["batch_norm_backward", "batch_norm_forward", "relu_backward", "relu_forward"]


class _Norm(NamedTuple):
    """What the backward of a lazy batch norm needs: the result's parts, and what `finalize_stats` kept of each."""

    parts: list
    norms: list


def batch_norm_forward(x, gamma, beta, running_mean, running_var, training, momentum=0.1, eps=1e-5, relu=False):
    """`ops.batch_norm_forward`; the statistics of a convolution's lazy result are known, and no pixel is touched."""
    vectors = gamma, beta, running_mean, running_var
    if not (
        isinstance(x, Activation)
        and x.statistics is not None
        and all(v.shape == x.shape[3:] and v.dtype == x.dtype for v in vectors)
    ):
        return ops.batch_norm_forward(materialize(x), *vectors, training, momentum, eps, relu)
    parts, norms = [], []
    for part, statistics, mine in zip(x.parts, x.statistics, shares([p.raw.shape[3] for p in x.parts]), strict=True):
        own = gamma[mine], beta[mine], running_mean[mine], running_var[mine]
        part, norm = kernels.finalize_stats(part.raw, statistics, *own, training, momentum, eps, relu)
        parts.append(part)
        norms.append(norm)
    return Activation(parts), _Norm(parts, norms)


def batch_norm_backward(dout, cache):
    """`ops.batch_norm_backward`; the pixels wait for the convolution before."""
    if not isinstance(cache, _Norm):
        return ops.batch_norm_backward(materialize(dout), cache)
    dout = _cut("batch_norm backward", dout, cache.parts)
    done = [kernels.batch_norm_backward(*one) for one in zip(dout.dys, dout.sums, cache.norms, strict=True)]
    gradients, dgammas, dbetas = zip(*done, strict=True)
    return RawGradient(list(gradients)), np.concatenate(dgammas), np.concatenate(dbetas)


class _ReLU(NamedTuple):
    """The parts without the ReLU, and with it."""

    before: list
    after: list


def relu_forward(x):
    """`ops.relu_forward`; what waits to be normalised is given a floor."""
    if isinstance(x, Sum) and not (x.relu or x.is_read()):
        out = Sum(x.parts, x.shortcut, relu=True)
        return out, out
    if not (isinstance(x, Activation) and x.is_normalized()):
        return ops.relu_forward(materialize(x))
    parts = [kernels.rectified(p) for p in x.parts]
    return Activation(parts), _ReLU(x.parts, parts)


def relu_backward(dout, cache):
    """`ops.relu_backward`; the convolution after it has cut its gradient already."""
    if isinstance(cache, Sum):
        return RectifiedGradient(np.asarray(dout), cache.materialize())
    if not isinstance(cache, _ReLU):
        return ops.relu_backward(materialize(dout), cache)
    return _cut("relu backward", dout, cache.after).of(cache.before)


def _cut(op, dout, parts):
    """`dout` as the gradient with respect to the parts: cut by their ReLU, and summed."""
    if isinstance(dout, InputGradient) and dout.belongs_to(parts) and dout.dgates is None:
        return dout
    dout = check.array(op, "dout", np.asarray(dout), 4)
    check.shape_is(op, "dout", dout, (*parts[0].raw.shape[:3], sum(p.raw.shape[3] for p in parts)))
    check.same_dtype(op, dout=dout, x=parts[0].raw)
    pieces = [np.ascontiguousarray(d) for d in split(dout, parts)]
    dys, sums = zip(*(kernels.relu_backward(d, part) for d, part in zip(pieces, parts, strict=True)), strict=True)
    return InputGradient(parts, list(dys), list(sums))
