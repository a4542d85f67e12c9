"""What a step is: small data that a page or a terminal can play.

A `Script` is one run of one operation. It holds

    arrays   grids of numbers as they stand before the first step (NaN: not computed yet)
    phases   forward, backward, ...: a name and the arrays that are in view
    frames   the steps, in order

and a frame says only what changes: which cells get which value (`writes`), which cells are looked at and as what
(`marks`), which line of the reference twin does it, the equation with its numbers, and a sentence. The frames can be
played backwards too, since the value that a cell had is known when the frame is met.

`Script.step` carries its writes out on the arrays at once. So what the last frame shows is what was computed step by
step, and `Script.same` compares it with what the operation itself returned.
"""

import inspect
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minighost

__all__ = ["Array", "Script", "Source", "Story"]

# What a mark means; the page has one colour and one kind of border for each.
ROLES = ("scope", "x", "w", "d", "new")

PACKAGE = Path(minighost.__file__).parent


class Source:
    """The text of a reference twin, and its lines by what they say.

    Parameters
    ----------
    function : function
        Plain Python, such as ``ops.conv2d_forward_reference``.
    """

    def __init__(self, function):
        lines, self.first = inspect.getsourcelines(function)
        self.lines = [line.rstrip("\n") for line in lines]
        self.name = function.__name__
        self.file = Path(inspect.getfile(function)).resolve().relative_to(PACKAGE.parent).as_posix()

    def line(self, text):
        """(source, number) of the only line that contains `text`; a changed reference is noticed here."""
        found = [k for k, line in enumerate(self.lines) if text in line]
        if len(found) != 1:
            raise ValueError(f"stepper: {self.file}: {self.name} has {len(found)} lines with {text!r}, not 1")
        return self, self.first + found[0]


class Array:
    """A grid of numbers on the page: panels of rows and columns.

    Parameters
    ----------
    name : str
        As in the equations: "x", "dout", "row".
    note : str
        A few words beside the name.
    values : ndarray
        Copied, as float64. NaN is a cell without a value.
    axes : tuple of int
        The order in which the axes of `values` become panels (all but the last two), rows and columns.
    titles : list of str, optional
        One for each panel; None for a panel that does not exist (a weight that grouping leaves out).
    border : (int, int)
        Rows and columns on each side that are padding; indices then begin below zero.
    across : int, optional
        How many panels are side by side.
    rows, columns : list of str, optional
        Headings; the indices by default, none for an empty list.
    narrow : bool
        Break its panels into lines rather than be wide.
    """

    def __init__(
        self, name, note, values, axes, titles=None, border=(0, 0), across=None, rows=None, columns=None, narrow=False
    ):
        self.name, self.note, self.axes = name, note, axes
        self.values = np.array(values, np.float64)
        shape = tuple(self.values.shape[a] for a in axes)
        self._order, self._shape = axes, shape
        self.panels, self.height, self.width = int(np.prod(shape[:-2])), shape[-2], shape[-1]
        self.titles = [""] * self.panels if titles is None else titles
        self.border, self.across, self.narrow = border, across, narrow
        self.rows = [str(k - border[0]) for k in range(self.height)] if rows is None else rows
        self.columns = [str(k - border[1]) for k in range(self.width)] if columns is None else columns
        self._offset = tuple({axes[-2]: border[0], axes[-1]: border[1]}.get(a, 0) for a in range(self.values.ndim))
        self.initial = self.values.copy()

    def position(self, index):
        """`index` counts from the first pixel inside the border; this one counts from the first value."""
        return tuple(int(k) + o for k, o in zip(index, self._offset, strict=True))

    def cell(self, index):
        """The number of a cell: panel by panel, row by row."""
        position = self.position(index)
        return int(np.ravel_multi_index(tuple(position[a] for a in self._order), self._shape))

    def __getitem__(self, index):
        return self.values[self.position(index)]

    def inside(self):
        """The values without the border."""
        cut = tuple(slice(o, n - o) for o, n in zip(self._offset, self.values.shape, strict=True))
        return self.values[cut]

    def as_json(self):
        """What the page needs."""
        return {
            "name": self.name,
            "note": self.note,
            "size": [self.panels, self.height, self.width],
            "titles": self.titles,
            "border": list(self.border),
            "across": self.across,
            "narrow": self.narrow,
            "rows": self.rows,
            "columns": self.columns,
            "values": [_short(v) for v in self.initial.transpose(self._order).ravel()],
        }


class Script:
    """One run of an operation, step by step.

    Parameters
    ----------
    label : str
        What the run is called where there are several on a page.
    **facts
        What else the page shows about it, such as ``groups`` and ``macs``.
    """

    def __init__(self, label, **facts):
        self.label, self.facts = label, facts
        self.arrays, self.phases, self.frames = [], [], []
        self._scope = []

    def phase(self, way, name, arrays):
        """Begin a phase: "forward" or "backward", what it computes, and the arrays that are in view."""
        for array in arrays:
            if array not in self.arrays:
                self.arrays.append(array)
        self.phases.append((way, name, arrays))
        self._scope = []

    def scope(self, *marks):
        """Cells that stay tinted during the steps to come; each mark is (role, array, indices)."""
        self._scope = [mark for mark in marks if mark[2]]

    def step(self, line, words, equations=(), writes=(), marks=(), landmark=False):
        """Add a frame.

        Parameters
        ----------
        line : (Source, int)
            From `Source.line`.
        words : tuple
            From `say`: what happens, as a sentence.
        equations : list of tuple
            From `say`: the same in numbers, one line each.
        writes : list of (Array, index, value)
            Carried out at once.
        marks : list of (role, Array, indices)
        landmark : bool
            Whether a step from cell to cell stops here.
        """
        changes = []
        for array, index, value in writes:
            position = array.position(index)
            if not np.array_equal(array.values[position], value, equal_nan=True):
                array.values[position] = value
                changes.append((array, array.cell(index), value))
        seen = [(role, a, [a.cell(i) for i in indices]) for role, a, indices in marks if indices]
        scope = [(role, a, [a.cell(i) for i in indices]) for role, a, indices in self._scope]
        self.frames.append(
            {
                "phase": len(self.phases) - 1,
                "line": line,
                "words": words,
                "equations": list(equations),
                "changes": changes,
                "marks": seen,
                "scope": scope,
                "landmark": landmark,
            }
        )

    def same(self, array, want, what):
        """Refuse to show numbers that are not the operation's own."""
        got = array.inside().reshape(want.shape)
        # Terms may cancel: what is left is as exact as the largest of them, not as the sum.
        largest = max(np.abs(a.values[np.isfinite(a.values)]).max(initial=0) for a in self.arrays)
        near = np.isclose(got, want, rtol=1e-9, atol=1e-12 * largest, equal_nan=True)
        if not near.all():
            index = tuple(int(k) for k in np.argwhere(~near)[0])
            raise AssertionError(f"stepper: {array.name}{list(index)} came to {got[index]}, {what} has {want[index]}")

    def as_json(self, texts, sources):
        """What the page needs; `texts` and `sources` are shared lists, which grow."""
        ids = {id(array): k for k, array in enumerate(self.arrays)}
        before: dict[str, Any] = {"p": None, "s": None, "b": []}
        frames = []
        for f in self.frames:
            source, number = f["line"]
            state = {"p": f["phase"], "s": [_index(sources, source), number], "b": _marks(f["scope"], ids)}
            frame = {key: value for key, value in state.items() if value != before[key]}
            before = state
            frame["t"] = _text(f["words"], texts)
            if f["equations"]:
                frame["e"] = [_text(line, texts) for line in f["equations"]]
            if f["changes"]:
                frame["d"] = _runs((ids[id(a)], cell, _short(value)) for a, cell, value in f["changes"])
            if f["marks"]:
                frame["m"] = _marks(f["marks"], ids)
            if f["landmark"]:
                frame["k"] = 1
            frames.append(frame)
        phases = [{"way": way, "name": name, "arrays": [ids[id(a)] for a in seen]} for way, name, seen in self.phases]
        arrays = [a.as_json() for a in self.arrays]
        return {"label": self.label, **self.facts, "arrays": arrays, "phases": phases, "frames": frames}


class Story(NamedTuple):
    """What a page shows: one script, or one for each number of groups."""

    op: str
    title: str
    lead: str  # the equation, in a line
    facts: list  # strings: shapes, where the numbers come from
    scripts: list
    chosen: int = 0  # the script that is shown first


# As JSON ----------------------------------------------------------------------------------------------------------


def _text(text, texts):
    template, values = text
    return [_index(texts, template), *(v if isinstance(v, str) else _short(v) for v in values)]


def _marks(marks, ids):
    return [[ROLES.index(role), ids[id(a)], _spans(cells)] for role, a, cells in marks]


def _runs(changes):
    """[array, cell, value, value, ...] for values of cells that follow one another."""
    runs: list[list[Any]] = []
    last = None
    for array, cell, value in changes:
        if last == (array, cell - 1):
            runs[-1].append(value)
        else:
            runs.append([array, cell, value])
        last = array, cell
    return runs


def _spans(cells):
    """Cells 0, 1, 2, 6 as "0-2,6"."""
    spans: list[list[int]] = []
    for cell in sorted(set(cells)):
        if spans and spans[-1][1] == cell - 1:
            spans[-1][1] = cell
        else:
            spans.append([cell, cell])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def _index(known, item):
    if item not in known:
        known.append(item)
    return known.index(item)


def _short(value):
    """A JSON number of six significant digits; null for NaN."""
    value = float(value)
    if np.isnan(value):
        return None
    return int(value) if value == int(value) and abs(value) < 1e15 else float(f"{value:.6g}")
