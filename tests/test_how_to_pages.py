"""How to add something to minighost: each page, done word for word in a copy of the repository."""

import shutil

import pytest
from pages import DOCS, ROOT, play, programs

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
COPIED = "minighost", "tests", "docs", "README.md", "CONTRIBUTING.md", "setup.cfg", "pyproject.toml"


@pytest.fixture
def checkout(tmp_path):
    """A copy of the repository, and programs that run it."""
    home = tmp_path / "checkout"
    home.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__", "generated"))
        else:
            shutil.copy(ROOT / name, home)
    return home, programs(tmp_path, home, NUMBA_CACHE_DIR=str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "page, said",
    [
        ("add-a-layer", ["gamma", "step 9: loss", "3 passed"]),
        ("add-a-network", ["stages.2", "classifier", "passed"]),
        ("add-a-data-set", ["800 200 (64, 32, 32, 3) float32", "sheet.png", "1 epoch"]),
        ("add-an-exercise", ["passed", "47 exercises written", "which axis goes where?", "np.ascontiguousarray"]),
    ],
)
def test_a_page_does_what_it_says(checkout, page, said):
    home, environ = checkout
    printed = play((DOCS / f"{page}.md").read_text(encoding="utf-8"), home, environ)
    missing = [words for words in said if words not in printed]
    assert not missing, f"{missing} not in\n{printed}"
