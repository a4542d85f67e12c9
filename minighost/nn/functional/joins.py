"""Concatenation and sums of lazy values: parts stay the arrays they are, and a sum is computed when it is read."""

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from minighost import ops
from minighost.engine import check, kernels
from minighost.engine.activations import is_cut
from minighost.nn.fold_nodes import Add, Concat, Select
from minighost.nn.functional.gradients import InputGradient, RectifiedGradient
from minighost.nn.functional.traced import is_traced
from minighost.nn.functional.values import Activation, Lazy, Sum, activation, materialize, waits

__all__ = [
    "add",
    "add_backward",
    "add_forward",
    "concat_backward",
    "concat_forward",
    "first_channels_backward",
    "first_channels_forward",
    "shares",
    "split",
]


def shares(channels):
    """Which channels are whose: slices, one per number of channels."""
    ends = accumulate(channels)
    return [slice(end - C, end) for C, end in zip(channels, ends, strict=True)]


def split(array, parts):
    """The array's channels, part by part."""
    return [array] if len(parts) == 1 else [array[..., mine] for mine in shares([p.raw.shape[3] for p in parts])]


class _Concat(NamedTuple):
    """All parts, and how many of them each value had."""

    parts: list
    counts: list


def concat_forward(*xs):
    """`ops.concat_forward`; lazy values stay where they are."""
    if is_traced(*xs):
        known = all(x.channels for x in xs)
        return xs[0].then(Concat(), *xs[1:], channels=sum(x.channels for x in xs) if known else None), None
    if not any(isinstance(x, Activation) for x in xs) or len({(x.shape[:3], x.dtype, x.ndim) for x in xs}) > 1:
        return ops.concat_forward(*map(materialize, xs))
    lazy = [activation(x if isinstance(x, Lazy) else check.array("concat", "x", x, 4)) for x in xs]
    parts = [p for x in lazy for p in x.parts]
    return Activation(parts), _Concat(parts, [len(x.parts) for x in lazy])


def concat_backward(dout, cache):
    """`ops.concat_backward`."""
    if not isinstance(cache, _Concat):
        return ops.concat_backward(materialize(dout), cache)
    parts, mine = cache.parts, shares(cache.counts)
    if not (isinstance(dout, InputGradient) and dout.belongs_to(parts)):
        dout = check.array("concat backward", "dout", np.asarray(dout), 4)
        check.shape_is("concat backward", "dout", dout, (*parts[0].raw.shape[:3], sum(p.raw.shape[3] for p in parts)))
        check.same_dtype("concat backward", dout=dout, x=parts[0].raw)
        if len(parts) != 2 or not waits(parts) or not all(is_cut(p.act) for p in parts):
            widths = [sum(p.raw.shape[3] for p in parts[one]) for one in mine]
            return tuple(dout[..., channels] for channels in shares(widths))
        branches, _ = kernels.concat_add_backward(dout, parts)
        dout = InputGradient(parts, *map(list, zip(*branches, strict=True)))
    return tuple(dout.some(one) for one in mine)


def first_channels_forward(x, n):
    """``x[..., :n]``."""
    if is_traced(x):
        return (x if x.channels and n >= x.channels else x.then(Select(np.arange(n)), channels=n)), None
    return (x if n >= x.shape[3] else materialize(x)[..., :n]), x.shape[3]


def first_channels_backward(dout, cache):
    """What was cut off has no influence: its gradient is 0."""
    missing = cache - dout.shape[3]
    return np.pad(np.asarray(dout), [(0, 0)] * 3 + [(0, missing)]) if missing else dout


def add(a, b):
    """The sum of two gradients of one value; None counts as 0."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, InputGradient) and isinstance(b, InputGradient) and a.dgates is b.dgates is None:
        if a.belongs_to(b.parts) and b.belongs_to(a.parts):
            cut = a.sums is not None and b.sums is not None
            sums = [np.concatenate(both) for both in zip(a.sums, b.sums, strict=True)] if cut else None
            return InputGradient(a.parts, [np.add(x, y) for x, y in zip(a.dys, b.dys, strict=True)], sums)
    return ops.add_forward(np.asarray(a), np.asarray(b))[0]


def add_forward(a, b):
    """`ops.add_forward`; a sum of normalised values is computed in one pass when it is read."""
    if is_traced(a, b):
        return a.then(Add(), b, channels=a.channels or b.channels), None
    if not (
        isinstance(a, Activation)
        and len(a.parts) < 3
        and a.is_normalized()
        and (a.shape, a.dtype) == (b.shape, b.dtype)
    ):
        return ops.add_forward(materialize(a), materialize(b))
    if isinstance(b, Activation) and len(b.parts) == 1 and b.is_normalized():
        shortcut = b.parts[0]
    else:
        shortcut = kernels.plain(check.array("add", "b", materialize(b), 4))
    out = Sum(a.parts, shortcut)
    return out, out


def add_backward(dout, cache):
    """`ops.add_backward`: the gradient goes to both; what their batch norms need of it is summed in one pass."""
    if not isinstance(cache, Sum):
        return ops.add_backward(materialize(dout), cache)
    parts, shortcut = cache.parts, cache.shortcut
    if isinstance(dout, RectifiedGradient) and len(parts) == 1 and not dout.is_read():
        dy, sums, short = kernels.add_relu_backward(_gradient(dout.dout, cache), dout.out, parts[0], shortcut)
        branches = InputGradient(parts, [dy], [sums])
    elif len(parts) == 2:
        dy = _gradient(dout, cache)
        branches, short = kernels.concat_add_backward(dy, parts, shortcut)
        branches = InputGradient(parts, *map(list, zip(*branches, strict=True)))
    else:
        dy = _gradient(dout, cache)
        return dy, dy
    # dy is the caller's own, or the branch's too
    return branches, InputGradient([shortcut], [dy], [short], owned=False) if shortcut.norm.shape[1] else dy


def _gradient(dout, cache):
    dout = check.array("add backward", "dout", np.asarray(dout), 4)
    check.shape_is("add backward", "dout", dout, cache.shape)
    check.same_dtype("add backward", dout=dout, x=cache.parts[0].raw)
    return dout
