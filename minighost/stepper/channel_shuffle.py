"""Channel shuffle: where every channel goes, and that its gradient takes the same way back."""

import numpy as np

from minighost import ops
from minighost.stepper.arrays import nonzero, size_words
from minighost.stepper.frames import Script, Source
from minighost.stepper.walk import plane
from minighost.stepper.words import say, spelled

__all__ = ["build", "channel_shuffle_script"]


def build(op, x, w, chosen, rng):
    """A script for each possible number of groups, the index of the one shown first, and the shapes in words."""
    C, groups = chosen["channels"], chosen["groups"]
    choices = [G for G in range(1, C + 1) if C % G == 0]
    if groups not in choices:
        raise ValueError(
            f"step {op}: groups={groups} must divide channels={C} ({C} % {groups} = {C % groups}); "
            f"groups can be {', '.join(map(str, choices))}"
        )
    dout = nonzero(rng, *x.shape)
    scripts = [channel_shuffle_script(x, dout, G) for G in choices]
    return scripts, choices.index(groups), f"x {size_words(x)}: out {size_words(x)}"


def channel_shuffle_script(x, dout, groups):
    """The steps of a channel shuffle, forward and backward.

    Parameters
    ----------
    x, dout : ndarray, shape (H, W, C), float64
    groups : int
        G; divides C.
    """
    C, G = x.shape[2], groups
    forward, backward = Source(ops.channel_shuffle_forward_reference), Source(ops.channel_shuffle_backward_reference)
    out, cache = ops.channel_shuffle_forward_reference(x[None], G)
    dx = ops.channel_shuffle_backward_reference(dout[None], cache)
    script = Script(f"{G} groups" if G > 1 else "1 group", groups=G)
    xs, outs = plane("x", "input", x), plane("out", "output", np.full(x.shape, np.nan))
    douts, dxs = plane("dout", "gradient of out, given", dout), plane("dx", "gradient of x", np.full(x.shape, np.nan))
    per_group = C // G
    for array in (xs, dxs):
        array.titles = [f"channel {k}: group {k // per_group}" for k in range(C)]
    for array in (outs, douts):
        array.titles = [f"channel {k}: from group {k % G}" for k in range(C)]

    script.phase("forward", "out", [xs, outs])
    line = forward.line("return table.swapaxes(-1, -2)")
    for c, g in np.ndindex(per_group, G):
        old, new = g * per_group + c, c * G + g
        words = say("Channel {}, number {} of group {}, becomes channel {}.", old, c, g, new)
        place = say("c*G + g = {}*{} + {} = {}", c, G, g, new)
        _move(script, line, words, place, (xs, old), (outs, new))
    script.step(line, say("out is complete: one channel of each group in turn."), landmark=True)
    script.same(outs, out[0], "channel_shuffle_forward")

    script.phase("backward", "dx", [douts, dxs])
    line = backward.line("return table.swapaxes(-1, -2)")
    for g, c in np.ndindex(G, per_group):
        old, new = g * per_group + c, c * G + g
        words = say("Channel {} became channel {}, so the gradient of that one is its own.", old, new)
        place = say("g*(C/G) + c = {}*{} + {} = {}", g, per_group, c, old)
        _move(script, line, words, place, (douts, new), (dxs, old))
    script.step(line, say("dx is complete: the same permutation, backwards."), landmark=True)
    script.same(dxs, dx[0], "channel_shuffle_backward")
    return script


def _move(script, line, words, place, source, target):
    """Copy one channel, pixel by pixel."""
    (a, old), (b, new) = source, target
    role = "x" if a.name == "x" else "d"
    for i, j in np.ndindex(a.height, a.width):
        value = a[i, j, old]
        script.step(
            line,
            words,
            [place, say(f"{{}} = {{}} = {{{role}}}", spelled(b.name, i, j, new), spelled(a.name, i, j, old), value)],
            [(b, (i, j, new), value)],
            [(role, a, [(i, j, old)]), ("new", b, [(i, j, new)])],
            landmark=(i, j) == (a.height - 1, a.width - 1),
        )
