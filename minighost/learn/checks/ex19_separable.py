"""What exercise 19 must do, three hints, and wrong answers that it must refuse."""

import math

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Each of the two functions is two calls of what is given. What does the backward need from the forward?",
    "Keep both caches. The backward begins with the pointwise half, as it came last; the gradient that it returns "
    "is the dout of the depthwise half.",
    "Parameters: KH*KW*C*OC against KH*KW*C + C*OC. Each weight is multiplied once at each of the OH*OW positions.",
)

WRONG = {
    "pointwise skipped in the backward": (
        "dx, ddepth, _ = ops.depthwise_backward_reference(dseen, depth_cache)",
        "dx, ddepth, _ = ops.depthwise_backward_reference(dout[..., : dseen.shape[3]], depth_cache)",
        r"dout instead of dseen",
    ),
    "the gradients of the weights swapped": (
        "return dx, ddepth, dpoint",
        "return dx, dpoint, ddepth",
        r"this is dpoint",
    ),
    "dseen returned for dx": ("return dx, ddepth, dpoint", "return dseen, ddepth, dpoint", r"this is dseen"),
    "a ReLU between the halves": (
        "reference(seen, point)",
        "reference(seen * (seen > 0), point)",
        r"nothing between the two halves",
    ),
    "the costs multiplied": ("KH * KW * C + C * OC", "KH * KW * C * C * OC", r"are added"),
    "depthwise counted as dense": ("KH * KW * C + C * OC", "KH * KW * C * OC + C * OC", r"one kernel per channel"),
    "mixing forgotten": ("KH * KW * C + C * OC", "KH * KW * C", r"pointwise half"),
    "MACs of one position": (
        "parameters = KH * KW * C * OC\n    return parameters, parameters * OH * OW",
        "parameters = KH * KW * C * OC\n    return parameters, parameters",
        r"OH\*OW positions",
    ),
    "the dense kernel without its channels": (
        "parameters = KH * KW * C * OC\n    return",
        "parameters = KH * KW * OC\n    return",
        r"over all C channels",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "separable_forward"), function(mine, "separable_backward")
    _by_hand(forward, backward)
    rng = np.random.default_rng(19)
    for x_shape, kernel, OC in (((1, 3, 3, 1), (2, 2), 1), ((2, 4, 3, 2), (3, 2), 3), ((1, 3, 4, 3), (1, 3), 3)):
        x, depth, point = (rng.normal(size=s) for s in (x_shape, (*kernel, x_shape[3], 1), (x_shape[3], OC)))
        what = f"separable_forward(x of {x_shape}, depth of {depth.shape}, point of {point.shape})"
        out, _ = several(forward(*frozen(x, depth, point)), "out, cache", what)
        same(out, _forward(x, depth, point)[0], f"{what}: out", hints=_known(x, depth, point))
        gradcheck.check((forward, backward), [x, depth, point], name=what.replace("_forward", ""))
    _costs(function(mine, "dense_cost"), function(mine, "separable_cost"))


def _by_hand(forward, backward):
    """One window, so that both halves can be done in the head."""
    x, depth = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2), np.array([1.0, 100, 10, 1000]).reshape(1, 2, 2, 1)
    point = np.array([[1.0, 2.0], [0.0, 1.0]])
    given = "pixels (1, 2) and (3, 4), depth: [1, 10] and [100, 1000], point: [[1, 2], [0, 1]]"
    what = f"separable_forward(x: {given})"
    out, cache = several(forward(*frozen(x, depth, point)), "out, cache", what)
    # seen = 31 4200
    want = np.array([31.0, 4262.0]).reshape(1, 1, 1, 2)
    same(out, want, f"{what}: out", hints=_known(x, depth, point))
    what = f"separable_backward(dout: 1 3, cache of x: {given})"
    found = several(backward(frozen(np.array([1.0, 3.0]).reshape(want.shape)), cache), "dx, ddepth, dpoint", what)
    dseen = np.array([7.0, 3.0]).reshape(1, 1, 1, 2)
    right = {
        "dx": np.array([7.0, 300.0, 70.0, 3000.0]).reshape(x.shape),
        "ddepth": np.array([7.0, 6.0, 21.0, 12.0]).reshape(depth.shape),
        "dpoint": np.array([[31.0, 93.0], [4200.0, 12600.0]]),
    }
    skipped = np.array([1.0, 300.0, 10.0, 3000.0]).reshape(x.shape)
    known = [
        (dseen, "this is dseen, what the pointwise half returns: send it through the depthwise half"),
        (skipped, "the depthwise half must get dseen, not dout; here it got dout instead of dseen"),
        *((a, f"this is {name}: return dx, ddepth, dpoint") for name, a in right.items()),
    ]
    for value, (name, want) in zip(found, right.items(), strict=True):
        same(value, want, f"{what}: {name}", hints=[(a, words) for a, words in known if a is not want])


def _forward(x, depth, point):
    seen, _ = ops.depthwise_forward_reference(x, depth)
    return ops.pointwise_forward_reference(seen, point)[0], seen


def _known(x, depth, point):
    right, seen = _forward(x, depth, point)
    positive = np.maximum(seen, 0) @ point
    known = [
        (positive, "there must be nothing between the two halves: no ReLU"),
        (seen, "this is seen: mix its channels"),
    ]
    return [(a, words) for a, words in known if a.shape != right.shape or not np.allclose(a, right)]


def _costs(dense_cost, separable_cost):
    for shape in ((3, 3, 16, 32, 10, 10), (3, 3, 1, 1, 4, 4), (5, 3, 4, 7, 6, 2), (1, 1, 8, 8, 2, 3)):
        KH, KW, C, OC, OH, OW = shape
        given = ", ".join(f"{letter}={n}" for letter, n in zip(("KH", "KW", "C", "OC", "OH", "OW"), shape, strict=True))
        dense, depth, point = (math.prod(s) for s in ((KH, KW, C, OC), (KH, KW, C), (C, OC)))
        for cost, name, right, wrong in (
            (
                dense_cost,
                "dense_cost",
                dense,
                {
                    KH * KW * OC: "every output channel has a kernel over all C channels",
                    KH * KW * C: "there are OC kernels",
                },
            ),
            (
                separable_cost,
                "separable_cost",
                depth + point,
                {
                    depth: "the pointwise half, C*OC weights, is missing",
                    point: "the depthwise half, KH*KW*C, is missing",
                    depth * point: "the halves are added, not multiplied",
                    dense + point: "the depthwise half has one kernel per channel: KH*KW*C weights",
                },
            ),
        ):
            what = f"{name}({given})"
            parameters, macs = several(cost(*shape), "parameters, multiply-adds", what)
            known = [(n, words) for n, words in wrong.items() if n != right]
            same(parameters, right, f"{what}: parameters", hints=known)
            known = [(right, "each weight is used at all OH*OW positions")]
            same(macs, right * OH * OW, f"{what}: multiply-adds", hints=known)
