"""Pictures, bars and tables in a terminal: 24-bit colour where it is a colour terminal, plain ASCII everywhere else.

A pipe, a dumb terminal, `NO_COLOR` and an encoding without block letters all get plain lines without escape sequences.
"""

import os
import shutil

import numpy as np

__all__ = ["bar", "bold", "clipped", "colours", "fine_bar", "picture", "table", "width"]

EIGHTHS = " ▏▎▍▌▋▊▉█"
RAMP = " .:-=+*#%@"  # from dark to light, on the dark background that most terminals have


def colours(stream, environ=os.environ):
    """How many colours `stream` shows: 2**24, 256 or 0 (not a terminal, or one that shows none)."""
    windows_terminal = "WT_SESSION" in environ
    dumb = environ.get("TERM", "dumb") == "dumb" and not windows_terminal
    if not stream.isatty() or environ.get("NO_COLOR") or dumb:
        return 0
    try:
        "▀█".encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return 0
    if environ.get("COLORTERM") in ("truecolor", "24bit") or windows_terminal:
        return 2**24
    return 256 if "256color" in environ.get("TERM", "") else 0


def width(otherwise=80):
    """How many characters fit on a line of the terminal; `otherwise` if there is none to ask."""
    return shutil.get_terminal_size((otherwise, 24)).columns


def bold(text):
    """`text` between the escape sequences for bold letters."""
    return f"\x1b[1m{text}\x1b[0m"


def picture(image, colours=0):
    """An image as lines of text: one character per pixel across, two pixels per line down.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3) or (H, W, 1), uint8
        An odd last row is left out.
    colours : int
        2**24 or 256 for half blocks in colour, 0 for plain ASCII, light on dark, stretched to the image's own range.

    Returns
    -------
    list of str
        H // 2 lines that each show as W characters.
    """
    H, W, _ = image.shape
    pairs = np.broadcast_to(image, (H, W, 3))[: H // 2 * 2].reshape(H // 2, 2, W, 3)  # (lines, upper and lower, W, 3)
    if colours:
        letters = [[_half_block(upper, lower, colours) for upper, lower in zip(*pair, strict=True)] for pair in pairs]
        return ["".join(line) + "\x1b[0m" for line in letters]
    grey = pairs.astype(np.float64).mean(axis=1) @ (0.299, 0.587, 0.114)  # (lines, W), ITU-R BT.601 luma
    low, high = grey.min(), grey.max()
    steps = ((grey - low) / max(high - low, 1) * (len(RAMP) - 1)).round().astype(int)
    return ["".join(RAMP[step] for step in line).rstrip().ljust(W) for line in steps]


def _half_block(upper, lower, colours):
    """One character, two pixels: the upper is the foreground colour, the lower the background."""
    return f"\x1b[38;{_code(upper, colours)}m\x1b[48;{_code(lower, colours)}m▀"


def _code(rgb, colours):
    r, g, b = (int(v) for v in rgb)
    if colours == 2**24:
        return f"2;{r};{g};{b}"
    r, g, b = ((v * 5 + 127) // 255 for v in (r, g, b))
    return f"5;{16 + 36 * r + 6 * g + b}"  # the 6 x 6 x 6 cube of xterm's 256 colours


def bar(share, width, colours=0):
    """`share` in 0..1 as a bar `width` characters wide."""
    full = round(max(0.0, min(1.0, share)) * width)
    return ("█" if colours else "#") * full + ("░" if colours else ".") * (width - full)


def fine_bar(share, width, encoding):
    """`share` of `width` characters, in eighths of one where the encoding has them, on nothing."""
    if not encoding.lower().startswith("utf"):
        return "#" * round(share * width)
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def clipped(text, columns):
    """`text`, or as much of it as fits, with three dots for the rest."""
    return text if len(text) <= columns else f"{text[: max(0, columns - 3)]}..."[:columns]


def table(rows, header, align):
    """Rows of strings as lines with aligned columns and a rule under the header.

    Parameters
    ----------
    rows : list of tuple of str
    header : tuple of str
    align : str
        One character per column: ``<`` or ``>``.
    """
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]

    def line(row):
        return "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)).rstrip()

    return [line(header), "-" * (sum(widths) + 2 * (len(widths) - 1)), *map(line, rows)]
