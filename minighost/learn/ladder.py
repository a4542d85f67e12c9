"""The exercises in their order: found by their file names, named by number, name or any part that fits only one."""

import ast
import difflib
import functools
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

__all__ = ["Exercise", "exercises", "find"]

FILES = resources.files(__package__)  # the package may lie in a zip


@dataclass(frozen=True)
class Exercise:
    """One rung.

    Attributes
    ----------
    number : int
    stem : str
        Name of its files, "ex03_correlate".
    """

    number: int
    stem: str

    @property
    def name(self):
        """Without the number: "correlate"."""
        return self.stem.partition("_")[2]

    @property
    def file(self):
        """Name of the learner's file."""
        return f"{self.stem}.py"

    @functools.cached_property
    def source(self):
        """The solution's text."""
        return (FILES / "exercises" / self.file).read_text(encoding="utf-8")

    @functools.cached_property
    def text(self):
        """The task: the docstring of the solution."""
        return ast.get_docstring(ast.parse(self.source)) or ""

    @property
    def title(self):
        """First line of the task."""
        return self.text.partition("\n")[0]

    @functools.cached_property
    def hints(self):
        """Its hints, read without importing the check, which would import half of minighost."""
        for node in ast.parse((FILES / "checks" / self.file).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "HINTS":
                return ast.literal_eval(node.value)
        return ()


@functools.cache
def exercises():
    """All exercises, by number.

    Returns
    -------
    tuple of Exercise
    """
    names = [re.fullmatch(r"(ex(\d+)_\w+)\.py", file.name) for file in (FILES / "exercises").iterdir()]
    return tuple(sorted((Exercise(int(m[2]), m[1]) for m in names if m), key=lambda e: (e.number, e.stem)))


def find(words):
    """The exercise that `words` mean: "6", "ex06", "col2im", "06_col2im", a file, or a part that fits only one.

    Raises
    ------
    ValueError
        None is meant, or several are; the message names what is close.
    """
    asked = Path(words).name.lower().removesuffix(".py").strip().replace("-", "_").replace(" ", "_")
    number = re.fullmatch(r"(?:ex)?(\d+)", asked)
    if number:
        found = [e for e in exercises() if e.number == int(number[1])]
    else:
        found = [e for e in exercises() if asked in (e.stem, e.name, e.stem.removeprefix("ex"))]
        found = found or [e for e in exercises() if asked and asked in e.name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{words!r} fits {len(found)} exercises: {_names(found)}; give a number or more of the name")
    if number:
        raise ValueError(f"no exercise {number[1]}: they are numbered {_ends()}")
    names = difflib.get_close_matches(asked, [e.name for e in exercises()], 3, 0.5)
    close = [e for e in exercises() if e.name in names]
    raise ValueError(
        f"no exercise {words!r}; "
        + (f"did you mean {_names(close)}?" if close else "`minighost learn list` shows them all")
    )


def _names(found):
    return ", ".join(f"{e.number} ({e.name})" for e in found)


def _ends():
    return f"{exercises()[0].number} to {exercises()[-1].number}"
