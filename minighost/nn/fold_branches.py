"""Parallel convolutions whose results are summed are one convolution: `merge_branches` for whatever a trace finds.

The sum of kernels is that of `reparameterize`: the smaller kernel at the centre of the larger, a batch norm alone as a
1x1 kernel of which output channel o reads input channel o.
"""

from dataclasses import replace

import numpy as np

from minighost.engine.activations import is_identity
from minighost.nn.fold_nodes import Affine, Convolution
from minighost.nn.reparameterize import at_centre, identity_kernel

__all__ = ["add_branch"]


def add_branch(op, other, readers):
    """Add one of two ops that are summed into the other.

    Parameters
    ----------
    op, other : fold_graph.Op
    readers : dict
        From the id of an op to how many read it; brought up to date.

    Returns
    -------
    Op
        The one that now computes the sum, or None if they are no parallel convolutions.
    """
    ops = [op, other]
    if op is other or any(len(one.sources) != 1 or readers[id(one)] != 1 for one in ops):
        return None
    if op.sources[0] is not other.sources[0] or not all(_is_linear(one.node) for one in ops):
        return None
    large, small = sorted(ops, key=lambda one: _taps(one.node), reverse=True)
    kernel = _kernel(small.node, large.node)
    if kernel is None:
        return None
    node, (w, b) = large.node, kernel
    large.node = replace(node, w=node.w + at_centre(w, *node.w.shape[:2]), b=node.b + b)
    large.layers += small.layers
    readers[id(small)] = 0
    readers[id(large.sources[0])] -= 1
    return large


def _is_linear(node):
    return isinstance(node, (Affine, Convolution)) and is_identity(node.act)


def _taps(node):
    return node.w.shape[0] * node.w.shape[1] if isinstance(node, Convolution) else 0


def _kernel(small, large):
    """Kernel and bias of the smaller one, if the larger one's geometry fits it."""
    if not isinstance(large, Convolution):
        return None
    if isinstance(small, Affine):
        OC, C = large.w.shape[3], large.w.shape[2] * large.groups
        if OC != C or large.stride != (1, 1) or _centre(large) != (0, 0):
            return None
        return identity_kernel(C, large.groups) * small.scale, small.shift * np.ones(C)
    same = (small.stride, small.groups, _centre(small)) == (large.stride, large.groups, _centre(large))
    fits = small.w.shape[:2] == (1, 1) or small.dilation == large.dilation
    odd = all((K - k) % 2 == 0 <= K - k for K, k in zip(large.w.shape[:2], small.w.shape[:2], strict=True))
    return (small.w, small.b) if same and fits and odd and small.w.shape[2:] == large.w.shape[2:] else None


def _centre(node):
    """Which pixel the centre of the kernel sees at the first output, in halves: (0, 0) at the usual padding."""
    axes = zip(node.w.shape, node.padding, node.dilation, strict=False)
    return tuple(D * (K - 1) - 2 * P for K, P, D in axes)
