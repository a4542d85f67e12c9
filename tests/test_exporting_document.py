"""The programs in docs/export.md do what the page says, on a run that the page's commands could have made."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

import minighost
from minighost import data
from minighost.cli.main import main
from minighost.exporting import numpy_graph

PAGE = (Path(minighost.__file__).parent.parent / "docs/export.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, and a picture."""
    folder = tmp_path_factory.mktemp("page")
    tiny = ["--set", "data.train_size=32", "--set", "data.test_size=40", "--set", "train.warmup_epochs=0"]
    command = ["train", "--width", "0.1", "--epochs", "1", "--batch-size", "16", "--threads", "1", *tiny]
    assert main([*command, "--out", str(folder / "runs/mine")]) == 0
    Image.fromarray(data.shapes10(1, 0, "test").images[0]).save(folder / "shape.png")
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield folder
    for name in ("net", "numpy_graph"):
        sys.modules.pop(name, None)


def commands(to):
    """The page's command for a format, as arguments."""
    (line,) = re.findall(rf"^minighost (export .*--to {to} .*)$", PAGE, re.M)
    return line.split()


def block(word):
    """The only program of the page that has this word in it."""
    (found,) = [one for one in BLOCKS if word in one]
    return found


def said(capsys, program):
    """What the program prints."""
    capsys.readouterr()
    exec(compile(program, "export.md", "exec"), {"__name__": "page"})
    return capsys.readouterr().out


def answer():
    loaded = minighost.load("runs/mine")
    return loaded.predict("shape.png")[0][0]


def test_an_npz_is_listed_and_run_by_the_programs_of_the_page(capsys, here):
    assert main(commands("npz")) == 0
    listed = said(capsys, block("arrays = dict(file)"))
    assert "ghostnet_cifar_fast ['disc', " in listed and re.search(r"^stem_conv = conv normalize \{'w': ", listed, re.M)
    shutil.copy(numpy_graph.__file__, here)
    assert said(capsys, block("import numpy_graph")) == f"{answer()}\n"


def test_own_layers_are_exported_by_the_programs_of_the_page(capsys, here):
    said(capsys, block("class Leaky") + block("class ErfGate"))
    assert (here / "leaky.npz").exists() and (here / "erf.npz").exists()


@pytest.mark.onnx
def test_an_onnx_file_is_run_by_the_program_of_the_page(capsys, here):
    assert main(commands("onnx")) == 0
    assert said(capsys, block("import onnxruntime")) == f"{answer()}\n"


@pytest.mark.parity
def test_pytorch_code_is_run_by_the_program_of_the_page(capsys, here):
    assert main(commands("torch")) == 0
    assert said(capsys, block("import torch")).split()[0] == answer()
