"""Convolution as one matrix product: im2col, the product, its two gradients, col2im.

`conv` shows the same numbers window by window; here you see the whole matrices: why pixels under several windows appear
in several rows, and why they receive a sum in the backward.
"""

import numpy as np

from minighost import ops
from minighost.engine.geometry import geometry
from minighost.stepper.arrays import draw_weights, nonzero, refuse_many, size_words, walk_words
from minighost.stepper.conv import SOURCES
from minighost.stepper.frames import Array, Script, Source
from minighost.stepper.walk import Walk, plane
from minighost.stepper.words import say, spelled

__all__ = ["build", "im2col_script"]

IM2COL, COL2IM = Source(ops.im2col_reference), Source(ops.col2im_reference)


def build(op, x, w, chosen, rng):
    """The only script, its index, and the shapes in words."""
    w = draw_weights(op, w, chosen, rng, 1)
    S, P, D = chosen["stride"], chosen["padding"], chosen["dilation"]
    g = geometry(op, x.shape[:2], w.shape[:2], S, P, D)
    R, K, OC = g.OH * g.OW, w[..., 0].size, w.shape[3]
    refuse_many(op, R * (K + OC + 2) + K * OC)
    dout = nonzero(rng, g.OH, g.OW, OC)
    shapes = f"x {size_words(x)}, kernel {g.KH}x{g.KW}, {walk_words(S, P, D)}: cols {R}x{K}, out {R}x{OC}"
    return [im2col_script(x, w, dout, S, P, D)], 0, shapes


def im2col_script(x, w, dout, stride=1, padding=0, dilation=1):
    """The steps of a convolution by im2col, forward and backward.

    Parameters
    ----------
    x : ndarray, shape (H, W, C), float64
    w : ndarray, shape (KH, KW, C, OC)
    dout : ndarray, shape (OH, OW, OC)
    stride, padding, dilation : int
    """
    options = {"kernel_size": w.shape[:2], "stride": stride, "padding": padding, "dilation": dilation}
    g = geometry("im2col", x.shape[:2], **options)
    walk = Walk(g, x.shape[:2], x.shape[2], w.shape[3], 1)
    script = Script("im2col")
    rows = [f"{i},{j}" for i, j in walk.positions()]
    taps = [f"{u},{v}" if walk.C == 1 else f"{u},{v},{c}" for u, v, c in np.ndindex(g.KH, g.KW, walk.C)]
    channels = [str(o) for o in range(walk.OC)]
    R, K, OC = len(rows), len(taps), walk.OC

    def matrix(name, note, values, down, along):
        return Array(name, note, np.reshape(values, (len(down), len(along)))[None], (0, 1, 2), rows=down, columns=along)

    xs = plane("x", "input" + (", padded" if padding else ""), x, (g.PH, g.PW))
    cols = matrix("cols", "one row per window, one column per tap", np.full((R, K), np.nan), rows, taps)
    ws = matrix("w", "the kernels as columns", w.reshape(K, OC), taps, channels)
    outs = matrix("out", "one row per position", np.full((R, OC), np.nan), rows, channels)
    douts = matrix("dout", "gradient of out, given", dout.reshape(R, OC), rows, channels)
    dws = matrix("dw", "gradient of w", np.full((K, OC), np.nan), taps, channels)
    dcols = matrix("dcols", "gradient of cols", np.full((R, K), np.nan), rows, taps)
    dxs = plane("dx", "gradient of x, padded" if padding else "gradient of x", np.zeros(x.shape), (g.PH, g.PW))

    script.phase("forward", "im2col", [xs, cols])
    _fill(script, walk, xs, cols)
    script.same(cols, ops.im2col_reference(x[None], **options), "im2col")
    script.phase("forward", "product", [cols, ws, outs])
    _product(script, cols, ws, outs)
    out, _ = ops.conv2d_forward_reference(x[None], w, None, stride, padding, dilation)
    script.same(outs, out.reshape(R, OC), "conv2d_forward")
    script.phase("backward", "dw", [cols, douts, dws])
    _weights(script, cols, douts, dws)
    dw = cols.values[0].T @ dout.reshape(R, OC)
    script.same(dws, dw, "pointwise_backward")
    script.phase("backward", "dcols", [douts, ws, dcols])
    _columns(script, douts, ws, dcols)
    script.phase("backward", "col2im", [dcols, dxs])
    _add_back(script, walk, dcols, dxs)
    dx = ops.col2im_reference(dcols.values[0], (1, *x.shape), **options)
    script.same(dxs, dx[0], "col2im")
    _, (_, _, *rest) = ops.conv2d_forward_reference(x[None], w, None, stride, padding, dilation)
    by_conv = ops.conv2d_backward_reference(dout[None], (x[None], w, *rest))
    script.same(dxs, by_conv[0][0], "conv2d_backward")
    script.same(dws, by_conv[1].reshape(K, OC), "conv2d_backward")
    return script


def _fill(script, walk, x, cols):
    line = IM2COL.line("cols[:, :, :, u, v] =")
    for r, (i, j) in enumerate(walk.positions()):
        taps, inside = walk.window(i, j)
        pixels = [(h, k, c) for _, _, h, k in taps for c in range(walk.C)]
        cells = [(0, r, n) for n in range(len(pixels))]
        outside = (len(taps) - len(inside)) * walk.C
        script.step(
            line,
            say(
                "Row {} is the window of position ({}, {}), read in the order (u, v, c); {} of its {} numbers "
                "come from the padding.",
                r,
                i,
                j,
                outside,
                len(pixels),
            ),
            (),
            [(cols, cell, x[p]) for cell, p in zip(cells, pixels, strict=True)],
            [("x", x, pixels), ("new", cols, cells)],
            landmark=True,
        )
    script.step(
        IM2COL.line("return cols.reshape"),
        say("cols is complete. A pixel that several windows share appears in several rows."),
        landmark=True,
    )


def _product(script, cols, w, out):
    line, (_, K), OC = SOURCES["pointwise_forward"].line("out = x @ w"), cols.values.shape[1:], w.values.shape[2]
    for r, o in np.ndindex(cols.values.shape[1], OC):
        a, b = cols.values[0, r], w.values[0, :, o]
        products = [v for pair in zip(a, b, strict=True) for v in pair]
        script.step(
            line,
            say("Row {} of cols times column {} of w: the convolution at that position.", r, o),
            [say("{} = " + " + ".join(["{x} * {w}"] * K) + " = {new}", spelled("out", r, o), *products, a @ b)],
            [(out, (0, r, o), a @ b)],
            [
                ("x", cols, [(0, r, n) for n in range(K)]),
                ("w", w, [(0, n, o) for n in range(K)]),
                ("new", out, [(0, r, o)]),
            ],
            landmark=o == OC - 1,
        )
    script.step(
        SOURCES["pointwise_forward"].line("return (out if b is None"),
        say("out is complete: reshaped to (OH, OW, OC) these are the numbers that conv2d_forward returns."),
        landmark=True,
    )


def _weights(script, cols, dout, dw):
    line, (R, _) = SOURCES["pointwise_backward"].line("return dout @ w.T"), cols.values.shape[1:]
    for n, o in np.ndindex(*dw.values.shape[1:]):
        a, b = cols.values[0, :, n], dout.values[0, :, o]
        products = [v for pair in zip(a, b, strict=True) for v in pair]
        script.step(
            line,
            say(
                "Column {} of cols times column {} of dout: every window adds what its tap saw, times the "
                "gradient there.",
                n,
                o,
            ),
            [say("{} = " + " + ".join(["{x} * {d}"] * R) + " = {new}", spelled("dw", n, o), *products, a @ b)],
            [(dw, (0, n, o), a @ b)],
            [
                ("x", cols, [(0, r, n) for r in range(R)]),
                ("d", dout, [(0, r, o) for r in range(R)]),
                ("new", dw, [(0, n, o)]),
            ],
            landmark=o == dw.width - 1,
        )
    script.step(line, say("dw = cols.T @ dout is complete: the numbers that conv2d_backward returns."), landmark=True)


def _columns(script, dout, w, dcols):
    line, OC = SOURCES["pointwise_backward"].line("return dout @ w.T"), w.width
    for r in range(dcols.height):
        d = dout.values[0, r]
        row, products = w.values[0] @ d, " + ".join(["{d} * {w}"] * OC)
        first = [v for pair in zip(d, w.values[0, 0], strict=True) for v in pair]
        cells = [(0, r, n) for n in range(dcols.width)]
        script.step(
            line,
            say("Row {} of dout times w transposed: what each number of that row of cols receives.", r),
            [say("{} = " + products + " = {new}", spelled("dcols", r, 0), *first, row[0])],
            [(dcols, cell, value) for cell, value in zip(cells, row, strict=True)],
            [
                ("d", dout, [(0, r, o) for o in range(OC)]),
                ("w", w, [(0, 0, o) for o in range(OC)]),
                ("new", dcols, cells),
            ],
            landmark=True,
        )
    script.step(line, say("dcols = dout @ w.T is complete. Now each number goes back to its pixel."), landmark=True)


def _add_back(script, walk, dcols, dx):
    line = COL2IM.line("+= cols[:, :, :, u, v]")
    H, W = walk.plane
    for r, (i, j) in enumerate(walk.positions()):
        taps, _ = walk.window(i, j)
        script.scope(
            ("scope", dcols, [(0, r, n) for n in range(dcols.width)]),
            ("scope", dx, [(h, k, c) for _, _, h, k in taps for c in range(walk.C)]),
        )
        for n, ((u, v, h, k), c) in enumerate((tap, c) for tap in taps for c in range(walk.C)):
            old, more = dx[h, k, c], dcols.values[0, r, n]
            where = "pixel" if 0 <= h < H and 0 <= k < W else "padding, at"
            words = f"Row {{}}, tap ({{}}, {{}}) lands on {where} ({{}}, {{}}): it is added to what is already there."
            script.step(
                line,
                say(words, r, u, v, h, k),
                [say("{} = {} + {d} = {new}", spelled("dx", h, k, c), old, more, old + more)],
                [(dx, (h, k, c), old + more)],
                [("d", dcols, [(0, r, n)]), ("new", dx, [(h, k, c)])],
                landmark=n == dcols.width - 1,
            )
    script.scope()
    script.step(
        COL2IM.line("return padded[:, PH"),
        say("What landed on the padding is dropped; the rest is dx, the numbers that conv2d_backward returns."),
        landmark=True,
    )
