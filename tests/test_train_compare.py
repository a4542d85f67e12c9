"""Runs beside one another: finished, stopped and damaged ones, in lines of 80 characters, as JSON and as a picture."""

import json
import re
import shutil

import pytest
from commands import printed, refused
from training import TinyNet, at_step, ctrl_c, settings

from minighost import data
from minighost.models import registry
from minighost.train import Interrupted, compare, run

pytestmark = pytest.mark.usefixtures("tinynet")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of a finished run, one on other test images, and one that was stopped in its second epoch."""
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.MODELS, "tinynet", TinyNet)
        patch.setattr("minighost.plots.run.everything", lambda *args: [])
        run(settings(folder / "whole"), stream=None)
        run(settings(folder / "less", data__test_size=20, train__lr=0.1, train__epochs=2), stream=None)
        at_step(patch, 9, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(folder / "halted", train__optimizer="adamw"), stream=None)
    return [folder / name for name in ("whole", "less", "halted")]


def test_each_run_has_what_its_log_and_summary_say(runs):
    whole, less, halted = compare(runs).runs
    summary = json.loads((runs[0] / "summary.json").read_text())
    assert (whole.parameters, whole.macs, whole.finished) == (summary["parameters"], summary["macs"], True)
    assert whole.last("test_accuracy") == summary["test_accuracy"]
    assert whole.best == (summary["best_epoch"], summary["best_test_accuracy"])
    assert whole.seconds == pytest.approx(summary["seconds"])
    assert (len(halted.epochs), halted.planned, halted.finished) == (1, 3, False)
    assert (halted.parameters, halted.macs) == (whole.parameters, whole.macs)  # from the checkpoint, without a summary
    assert len(less.epochs) == 2


def test_only_settings_that_differ_and_matter_are_listed(runs):
    found = compare(runs).differences()
    assert found["train.lr"] == [0.05, 0.1, 0.05] and found["train.optimizer"] == ["sgd", "sgd", "adamw"]
    assert found.keys() == {"data.test_size", "train.epochs", "train.lr", "train.optimizer"}
    assert compare([runs[0], runs[0]]).differences() == {}
    assert str(compare([runs[0]])).endswith("All settings are the same.")


def test_what_is_printed_fits_80_columns_and_marks_other_test_images(runs, capsys, monkeypatch):
    monkeypatch.chdir(runs[0].parent)
    lines = printed(capsys, "compare", "whole", "less", "halted").splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[:3] == [" 1  whole", " 2  less", " 3  halted"]
    row = next(line for line in lines if line.startswith("2*"))
    assert row.split()[:5] == ["2*", "tinynet", "166", "6.95k", "2/2"]
    assert "note: 2 has other test images than 1, so that accuracies do not compare" in lines
    assert not any("training images" in line for line in lines)
    assert "train.lr         1, 3: 0.05; 2: 0.1" in lines


def test_long_names_and_many_runs_fit_too(runs, monkeypatch):
    monkeypatch.setattr("minighost.train.config.ModelConfig.title", "a_network_whose_name_is_longer_than_the_column")
    found = compare([runs[k % 3] for k in range(25)])
    names = len(found.runs)
    assert max(map(len, str(found).splitlines()[names:])) == 80
    assert re.search(r"^ 13 +a_network_whose\w*\.\.\. ", str(found), re.MULTILINE)


def test_the_same_as_json(runs, capsys):
    found = json.loads(printed(capsys, "compare", *runs, "--json"))
    assert [one["path"] for one in found["runs"]] == [str(path) for path in runs]
    assert found["runs"][2]["curves"]["test_loss"] == [[1, found["runs"][2]["test_loss"]]]
    assert found["differences"]["train.epochs"] == [3, 2, 3]
    assert found["runs"][1]["best_test_accuracy"] == max(y for _, y in found["runs"][1]["curves"]["test_accuracy"])


def test_curves_are_drawn_over_one_another(runs, tmp_path, capsys):
    assert f"curves: {tmp_path / 'c.png'}" in printed(capsys, "compare", *runs, "--out", tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_damaged_and_empty_runs_take_part_with_what_is_there(runs, tmp_path, capsys):
    log, bare = (shutil.copytree(runs[0], tmp_path / name) for name in ("log", "bare"))
    lines = (log / "log.jsonl").read_text().splitlines()
    (log / "log.jsonl").write_text("\n".join(["{", *lines[1:3], "[]", '{"kind": "epoch", "epoch": "x"}', *lines[3:]]))
    (log / "summary.json").write_text("{")
    next((log / "checkpoints").glob("last.json")).write_text("{}")
    shutil.rmtree(bare / "checkpoints")
    (bare / "log.jsonl").unlink()
    (bare / "summary.json").unlink()
    one, other = compare([log, bare]).runs
    assert [epoch["epoch"] for epoch in one.epochs] == [1, 2, 3] and one.parameters is None
    assert one.notes[0].startswith(f"{log / 'checkpoints' / 'last.json'}: not a checkpoint of minighost")
    assert one.notes[1] == f"{log / 'log.jsonl'}: dropped 2 damaged lines"
    assert one.notes[2].startswith(f"{log / 'summary.json'}: not JSON")
    assert other.notes == ["no checkpoint yet", "no log", "no epoch has ended"]
    printed(capsys, "compare", log, bare, "--out", tmp_path / "c.png")
    printed(capsys, "compare", bare, "--json", "--out", tmp_path / "c.png")


def test_what_is_no_run_is_refused_in_one_line(runs, tmp_path, capsys):
    said = refused(capsys, "compare", runs[0], tmp_path)
    assert said == f"minighost: error: {tmp_path}: this is not the folder of a run (no config.json)\n"
    assert "unknown format 'txt'" in refused(capsys, "compare", runs[0], "--out", tmp_path / "c.txt")
    with pytest.raises(ValueError, match="compare: got no run; give the folders of one or more"):
        compare([])


def test_other_training_images_are_named_too(runs, tmp_path, monkeypatch):
    load = data.load

    def turned(name, split, **options):
        found = load(name, split, **options)
        if split == "test":
            return found
        return data.Dataset(found.images[::-1], found.labels[::-1], found.classes, found.name)

    monkeypatch.setattr(data, "load", turned)
    run(settings(tmp_path / "turned", train__epochs=1), stream=None)
    assert compare([runs[0], tmp_path / "turned"]).warnings() == ["2 has other training images than 1"]
