"""The operations that can be stepped through: their options, the arrays drawn for them, the headings of the page.

Drawn numbers are small whole ones (halves where a product follows a product), so that every line can be done in the
head; weights and incoming gradients are never 0, since a 0 hides mistakes.
"""

from pathlib import Path

import numpy as np

from minighost.engine.geometry import geometry
from minighost.stepper.batch_norm import batch_norm_script
from minighost.stepper.choices import DEFAULTS, LIMITS, MAX_STEPS, NAMES, TAKES_W, check_options, flag
from minighost.stepper.conv import blocks, conv_script
from minighost.stepper.crelu import crelu_script
from minighost.stepper.files import load
from minighost.stepper.frames import Story
from minighost.stepper.ghost import ghost_script
from minighost.stepper.im2col import im2col_script
from minighost.stepper.squeeze_excite import squeeze_excite_script
from minighost.stepper.transposed import large_size, transposed_script

__all__ = ["NAMES", "build"]

_SUM = "out[i, j, o] = sum over u, v, c of x[i*S - P + u*D, j*S - P + v*D, c] * w[u, v, c, o]"
TITLES = {
    "conv": ("Convolution", _SUM),
    "depthwise": (
        "Depthwise convolution", "out[i, j, c] = sum over u, v of x[i*S - P + u*D, j*S - P + v*D, c] * w[u, v, 0, c]"
    ),
    "grouped": ("Grouped convolution", "a convolution whose output channel o sees only its own group's C/G channels"),
    "pointwise": ("Pointwise convolution", "out[i, j, :] = x[i, j, :] @ w: a matrix product at every pixel"),
    "dilated": ("Dilated convolution", _SUM),
    "transposed": ("Transposed convolution", "out[i*S - P + u*D, j*S - P + v*D, o] += x[i, j, c] * w[u, v, o, c]"),
    "im2col": ("Convolution by im2col", "cols = im2col(x);  out = cols @ w;  dcols = dout @ w.T;  dx = col2im(dcols)"),
    "batchnorm": ("Batch normalisation", "out = gamma * (x - mean) / sqrt(var + eps) + beta"),
    "crelu": ("CReLU", "out = [max(x, 0), max(-x, 0)]"),
    "se": ("Squeeze-and-excitation", "out = x * hard_sigmoid(relu(mean(x) @ w1 + b1) @ w2 + b2)"),
    "ghost": ("Ghost module", "y = conv(x, w);  out = [y, depthwise(y, cheap)]"),
}  # fmt: skip


# Where the highlighted line of the reference twin does in one go what the page does one by one.
NOTES = {
    "depthwise": ["the reference takes one tap at all positions together, this page one position at a time"],
    "pointwise": ["the reference takes all pixels in one product, this page one at a time"],
    "im2col": ["the reference fills cols column by column, this page row by row: a row is a window"],
}


def build(op, x=None, w=None, seed=0, **options):
    """Everything that a page or a terminal needs to step through an operation.

    Parameters
    ----------
    op : str
        One of `NAMES`.
    x : str or Path, optional
        File with the input, (H, W), (H, W, C) or (1, H, W, C); for batchnorm (N, H, W, C).
    w : str or Path, optional
        File with the weights, (KH, KW) or (KH, KW, C/G, OC).
    seed : int
        Of all arrays that are drawn.
    **options
        Those of ``DEFAULTS[op]``; None takes the default.

    Returns
    -------
    Story

    Raises
    ------
    ValueError
        If an option does not exist for the operation, is out of its limits, or contradicts a file.
    """
    if op not in DEFAULTS:
        raise ValueError(f"step: unknown operation {op!r}; available: {', '.join(NAMES)}")
    given = {name: value for name, value in options.items() if value is not None}
    check_options(op, given, seed, x, w)
    chosen = {**DEFAULTS[op], **given}
    rng = np.random.default_rng(seed)
    xs = _input(op, x, chosen, rng)
    scripts, shown, shapes = _BUILD[op](op, xs, None if w is None else load(w), chosen, rng, given)
    drawn = [name for name, file in (("x", x), ("w", w)) if file is None and (name == "x" or op in TAKES_W)]
    where = [f"{name} from {Path(file).name}" for name, file in (("x", x), ("w", w)) if file is not None]
    drawn = ", ".join(drawn) + " and dout" if drawn else "dout"
    facts = [shapes, "; ".join([*where, f"{drawn} drawn with seed {seed}"])]
    return Story(op, *TITLES[op], [*facts, *NOTES.get(op, [])], scripts, shown)


# Arrays --------------------------------------------------------------------------------------------------------


def _input(op, file, chosen, rng):
    """x, (H, W, C) or for batch norm (N, H, W, C); what the file says goes into the options."""
    if file is None:
        shape = chosen["height"], chosen["width"], chosen["channels"]
        return rng.integers(-3, 5, (2, *shape) if op == "batchnorm" else shape).astype(np.float64)
    x = load(file)
    if x.ndim == 2:
        x = x[:, :, None]
    if op == "batchnorm":
        x = x[None] if x.ndim == 3 else x
    elif x.ndim == 4 and len(x) == 1:
        x = x[0]
    wanted = 4 if op == "batchnorm" else 3
    if x.ndim != wanted:
        layout = "(H, W), (H, W, C) or " + ("(N, H, W, C)" if op == "batchnorm" else "(1, H, W, C)")
        raise ValueError(f"{file}: x must have shape {layout}, got {load(file).shape}")
    for name, size in zip(("height", "width", "channels"), x.shape[-3:], strict=True):
        low, high = LIMITS[name]
        if not low <= size <= high:
            raise ValueError(f"{file}: {name} {size}: a page can show {low} to {high}; cut a piece out")
        chosen[name] = size
    if op == "batchnorm" and len(x) > 4:
        raise ValueError(f"{file}: {len(x)} images, but at most 4 can be stepped through; cut a piece out")
    return x


def _nonzero(rng, *shape):
    """-2, -1, 1, 2."""
    return rng.choice([-2.0, -1.0, 1.0, 2.0], shape)


def _weights(op, w, chosen, rng, groups):
    """Kernels (KH, KW, C/groups, OC): the learner's, or drawn."""
    C, OC = chosen["channels"], chosen["out_channels"] or chosen["channels"]
    if w is None:
        return _nonzero(rng, chosen["kernel"], chosen["kernel"], C // groups, OC)
    if w.ndim == 2:
        w = w[None, None] if op == "pointwise" else w[:, :, None, None]
    if w.ndim != 4 or w.shape[2] * groups != C:
        raise ValueError(
            f"step {op}: w must have shape (KH, KW, C/G, OC) = (KH, KW, {C // groups}, OC) for x with {C} channels"
            f"{f' in {groups} groups' if groups > 1 else ''}, got {w.shape}"
        )
    for name, sizes in (("kernel", w.shape[:2]), ("out_channels", w.shape[3:])):
        if max(sizes) > LIMITS[name][1]:
            raise ValueError(f"step {op}: w has shape {w.shape}, but {flag(name)[2:]} is at most {LIMITS[name][1]}")
    chosen["out_channels"] = w.shape[3]
    return w


def _refuse_many(op, steps):
    if steps > MAX_STEPS:
        raise ValueError(
            f"step {op}: that would be about {steps:,} steps; the limit is {MAX_STEPS:,}. Take fewer channels, a "
            "smaller plane or a smaller kernel"
        )


# Scripts -------------------------------------------------------------------------------------------------------


def _conv(op, x, w, chosen, rng, given):
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
    w = _weights(op, w, chosen, rng, fewest)
    if op in ("pointwise", "dilated"):
        choices = [1]
    choices = [G for G in choices if G % fewest == 0]
    g = geometry(op, x.shape[:2], w.shape[:2], stride, padding, dilation)
    _refuse_many(op, 3 * len(choices) * g.OH * g.OW * OC * (g.KH * g.KW + 2))
    dout = _nonzero(rng, g.OH, g.OW, OC)
    scripts = []
    for G in choices:
        twin = {"depthwise": "depthwise" if G == C else "conv2d", "pointwise": "pointwise"}.get(op, "conv2d")
        scripts.append(conv_script(x, blocks(w, G, fewest), dout, stride, padding, dilation, G, twin))
    shapes = f"x {_size(x)}, kernel {g.KH}x{g.KW}, {_walk(stride, padding, dilation)}: out {_size(dout)}"
    return scripts, choices.index(groups), shapes


def _transposed(op, x, w, chosen, rng, given):
    C, OC = chosen["channels"], chosen["out_channels"]
    S, P, D = chosen["stride"], chosen["padding"], chosen["dilation"]
    if w is None:
        w = _nonzero(rng, chosen["kernel"], chosen["kernel"], OC, C)
    w = w[:, :, None, None] if w.ndim == 2 else w
    sides, most = LIMITS["kernel"][1], LIMITS["out_channels"][1]
    if w.ndim != 4 or w.shape[3] != C or max(w.shape[:2]) > sides or w.shape[2] > most:
        raise ValueError(
            f"step transposed: w must have shape (KH, KW, OC, C) = (KH, KW, OC, {C}), with KH and KW at most "
            f"{sides} and OC at most {most}; got {w.shape}"
        )
    size = [large_size(n, k, S, P, D) for n, k in zip(x.shape[:2], w.shape[:2], strict=True)]
    if min(size) < 1:
        raise ValueError(f"step transposed: padding {P} leaves an output of {size[0]}x{size[1]}; reduce it")
    _refuse_many(op, 3 * x.size * (w.shape[0] * w.shape[1] + 2))
    dout = _nonzero(rng, *size, w.shape[2])
    shapes = f"x {_size(x)}, kernel {w.shape[0]}x{w.shape[1]}, {_walk(S, P, D)}: out {_size(dout)}"
    return [transposed_script(x, w, dout, S, P, D)], 0, shapes


def _im2col(op, x, w, chosen, rng, given):
    w = _weights(op, w, chosen, rng, 1)
    S, P, D = chosen["stride"], chosen["padding"], chosen["dilation"]
    g = geometry(op, x.shape[:2], w.shape[:2], S, P, D)
    R, K, OC = g.OH * g.OW, w[..., 0].size, w.shape[3]
    _refuse_many(op, R * (K + OC + 2) + K * OC)
    dout = _nonzero(rng, g.OH, g.OW, OC)
    shapes = f"x {_size(x)}, kernel {g.KH}x{g.KW}, {_walk(S, P, D)}: cols {R}x{K}, out {R}x{OC}"
    return [im2col_script(x, w, dout, S, P, D)], 0, shapes


def _batch_norm(op, x, w, chosen, rng, given):
    R, C = x.size // x.shape[3], x.shape[3]
    if R < 2:
        raise ValueError("step batchnorm: a single value per channel has variance 0; take more images, rows or columns")
    gamma, beta = rng.choice([0.5, 1.0, 2.0], C), rng.choice([-1.0, 0.5, 1.0], C)
    script = batch_norm_script(x, gamma, beta, _nonzero(rng, *x.shape))
    return [script], 0, f"x {_size(x)}: R = {R} values per channel"


def _crelu(op, x, w, chosen, rng, given):
    H, W, C = x.shape
    dout = _nonzero(rng, H, W, 2 * C)
    return [crelu_script(x, dout)], 0, f"x {_size(x)}: out {_size(dout)}"


def _se(op, x, w, chosen, rng, given):
    C, D = x.shape[2], chosen["hidden"]
    dout = _nonzero(rng, *x.shape)
    for _ in range(100):  # with a dead ReLU or gates shut there would be little to see
        w1, b1, w2, b2 = (_nonzero(rng, *shape) / 2 for shape in ((C, D), (D,), (D, C), (C,)))
        hidden = np.maximum(x.mean((0, 1)) @ w1 + b1, 0)
        if hidden.all() and np.abs(hidden @ w2 + b2).max() < 3:
            break
    return [squeeze_excite_script(x, w1, b1, w2, b2, dout)], 0, f"x {_size(x)}, {D} hidden: out {_size(x)}"


def _ghost(op, x, w, chosen, rng, given):
    n = chosen["out_channels"]
    if w is None and n % 2:
        raise ValueError(f"step ghost: --out-channels {n} must be even: half of the maps are ghosts")
    chosen = {**chosen, "out_channels": n // 2}
    w = _weights(op, w, chosen, rng, 1)
    if w.shape[0] % 2 == 0 or w.shape[1] % 2 == 0:
        raise ValueError(f"step ghost: the kernel is {w.shape[0]}x{w.shape[1]}; its sides must be odd to keep the size")
    m = w.shape[3]
    if 2 * m > LIMITS["out_channels"][1]:
        most = LIMITS["out_channels"][1]
        raise ValueError(f"step ghost: w makes {m} maps and {m} ghosts; together they may be at most {most}")
    _refuse_many(op, 3 * x.shape[0] * x.shape[1] * m * (w.shape[0] * w.shape[1] + 9 + 4))
    dout = _nonzero(rng, *x.shape[:2], 2 * m)
    script = ghost_script(x, w, _nonzero(rng, 3, 3, 1, m), dout)
    return [script], 0, f"x {_size(x)}, primary kernel {w.shape[0]}x{w.shape[1]}, cheap 3x3: {m} maps and {m} ghosts"


def _size(array):
    return "x".join(map(str, array.shape))


def _walk(stride, padding, dilation):
    return f"stride {stride}, padding {padding}" + (f", dilation {dilation}" if dilation > 1 else "")


_BUILD = {
    **dict.fromkeys(("conv", "depthwise", "grouped", "pointwise", "dilated"), _conv), "transposed": _transposed,
    "im2col": _im2col, "batchnorm": _batch_norm, "crelu": _crelu, "se": _se, "ghost": _ghost,
}  # fmt: skip
