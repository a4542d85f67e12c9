"""CReLU: two phases of every response forward, one gradient for each backward."""

import numpy as np

from minighost import ops
from minighost.stepper.arrays import nonzero, size_words
from minighost.stepper.frames import Script, Source
from minighost.stepper.walk import plane
from minighost.stepper.words import say, spelled

__all__ = ["build", "crelu_script"]


def build(op, x, w, chosen, rng):
    """The only script, its index, and the shapes in words."""
    H, W, C = x.shape
    dout = nonzero(rng, H, W, 2 * C)
    return [crelu_script(x, dout)], 0, f"x {size_words(x)}: out {size_words(dout)}"


def crelu_script(x, dout):
    """The steps of CReLU, forward and backward.

    Parameters
    ----------
    x : ndarray, shape (H, W, C), float64
    dout : ndarray, shape (H, W, 2*C)
    """
    H, W, C = x.shape
    forward, backward = Source(ops.crelu_forward_reference), Source(ops.crelu_backward_reference)
    out, cache = ops.crelu_forward_reference(x[None])
    dx = ops.crelu_backward_reference(dout[None], cache)
    script = Script("CReLU")
    xs, outs = plane("x", "input", x), plane("out", "output", np.full(dout.shape, np.nan))
    douts, dxs = plane("dout", "gradient of out, given", dout), plane("dx", "gradient of x", np.full(x.shape, np.nan))
    for array in (outs, douts):
        array.titles = [f"channel {c}: {'+ phase' if c < C else '- phase'}" for c in range(2 * C)]

    script.phase("forward", "out", [xs, outs])
    line = forward.line("np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)]")
    for c in range(C):
        for i, j in np.ndindex(H, W):
            value = x[i, j, c]
            plus, minus = max(value, 0.0), max(-value, 0.0)
            script.step(
                line,
                say(
                    "Channel {} keeps what is positive in x; channel {} what is negative, with its sign flipped.",
                    c,
                    C + c,
                ),
                [
                    say("{} = max({x}, 0) = {new}", spelled("out", i, j, c), value, plus),
                    say("{} = max({x}, 0) = {new}", spelled("out", i, j, C + c), -value, minus),
                ],
                [(outs, (i, j, c), plus), (outs, (i, j, C + c), minus)],
                [("x", xs, [(i, j, c)]), ("new", outs, [(i, j, c), (i, j, C + c)])],
                landmark=j == W - 1,
            )
    script.step(line, say("out is complete. Nothing is lost: + phase minus - phase is x."), landmark=True)
    script.same(outs, out[0], "crelu_forward")

    script.phase("backward", "dx", [xs, douts, dxs])
    line = backward.line("return np.where(x <= 0, 0, dout[..., :C])")
    for c in range(C):
        for i, j in np.ndindex(H, W):
            value, up, down = x[i, j, c], dout[i, j, c], dout[i, j, C + c]
            new = up * (value > 0) - down * (value < 0)
            script.step(
                line,
                _which(value, c, C),
                [
                    say(
                        "{} = {d} * {x} - {d} * {x} = {new}",
                        spelled("dx", i, j, c),
                        up,
                        int(value > 0),
                        down,
                        int(value < 0),
                        new,
                    )
                ],
                [(dxs, (i, j, c), new)],
                [("x", xs, [(i, j, c)]), ("d", douts, [(i, j, c), (i, j, C + c)]), ("new", dxs, [(i, j, c)])],
                landmark=j == W - 1,
            )
    words = say("dx is complete: each x was active in one phase and takes the gradient of that phase.")
    script.step(line, words, landmark=True)
    script.same(dxs, dx[0], "crelu_backward")
    return script


def _which(value, c, C):
    if value > 0:
        return say("x is positive: only the + phase, channel {}, let it through, and only its gradient comes back.", c)
    if value < 0:
        words = "x is negative: the - phase, channel {}, let -x through, so its gradient comes back with a minus."
        return say(words, C + c)
    return say("x is 0: neither phase let anything through, and nothing comes back.")
