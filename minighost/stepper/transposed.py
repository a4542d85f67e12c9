"""Transposed convolution: a convolution's backward, run as a forward (Dumoulin & Visin 2016, "A guide to convolution
arithmetic", §4).

Every pixel of the small plane is multiplied by the kernel and added into the large one; where the kernel's copies
overlap, they add up. Its own backward then gathers: it is the convolution again. Weights keep the convolution's layout
(KH, KW, large side's channels, small side's channels).
"""

import numpy as np

from minighost import ops
from minighost.engine.geometry import geometry
from minighost.stepper.conv import reference_lines
from minighost.stepper.frames import Script
from minighost.stepper.sweep import gather, kernel_gradient, scatter
from minighost.stepper.walk import Walk, kernels, plane, row

__all__ = ["large_size", "transposed_script"]


def large_size(size, kernel, stride, padding, dilation):
    """``(size - 1)*stride - 2*padding + dilation*(kernel - 1) + 1``: the smallest plane that has `size` windows."""
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1


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
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    _, cache = ops.conv2d_forward_reference(np.zeros((1, *dout.shape)), w, None, **options)
    out, _, _ = ops.conv2d_backward_reference(x[None], cache)
    dx, cache = ops.conv2d_forward_reference(dout[None], w, None, **options)
    _, dw, _ = ops.conv2d_backward_reference(x[None], cache)

    g = geometry("transposed", dout.shape[:2], w.shape[:2], **options)
    walk = Walk(g, dout.shape[:2], w.shape[2], w.shape[3], 1)
    script = Script("transposed")
    lines, border = reference_lines("conv2d"), (g.PH, g.PW)
    xs, ws = plane("x", "input, the small plane", x), kernels("w", "kernels, channel of out \u2192 channel of x", w, 1)
    outs = plane("out", "output, the large plane", np.zeros(dout.shape))
    strip = row("row", "the kernel, and what is scattered", walk, ("w", "w*x"))
    script.phase("forward", "out", [xs, outs, ws, strip])
    scatter(script, lines["dx"], walk, xs, ws, strip, outs, role="x")
    script.same(outs, out[0], "conv2d_backward")

    padded = "gradient of out, given" + (", padded" if any(border) else "")
    douts, dxs = plane("dout", padded, dout, border), plane("dx", "gradient of x", np.zeros(x.shape))
    strip = row("row", "of im2col, the kernel, their products", walk, ("dout", "w", "dout*w"))
    script.phase("backward", "dx", [douts, dxs, ws, strip])
    gather(script, lines["forward"], walk, douts, ws, strip, dxs, role="d")
    script.same(dxs, dx[0], "conv2d_forward")

    strip = row("row", "of im2col, and what each weight receives", walk, ("dout", "dout*x"))
    dws = kernels("dw", "gradient of w", np.zeros(w.shape), 1)
    script.phase("backward", "dw", [douts, xs, dws, strip])
    kernel_gradient(script, lines["dw"], walk, douts, xs, strip, dws, roles=("d", "x"))
    script.same(dws, dw, "conv2d_backward")
    return script
