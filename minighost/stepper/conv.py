"""Convolution with any number of groups: dense, grouped, depthwise, pointwise, dilated.

One dense set of kernels is drawn (or given), and each number of groups keeps the blocks on its diagonal: these
weights stay where they are, and the others disappear. So a page can hold all numbers of groups at once.
"""

import numpy as np

from minighost import ops
from minighost.engine.geometry import geometry
from minighost.stepper.arrays import draw_weights, nonzero, refuse_many, size_words, walk_words
from minighost.stepper.frames import Script, Source
from minighost.stepper.sweep import gather, kernel_gradient, scatter
from minighost.stepper.walk import Lines, Walk, kernels, plane, row

__all__ = ["blocks", "build", "conv_script", "kind_of", "reference_lines"]


def blocks(w, groups, of_groups=1):
    """The kernels (KH, KW, C/groups, OC) that `groups` keeps of kernels (KH, KW, C/of_groups, OC)."""
    KH, KW, per_group, OC = w.shape
    kept = per_group * of_groups // groups
    out = np.empty((KH, KW, kept, OC), w.dtype)
    for o in range(OC):
        first = o // (OC // groups) * kept % per_group  # where this group's channels begin in the wider block
        out[:, :, :, o] = w[:, :, first : first + kept, o]
    return out


def kind_of(C, OC, groups):
    """What a convolution with this number of groups is called."""
    if groups == 1:
        return "dense" if C * OC > 1 else "one channel"
    return "depthwise" if groups == C else "grouped"


def build(op, x, w, chosen, rng):
    """A script for each possible number of groups, the index of the one shown first, and the shapes in words."""
    C, OC = chosen["channels"], chosen["out_channels"] or chosen["channels"]
    OC = OC if w is None else w.shape[-1] if w.ndim == 4 else 1
    stride, padding, dilation = chosen.get("stride", 1), chosen.get("padding", 0), chosen.get("dilation", 1)
    if op == "pointwise":
        chosen["kernel"] = 1
    groups = C if op == "depthwise" else chosen.get("groups", 1)
    choices = [G for G in range(1, C + 1) if C % G == 0 and OC % G == 0]
    if groups not in choices:
        name, n = ("channels", C) if C % groups else ("out_channels", OC)
        raise ValueError(
            f"step {op}: groups={groups} must divide {name}={n} ({n} % {groups} = {n % groups}); "
            f"groups can be {', '.join(map(str, choices))}"
        )
    fewest = 1 if w is None else groups  # a dense set of kernels holds those of all groups; a grouped file does not
    w = draw_weights(op, w, chosen, rng, fewest)
    if op in ("pointwise", "dilated"):
        choices = [1]
    choices = [G for G in choices if G % fewest == 0]
    g = geometry(op, x.shape[:2], w.shape[:2], stride, padding, dilation)
    refuse_many(op, 3 * len(choices) * g.OH * g.OW * OC * (g.KH * g.KW + 2))
    dout = nonzero(rng, g.OH, g.OW, OC)
    scripts = []
    for G in choices:
        twin = {"depthwise": "depthwise" if G == C else "conv2d", "pointwise": "pointwise"}.get(op, "conv2d")
        scripts.append(conv_script(x, blocks(w, G, fewest), dout, stride, padding, dilation, G, twin))
    shapes = f"x {size_words(x)}, kernel {g.KH}x{g.KW}, {walk_words(stride, padding, dilation)}: out {size_words(dout)}"
    return scripts, choices.index(groups), shapes


def conv_script(x, w, dout, stride=1, padding=0, dilation=1, groups=1, twin="conv2d"):
    """The steps of one convolution, forward and backward.

    Parameters
    ----------
    x : ndarray, shape (H, W, C), float64
    w : ndarray, shape (KH, KW, C/groups, OC)
    dout : ndarray, shape (OH, OW, OC)
        The gradient that comes in.
    stride, padding, dilation, groups : int
    twin : str
        Whose lines are shown: "conv2d", "depthwise" or "pointwise".

    Returns
    -------
    Script
        With the facts ``groups``, ``kind``, ``parameters`` and ``macs``.
    """
    out, cache = ops.conv2d_forward_reference(x[None], w, None, stride, padding, dilation, groups)
    dx, dw, _ = ops.conv2d_backward_reference(dout[None], cache)
    g = cache[3]
    walk = Walk(g, x.shape[:2], x.shape[2], w.shape[3], groups)
    script = Script(
        f"G = {groups}",
        groups=groups,
        kind=kind_of(walk.C, walk.OC, groups),
        parameters=int(w.size),
        macs=int(w.size) * g.OH * g.OW,
    )
    border = g.PH, g.PW
    padded = "input, padded" if any(border) else "input"
    xs, ws = plane("x", padded, x, border), kernels("w", "kernels, input channel \u2192 output channel", w, groups)
    outs, douts = plane("out", "output", np.zeros(out.shape[1:])), plane("dout", "gradient of out, given", dout)
    dxs = plane("dx", "gradient of x", np.zeros(x.shape))
    dws = kernels("dw", "gradient of w", np.zeros(w.shape), groups)
    lines = reference_lines(twin)

    strip = row("row", "of im2col, the kernel, their products", walk, ("x", "w", "x*w"))
    script.phase("forward", "out", [xs, outs, ws, strip])
    gather(script, lines["forward"], walk, xs, ws, strip, outs)
    script.same(outs, out[0], f"{twin}_forward")

    strip = row("row", "the kernel, and what it sends back", walk, ("w", "w*dout"))
    script.phase("backward", "dx", [douts, dxs, ws, strip])
    scatter(script, lines["dx"], walk, douts, ws, strip, dxs)
    script.same(dxs, dx[0], f"{twin}_backward")

    strip = row("row", "of im2col, and what each weight receives", walk, ("x", "x*dout"))
    script.phase("backward", "dw", [xs, douts, dws, strip])
    kernel_gradient(script, lines["dw"], walk, xs, douts, strip, dws)
    script.same(dws, _spread(dw, groups), f"{twin}_backward")
    return script


def _spread(dw, groups):
    """dw in the layout of the page's table of kernels: (KH, KW, C, OC), NaN where there is no weight."""
    return kernels("dw", "", dw, groups).values


def reference_lines(twin):
    """Per phase the lines of a reference twin."""
    forward = SOURCES[f"{twin}_forward"]
    backward = SOURCES[f"{twin}_backward"]
    words = WORDS[twin]
    done, over = forward.line("return (out if b is None"), backward.line(words["over"])
    visit, back = forward.line(words["visit"]), backward.line(words["back"])
    return {
        "forward": Lines(visit, forward.line(words["forward"]), done),
        "dx": Lines(back, backward.line(words["dx"]), over),
        "dw": Lines(back, backward.line(words["dw"]), over),
    }


SOURCES = {
    f"{twin}_{way}": Source(getattr(ops, f"{twin}_{way}_reference"))
    for twin in ("conv2d", "conv_transpose2d", "depthwise", "pointwise")
    for way in ("forward", "backward")
}

WORDS = {
    "conv2d": {
        "visit": "for i, j, u, v, h, k in _visits",
        "forward": "out[:, i, j, outs] +=",
        "back": "for i, j, u, v, h, k in _visits",
        "dx": "dx[:, h, k, ins] +=",
        "dw": "dw[u, v, :, outs] +=",
        "over": "return dx, dw",
    },
    "conv_transpose2d": {
        "visit": "for u, v in np.ndindex(g.KH, g.KW)",
        "forward": "out[:, rows, columns, outs] +=",
        "back": "for u, v in np.ndindex(g.KH, g.KW)",
        "dx": "dx[:, i, j, ins] +=",
        "dw": "dw[u, v, :, ins] =",
        "over": "return dx, dw",
    },
    "depthwise": {
        "visit": "for u, v in np.ndindex(g.KH, g.KW)",
        "forward": "out[:, i, j] +=",
        "back": "for u, v in np.ndindex(g.KH, g.KW)",
        "dx": "dx[:, h, k] +=",
        "dw": "dw[u, v] = np.einsum",
        "over": "return dx, dw",
    },
    "pointwise": {
        "visit": "out = x @ w",
        "forward": "out = x @ w",
        "back": "rows, drows =",
        "dx": "return dout @ w.T",
        "dw": "return dout @ w.T",
        "over": "return dout @ w.T",
    },
}
