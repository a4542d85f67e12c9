"""How much there is to read is counted, and the README says what the count says."""

import re
from pathlib import Path

import pytest
from commands import printed

from minighost import lines

ROOT = Path(__file__).parents[1]

FILE = '''"""What it is about,
in two lines."""

import math  # a comment beside code is no line of its own

# a comment


def area(radius):
    """Of a disc."""

    text = """a string that
    is no docstring"""
    return math.pi * (
        radius**2
    ), text
'''


def test_blank_lines_comments_and_docstrings_are_no_code():
    assert lines.count_file(FILE) == lines.Lines(files=1, code=7, total=16)


def numbers(capsys, *flags):
    """What `minighost lines` prints: from the name of a row to files, code, all lines."""
    rows = (re.split(r"  +", line.strip()) for line in printed(capsys, "lines", *flags).splitlines()[2:])
    return {name: [int(number.replace(",", "")) for number in found] for name, *found in rows}


def test_every_pattern_of_the_weekend_finds_files():
    for pattern in [*lines.ENGINE, *lines.FAMILY, *(pattern for part in lines.WEEKEND.values() for pattern in part)]:
        assert lines.count(pattern), f"{pattern} of minighost/lines.py matches no file"


def test_the_weekend_is_the_sum_of_its_parts_and_a_part_of_its_files(capsys):
    rows = numbers(capsys, "--files")
    parts = [rows[name] for name in lines.WEEKEND]
    assert rows["the weekend"] == [sum(column) for column in zip(*parts, strict=True)]
    files = [found for name, found in rows.items() if name.endswith(".py")]
    assert rows["the weekend"] == [sum(column) for column in zip(*files, strict=True)]
    assert set(numbers(capsys)) == {name for name in rows if not name.endswith(".py")}


@pytest.mark.parametrize(
    "sentence, row, column",
    [
        (r"The weekend is .*?about ([\d,]+) lines of code", "the weekend", 1),
        (r"The weekend is .*?([\d,]+) with docstrings", "the weekend", 2),
        (r"The engine under them, about ([\d,]+) lines of code", "the engine, the second book", 1),
    ],
)
def test_the_readme_says_what_the_command_counts_within_a_tenth(capsys, sentence, row, column):
    (said,) = re.findall(sentence, (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    counted = numbers(capsys)[row][column]
    said = int(said.replace(",", ""))
    assert said % 100 == 0, f"README: {said} must be rounded to hundreds"
    assert abs(said - counted) <= counted / 10, f"README says {said} lines, `minighost lines` counts {counted}"
