"""What docs/own-networks.md shows works, word for word, from an empty folder: files, commands and Python, in order."""

import re
import shlex
from pathlib import Path

import pytest

from minighost.cli.main import main
from minighost.models.registry import ABOUT, MODELS
from minighost.train import RECIPES

DOCUMENT = (Path(__file__).parents[1] / "docs" / "own-networks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", DOCUMENT, re.DOTALL)
FILES = [text for kind, text in BLOCKS if kind == "python" and text.startswith("# my.py")]
OUTPUTS = [text for kind, text in BLOCKS if kind == "text"]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty current folder, from which nothing is registered for good; shapes10's recipe takes few images."""
    monkeypatch.chdir(tmp_path)
    for table in (MODELS, ABOUT):
        monkeypatch.setitem(table, "swishnet", None)
    small = {"data.train_size": 128, "data.test_size": 20}
    monkeypatch.setitem(RECIPES, "shapes10", {**RECIPES["shapes10"], **small})
    monkeypatch.setattr("minighost.plots.run.everything", lambda *args: [])
    return tmp_path


def test_its_story_can_be_followed_word_for_word(empty, capsys):
    commands, names = [], {}
    for kind, text in BLOCKS:
        if kind == "python" and text.startswith("# my.py"):
            with open("my.py", "a", encoding="utf-8") as file:
                file.write(text)
        elif kind == "python":
            exec(text, names)
        elif not kind:
            for command in text.splitlines():
                commands.append(command)
                assert main(shlex.split(command)[1:]) == 0, f"{command}: {capsys.readouterr().err}"
    assert len(commands) == 10 and all(command.startswith("minighost ") for command in commands)
    said = capsys.readouterr()
    assert OUTPUTS[0] in said.out and "this run is finished" in said.err
    assert names["loaded"].config.model.title == "my.py:Net" and names["summary"]["epochs"] == 1


def test_the_mistake_is_explained_as_it_says(empty, capsys):
    wrong = "".join(FILES).replace("(d * x).sum(axis=(0, 1, 2))", "(d * x)[0].sum(axis=(0, 1))")
    (empty / "my.py").write_text(wrong, encoding="utf-8")
    assert main(["gradcheck", "my.py:Swish", "--set", "channels=4"]) == 1
    assert capsys.readouterr().out == OUTPUTS[1]
