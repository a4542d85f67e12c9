"""The depthwise separable convolution: every channel by itself, then every pixel by itself."""

import numpy as np

from minighost import ops
from minighost.engine.geometry import geometry
from minighost.stepper.arrays import nonzero, refuse_many, size_words, walk_words
from minighost.stepper.conv import reference_lines
from minighost.stepper.frames import Script
from minighost.stepper.sweep import gather, kernel_gradient, scatter
from minighost.stepper.walk import Walk, kernels, plane, row

__all__ = ["build", "separable_script"]


def build(op, x, w, chosen, rng):
    """The only script, its index, and the shapes in words."""
    C, OC, K = x.shape[2], chosen["out_channels"], chosen["kernel"]
    stride, padding = chosen["stride"], chosen["padding"]
    g = geometry(op, x.shape[:2], (K, K), stride, padding, 1)
    refuse_many(op, 3 * g.OH * g.OW * (C * (K * K + 2) + 3 * OC))
    w, p, dout = nonzero(rng, K, K, 1, C), nonzero(rng, 1, 1, C, OC), nonzero(rng, g.OH, g.OW, OC)
    script = separable_script(x, w, p, dout, stride, padding)
    weights = f"{w.size} + {p.size} weights where a dense convolution has {w.size * OC}"
    return [script], 0, f"x {size_words(x)}, kernel {K}x{K}, {walk_words(stride, padding, 1)}: {weights}"


def separable_script(x, w, p, dout, stride=1, padding=0):
    """The steps of ``out = pointwise(depthwise(x, w), p)``, forward and backward.

    Parameters
    ----------
    x : ndarray, shape (H, W, C), float64
    w : ndarray, shape (KH, KW, 1, C)
        One kernel for each channel.
    p : ndarray, shape (1, 1, C, OC)
    dout : ndarray, shape (OH, OW, OC)
    stride, padding : int
        Of the depthwise convolution.
    """
    C, OC = p.shape[2:]
    y, first = ops.conv2d_forward_reference(x[None], w, None, stride, padding, 1, C)
    out, second = ops.conv2d_forward_reference(y, p)
    dy, dp, _ = ops.conv2d_backward_reference(dout[None], second)
    dx, dw, _ = ops.conv2d_backward_reference(dy, first)
    g, size = first[3], y.shape[1:3]
    spatial = Walk(g, x.shape[:2], C, C, C)
    mixing = Walk(geometry("separable", size, 1, 1, 0), size, C, OC, 1)
    depthwise, pointwise = reference_lines("depthwise"), reference_lines("pointwise")
    script, zeros = Script("separable convolution"), np.zeros

    xs, ws = plane("x", "input", x, (g.PH, g.PW)), kernels("w", "one kernel for each channel", w, C)
    ys, outs = plane("y", "every channel filtered by itself", zeros(y.shape[1:])), plane("out", "output", 0 * dout)
    ps = kernels("p", "1x1 kernels, channel \u2192 output channel", p, 1)
    strip = row("row", "of one channel, its kernel, their products", spatial, ("x", "w", "x*w"))
    script.phase("forward", "y", [xs, ys, ws, strip])
    gather(script, depthwise["forward"], spatial, xs, ws, strip, ys)
    script.same(ys, y[0], "depthwise_forward")
    strip = row("row", "the pixel, the kernel, their products", mixing, ("y", "p", "y*p"))
    script.phase("forward", "out", [ys, outs, ps, strip])
    gather(script, pointwise["forward"], mixing, ys, ps, strip, outs)
    script.same(outs, out[0], "pointwise_forward")

    douts, dys = plane("dout", "gradient of out, given", dout), plane("dy", "gradient of y", zeros(y.shape[1:]))
    dps = kernels("dp", "gradient of p", zeros(p.shape), 1)
    strip = row("row", "the kernel, and what it sends back", mixing, ("p", "p*dout"))
    script.phase("backward", "dy", [douts, dys, ps, strip])
    scatter(script, pointwise["dx"], mixing, douts, ps, strip, dys)
    strip = row("row", "the pixel, and what each weight receives", mixing, ("y", "y*dout"))
    script.phase("backward", "dp", [ys, douts, dps, strip])
    kernel_gradient(script, pointwise["dw"], mixing, ys, douts, strip, dps)
    dxs, dws = plane("dx", "gradient of x", zeros(x.shape)), kernels("dw", "gradient of w", zeros(w.shape), C)
    strip = row("row", "the kernel, and what it sends back", spatial, ("w", "w*dy"))
    script.phase("backward", "dx", [dys, dxs, ws, strip])
    scatter(script, depthwise["dx"], spatial, dys, ws, strip, dxs)
    strip = row("row", "of one channel, and what each weight receives", spatial, ("x", "x*dy"))
    script.phase("backward", "dw", [xs, dys, dws, strip])
    kernel_gradient(script, depthwise["dw"], spatial, xs, dys, strip, dws)
    spread = kernels("dw", "", dw, C).values
    for array, want in ((dys, dy[0]), (dps, dp), (dxs, dx[0]), (dws, spread)):
        script.same(array, want, "the reference twins' chain")
    return script
