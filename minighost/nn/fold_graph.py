"""From a trace to stages: batch norms and activations vanish into convolutions, parallel convolutions into one another,
and the rest is divided where one value is all that is handed on.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minighost.engine.activations import is_identity
from minighost.nn.fold_branches import add_branch
from minighost.nn.fold_nodes import Add, Affine, Concat, Convolution, Plain, Select

__all__ = ["Op", "Segment", "explain", "ops_of", "segments_of"]


@dataclass
class Op:
    """A node in its place.

    Attributes
    ----------
    node : fold_nodes.Node, or None for the network's input
    sources : list of Op
    layers : list of str
        Paths of the layers that stand in it: the node's own, then those that vanished into it.
    apart : str
        Why it did not vanish into the one before it, where such a node may.
    """

    node: Any
    sources: list
    layers: list
    apart: str = ""


@dataclass
class Segment:
    """Ops between two places where a single value is handed on: from `source` to the result of the last."""

    source: Op
    ops: list

    def emit(self, program, value):
        """List the steps of all of them."""
        values = {id(self.source): value}
        for op in self.ops:
            values[id(op)] = op.node.emit(program, *(values[id(source)] for source in op.sources))
        return values[id(self.ops[-1])]

    def has(self, *kinds):
        """Whether a node of one of these classes is in it."""
        return any(isinstance(op.node, kinds) for op in self.ops)


def segments_of(traced):
    """The segments that lead to a `Traced` value, in order."""
    ops = ops_of(traced)
    last = {id(source): k for k, op in enumerate(ops) for source in op.sources}
    last[id(ops[-1])] = len(ops)
    segments, first, source = [], 1, ops[0]
    for k, op in enumerate(ops):
        if k and all(last.get(id(other), 0) <= k for other in ops[:k]):
            segments.append(Segment(source, ops[first : k + 1]))
            first, source = k + 1, op
    return segments


def ops_of(traced):
    """The ops that lead to a `Traced` value, folded into one another; sources first, the network's input before all."""
    return _merged(_ordered(traced))


def _ordered(traced):
    """The ops that lead to a value, sources first; a stack of our own, for networks deeper than Python's."""
    ops: dict = {}
    stack = [traced]
    while stack:
        value = stack[-1]
        missing = [source for source in value.sources if id(source) not in ops]
        if missing:
            stack += reversed(missing)
            continue
        stack.pop()
        if id(value) not in ops:
            ops[id(value)] = Op(value.node, [ops[id(source)] for source in value.sources], list(value.layers))
    return sorted(ops.values(), key=lambda op: op.node is not None)  # the network's input first


def _merged(ops):
    """Fold what only scales, shifts, clips or cuts off into the convolution before it, and add parallel ones up."""
    readers: dict = {}
    for op in ops:
        for source in op.sources:
            readers[id(source)] = readers.get(id(source), 0) + 1
    became: dict = {}
    kept: list = []
    for op in ops:
        op.sources = [became.get(id(source), source) for source in op.sources]
        before = op.sources[0] if len(op.sources) == 1 else None
        op.apart = _apart(op, before, readers)
        if isinstance(op.node, Add) and (merged := add_branch(op.sources[0], op.sources[1], readers)):
            became[id(op)], readers[id(merged)] = merged, readers.get(id(op), 0)
            kept = [*(one for one in kept if one is not merged), merged]  # where the sum was
            continue
        if before is not None and not op.apart and _folds(op, before, readers):
            became[id(op)], readers[id(before)] = before, readers.get(id(op), 0)
        else:
            kept.append(op)
    return [op for op in kept if op is kept[-1] or op.node is None or readers.get(id(op), 0)]


def _apart(op, before, readers):
    """Why a batch norm or an activation cannot vanish into the op before it."""
    if not isinstance(op.node, Affine):
        return ""
    if before.node is None:
        return "nothing comes before it"
    if not isinstance(before.node, (Affine, Convolution)):
        return f"after {before.node.kind()}"
    if readers[id(before)] > 1:
        return "its input is read twice"
    return "" if is_identity(before.node.act) else "after an activation"


def _folds(op, before, readers):
    """Fold an op into the only one before it, whose result nobody else reads; False if that is not possible."""
    node, earlier = op.node, before.node
    if isinstance(node, Select):
        return readers[id(before)] == 1 and _selects(op, before, readers)
    if not isinstance(node, Affine):
        return False
    if isinstance(earlier, Convolution):
        before.node = replace(earlier, w=earlier.w * node.scale, b=earlier.b * node.scale + node.shift, act=node.act)
    else:
        before.node = Affine(earlier.scale * node.scale, earlier.shift * node.scale + node.shift, node.act)
    before.layers += op.layers
    return True


def _selects(op, before, readers):
    """Have the op before a selection, whose result nobody else reads, compute what is selected."""
    index, earlier = op.node.index, before.node
    if isinstance(earlier, Concat):
        n = len(index)
        return np.array_equal(index, np.arange(n)) and _cut(n, before, readers)
    if isinstance(earlier, Select):
        before.node = Select(earlier.index[index])
    elif not (isinstance(earlier, Convolution) and earlier.select(index)):
        return False
    before.layers += op.layers
    return True


def _cut(n, concat, readers):
    """Have the last convolution of a concatenation compute fewer channels, so that n are left in all."""
    *others, last = concat.sources
    widths = [source.node.w.shape[3] for source in concat.sources if isinstance(source.node, Convolution)]
    if len(widths) < len(concat.sources) or readers[id(last)] != 1:
        return False
    left = n - sum(widths[:-1])
    if left == 0 and len(others) == 1:
        concat.sources = others
        readers[id(last)] = 0
        return True
    return 0 < left and last.node.select(np.arange(left))


def explain(segments):
    """What became of the layers: a dictionary from path to one line; what is not in it does nothing in evaluation."""
    became = {}
    for op in (op for segment in segments for op in segment.ops):
        for first, path in zip([None, *op.layers[:1] * len(op.layers)], op.layers, strict=False):
            if first is not None:
                became[path] = f"part of {first}"
            elif isinstance(op.node, Plain):
                became[path] = f"called as it is: {op.node.reason}"
            else:
                became[path] = op.node.kind() + (f" of its own: {op.apart}" if op.apart else "")
    return became
