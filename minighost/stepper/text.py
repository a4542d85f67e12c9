"""The same steps in a terminal."""

from minighost.stepper.words import format_number, format_text
from minighost.terminal import text as terminal

__all__ = ["lines", "parse_range"]


def parse_range(text, count):
    """The first and last of ``"7"``, ``"3..9"``, ``"..9"`` or ``"3.."``, from 1 to `count`."""
    first, dots, last = text.partition("..")
    try:
        a = int(first) if first.strip() else 1
        b = (int(last) if last.strip() else count) if dots else a
    except ValueError:
        raise ValueError(f"--step {text!r}: must be a number N or a range N..M") from None
    if not 1 <= a <= b:
        raise ValueError(f"--step {text}: must run from a smaller to a larger number, starting at 1")
    if b > count:
        raise ValueError(f"--step {text}: must be at most {count:,}, the number of steps")
    return a, b


def lines(story, first=1, last=None, bold=False):
    """Lines that tell the steps `first` to `last`.

    Parameters
    ----------
    story : Story
    first, last : int
        Counted from 1; `last` is the last of all by default.
    bold : bool
        Emphasise headings with the terminal's escape sequences.

    Yields
    ------
    str
    """
    script = story.scripts[story.chosen]
    head = terminal.bold if bold else str
    last = len(script.frames) if last is None else last
    yield head(story.title)
    yield from (story.lead, *story.facts)
    if "macs" in script.facts:
        f = script.facts
        yield f"{script.label}, {f['kind']}: {f['parameters']:,} weights, {f['macs']:,} multiply-adds"
    phase = None
    for k in range(first - 1, last):
        frame = script.frames[k]
        if frame["phase"] != phase:
            phase = frame["phase"]
            yield from ("", head(": ".join(script.phases[phase][:2])))
        source, number = frame["line"]
        yield ""
        yield f"{k + 1:>6}  {format_text(frame['words'])}"
        yield from (f"        {format_text(line)}" for line in frame["equations"])
        yield f"        {source.file}:{number}  {source.lines[number - source.first].strip()}"
        if k + 1 == len(script.frames) or script.frames[k + 1]["phase"] != phase:
            yield from _result(script, k)


def _result(script, last):
    """The array that a phase computed, at the end of it."""
    array = _last_written(script, last)
    values = array.initial.transpose(array.axes).ravel().copy()
    for frame in script.frames[: last + 1]:
        for changed, cell, value in frame["changes"]:
            if changed is array:
                values[cell] = value
    cells = [format_number(v) for v in values]
    width = max(map(len, cells))
    for p, title in enumerate(array.titles):
        if title is None:
            continue
        yield ""
        yield f"        {array.name}{f', {title}' if title else ''}"
        for i in range(array.height):
            start = (p * array.height + i) * array.width
            yield "        " + " ".join(f"{cell:>{width}}" for cell in cells[start : start + array.width])


def _last_written(script, last):
    for frame in script.frames[last::-1]:
        if frame["changes"]:
            return frame["changes"][-1][0]
    raise ValueError("stepper: a phase that changes nothing")
