"""What docs/weights.md says is so: its list of networks, its examples, its converter."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minighost import interop, models, nn

DOCUMENT = (Path(__file__).parents[1] / "docs" / "weights.md").read_text(encoding="utf-8")
FIRST, CONVERTER, LOADED, OTHER_CLASSES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


def test_it_lists_which_networks_have_which_names():
    with nn.without_weights():
        found = {name: list(interop.tables_of(models.create(name, width=0.1))) for name in models.names()}
    expected = [f"| `{name}` | {', '.join(names[1:])} |" for name, names in found.items() if names[1:]]
    assert re.findall(r"^\| `[a-z].*\|$", DOCUMENT, re.MULTILINE) == expected, "\n".join(expected)


def test_its_first_example_saves_and_loads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(FIRST, names)
    for path, value in names["model"].state_dict().items():
        assert_array_equal(names["other"].state_dict()[path], value, err_msg=path)


def test_official_weights_load_with_their_classifier_or_without_it(tmp_path, monkeypatch):
    official = models.create("resnet18", rng=1)
    interop.save(official, tmp_path / "resnet18.safetensors", "torchvision")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(LOADED, names)
    assert_array_equal(names["model"].classifier.weight.data, official.classifier.weight.data)
    exec(OTHER_CLASSES, names)
    assert names["model"].classifier.weight.shape == (512, 10)
    assert_array_equal(names["model"].stem.conv.weight.data, official.stem.conv.weight.data)


def test_the_converter_has_ten_lines_at_most():
    compile(CONVERTER, "convert.py", "exec")
    assert len(CONVERTER.splitlines()) <= 10


@pytest.mark.parity
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_converter_makes_a_file_that_loads(tmp_path, wrapped):
    import torch

    model = models.create("squeezenet", width=0.1, num_classes=3, rng=1)
    state = {name: torch.from_numpy(value) for name, value in interop.state_dict(model, "torchvision").items()}
    state = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}} if wrapped else state
    torch.save(state, tmp_path / "weights.pth")
    (tmp_path / "convert.py").write_text(CONVERTER, encoding="utf-8")
    subprocess.run(
        [sys.executable, "convert.py", "weights.pth", "w.safetensors"], cwd=tmp_path, check=True, timeout=200
    )
    other = interop.load(models.create("squeezenet", width=0.1, num_classes=3, rng=2), tmp_path / "w.safetensors")
    assert all(np.array_equal(other.state_dict()[path], value) for path, value in model.state_dict().items())
