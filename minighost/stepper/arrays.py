"""The arrays that a page starts from: drawn, or a learner's own.

Drawn numbers are small whole ones (halves where a product follows a product), so that every line can be checked by
mental arithmetic; weights and incoming gradients are never 0, since a 0 hides mistakes.
"""

import numpy as np

from minighost.stepper.choices import MAX_STEPS, OPTIONS, flag
from minighost.stepper.files import load, source
from minighost.stepper.pages import PAGES

__all__ = ["draw_input", "draw_weights", "nonzero", "refuse_many", "size_words", "walk_words"]


def draw_input(op, file, chosen, rng):
    """x, (H, W, C) or for batch norm (N, H, W, C); what the file says goes into the options."""
    images = PAGES[op].images
    if file is None:
        shape = chosen["height"], chosen["width"], chosen["channels"]
        return rng.integers(-3, 5, (images, *shape) if images > 1 else shape).astype(np.float64)
    x = load(file)
    if x.ndim == 2:
        x = x[:, :, None]
    if images > 1:
        x = x[None] if x.ndim == 3 else x
    elif x.ndim == 4 and len(x) == 1:
        x = x[0]
    wanted = 4 if images > 1 else 3
    if x.ndim != wanted:
        layout = "(H, W), (H, W, C) or " + ("(N, H, W, C)" if images > 1 else "(1, H, W, C)")
        raise ValueError(f"{source(file)}: x must have shape {layout}, got {load(file).shape}")
    for name, size in zip(("height", "width", "channels"), x.shape[-3:], strict=True):
        low, high, _ = OPTIONS[name]
        if not low <= size <= high:
            raise ValueError(f"{source(file)}: {name} {size}: a page can show {low} to {high}; cut a piece out")
        chosen[name] = size
    if images > 1 and len(x) > 4:
        raise ValueError(f"{source(file)}: {len(x)} images, but at most 4 can be stepped through; cut a piece out")
    return x


def nonzero(rng, *shape):
    """-2, -1, 1, 2."""
    return rng.choice([-2.0, -1.0, 1.0, 2.0], shape)


def draw_weights(op, w, chosen, rng, groups):
    """Kernels (KH, KW, C/groups, OC): the learner's, or drawn."""
    C, OC = chosen["channels"], chosen["out_channels"] or chosen["channels"]
    if w is None:
        return nonzero(rng, chosen["kernel"], chosen["kernel"], C // groups, OC)
    if w.ndim == 2:
        w = w[None, None] if op == "pointwise" else w[:, :, None, None]
    if w.ndim != 4 or w.shape[2] * groups != C:
        raise ValueError(
            f"step {op}: w must have shape (KH, KW, C/G, OC) = (KH, KW, {C // groups}, OC) for x with {C} channels"
            f"{f' in {groups} groups' if groups > 1 else ''}, got {w.shape}"
        )
    for name, sizes in (("kernel", w.shape[:2]), ("out_channels", w.shape[3:])):
        if max(sizes) > OPTIONS[name].high:
            raise ValueError(f"step {op}: w has shape {w.shape}, but {flag(name)[2:]} is at most {OPTIONS[name].high}")
    chosen["out_channels"] = w.shape[3]
    return w


def refuse_many(op, steps):
    """ValueError if that many steps are too many for a page."""
    if steps > MAX_STEPS:
        raise ValueError(
            f"step {op}: that would be about {steps:,} steps; the limit is {MAX_STEPS:,}. Take fewer channels, a "
            "smaller plane or a smaller kernel"
        )


def size_words(array):
    return "x".join(map(str, array.shape))


def walk_words(stride, padding, dilation):
    return f"stride {stride}, padding {padding}" + (f", dilation {dilation}" if dilation > 1 else "")
