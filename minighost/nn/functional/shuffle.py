"""Channels of lazy values in another order: the shuffle waits for its reader, who may want it in two pieces.

In ShuffleNet v2 two branches are put side by side, shuffled and split again; `kernels.permute_forward` does all three,
and what the branches still wait for, in one pass.
"""

import numpy as np

from minighost import ops
from minighost.engine import check, kernels
from minighost.engine.activations import is_cut
from minighost.nn.fold_nodes import Select
from minighost.nn.functional.gradients import InParts, InputGradient
from minighost.nn.functional.traced import is_traced, known_channels
from minighost.nn.functional.values import Activation, Lazy, materialize, together

__all__ = [
    "channel_shuffle_backward",
    "channel_shuffle_forward",
    "channel_unshuffle_backward",
    "channel_unshuffle_forward",
    "split_channels_backward",
    "split_channels_forward",
]


class Permuted(Lazy):
    """The channels of two parts in another order.

    Attributes
    ----------
    parts : list of kernels.Deferred
    order : ndarray of int64, shape (C,)
        Which channel of the parts side by side becomes channel 0, 1, ...
    """

    def __init__(self, parts, order):
        self.parts, self.order, self._value = parts, order, None
        self.shape, self.dtype = together([p.raw for p in parts])

    def materialize(self):
        """The array, which is computed once."""
        if self._value is None:
            self._value = kernels.permute_forward(self.parts, self.order, self.shape[3])[0]
        return self._value

    def pieces(self, n):
        """The first n channels and the others; views once somebody has read the array, who may have changed it."""
        if self._value is not None:
            return self._value[..., :n], self._value[..., n:]
        return kernels.permute_forward(self.parts, self.order, n)


class PiecesGradient(InParts):
    """The gradient with respect to a `Permuted` that was read in two pieces.

    Attributes
    ----------
    pieces : list of ndarray
    """

    def __init__(self, pieces):
        super().__init__(pieces)
        self.pieces = pieces

    def _arrays(self):
        return self.pieces


def channel_shuffle_forward(x, groups):
    """`ops.channel_shuffle_forward`; two parts side by side stay where they are."""
    if not _waits(x) or x.shape[3] % groups:
        return ops.channel_shuffle_forward(materialize(x), groups)
    return _permuted(x, groups)


def channel_shuffle_backward(dout, cache):
    """`ops.channel_shuffle_backward`."""
    return _backward("channel_shuffle backward", ops.channel_shuffle_backward, dout, cache)


def channel_unshuffle_forward(x, groups):
    """`ops.channel_unshuffle_forward`; two parts side by side stay where they are."""
    if not _waits(x) or x.shape[3] % groups:
        return ops.channel_unshuffle_forward(materialize(x), groups)
    return _permuted(x, x.shape[3] // groups)


def channel_unshuffle_backward(dout, cache):
    """`ops.channel_unshuffle_backward`."""
    return _backward("channel_unshuffle backward", ops.channel_unshuffle_backward, dout, cache)


def split_channels_forward(x, n):
    """``x[..., :n], x[..., n:]``."""
    if is_traced(x):
        C = known_channels(x)
        halves = np.split(np.arange(C), [n])
        return tuple(x.then(Select(half), channels=len(half)) for half in halves), None
    if isinstance(x, Permuted):
        return x.pieces(n), x
    x = materialize(x)
    return (x[..., :n], x[..., n:]), None


def split_channels_backward(dfirst, drest, cache):
    """Gradient of `split_channels_forward`: both, side by side."""
    dfirst, drest = materialize(dfirst), materialize(drest)
    if cache is None:
        return ops.concat_forward(dfirst, drest)[0]
    N, H, W, C = cache.shape
    first = check.array("split_channels backward", "dfirst", dfirst, 4)
    rest = check.array("split_channels backward", "drest", drest, 4)
    check.same_dtype("split_channels backward", dfirst=first, drest=rest, x=cache)
    check.shape_is("split_channels backward", "dfirst", first, (N, H, W, first.shape[3]))
    check.shape_is("split_channels backward", "drest", rest, (N, H, W, C - first.shape[3]))
    return PiecesGradient([first, rest])


def _waits(x):
    """Whether x has two parts whose gradients a kernel can cut."""
    return (
        isinstance(x, Activation)
        and len(x.parts) == 2
        and not any(len(p.gate) for p in x.parts)
        and all(is_cut(p.act) for p in x.parts)
    )


def _permuted(x, groups):
    """Column by column through a table of the channels with a row for each group."""
    order = np.arange(x.shape[3]).reshape(groups, -1).T.ravel()
    out = Permuted(x.parts, order)
    return out, out


def _backward(op, function, dout, cache):
    if not isinstance(cache, Permuted):
        return function(materialize(dout), cache)
    if isinstance(dout, PiecesGradient) and not dout.is_read():
        pieces = dout.pieces
    else:
        dout = check.array(op, "dout", np.asarray(dout), 4)
        check.shape_is(op, "dout", dout, cache.shape)
        check.same_dtype(op, dout=dout, x=cache.parts[0].raw)
        pieces = [dout, dout[..., :0].copy()]
    branches = kernels.permute_backward(pieces, cache.parts, cache.order)
    dys, sums = zip(*branches, strict=True)
    return InputGradient(cache.parts, list(dys), list(sums))
