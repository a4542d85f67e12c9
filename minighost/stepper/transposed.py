"""Transposed convolution: a convolution's backward, run as a forward (Dumoulin & Visin 2016, "A guide to convolution
arithmetic", §4).

Every pixel of the small plane is multiplied by the kernel and added into the large one; where the kernel's copies
overlap, they add up. Its own backward then gathers: it is the convolution again. Weights are those of
`ops.conv_transpose2d_forward`, (KH, KW, large side's channels, small side's channels).
"""

import numpy as np

from minighost import ops
from minighost.engine.geometry import geometry
from minighost.stepper.arrays import nonzero, refuse_many, size_words, walk_words
from minighost.stepper.choices import OPTIONS
from minighost.stepper.conv import reference_lines
from minighost.stepper.frames import Script
from minighost.stepper.sweep import gather, kernel_gradient, scatter
from minighost.stepper.walk import Walk, kernels, plane, row

__all__ = ["build", "large_size", "transposed_script"]


def large_size(size, kernel, stride, padding, dilation):
    """``(size - 1)*stride - 2*padding + dilation*(kernel - 1) + 1``: the smallest plane that has `size` windows."""
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1


def build(op, x, w, chosen, rng):
    """The only script, its index, and the shapes in words."""
    C, OC = chosen["channels"], chosen["out_channels"]
    S, P, D = chosen["stride"], chosen["padding"], chosen["dilation"]
    if w is None:
        w = nonzero(rng, chosen["kernel"], chosen["kernel"], OC, C)
    w = w[:, :, None, None] if w.ndim == 2 else w
    sides, most = OPTIONS["kernel"].high, OPTIONS["out_channels"].high
    if w.ndim != 4 or w.shape[3] != C or max(w.shape[:2]) > sides or w.shape[2] > most:
        raise ValueError(
            f"step transposed: w must have shape (KH, KW, OC, C) = (KH, KW, OC, {C}), with KH and KW at most "
            f"{sides} and OC at most {most}; got {w.shape}"
        )
    size = [large_size(n, k, S, P, D) for n, k in zip(x.shape[:2], w.shape[:2], strict=True)]
    if min(size) < 1:
        raise ValueError(f"step transposed: padding {P} leaves an output of {size[0]}x{size[1]}; reduce it")
    refuse_many(op, 3 * x.size * (w.shape[0] * w.shape[1] + 2))
    dout = nonzero(rng, *size, w.shape[2])
    shapes = f"x {size_words(x)}, kernel {w.shape[0]}x{w.shape[1]}, {walk_words(S, P, D)}: out {size_words(dout)}"
    return [transposed_script(x, w, dout, S, P, D)], 0, shapes


def transposed_script(x, w, dout, stride=1, padding=0, dilation=1):
    """The steps of a transposed convolution, forward and backward.

    Parameters
    ----------
    x : ndarray, shape (H, W, C), float64
    w : ndarray, shape (KH, KW, OC, C)
        Read as a convolution from OC to C channels, which is the one that is transposed.
    dout : ndarray, shape (OH, OW, OC)
        OH, OW as `large_size` gives them.
    stride, padding, dilation : int
    """
    out, cache = ops.conv_transpose2d_forward_reference(x[None], w, None, stride, padding, dilation=dilation)
    dx, dw, _ = ops.conv_transpose2d_backward_reference(dout[None], cache)

    g = geometry("transposed", dout.shape[:2], w.shape[:2], stride, padding, dilation)
    walk = Walk(g, dout.shape[:2], w.shape[2], w.shape[3], 1)
    script = Script("transposed")
    lines, border = reference_lines("conv_transpose2d"), (g.PH, g.PW)
    xs, ws = plane("x", "input, the small plane", x), kernels("w", "kernels, channel of out \u2192 channel of x", w, 1)
    outs = plane("out", "output, the large plane", np.zeros(dout.shape))
    strip = row("row", "the kernel, and what is scattered", walk, ("w", "w*x"))
    script.phase("forward", "out", [xs, outs, ws, strip])
    scatter(script, lines["forward"], walk, xs, ws, strip, outs, role="x")
    script.same(outs, out[0], "conv_transpose2d_forward")

    padded = "gradient of out, given" + (", padded" if any(border) else "")
    douts, dxs = plane("dout", padded, dout, border), plane("dx", "gradient of x", np.zeros(x.shape))
    strip = row("row", "of im2col, the kernel, their products", walk, ("dout", "w", "dout*w"))
    script.phase("backward", "dx", [douts, dxs, ws, strip])
    gather(script, lines["dx"], walk, douts, ws, strip, dxs, role="d")
    script.same(dxs, dx[0], "conv_transpose2d_backward")

    strip = row("row", "of im2col, and what each weight receives", walk, ("dout", "dout*x"))
    dws = kernels("dw", "gradient of w", np.zeros(w.shape), 1)
    script.phase("backward", "dw", [douts, xs, dws, strip])
    kernel_gradient(script, lines["dw"], walk, douts, xs, strip, dws, roles=("d", "x"))
    script.same(dws, dw, "conv_transpose2d_backward")
    return script
