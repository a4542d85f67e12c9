"""Every tutorial runs as a plain script, away from the repository, without network or display; and it is a notebook."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.py"))
every_tutorial = pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)


def cells(text):
    """The cells of a script in percent format: pairs (kind, lines) with kind "markdown" or "code"."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# %%"):
            kinds = {"# %%": "code", "# %% [markdown]": "markdown"}
            assert line in kinds, f"line {number}: {line!r} opens no cell that we use; it is one of {list(kinds)}"
            found.append((kinds[line], []))
        else:
            assert found, f"line {number} stands in front of the first cell"
            found[-1][1].append(line)
    return found


def prose(lines):
    """A markdown cell's text: each line a comment, in front of the blank lines that end the cell."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    for line in lines:
        assert line == "#" or line.startswith("# "), f"in a markdown cell, not a comment: {line!r}"
    return "\n".join(line[2:] for line in lines)


def test_they_are_numbered_without_a_gap():
    assert [path.name[:3] for path in TUTORIALS] == [f"{number:02}_" for number in range(1, len(TUTORIALS) + 1)]
    assert len(TUTORIALS) >= 16


@every_tutorial
def test_it_is_in_percent_format(script):
    text = script.read_text(encoding="utf-8")
    found = cells(text)
    texts = [prose(lines) for kind, lines in found if kind == "markdown"]
    programs = ["\n".join(lines) for kind, lines in found if kind == "code"]
    assert found[0][0] == "markdown" and texts[0].startswith("# ")
    assert [line for t in texts for line in t.splitlines() if line.startswith("# ")] == texts[0].splitlines()[:1]
    assert f"`python tutorials/{script.name}`" in texts[0]
    assert found[-1][0] == "markdown" and "## Try it" in texts[-1].splitlines()
    assert all(part.strip() for part in texts + programs), "an empty cell"
    for program in programs:
        compile(program, script.name, "exec")  # a cell is whole: no function is cut in two
    assert sum(len(re.findall(r"^ *(?:assert|np\.testing\.assert_)", program, re.M)) for program in programs) >= 5


@every_tutorial
def test_what_it_points_to_is_there(script):
    text = " ".join(prose(lines) for kind, lines in cells(script.read_text(encoding="utf-8")) if kind == "markdown")
    paths = re.findall(r"`((?:minighost|docs|tutorials)/[\w./]+\.\w+)`", text)
    assert len(paths) >= 1
    for path in paths:
        assert (ROOT / path).exists(), path
    for number in re.findall(r"tutorials? (\d+)", text):
        assert 1 <= int(number) <= len(TUTORIALS)
    exercises = {path.name[2:4] for path in (ROOT / "minighost" / "learn" / "exercises").glob("ex*.py")}
    for numbers in re.findall(r"exercises? (\d+(?:(?:,| and| to|, and) \d+)*)", text):
        assert {f"{int(number):02}" for number in re.findall(r"\d+", numbers)} <= exercises, numbers


@pytest.mark.long
@every_tutorial
def test_it_runs(script, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert list(tmp_path.glob("*.png")), "a tutorial draws at least one picture"
