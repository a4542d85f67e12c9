"""Which options an operation has, what they are by default, and how far they go."""

__all__ = ["DEFAULTS", "LIMITS", "MAX_STEPS", "NAMES", "TAKES_W", "check_options", "flag"]

LIMITS = {
    "height": (1, 8), "width": (1, 8), "channels": (1, 8), "out_channels": (1, 8), "kernel": (1, 5), "stride": (1, 4),
    "padding": (0, 4), "dilation": (1, 4), "groups": (1, 8), "hidden": (1, 8), "seed": (0, 2**32 - 1),
}  # fmt: skip
MAX_STEPS = 12_000  # nobody steps further, and the page would get too large for a phone

_PLANE = {"height": 4, "width": 4, "channels": 4}
_WALK = {"kernel": 3, "stride": 1, "padding": 1}
# out_channels None: as many as channels. An option that is not here does not exist for the operation.
DEFAULTS = {
    "conv": {**_PLANE, "out_channels": None, **_WALK, "dilation": 1, "groups": 1},
    "depthwise": {**_PLANE, "out_channels": None, **_WALK, "dilation": 1},
    "grouped": {**_PLANE, "out_channels": None, **_WALK, "dilation": 1, "groups": 2},
    "pointwise": {"height": 3, "width": 3, "channels": 3, "out_channels": 2},
    "dilated": {"height": 6, "width": 6, "channels": 1, "out_channels": 1, **_WALK, "dilation": 2},
    "transposed": {"height": 3, "width": 3, "channels": 2, "out_channels": 2, "kernel": 3, "stride": 2, "padding": 1,
                   "dilation": 1},
    "im2col": {"height": 4, "width": 4, "channels": 1, "out_channels": 2, **_WALK, "dilation": 1},
    "batchnorm": {"height": 2, "width": 3, "channels": 2},
    "crelu": {"height": 3, "width": 4, "channels": 2},
    "se": {"height": 3, "width": 3, "channels": 4, "hidden": 2},
    "ghost": {"height": 4, "width": 4, "channels": 2, "out_channels": 4, "kernel": 1},
}  # fmt: skip
NAMES = tuple(DEFAULTS)
TAKES_W = ("conv", "depthwise", "grouped", "pointwise", "dilated", "transposed", "im2col", "ghost")


def check_options(op, given, seed, x, w):
    """Refuse what does not exist, is out of its limits, or is set twice; `x` and `w` are the files, or None."""
    for name in given:
        if name not in DEFAULTS[op]:
            flags = ", ".join(flag(n) for n in DEFAULTS[op])
            raise ValueError(f"step {op}: {flag(name)} does not apply; {op} takes {flags}")
    for name, value in {**given, "seed": seed}.items():
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise ValueError(f"step {op}: {flag(name)} {value} must be from {low} to {high}")
    if w is not None and op not in TAKES_W:
        raise ValueError(f"step {op}: --w does not apply; it is for {', '.join(TAKES_W)}")
    for file, source, said in ((x, "--x", ("height", "width", "channels")), (w, "--w", ("kernel", "out_channels"))):
        for name in said:
            if file is not None and name in given:
                raise ValueError(f"step {op}: {flag(name)} is already set by {source} {file}; leave out one of them")


def flag(name):
    """How the command line spells an option."""
    return "--" + name.replace("_", "-")
