"""A capital letter means the same in every folder: what the table in docs/design.md says."""

import ast
import re
from pathlib import Path

import pytest

import minighost

PACKAGE = Path(minighost.__file__).parent
DESIGN = (PACKAGE.parent / "docs/design.md").read_text(encoding="utf-8")
LETTER = r"\b[A-Z]{1,2}\b"
SENTENCE = re.compile(r"Letters: (.*?)\.(?:\s|$)", re.DOTALL)  # in a docstring: "Letters: R rows, C channels in."
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
FILES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def table():
    """From each letter to its meaning, a text."""
    section = DESIGN.partition("## Letters\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|$", section, re.MULTILINE)
    return {letter: meaning for letters, meaning in rows for letter in re.findall(r"`(\w+)`", letters)}


def words(text):
    """What tells one meaning from another: words of four letters or more, and products such as H*W."""
    return set(re.findall(r"[a-z]{4,}|[A-Z*]+\*[A-Z]+", text))


def said(sentence):
    """(letters, meaning) of each part of a sentence: "C and OC channels of a group" is ({"C", "OC"}, "channels...")."""
    parts = [part for part in re.split(r"[,;]", sentence) if re.search(LETTER, re.sub(r"\S*\*\S*", "", part))]
    together: set = set()
    for part in parts:
        letters = set(re.findall(LETTER, re.sub(r"\S*\*\S*", "", part)))
        together |= letters
        if words(part):  # else it goes with the next: "TH, TW tiles in a column and in a line"
            yield together, part.strip()
            together = set()


def contradictions(sentence, legend):
    return [
        f"{letter}: {part!r} is not {legend.get(letter, 'in the table')!r}"
        for letters, part in said(sentence)
        for letter in letters
        if not words(part) & words(legend.get(letter, ""))
    ]


def test_no_docstring_gives_a_letter_another_meaning():
    legend = table()
    sentences = {name: SENTENCE.findall(ast.get_docstring(ast.parse(text)) or "") for name, text in FILES.items()}
    assert sum(map(len, sentences.values())) >= 5, "no file explains letters: has the wording changed?"
    wrong = [f"{name}: {one}" for name, those in sentences.items() for s in those for one in contradictions(s, legend)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "sentence, wrong",
    [
        ("R rows of the chunk, C channels in, OC channels out", []),
        ("TH, TW tiles in a column and in a line; B images at a time", []),
        ("K classes", ["K"]),
        ("C and OC channels, B bytes", ["B"]),
        ("Q channels", ["Q"]),
    ],
)
def test_a_contradiction_is_found(sentence, wrong):
    assert [one[0] for one in contradictions(sentence, table())] == wrong


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_letter_that_a_shape_is_unpacked_to_is_in_the_table(folder):
    legend = table()
    unknown = sorted(
        f"{name}:{node.lineno}: {letter} = ....shape"
        for name, text in FILES.items()
        if name.startswith(f"{folder}/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign)
        for letter in letters_of_shapes(node.targets[0], node.value)
        if letter not in legend
    )
    assert not unknown, f"give them a row in the table of docs/design.md, or the letter that is there: {unknown}"


def letters_of_shapes(target, value):
    """Capital letters that are assigned from a shape: N, C = x.shape; C = x.shape[3]; (N, C), n = x.shape, 3."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from letters_of_shapes(one, its)
    elif ".shape" in ast.unparse(value) and isinstance(value, (ast.Attribute, ast.Subscript)):
        yield from (
            name.id for name in ast.walk(target) if isinstance(name, ast.Name) and re.fullmatch(LETTER, name.id)
        )
