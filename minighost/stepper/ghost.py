"""The ghost module: few intrinsic maps, a cheap ghost of each, and a gradient that comes back twice.

Batch norm and ReLU, which follow both convolutions in `nn.GhostModule`, are left out; `batchnorm` shows them. What is
left is the module's idea: half of the output is an ordinary convolution, half a depthwise convolution of that half.
"""

import numpy as np

from minighost import ops
from minighost.engine.geometry import geometry
from minighost.stepper.arrays import draw_weights, nonzero, refuse_many, size_words
from minighost.stepper.choices import OPTIONS
from minighost.stepper.conv import reference_lines
from minighost.stepper.frames import Script, Source
from minighost.stepper.sweep import gather, kernel_gradient, scatter
from minighost.stepper.walk import Walk, kernels, plane, row
from minighost.stepper.words import say, spelled

__all__ = ["build", "ghost_script"]

JOIN, SPLIT = Source(ops.concat_forward_reference), Source(ops.concat_backward_reference)
SUM = Source(ops.add_forward_reference)


def build(op, x, w, chosen, rng):
    """The only script, its index, and the shapes in words."""
    n = chosen["out_channels"]
    if w is None and n % 2:
        raise ValueError(f"step ghost: --out-channels {n} must be even: half of the maps are ghosts")
    chosen = {**chosen, "out_channels": n // 2}
    w = draw_weights(op, w, chosen, rng, 1)
    if w.shape[0] % 2 == 0 or w.shape[1] % 2 == 0:
        raise ValueError(f"step ghost: the kernel is {w.shape[0]}x{w.shape[1]}; its sides must be odd to keep the size")
    m = w.shape[3]
    if 2 * m > OPTIONS["out_channels"].high:
        most = OPTIONS["out_channels"].high
        raise ValueError(f"step ghost: w makes {m} maps and {m} ghosts; together they may be at most {most}")
    refuse_many(op, 3 * x.shape[0] * x.shape[1] * m * (w.shape[0] * w.shape[1] + 9 + 4))
    dout = nonzero(rng, *x.shape[:2], 2 * m)
    script = ghost_script(x, w, nonzero(rng, 3, 3, 1, m), dout)
    kernel = f"{w.shape[0]}x{w.shape[1]}"
    return [script], 0, f"x {size_words(x)}, primary kernel {kernel}, cheap 3x3: {m} maps and {m} ghosts"


def ghost_script(x, w, cheap, dout):
    """The steps of a ghost module with ratio 2, forward and backward.

    Parameters
    ----------
    x : ndarray, shape (H, W, C), float64
    w : ndarray, shape (KH, KW, C, m)
        Of the primary convolution, padded to keep the size; KH, KW odd.
    cheap : ndarray, shape (3, 3, 1, m)
    dout : ndarray, shape (H, W, 2*m)
    """
    (H, W, C), m = x.shape, w.shape[3]
    P = w.shape[0] // 2, w.shape[1] // 2
    want = _whole(x, w, cheap, dout, P)
    first = Walk(geometry("ghost", (H, W), w.shape[:2], 1, P), (H, W), C, m, 1)
    second = Walk(geometry("ghost", (H, W), cheap.shape[:2], 1, 1), (H, W), m, m, m)
    dense, depthwise = reference_lines("pointwise" if P == (0, 0) else "conv2d"), reference_lines("depthwise")
    script, zeros = Script("ghost module"), np.zeros

    xs, ws = plane("x", "input", x, P), kernels("w", "primary kernels, input channel \u2192 map", w, 1)
    ys = plane("y", "intrinsic maps, padded", zeros((H, W, m)), (1, 1))
    cheaps = kernels("cheap", "one kernel for each map", cheap, m)
    ghosts = plane("ghosts", "one ghost per map", zeros((H, W, m)))
    outs = plane("out", "output", np.full(dout.shape, np.nan))
    strip = row("row", "of im2col, the kernel, their products", first, ("x", "w", "x*w"))
    script.phase("forward", "maps y", [xs, ys, ws, strip])
    gather(script, dense["forward"], first, xs, ws, strip, ys)
    strip = row("row", "of one map, its kernel, their products", second, ("y", "cheap", "y*cheap"))
    script.phase("forward", "ghosts", [ys, ghosts, cheaps, strip])
    gather(script, depthwise["forward"], second, ys, cheaps, strip, ghosts)
    script.phase("forward", "out", [ys, ghosts, outs])
    line = JOIN.line("return np.concatenate")
    _copy(script, line, ys, 0, outs, 0, m, "x", say("The first half of the output: the intrinsic maps."))
    _copy(script, line, ghosts, 0, outs, m, m, "x", say("The second half: their ghosts. That is the whole module."))
    script.same(outs, want["out"], "concat_forward")

    douts = plane("dout", "gradient of out, given", dout)
    dghosts = plane("dghosts", "gradient of the ghosts", np.full((H, W, m), np.nan))
    dys = plane("dy", "gradient of the maps", zeros((H, W, m)))
    script.phase("backward", "split", [douts, dghosts])
    _copy(
        script,
        SPLIT.line("return tuple(np.split"),
        douts,
        m,
        dghosts,
        0,
        m,
        "d",
        say(
            "Concatenation only puts things side by side, so its backward splits: the second half is the ghosts' "
            "gradient. The first half waits."
        ),
    )
    strip = row("row", "the kernel, and what it sends back", second, ("cheap", "cheap*d"))
    script.phase("backward", "dy, first path", [dghosts, dys, cheaps, strip])
    scatter(script, depthwise["dx"], second, dghosts, cheaps, strip, dys)
    strip = row("row", "of one map, and what each weight receives", second, ("y", "y*d"))
    dcheaps = kernels("dcheap", "gradient of cheap", zeros(cheap.shape), m)
    script.phase("backward", "dcheap", [ys, dghosts, dcheaps, strip])
    kernel_gradient(script, depthwise["dw"], second, ys, dghosts, strip, dcheaps)
    script.phase("backward", "dy, second path", [douts, dys])
    _second_path(script, douts, dys, (H, W, m))
    script.same(dys, want["dy"], "add_forward")

    strip = row("row", "the kernel, and what it sends back", first, ("w", "w*dy"))
    dxs, dws = plane("dx", "gradient of x", zeros(x.shape)), kernels("dw", "gradient of w", zeros(w.shape), 1)
    script.phase("backward", "dx", [dys, dxs, ws, strip])
    scatter(script, dense["dx"], first, dys, ws, strip, dxs)
    strip = row("row", "of im2col, and what each weight receives", first, ("x", "x*dy"))
    script.phase("backward", "dw", [xs, dys, dws, strip])
    kernel_gradient(script, dense["dw"], first, xs, dys, strip, dws)
    for array, name in ((dxs, "dx"), (dws, "dw"), (dcheaps, "dcheap")):
        script.same(array, want[name], "the reference twins' chain")
    return script


def _whole(x, w, cheap, dout, P):
    """All results by the reference twins, one after the other."""
    m = w.shape[3]
    y, primary = ops.conv2d_forward_reference(x[None], w, None, 1, P)
    ghosts, second = ops.conv2d_forward_reference(y, cheap, None, 1, 1, 1, m)
    out, widths = ops.concat_forward_reference(y, ghosts)
    direct, dghosts = ops.concat_backward_reference(dout[None], widths)
    by_ghosts, dcheap, _ = ops.conv2d_backward_reference(dghosts, second)
    dy, _ = ops.add_forward_reference(by_ghosts, direct)
    dx, dw, _ = ops.conv2d_backward_reference(dy, primary)
    return {"out": out[0], "dy": dy[0], "dx": dx[0], "dw": dw, "dcheap": kernels("", "", dcheap, m).values}


def _copy(script, line, source, first, target, start, m, role, words):
    for c in range(m):
        cells = list(np.ndindex(target.inside().shape[:2]))
        read, written = ([(i, j, k + c) for i, j in cells] for k in (first, start))
        script.step(
            line,
            words,
            [say("{} = {}", f"{target.name}[:, :, {start + c}]", f"{source.name}[:, :, {first + c}]")],
            [(target, p, source[q]) for p, q in zip(written, read, strict=True)],
            [(role, source, read), ("new", target, written)],
            landmark=True,
        )


def _second_path(script, dout, dy, shape):
    line = SUM.line("return a + b, None")
    H, W, m = shape
    for c in range(m):
        for i, j in np.ndindex(H, W):
            p, old, more = (i, j, c), dy[i, j, c], dout[i, j, c]
            script.step(
                line,
                say(
                    "Map {} was used twice: by its ghost, and in the output itself. The second gradient is added "
                    "to the first.",
                    c,
                ),
                [say("{} = {} + {d} = {new}", spelled("dy", *p), old, more, old + more)],
                [(dy, p, old + more)],
                [("d", dout, [p]), ("new", dy, [p])],
                landmark=(i, j) == (H - 1, W - 1),
            )
    words = say("dy is complete: forget one of the two paths and every gradient before it is wrong.")
    script.step(line, words, landmark=True)
