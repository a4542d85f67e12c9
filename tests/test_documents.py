"""What the documents show works: the Python of all pages, their links and names, the examples of all docstrings."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT, anchors, blocks, documents, draw_photos, links

import minighost

MODULES = sorted(m.name for m in pkgutil.walk_packages(minighost.__path__, "minighost.") if "__main__" not in m.name)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, extraglobs={"np": np}, verbose=False)
    assert outcome.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [t for name in MODULES for t in finder.find(importlib.import_module(name), name) if t.examples]
    assert len(examples) > 15


# Pages with tests of their own, which give them the files and programs that they speak of.
ELSEWHERE = {
    "weights": "test_weights_document.py",
    "recipes": "test_recipes.py",
    "own-networks": "test_own_networks_document.py",
    "export": "test_exporting_document.py",
} | {page: "test_how_to_pages.py" for page in ("add-a-layer", "add-a-network", "add-a-data-set", "add-an-exercise")}
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in documents()}
PROGRAMS = [page for page, text in PAGES.items() if "```python" in text and Path(page).stem not in ELSEWHERE]


TRAINING = "docs/python.md", "docs/notebooks.md"


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.long] * (page in TRAINING)) for page in PROGRAMS]
)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_photos(tmp_path / "photos")
    mine = [(np.full((8, 8, 3), 20 * label, np.uint8), label) for label in (0, 1, 2) * 4]
    names = {"__name__": "page", "mine": mine, "mine_for_testing": mine[:6]}  # what pages speak of as the reader's own
    for block in blocks(PAGES[page]):
        if block.language == "python":
            exec(raising(block.text), names)
    if "same" in names:  # two twins, side by side
        np.testing.assert_allclose(names["out"], names["same"], atol=1e-12)


def raising(code):
    """Code whose last line may raise what a comment below it says."""
    said = re.search(r"^# (\w+Error): (.*?)(?: \.\.\.)?$", code, re.MULTILINE)
    if not said:
        return code
    lines = code[: said.start()].rstrip().splitlines()
    return "\n".join(
        [
            *lines[:-1],
            "try:",
            f"    {lines[-1]}",
            f"except {said[1]} as error:",
            f"    assert {said[2]!r} in str(error)",
        ]
    )


def test_pages_with_tests_of_their_own_are_there():
    for page, test in ELSEWHERE.items():
        assert f"docs/{page}.md" in PAGES and (ROOT / "tests" / test).exists()


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page):
    lost = []
    for link in links(PAGES[page]):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            lost.append(link)
    assert not lost, f"{page}: {lost} lead nowhere"


@pytest.mark.parametrize("page", PAGES)
def test_a_name_that_a_page_mentions_is_there(page):
    for name in re.findall(r"`mg\.([\w.]+)", PAGES[page]):
        found = minighost
        for part in name.rstrip(".").split("."):
            assert hasattr(found, part), f"{page}: there is no mg.{name}"
            found = getattr(found, part)


def test_every_page_is_in_the_site_and_in_one_place():
    index = PAGES["docs/index.md"]
    listed = [line for block in re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL) for line in block.splitlines()]
    pages = {Path(page).stem for page in PAGES if Path(page).parent == Path("docs")} - {"index"}
    assert {page for page in pages if listed.count(page) != 1} == set()


def test_every_term_of_the_glossary_is_said_in_both_languages_and_leads_to_a_file():
    rows = re.findall(r"^\| (\*\*.*)\|$", PAGES["docs/glossary.md"], re.MULTILINE)
    assert len(rows) > 80
    for row in rows:
        english, chinese, file = (cell.strip() for cell in row.strip("|").split(" | "))
        assert re.match(r"\*\*.+\*\*.*: .+\.$", english) and english.isascii(), english
        assert re.match(r"\*\*.+\*\*.*：.+。$", chinese) and re.search(r"[\u4e00-\u9fff]{2}", chinese), chinese
        assert links(file), f"{english}: {file} is no link"


def test_the_readme_is_two_screens_and_names_every_goal():
    assert len(PAGES["README.md"].splitlines()) <= 110
    assert {"docs/index.md", "docs/tutorials.md", "docs/recipes.md", "docs/teach.md", "docs/api.md"} <= set(
        links(PAGES["README.md"])
    )
