"""`minighost analyze` on a small network: tables, pictures, refusals."""

import re

import numpy as np
import pytest

from minighost.cli.main import main
from minighost.data import pictures


@pytest.fixture
def analyze(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(["analyze", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_every_analysis_of_a_network_prints_a_table_that_fits_and_draws(analyze, tmp_path):
    (tmp_path / "net.py").write_text(
        "from minighost import nn\n"
        "class Net(nn.Chain):\n"
        "    def __init__(self, num_classes=10, rng=None):\n"
        "        self.stem = nn.ConvBNAct(3, 8, 3, stride=2, rng=rng)\n"
        "        self.mixed = nn.ConvBNAct(8, 8, 1, groups=2, rng=rng)\n"
        "        self.ghost = nn.GhostModule(8, 16, 1, rng=rng)\n"
        "        self.pool = nn.GlobalAvgPool()\n"
        "        self.head = nn.Linear(16, num_classes, rng=rng)\n"
    )
    status, out, err = analyze("net.py:Net", "--images", 8, "--threads", 1)
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for name in ("pairs", "maps", "ghosts", "groups", "field"):
        picture = tmp_path / "analysis-Net" / f"{name}.png"
        assert f"picture: analysis-Net/{name}.png" in out and pictures.read(picture, 8)[0].std() > 0
    assert re.search(r"^stem +(2\.8|3\.0) +3 +3$", out, re.M), "the field of a 3x3 convolution"
    assert re.search(r"^ghost +[\d.]+ +[\d.]+ +0\.94 +[\d.]+ +[\d.]+-[\d.]+$", out, re.M), "r_s = 8 / (4 + 9/2)"
    assert re.search(r"^stem\.conv +mixed\.conv +2 +[\d.]+$", out, re.M)


def test_long_names_of_layers_leave_the_table_within_eighty_columns(analyze):
    status, out, _ = analyze("ghostnet_short", "--show", "pairs", "--images", 2)
    assert status == 0 and ".ghost1.primary.conv " in out
    assert max(map(len, out.splitlines())) <= 80


def test_maps_are_drawn_of_a_picture_and_of_the_layer_that_is_named(analyze, tmp_path):
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / "cat.png")
    status, out, _ = analyze("resnet20", "--show", "maps", "--layer", "stem", "--picture", "cat.png", "--images", 4)
    assert status == 0 and "maps of stem" in out and "(5 images)" in out and "centre 20x20" in out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ["resnet20", "--show", "pears"],
            "--show: unknown analysis 'pears' (did you mean 'pairs'?); available: pairs, maps",
        ),
        (["resnet21"], "unknown model 'resnet21' (did you mean 'resnet20'?)"),
        (["resnet20", "--images", 1], "--images 1: must be at least 2"),
        (["resnet20", "--show", "maps", "--layer", "stam"], "unknown layer 'stam' (did you mean 'stem'?)"),
        (["resnet20", "--show", "maps", "--layer", "classifier"], "--layer classifier: its output has shape (10,)"),
    ],
)
def test_what_cannot_be_analyzed_is_one_line(analyze, arguments, words):
    status, out, err = analyze(*arguments)
    assert status == 2 and words in err and err.count("\n") == 1
