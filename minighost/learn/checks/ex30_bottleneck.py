"""What exercise 30 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "expand[0] is the forward of the first module and expand[1] its backward; each forward gives you a cache to keep.",
    "The backward needs both caches and both pairs; put all four into your cache. reduce came last, so it goes first.",
    "dout goes through reduce's backward, its dy through expand's, and at the end dout itself is added to dx.",
)

WRONG = {
    "no shortcut forward": ("return z + x,", "return z,", r"shortcut is missing: out = z \+ x"),
    "no shortcut backward": ("return dx + dout,", "return dx,", r"shortcut is missing: dx \+= dout"),
    "shortcut around the second module only": ("return z + x,", "return z + y,", r"x, not y"),
    "the long way is lost": ("return dx + dout,", "return dout,", r"long way"),
    "only half of the sum": ("return dx + dout,", "return (dx + dout) / 2,", r"half"),
    "the shortcut's gradient joins too early": ("expand[1](dy, cache1)", "expand[1](dy + dout, cache1)", r"at x only"),
    "modules in the wrong order": (
        "y, cache1 = expand[0](x, w1)\n    z, cache2 = reduce[0](y, w2)",
        "y, cache2 = reduce[0](x, w2)\n    z, cache1 = expand[0](y, w1)",
        r"expand first",
    ),
    "gradients in another order": ("dx + dout, dw1, dw2", "dx + dout, dw2, dw1", r"dw1 and dw2 the other way round"),
    "writes into dout": ("return dx + dout,", "dout += dx\n    return dout,", r"written to"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "bottleneck_forward"), function(mine, "bottleneck_backward")
    _by_hand(forward, backward)
    _ghosts(forward, backward)


# Two modules by hand: each multiplies by its weight and adds a constant, so that their order shows ----------------


def _times(constant):
    def module_forward(x, w):
        return x * w + constant, (x, w)

    def module_backward(dout, cache):
        x, w = cache
        return dout * w, (dout * x).sum()

    return module_forward, module_backward


def _by_hand(forward, backward):
    expand, reduce = _times(0), _times(1)
    x, w1, w2, dout = np.array([3.0, -1.0]).reshape(1, 1, 2, 1), 2.0, 5.0, np.array([1.0, 10.0]).reshape(1, 1, 2, 1)
    what = "bottleneck_forward(x = [3, -1], w1 = 2, w2 = 5), expand: 2*x, reduce: 5*y + 1"
    given = x.copy()
    out, cache = several(forward(given, w1, w2, expand, reduce), "out, cache", what)
    untouched(x, given, f"{what}: x")
    y, z = 2 * x, 10 * x + 1
    known = [
        (z, "the shortcut is missing: out = z + x"),
        (z + y, "the shortcut begins at the block's input: add x, not y"),
        (2 * (5 * x + 1) + x, "the modules are in the other order: expand first, then reduce"),
        (z * x, "z and x are multiplied; the shortcut is a sum"),
    ]
    same(out, z + x, f"{what}: out", hints=known)
    _backward_by_hand(backward, cache, x, y, dout)


def _backward_by_hand(backward, cache, x, y, dout):
    what = "bottleneck_backward(dout = [1, 10]), w1 = 2, w2 = 5, x = [3, -1]"
    given = dout.copy()
    got = several(backward(given, cache), "dx, dw1, dw2", what)
    untouched(dout, given, f"{what}: dout")
    dw1, dw2 = (5 * dout * x).sum(), (dout * y).sum()
    known = [
        (10 * dout, "the shortcut is missing: dx += dout"),
        (dout, "this is the shortcut alone; the long way through both backwards is missing"),
        (5 * dout + dout, "the long way ends too early: dy must go through expand's backward too"),
        (2 * (5 * dout + dout) + dout, "dout joins before expand's backward as well; it joins at x only"),
        (2 * (5 * dout + dout), "dout joins before expand's backward; the shortcut ends at x, so it joins there"),
    ]
    if np.ndim(got[1]) == np.ndim(got[2]) == 0 and (got[1], got[2]) == (dw2, dw1):
        raise AssertionError(f"{what}: returns dw1 = {got[1]:g}, dw2 = {got[2]:g}: dw1 and dw2 the other way round")
    same(got[0], 11 * dout, f"{what}: dx", hints=known)
    same(got[2], np.float64(dw2), f"{what}: dw2")
    same(got[1], np.float64(dw1), f"{what}: dw1")


# Two ghost modules; the first has a ReLU, as in the network ------------------------------------------------------


def _ghost(relu):
    def ghost_forward(x, w):
        maps, pointwise_cache = ops.pointwise_forward_reference(x, w[0])
        ghosts, depthwise_cache = ops.depthwise_forward_reference(maps, w[1], padding=1)
        out = np.concatenate([maps, ghosts], -1)
        return (np.maximum(out, 0) if relu else out), (pointwise_cache, depthwise_cache, out)

    def ghost_backward(dout, cache):
        pointwise_cache, depthwise_cache, out = cache
        dout = dout * (out > 0) if relu else dout
        m = dout.shape[3] // 2
        dmaps, dd, _ = ops.depthwise_backward_reference(dout[..., m:], depthwise_cache)
        dx, dw, _ = ops.pointwise_backward_reference(dout[..., :m] + dmaps, pointwise_cache)
        return dx, (dw, dd)

    return ghost_forward, ghost_backward


def _ghosts(forward, backward):
    rng, expand, reduce = np.random.default_rng(30), _ghost(True), _ghost(False)
    x, w1, d1, w2, d2 = (rng.normal(size=s) for s in ((2, 3, 4, 4), (4, 3), (3, 3, 3, 1), (6, 2), (3, 3, 2, 1)))
    y = expand[0](x, (w1, d1))[0]
    what = "bottleneck_forward(x of 2x3x4x4, two ghost modules, 6 channels between them): out"
    fx, fw1, fd1, fw2, fd2 = frozen(x, w1, d1, w2, d2)
    same(forward(fx, (fw1, fd1), (fw2, fd2), expand, reduce)[0], reduce[0](y, (w2, d2))[0] + x, what)

    def block_forward(x, w1, d1, w2, d2):
        return forward(x, (w1, d1), (w2, d2), expand, reduce)

    def block_backward(dout, cache):
        dx, (dw1, dd1), (dw2, dd2) = backward(dout, cache)
        return dx, dw1, dd1, dw2, dd2

    gradcheck.check((block_forward, block_backward), [x, w1, d1, w2, d2], name="ghost bottleneck")
