"""`minighost summary`: the table of what layers cost."""

import json

import pytest
from commands import printed, refused


@pytest.mark.parametrize(
    "argv, parameters, macs",
    [
        ([], "5,182,508", "141,150,512"),
        (["--width", "0.5"], "2,587,292", "42,328,152"),
        (["--width", "1.3"], "7,358,820", "227,003,256"),
        (["--width", "0.5", "--classes", "10", "--input", "32", "--stem-stride", "1"], "1,319,102", "4,272,192"),
    ],
)
def test_the_totals_are_the_published_ones(capsys, argv, parameters, macs):
    assert printed(capsys, "summary", *argv).splitlines()[-1].split() == ["total", parameters, macs, "100.0", "%"]


@pytest.mark.parametrize(
    "argv", [[], ["--layers"], ["--width", "1.3", "--layers"], ["--fused"], ["--fused", "--model", "quicknet"]]
)
def test_the_table_fits_a_terminal(capsys, argv):
    assert max(map(len, printed(capsys, "summary", *argv).splitlines())) <= 80


def test_a_block_is_one_line_and_a_layer_is_one_line(capsys):
    blocks, layers = printed(capsys, "summary").splitlines(), printed(capsys, "summary", "--layers").splitlines()
    assert sum(line.startswith("stages.8.3") for line in blocks) == 1
    assert any(line.split()[:2] == ["stages.8.3.ghost2.cheap.conv", "7x7x80"] for line in layers)


def test_the_shares_add_up(capsys):
    lines = printed(capsys, "summary").splitlines()[4:-2]
    assert sum(float(line.split()[-2]) for line in lines) == pytest.approx(100, abs=1)


def test_an_oblong_input_is_height_by_width(capsys):
    assert " 112x96x16 " in printed(capsys, "summary", "--input", "224x192")


def test_json_holds_every_layer_and_the_totals(capsys):
    found = json.loads(printed(capsys, "summary", "--json", "--set", "model.dropout=0"))
    assert found["parameters"] == sum(layer["params"] for layer in found["layers"]) == 5_182_508
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"]) == 141_150_512
    assert found["input"] == [224, 224, 3] and found["options"]["dropout"] == 0


def test_a_training_file_decides_the_network_and_flags_win_over_it(capsys, tmp_path):
    (tmp_path / "small.toml").write_text("[model]\nwidth = 1.3\nstem_stride = 1\n[train]\nepochs = 3\n")
    argv = "--config", tmp_path / "small.toml", "--width", "0.5", "--classes", "10", "--input", "32"
    assert "4,272,192" in printed(capsys, "summary", *argv)


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--width", "0"], "model.width: expected a number > 0, got '0'"),
        (["--width", "wide"], "model.width: expected a number > 0, got 'wide'"),
        (["--input", "0"], "--input 0: must be one side or HxW in whole pixels"),
        (["--input", "32x"], "--input 32x: must be one side or HxW in whole pixels"),
        (["--input", "2x3x4"], "--input 2x3x4: must be one side or HxW in whole pixels"),
        (["--classes", "0"], "num_classes=0"),
        (["--classes", "ten"], "--classes: invalid int value: 'ten'"),
        (["--model", "resnet"], "unknown model 'resnet'"),
        (["--set", "model.groups=3"], "ghostnet has no option 'groups'"),
        (["--set", "model.ratio=0"], "ratio=0 must be a whole number of at least 1"),
        (["--set", "width"], "--set width: must read KEY=VALUE"),
        (["--set", "model"], "--set model: must read KEY=VALUE"),
        (["--set", "modell.width=1"], "unknown key 'modell.width'"),
        (["--stem-stride", "0"], "stride=0 must be at least 1"),
        (["--config", "{tmp}/none.toml"], "{tmp}/none.toml: No such file or directory"),
        (["--config", "{tmp}/bad.toml"], "{tmp}/bad.toml: not a TOML file"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, tmp_path, argv, message):
    (tmp_path / "bad.toml").write_text("model = [")
    argv = [arg.format(tmp=tmp_path) for arg in argv]
    assert message.format(tmp=tmp_path) in refused(capsys, "summary", *argv)


def test_what_becomes_of_every_layer_in_inference_is_said(capsys):
    became = json.loads(printed(capsys, "summary", "--fused", "--json", "--model", "quicknet"))
    assert became["blocks.0.1.conv"] == "3x3 convolution (Winograd)" and became["classifier"] == "matrix product"
    assert became["blocks.0.1.bn"] == "part of blocks.0.1.conv"
    assert became["blocks.0.0.bn"] == "scale and shift of its own: after pooling"
    assert became["stem.act"] == "scale and shift of its own: its input is read twice"
    table = printed(capsys, "summary", "--fused").splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["stem.conv", "stem.bn"]
    assert table[-1].startswith("95 of 193 layers are merged into others, 0 could not")
    assert any(line.split(None, 1) == ["dropout", "does nothing in evaluation"] for line in table)


@pytest.mark.parametrize("command", ["summary", "zoo"])
def test_a_detector_is_drawn_block_by_block_and_its_table_fits_a_terminal(capsys, command):
    text = printed(capsys, command, "--model", "ghostnet_retinanet")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80 and "11,788,984" in text and "7,538,933,040" in text
    blocks = [line.split()[0] for line in lines if line.startswith(("net.", "fpn.", "classes.", "boxes."))]
    assert blocks[0] == "net.stages.0.0" and blocks[-1] == "boxes.4" and len(blocks) == 17 + 8 + 10
