"""Convolution with any number of groups: dense, grouped, depthwise, pointwise, dilated.

One dense set of kernels is drawn (or given), and each number of groups keeps the blocks on its diagonal: these
weights stay where they are, and the others disappear. So a page can hold all numbers of groups at once.
"""

import numpy as np

from minighost import ops
from minighost.stepper.frames import Script, Source
from minighost.stepper.sweep import gather, kernel_gradient, scatter
from minighost.stepper.walk import Lines, Walk, kernels, plane, row

__all__ = ["blocks", "conv_script", "kind_of", "reference_lines"]


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
        f"G = {groups}", groups=groups, kind=kind_of(walk.C, walk.OC, groups), parameters=int(w.size),
        macs=int(w.size) * g.OH * g.OW,
    )  # fmt: skip
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
    for twin in ("conv2d", "depthwise", "pointwise")
    for way in ("forward", "backward")
}

WORDS = {
    "conv2d": {
        "visit": "for i, j, u, v, h, k in _visits", "forward": "out[:, i, j, outs] +=",
        "back": "for i, j, u, v, h, k in _visits", "dx": "dx[:, h, k, ins] +=", "dw": "dw[u, v, :, outs] +=",
        "over": "return dx, dw",
    },
    "depthwise": {
        "visit": "for u, v in np.ndindex(g.KH, g.KW)", "forward": "out[:, i, j] +=",
        "back": "for u, v in np.ndindex(g.KH, g.KW)", "dx": "dx[:, h, k] +=", "dw": "dw[u, v] = np.einsum",
        "over": "return dx, dw",
    },
    "pointwise": {
        "visit": "out = x @ w", "forward": "out = x @ w", "back": "rows, drows =", "dx": "return dout @ w.T",
        "dw": "return dout @ w.T", "over": "return dout @ w.T",
    },
}  # fmt: skip
