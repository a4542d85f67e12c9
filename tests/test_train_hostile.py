"""Checkpoints whose hashes are right and whose content is anything: read rightly or refused in one line, cheaply."""

import copy
import functools
import json
import os
import re
import shutil
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from training import at_step, ctrl_c, settings

from minighost import data
from minighost.cli.main import main
from minighost.errors import FormatError, printable
from minighost.train import Interrupted, checkpoint, load_checkpoint, load_run, run, save_checkpoint

pytestmark = pytest.mark.usefixtures("tinynet", "quick")


@pytest.fixture
def quick(monkeypatch):
    """Hundreds of files in a moment: not made durable; the images are drawn once."""
    load = functools.cache(data.load)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(data, "load", load)


DEEP = json.loads("[" * 500 + "]" * 500)
ODD = [
    None,
    True,
    "",
    "x",
    "\x1b[2J",
    [],
    [[]],
    {},
    {"a": None},
    -1,
    0,
    0.5,
    3000,
    2**31,
    2**63,
    -(10**30),
    10**400,
    1e300,
    5e-324,
    DEEP,
    {"a": DEEP},
    ["x"] * 1000,
    "x" * 100_000,
]


def mutants(tree, path=(), odd_values=ODD):
    """Copies of `tree` in which one key, however deep, is missing or holds something odd; and the key's path."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from ((at, {**tree, key: inner}) for at, inner in mutants(value, (*path, key), odd_values))
        yield (*path, key), {k: v for k, v in tree.items() if k != key}
        for odd in odd_values:
            yield (*path, key), {**tree, key: copy.copy(odd)}


@pytest.fixture
def halted(tmp_path, monkeypatch):
    """A run that was stopped after its first epoch."""
    with monkeypatch.context() as patch:
        at_step(patch, 7, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(tmp_path / "run"), stream=None)
    return tmp_path / "run"


def answered(capsys, *argv):
    """Status and output of a command; a refusal is one line."""
    capsys.readouterr()
    status = main([str(arg) for arg in argv])
    out, err = capsys.readouterr()
    assert status in (0, 2)
    if status == 2:
        *before, last = err.splitlines()
        assert re.match("minighost: error: ", last) and len(last) < 900 and "Traceback" not in err
    assert (out + err).replace("\n", "").replace("\r", "").isprintable()
    return status, out + err


def test_meta_data_of_any_kind_are_read_or_refused_in_one_line(straight, tmp_path, capsys):
    last, image = tmp_path / "checkpoints" / "last", tmp_path / "image.png"
    Image.new("RGB", (32, 32), "red").save(image)
    tensors, about = load_checkpoint(straight[0] / "checkpoints" / "last")
    refused, loaded = 0, set()
    for path, mutant in mutants(about):
        save_checkpoint(last, tensors, mutant)
        try:
            load_run(tmp_path)
        except FormatError as error:
            refused += 1
            assert "last.json: " in str(error), path
            if refused % 20:
                continue
        if path not in loaded and path[0] != "trainer":  # which evaluation does not look at
            loaded.add(path)
            answered(capsys, "predict", image, "--checkpoint", tmp_path)
            answered(capsys, "eval", "--checkpoint", tmp_path)
    assert refused > 500 and len(loaded) > 30


def test_a_state_of_any_kind_is_resumed_or_refused_in_one_line(halted, capsys):
    last = halted / "checkpoints" / "last"
    tensors, about = load_checkpoint(last)
    statuses = set()
    parts = {key: about[key] for key in ("trainer", "log_bytes")}
    for _, mutant in mutants(parts, odd_values=ODD[::2]):
        kept = shutil.copytree(halted, halted.with_name("kept"))
        save_checkpoint(last, tensors, {**{k: v for k, v in about.items() if k not in parts}, **mutant})
        statuses.add(answered(capsys, "train", "--resume", "--out", halted)[0])
        shutil.rmtree(halted)
        kept.rename(halted)
    assert statuses == {0, 2}


@pytest.mark.parametrize(
    "name, value",
    [
        ("ema/ema.updates", -10),
        ("ema/ema.updates", np.iinfo(np.int64).min),
        ("optimizer/lr.0", np.nan),
        ("model/1.running_var", -1),
        ("model/5.weight", np.inf),
        ("optimizer/momentum.0", -np.inf),
    ],
)
def test_a_tensor_of_any_value_is_refused_when_a_run_goes_on(halted, capsys, name, value):
    last = halted / "checkpoints" / "last"
    tensors, about = load_checkpoint(last)
    tensors[name][...] = value
    save_checkpoint(last, tensors, about)
    status, text = answered(capsys, "train", "--resume", "--out", halted)
    assert status == 2 and f"cannot continue from this checkpoint: {name}: " in text


# How much a file may ask for -----------------------------------------------------------------------------------------


def peak(action):
    """Bytes that `action` had in use at most, beside what there was."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LARGE = [
    {"model.name": "ghostnet", "model.width": 3000},
    {"model.name": "quicknet", "model.width": 3000},
    {"model.name": "ghostnet_short", "model.width": 40, "model.ratio": 1},
    {"model.name": "ghostnet", "model.width": 0.1, "model.ratio": 10**9},
    {"model.name": "ghostnet", "model.stages": [[1, [[3, 10**9, 10**9, 0]]]]},
    {"model.name": "ghostnet", "model.width": 1e300},
]


@pytest.mark.parametrize("wanted", LARGE)
def test_a_small_file_that_describes_a_large_network_costs_nothing(straight, tmp_path, capsys, wanted):
    tensors, about = load_checkpoint(straight[0] / "checkpoints" / "last")
    for key, value in wanted.items():
        about["config"]["model"][key.removeprefix("model.")] = value
    (tmp_path / "config.json").write_text(json.dumps(about["config"]))
    save_checkpoint(tmp_path / "checkpoints" / "last", tensors, about)

    def both():
        with pytest.raises(FormatError, match=r"last.json: this checkpoint does not fit its own configuration: "):
            load_run(tmp_path)
        status, text = answered(capsys, "train", "--resume", "--out", tmp_path)
        assert status == 2 and "last.json: this checkpoint does not fit its own configuration: " in text

    assert peak(both) < 20e6


def test_a_manifest_that_claims_more_than_the_file_holds_buys_no_larger_network(straight, tmp_path, capsys):
    folder = shutil.copytree(straight[0], tmp_path / "run")
    (folder / "summary.json").unlink()
    file = folder / "checkpoints" / "last.json"
    record = json.loads(file.read_bytes())
    del record["self"]
    record["tensors"] = {"model/w": ["float32", [10**9, 10**9]]}
    record["meta"]["config"]["model"] = {"name": "ghostnet", "width": 30}
    file.write_text(json.dumps({**record, "self": checkpoint._digest_of(record)}))
    (folder / "config.json").write_text(json.dumps(record["meta"]["config"]))
    assert peak(lambda: answered(capsys, "train", "--resume", "--out", folder)) < 20e6
    with pytest.raises(FormatError, match="tensors differ from the manifest"):
        load_run(folder)


def test_a_checkpoint_of_a_million_braces_is_cheap(straight, tmp_path):
    folder = shutil.copytree(straight[0], tmp_path / "run")
    file = folder / "checkpoints" / "last.json"
    filler = '{"":{}},'  # of all that JSON has the most bytes of memory a letter
    many = filler * ((checkpoint.LARGEST_JSON - 100) // len(filler))
    file.write_text(f'{{"format": "minighost-checkpoint", "version": 1, "meta": [{many}1]}}')

    def read():
        with pytest.raises(FormatError, match="last.json: its own SHA-256"):
            load_run(folder)

    assert peak(read) < 200e6


# What reaches the terminal -------------------------------------------------------------------------------------------


def test_no_name_of_a_class_steers_the_terminal(straight, tmp_path, capsys):
    tensors, about = load_checkpoint(straight[0] / "checkpoints" / "last")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "image.png")
    evil = [
        "\x1b]0;owned\x07",
        "\x1b[2J",
        "two\nlines",
        "\u202eesrever",
        "\x9b31m",
        "\ud800",
        "$\\frac{",
        "a\tb",
        "\0",
        "é",
    ]
    save_checkpoint(tmp_path / "checkpoints" / "last", tensors, {**about, "classes": evil})
    _, text = answered(
        capsys, "predict", tmp_path / "image.png", "--checkpoint", tmp_path, "--save", tmp_path / "a.png"
    )
    assert sum(printable(name) in text for name in evil) >= 3
    status, text = answered(capsys, "eval", "--checkpoint", tmp_path)
    assert status == 2 and "trained on the 10 classes" in text and "shapes10 has 10: disc, ring" in text
