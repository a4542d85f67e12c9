"""Squeeze-and-excitation: x decides how much of x passes, so its gradient is a sum of two."""

import numpy as np

from minighost import ops
from minighost.stepper.arrays import nonzero, size_words
from minighost.stepper.conv import SOURCES
from minighost.stepper.frames import Array, Script, Source
from minighost.stepper.walk import plane
from minighost.stepper.words import say, spelled

__all__ = ["build", "squeeze_excite_script"]

MEAN, MEAN_BACK = Source(ops.global_avg_pool_forward_reference), Source(ops.global_avg_pool_backward_reference)
RELU, RELU_BACK = Source(ops.relu_forward_reference), Source(ops.relu_backward_reference)
GATE, GATE_BACK = Source(ops.hard_sigmoid_forward_reference), Source(ops.hard_sigmoid_backward_reference)
SCALE, SCALE_BACK = Source(ops.scale_forward_reference), Source(ops.scale_backward_reference)
SUM = Source(ops.add_forward_reference)
LINEAR, LINEAR_BACK = SOURCES["pointwise_forward"], SOURCES["pointwise_backward"]


def build(op, x, w, chosen, rng):
    """The only script, its index, and the shapes in words."""
    C, hidden = x.shape[2], chosen["hidden"]
    dout = nonzero(rng, *x.shape)
    for _ in range(100):  # with a dead ReLU or gates shut there would be little to see
        w1, b1, w2, b2 = (nonzero(rng, *shape) / 2 for shape in ((C, hidden), (hidden,), (hidden, C), (C,)))
        h = np.maximum(x.mean((0, 1)) @ w1 + b1, 0)
        if h.all() and np.abs(h @ w2 + b2).max() < 3:
            break
    return (
        [squeeze_excite_script(x, w1, b1, w2, b2, dout)],
        0,
        f"x {size_words(x)}, {hidden} hidden: out {size_words(x)}",
    )


def squeeze_excite_script(x, w1, b1, w2, b2, dout):
    """The steps of ``out = x * gate(relu(mean(x) @ w1 + b1) @ w2 + b2)``, forward and backward.

    Parameters
    ----------
    x, dout : ndarray, shape (H, W, C), float64
    w1, b1 : ndarray, shapes (C, hidden) and (hidden,)
    w2, b2 : ndarray, shapes (hidden, C) and (C,)
    """
    (H, W, C), hidden = x.shape, w1.shape[1]
    want = _whole(x, w1, b1, w2, b2, dout)
    script = Script("squeeze-and-excitation")

    def vector(name, note, n, values=np.nan):
        return Array(name, note, np.broadcast_to(values, (1, n)), (0, 1), rows=[""])

    a = {
        "x": plane("x", "input", x),
        "dout": plane("dout", "gradient of out, given", dout),
        "out": plane("out", "output", np.full(x.shape, np.nan)),
        "dx": plane("dx", "gradient of x", np.full(x.shape, np.nan)),
        "w1": Array("w1", "C to hidden", w1, (0, 1)),
        "w2": Array("w2", "hidden to C", w2, (0, 1)),
        "b1": vector("b1", "bias", hidden, b1),
        "b2": vector("b2", "bias", C, b2),
        "s": vector("s", "squeezed: one mean per channel", C),
        "z": vector("z", "s @ w1 + b1", hidden),
        "h": vector("h", "relu(z)", hidden),
        "a": vector("a", "h @ w2 + b2", C),
        "gate": vector("gate", "hard_sigmoid(a)", C),
        "dgate": vector("dgate", "gradient of gate", C, 0),
        "da": vector("da", "gradient of a, and of b2", C),
        "dh": vector("dh", "gradient of h", hidden),
        "dz": vector("dz", "gradient of z, and of b1", hidden),
        "ds": vector("ds", "gradient of s", C),
        "dw1": Array("dw1", "gradient of w1", np.full(w1.shape, np.nan), (0, 1)),
        "dw2": Array("dw2", "gradient of w2", np.full(w2.shape, np.nan), (0, 1)),
    }
    script.phase("forward", "squeeze", [a["x"], a["s"]])
    for c in range(C):
        cells = [(i, j, c) for i, j in np.ndindex(H, W)]
        values = [a["x"][p] for p in cells]
        script.step(
            MEAN.line("return x.mean((1, 2))"),
            say("Squeeze: channel {} becomes one number, its mean.", c),
            [
                say(
                    "{} = (" + " + ".join(["{x}"] * len(values)) + ") / {} = {new}",
                    spelled("s", c),
                    *values,
                    H * W,
                    sum(values) / (H * W),
                )
            ],
            [(a["s"], (0, c), sum(values) / (H * W))],
            [("x", a["x"], cells), ("new", a["s"], [(0, c)])],
            landmark=True,
        )
    script.phase("forward", "gate", [a[k] for k in ("s", "w1", "b1", "z", "h", "w2", "b2", "a", "gate")])
    _product(script, a["s"], a["w1"], a["b1"], a["z"], "Reduce: all channels' means go into hidden number {}.")
    _each(
        script,
        RELU.line("return np.maximum"),
        a["z"],
        a["h"],
        lambda v: max(v, 0.0),
        "max({x}, 0)",
        "ReLU between the two products.",
    )
    _product(script, a["h"], a["w2"], a["b2"], a["a"], "Expand: back to one number for channel {}.")
    _each(
        script,
        GATE.line("return np.clip(x + 3"),
        a["a"],
        a["gate"],
        lambda v: min(max(v + 3, 0.0), 6.0) / 6,
        "clip({x} + 3, 0, 6) / 6",
        "The gate, between 0 (shut) and 1 (open).",
    )
    script.phase("forward", "out", [a["x"], a["gate"], a["out"]])
    _scale(script, a, (H, W, C))
    script.same(a["out"], want["out"], "scale_forward")

    script.phase("backward", "dgate", [a["dout"], a["x"], a["gate"], a["dx"], a["dgate"]])
    _scale_back(script, a, (H, W, C))
    script.phase(
        "backward",
        "weights",
        [a[k] for k in ("dgate", "a", "da", "h", "dw2", "w2", "dh", "z", "dz", "s", "dw1", "w1", "ds")],
    )
    _each_back(
        script,
        GATE_BACK.line("return np.where(np.abs(cache) < 3, dout / 6, 0)"),
        a["dgate"],
        a["a"],
        a["da"],
        lambda v: float(abs(v) < 3) / 6,
        "The slope of the gate: 1/6 between -3 and 3, 0 beyond.",
    )
    _product_back(script, a["da"], a["h"], a["w2"], a["dw2"], a["dh"])
    _each_back(
        script,
        RELU_BACK.line("return np.where(cache <= 0, 0, dout)"),
        a["dh"],
        a["z"],
        a["dz"],
        lambda v: float(v > 0),
        "ReLU lets the gradient through where z was positive.",
    )
    _product_back(script, a["dz"], a["s"], a["w1"], a["dw1"], a["ds"])
    script.phase("backward", "dx", [a["ds"], a["dx"]])
    _mean_back(script, a, (H, W, C))
    for name in ("dx", "dgate", "dw1", "dw2", "da", "dz", "ds"):
        script.same(a[name], want[name], "the reference twins' chain")
    return script


def _whole(x, w1, b1, w2, b2, dout):
    """All results by the reference twins, one after the other."""
    s, pool = ops.global_avg_pool_forward_reference(x[None])
    z, reduce = ops.linear_forward_reference(s, w1, b1)
    h, relu = ops.relu_forward_reference(z)
    a, expand = ops.linear_forward_reference(h, w2, b2)
    gate, hard = ops.hard_sigmoid_forward_reference(a)
    out, scale = ops.scale_forward_reference(x[None], gate)
    direct, dgate = ops.scale_backward_reference(dout[None], scale)
    da = ops.hard_sigmoid_backward_reference(dgate, hard)
    dh, dw2, _ = ops.linear_backward_reference(da, expand)
    dz = ops.relu_backward_reference(dh, relu)
    ds, dw1, _ = ops.linear_backward_reference(dz, reduce)
    dx, _ = ops.add_forward_reference(direct, ops.global_avg_pool_backward_reference(ds, pool))
    return {"out": out[0], "dx": dx[0], "dgate": dgate, "dw1": dw1, "dw2": dw2, "da": da, "dz": dz, "ds": ds}


# A vector through the two products -----------------------------------------------------------------------------


def _product(script, x, w, b, out, words):
    n = x.width
    for o in range(out.width):
        pairs = [(x[0, k], w[k, o]) for k in range(n)]
        value = sum(p * q for p, q in pairs) + b[0, o]
        script.step(
            LINEAR.line("out = x @ w"),
            say(words, o),
            [
                say(
                    "{} = " + " + ".join(["{x} * {w}"] * n) + " + {w} = {new}",
                    spelled(out.name, o),
                    *(v for pair in pairs for v in pair),
                    b[0, o],
                    value,
                )
            ],
            [(out, (0, o), value)],
            [
                ("x", x, [(0, k) for k in range(n)]),
                ("w", w, [(k, o) for k in range(n)]),
                ("w", b, [(0, o)]),
                ("new", out, [(0, o)]),
            ],
            landmark=o == out.width - 1,
        )


def _each(script, line, x, out, function, formula, words):
    for k in range(x.width):
        value = function(x[0, k])
        script.step(
            line,
            say(words),
            [say(f"{{}} = {formula} = {{new}}", spelled(out.name, k), x[0, k], value)],
            [(out, (0, k), value)],
            [("x", x, [(0, k)]), ("new", out, [(0, k)])],
            landmark=k == x.width - 1,
        )


def _each_back(script, line, dout, x, dx, slope, words):
    for k in range(x.width):
        factor = slope(x[0, k])
        script.step(
            line,
            say(words),
            [say("{} = {d} * {} = {new}", spelled(dx.name, k), dout[0, k], factor, dout[0, k] * factor)],
            [(dx, (0, k), dout[0, k] * factor)],
            [("d", dout, [(0, k)]), ("x", x, [(0, k)]), ("new", dx, [(0, k)])],
            landmark=k == x.width - 1,
        )


def _product_back(script, dout, x, w, dw, dx):
    line = LINEAR_BACK.line("return dout @ w.T")
    for k, o in np.ndindex(dw.height, dw.width):
        value = x[0, k] * dout[0, o]
        script.step(
            line,
            say("One image, so each weight receives one product: what it saw times the gradient."),
            [say("{} = {x} * {d} = {new}", spelled(dw.name, k, o), x[0, k], dout[0, o], value)],
            [(dw, (k, o), value)],
            [("x", x, [(0, k)]), ("d", dout, [(0, o)]), ("new", dw, [(k, o)])],
            landmark=o == dw.width - 1,
        )
    for k in range(dx.width):
        pairs = [(dout[0, o], w[k, o]) for o in range(dout.width)]
        value = sum(p * q for p, q in pairs)
        script.step(
            line,
            say("{} went into {} sums, and collects from all of them.", spelled(x.name, k), dout.width),
            [
                say(
                    "{} = " + " + ".join(["{d} * {w}"] * len(pairs)) + " = {new}",
                    spelled(dx.name, k),
                    *(v for pair in pairs for v in pair),
                    value,
                )
            ],
            [(dx, (0, k), value)],
            [
                ("d", dout, [(0, o) for o in range(dout.width)]),
                ("w", w, [(k, o) for o in range(dout.width)]),
                ("new", dx, [(0, k)]),
            ],
            landmark=k == dx.width - 1,
        )


# The scaled plane ----------------------------------------------------------------------------------------------


def _scale(script, a, shape):
    line = SCALE.line("return x * gate")
    H, W, C = shape
    for c in range(C):
        gate = a["gate"][0, c]
        for i, j in np.ndindex(H, W):
            p = i, j, c
            script.step(
                line,
                say("Every pixel of channel {} is scaled by the same gate.", c),
                [say("{} = {x} * {w} = {new}", spelled("out", *p), a["x"][p], gate, a["x"][p] * gate)],
                [(a["out"], p, a["x"][p] * gate)],
                [("x", a["x"], [p]), ("w", a["gate"], [(0, c)]), ("new", a["out"], [p])],
                landmark=(i, j) == (H - 1, W - 1),
            )


def _scale_back(script, a, shape):
    line = SCALE_BACK.line("return dout * gate[:, None, None], (dout * x).sum((1, 2))")
    H, W, C = shape
    for c in range(C):
        gate = a["gate"][0, c]
        for i, j in np.ndindex(H, W):
            p = i, j, c
            d, pixel, old = a["dout"][p], a["x"][p], a["dgate"][0, c]
            script.step(
                line,
                say(
                    "The product passes dout to both factors: to x, times the gate, and to the gate, times x, "
                    "summed over the plane that shared it."
                ),
                [
                    say("{} = {d} * {w} = {new}", spelled("dx", *p), d, gate, d * gate),
                    say("{} = {} + {d} * {x} = {new}", spelled("dgate", c), old, d, pixel, old + d * pixel),
                ],
                [(a["dx"], p, d * gate), (a["dgate"], (0, c), old + d * pixel)],
                [
                    ("d", a["dout"], [p]),
                    ("x", a["x"], [p]),
                    ("w", a["gate"], [(0, c)]),
                    ("new", a["dx"], [p]),
                    ("new", a["dgate"], [(0, c)]),
                ],
                landmark=(i, j) == (H - 1, W - 1),
            )


def _mean_back(script, a, shape):
    H, W, C = shape
    share_line, sum_line = MEAN_BACK.line("return np.broadcast_to"), SUM.line("return a + b, None")
    for c in range(C):
        share = a["ds"][0, c] / (H * W)
        cells = [(i, j, c) for i, j in np.ndindex(H, W)]
        script.step(
            share_line,
            say(
                "The second path, channel {}: the mean took 1/{} of each pixel, so each receives that share of ds.",
                c,
                H * W,
            ),
            [say("share = {d} / {} = {}", a["ds"][0, c], H * W, share)],
            (),
            [("d", a["ds"], [(0, c)]), ("scope", a["dx"], cells)],
            landmark=True,
        )
        for p in cells:
            old = a["dx"][p]
            words = say("x was used twice: as what is scaled, and through its mean. The two gradients add up.")
            script.step(
                sum_line,
                words,
                [say("{} = {} + {d} = {new}", spelled("dx", *p), old, share, old + share)],
                [(a["dx"], p, old + share)],
                [("d", a["ds"], [(0, c)]), ("new", a["dx"], [p])],
                landmark=p == cells[-1],
            )
    script.step(sum_line, say("dx is complete: the gradients of both paths together."), landmark=True)
