"""What a network costs, as a table: output shapes, parameters, multiply-adds, their share."""

from collections.abc import Iterator, Sequence

from minighost.nn.counts import Row, blocks, count
from minighost.nn.module import Module
from minighost.terminal.text import table

__all__ = ["by_block", "by_layer", "lines"]


def lines(model: Module, input_shape: Sequence[int], layers: bool = False) -> list[str]:
    """The table of a network for images of `input_shape`, (H, W, C): one line per block, or per layer."""
    rows = count(model, tuple(input_shape))
    head = f"{type(model).__name__}, input {'x'.join(map(str, input_shape))}"
    return [head, "", *(by_layer(rows) if layers else by_block(blocks(model, rows) or rows))]


def by_block(rows: list[Row]) -> list[str]:
    """The rows of `counts.blocks`, with their kinds and a total."""
    body = [(row.path, row.kind, *cells) for row, cells in zip(rows, _cells(rows), strict=True)]
    return _table(body, ("total", "", *_total(rows)), ("block", "kind"))


def by_layer(rows: list[Row]) -> list[str]:
    """The rows of `counts.count` and a total; without kinds, for which 80 columns have no room."""
    body = [(row.path, *cells) for row, cells in zip(rows, _cells(rows), strict=True)]
    return _table(body, ("total", *_total(rows)), ("layer",))


def _cells(rows: list[Row]) -> Iterator[tuple[str, ...]]:
    macs = max(sum(row.macs for row in rows), 1)
    for row in rows:
        shape = "x".join(map(str, row.output_shape))
        yield shape, f"{row.params:,}", f"{row.macs:,}", f"{100 * row.macs / macs:.1f} %"


def _total(rows: list[Row]) -> tuple[str, ...]:
    return "", f"{sum(row.params for row in rows):,}", f"{sum(row.macs for row in rows):,}", "100.0 %"


def _table(body: list[tuple[str, ...]], total: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    """The lines of a table whose last row, the total, is under its own rule."""
    header = (*names, "output", "parameters", "MACs", "of MACs")
    found = table([*body, total], header, "<" * len(names) + "<>>>")
    return [*found[:-1], found[1], found[-1]]
