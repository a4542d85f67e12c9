"""The field's words are used: the private ones that once stood in their place do not come back."""

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "minighost").rglob("*.py"))
TEXTS = [
    *SOURCES,
    *sorted((ROOT / "minighost" / "stepper").glob("page.*")),
    *sorted((ROOT / "tutorials").glob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
]
NAMES = {  # in identifiers, whole or between underscores: what to say instead
    "pending": "lazy, deferred",
    "settle": "materialize",
    "settled": "materialized",
    "turned": "transposed",
    "ticket": "fetch_add",
    "deal": "deinterleave",
    "dealt": "deinterleaved",
    "pass_back": "batch_norm_backward",
    "give_back": "col2im_add",
    "borrowed": "without_refcount",
    "chances": "rng_states",
}
PHRASES = {  # in prose and identifiers: what to say instead
    r"pass(?:es)? back": "batch norm's backward",
    r"gives? back": "add, return",
    r"tickets?": "atomic counter",
    r"pending": "lazy, deferred",
    r"chances": "random states",
    r"surest": "most confident",
    r"anew": "again, start over",
    r"mostly taken for": "most often confused with",
    r"slopes? of its forward": "finite differences",
    r"number all randomness comes from": "random seed",
    r"in small:": "a small example:",
    r"so many (?:planes|images|numbers|bytes|channels)": "n planes",
    r"(?:images|bytes|operations|milliseconds|seconds) an? (?:step|number|second|thread|epoch|call)": "per",
}


def words(name):
    """The parts of an identifier between underscores, and each with the next; a class's words are parts too."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).strip("_").lower().split("_")
    return {*parts, *map("_".join, zip(parts, parts[1:], strict=False))}


def names_in(text):
    """Every identifier of a program, with its line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def phrases_in(text):
    """Every private phrase of a text, with its line; a line's end may be within it."""
    flat = re.sub(r"\n[#* ]*", lambda end: " ".ljust(len(end[0])), text)
    for phrase, instead in PHRASES.items():
        spaced = phrase.replace(" ", r"[ _]+")
        for found in re.finditer(rf"(?<![A-Za-z]){spaced}(?![A-Za-z])", flat, re.IGNORECASE):
            yield text.count("\n", 0, found.start()) + 1, found[0], instead


def test_no_name_has_a_private_word():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}; say {NAMES[word]}"
        for path in SOURCES
        for line, name in names_in(path.read_text(encoding="utf-8"))
        for word in sorted(words(name) & NAMES.keys())
    ]
    assert not found, "\n".join(found)


def test_no_text_has_a_private_phrase():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {phrase!r}; say {instead}"
        for path in TEXTS
        for line, phrase, instead in phrases_in(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_private_words_are_found_in_names_and_in_prose_over_a_line_s_end():
    assert words("_PendingSum") & NAMES.keys() == {"pending"}
    assert words("norm_pass_back_all") & NAMES.keys() == {"pass_back"}
    assert not words("appending_compassed_backwards") & NAMES.keys()
    text = "# it takes 20 ms and reads 128 images\n# a step, impending\nrows = give_back(x)  # Pending\n"
    assert {(line, phrase.split()[0]) for line, phrase, _ in phrases_in(text)} == {
        (1, "images"),
        (3, "give_back"),
        (3, "Pending"),
    }
