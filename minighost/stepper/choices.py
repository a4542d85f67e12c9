"""The options that pages have, how far they go, and what is refused."""

from typing import NamedTuple

from minighost.stepper.pages import PAGES

__all__ = ["MAX_STEPS", "OPTIONS", "SEED", "Option", "check_options", "flag"]


class Option(NamedTuple):
    """A whole number that a page may be built with."""

    low: int
    high: int
    words: str  # for the command's help


OPTIONS = {
    "height": Option(1, 8, "input height"),
    "width": Option(1, 8, "input width"),
    "channels": Option(1, 8, "input channels"),
    "out_channels": Option(1, 8, "output channels"),
    "kernel": Option(1, 5, "kernel size"),
    "stride": Option(1, 4, "stride"),
    "padding": Option(0, 4, "padding on each side"),
    "dilation": Option(1, 4, "dilation"),
    "groups": Option(1, 8, "groups; must divide the channels"),
    "block": Option(1, 3, "rows and columns of a block (depth_to_space)"),
    "hidden": Option(1, 8, "hidden units of squeeze-and-excite (se)"),
}
SEED = Option(0, 2**32 - 1, "random seed of the arrays (0)")
MAX_STEPS = 12_000  # nobody steps further, and the page would get too large for a phone


def check_options(op, given, seed, x, w):
    """Refuse what does not exist, is out of its limits, or is set twice; `x` and `w` are the files, or None."""
    from minighost.stepper.files import source  # here, for `--help` needs no NumPy

    page = PAGES[op]
    for name in given:
        if name not in page.options:
            flags = ", ".join(flag(n) for n in page.options)
            raise ValueError(f"step {op}: {flag(name)} does not apply; {op} takes {flags}")
    for name, value in {**given, "seed": seed}.items():
        low, high, _ = SEED if name == "seed" else OPTIONS[name]
        if not low <= value <= high:
            raise ValueError(f"step {op}: {flag(name)} {value} must be from {low} to {high}")
    if w is not None and not page.takes_w:
        others = ", ".join(name for name in PAGES if PAGES[name].takes_w)
        raise ValueError(f"step {op}: --w does not apply; it is for {others}")
    for file, own, said in ((x, "--x", ("height", "width", "channels")), (w, "--w", ("kernel", "out_channels"))):
        for name in said:
            if file is not None and name in given:
                raise ValueError(
                    f"step {op}: {flag(name)} is already set by {own} {source(file)}; leave out one of them"
                )


def flag(name):
    """How the command line spells an option."""
    return "--" + name.replace("_", "-")
