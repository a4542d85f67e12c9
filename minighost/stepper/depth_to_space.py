"""Depth to space: which channel becomes which pixel of a block, and that the gradient takes the same way back."""

import numpy as np

from minighost import ops
from minighost.stepper.arrays import nonzero, size_words
from minighost.stepper.frames import Script, Source
from minighost.stepper.walk import plane
from minighost.stepper.words import say, spelled

__all__ = ["build", "depth_to_space_script"]


def build(op, x, w, chosen, rng):
    """The only script, its index, and the shapes in words."""
    (H, W, C), S = x.shape, chosen["block"]
    if C % S**2:
        raise ValueError(
            f"step {op}: block={S} must divide channels={C} into {S * S} parts ({C} % {S * S} = {C % S**2})"
        )
    dout = nonzero(rng, H * S, W * S, C // S**2)
    return [depth_to_space_script(x, dout, S)], 0, f"x {size_words(x)}, block {S}x{S}: out {size_words(dout)}"


def depth_to_space_script(x, dout, block):
    """The steps of depth to space in the order DCR, forward and backward; beside it the channel that CRD would take.

    Parameters
    ----------
    x : ndarray, shape (H, W, block*block*OC), float64
    dout : ndarray, shape (H*block, W*block, OC)
    block : int
    """
    S, OC = block, dout.shape[2]
    forward, backward = Source(ops.depth_to_space_forward_reference), Source(ops.depth_to_space_backward_reference)
    out, cache = ops.depth_to_space_forward_reference(x[None], S)
    dx = ops.depth_to_space_backward_reference(dout[None], cache)
    script = Script("depth to space")
    xs, outs = plane("x", "input", x), plane("out", "output", np.full(dout.shape, np.nan))
    douts, dxs = plane("dout", "gradient of out, given", dout), plane("dx", "gradient of x", np.full(x.shape, np.nan))
    for array in (xs, dxs):
        array.titles = [f"channel {k}: row {k // OC // S}, column {k // OC % S} of a block" for k in range(x.shape[2])]

    script.phase("forward", "out", [xs, outs])
    line = forward.line("transpose(0, 1, 3, 2, 4, 5)")
    for c, i, j in np.ndindex(OC, *dout.shape[:2]):
        (h, u), (k, v) = divmod(i, S), divmod(j, S)
        depth, value = (u * S + v) * OC + c, x[h, k, (u * S + v) * OC + c]
        script.step(
            line,
            say("Row {}, column {} of the block that pixel ({}, {}) becomes.", u, v, h, k),
            [
                say("(u*S + v)*OC + c = ({}*{} + {})*{} + {} = {}", u, S, v, OC, c, depth),
                say("{} = {} = {x}", spelled("out", i, j, c), spelled("x", h, k, depth), value),
                say("in the order CRD: channel (c*S + u)*S + v = {}", (c * S + u) * S + v),
            ],
            [(outs, (i, j, c), value)],
            [("x", xs, [(h, k, depth)]), ("new", outs, [(i, j, c)])],
            landmark=j == dout.shape[1] - 1,
        )
    script.step(line, say("out is complete: every number of x is there once."), landmark=True)
    script.same(outs, out[0], "depth_to_space_forward")

    script.phase("backward", "dx", [douts, dxs])
    line = backward.line("return space_to_depth_forward_reference")
    for depth, h, k in np.ndindex(x.shape[2], *x.shape[:2]):
        (place, c), u, v = divmod(depth, OC), depth // OC // S, depth // OC % S
        i, j = h * S + u, k * S + v
        script.step(
            line,
            say("Channel {} went to row {}, column {} of each block, and its gradient comes from there.", depth, u, v),
            [
                say("k // OC = {}, so u = {}, v = {}, c = {}", place, u, v, c),
                say("{} = {} = {d}", spelled("dx", h, k, depth), spelled("dout", i, j, c), dout[i, j, c]),
            ],
            [(dxs, (h, k, depth), dout[i, j, c])],
            [("d", douts, [(i, j, c)]), ("new", dxs, [(h, k, depth)])],
            landmark=(h, k) == (x.shape[0] - 1, x.shape[1] - 1),
        )
    script.step(line, say("dx is complete: space to depth, the inverse, is also the gradient."), landmark=True)
    script.same(dxs, dx[0], "depth_to_space_backward")
    return script
