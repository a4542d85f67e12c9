"""A network drawn with letters: block by block its maps, channels, receptive field, and where the work is."""

import sys

from minighost.terminal.text import fine_bar

__all__ = ["structure"]

WIDTH = 80


def structure(rows, fields):
    """The lines of the drawing.

    Parameters
    ----------
    rows : list of Row
        From `analysis.blocks`.
    fields : dict of str -> Field
        From `analysis.receptive_fields`.
    """
    heads = ("map", "channels", "field", "MACs")
    cells = [(_plane(row), f"{row.output_shape[-1]:,}", _field(fields.get(row.path)), _short(row.macs)) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    name = max(map(len, ["block", *(row.path for row in rows)]))
    room = max(8, WIDTH - name - sum(widths) - 2 * (len(widths) + 1))
    most = max(row.macs for row in rows) or 1

    def line(first, texts, last=""):
        columns = (f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))
        return "  ".join([f"{first:{name}}", *columns, last]).rstrip()

    yield line("block", heads)
    plane = None
    for row, texts in zip(rows, cells, strict=True):
        if plane is None or len(row.output_shape) == 3 and row.output_shape[:2] != plane:
            yield "-" * WIDTH  # a rule where the maps shrink
        plane = row.output_shape[:2] if len(row.output_shape) == 3 else plane
        yield line(row.path, texts, fine_bar(row.macs / most, room, sys.stdout.encoding or "ascii"))


def _plane(row):
    return "x".join(map(str, row.output_shape[:-1])) or "-"


def _field(field):
    """Its side, with an asterisk where gates know the whole image."""
    if field is None:
        return "?"
    if field.pooled:
        return "all"
    height, width = field.size
    return (f"{height}" if height == width else f"{height}x{width}") + ("*" if field.gated else "")


def _short(macs):
    return f"{macs / 1e6:,.2f}M" if macs >= 10_000 else f"{macs:,}" if macs else "-"
