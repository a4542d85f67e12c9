"""Batch norm of lazy activations: numbers per channel are all that is computed."""

from typing import NamedTuple

import numpy as np

from minighost import ops
from minighost.engine import kernels
from minighost.engine.activations import IDENTITY, RELU
from minighost.nn.functional.activations import through_activation
from minighost.nn.functional.gradients import RawGradient
from minighost.nn.functional.joins import shares
from minighost.nn.functional.values import Activation, materialize

__all__ = ["batch_norm_backward", "batch_norm_forward"]


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
    parts, norms, act = [], [], RELU if relu else IDENTITY
    for part, statistics, mine in zip(x.parts, x.statistics, shares([p.raw.shape[3] for p in x.parts]), strict=True):
        own = gamma[mine], beta[mine], running_mean[mine], running_var[mine]
        part, norm = kernels.finalize_stats(part.raw, statistics, *own, training, momentum, eps, act)
        parts.append(part)
        norms.append(norm)
    return Activation(parts), _Norm(parts, norms)


def batch_norm_backward(dout, cache):
    """`ops.batch_norm_backward`; the pixels wait for the convolution before."""
    if not isinstance(cache, _Norm):
        return ops.batch_norm_backward(materialize(dout), cache)
    dout = through_activation("batch_norm backward", dout, cache.parts)
    done = [kernels.batch_norm_backward(*one) for one in zip(dout.dys, dout.sums, cache.norms, strict=True)]
    gradients, dgammas, dbetas = zip(*done, strict=True)
    return RawGradient(list(gradients)), np.concatenate(dgammas), np.concatenate(dbetas)
