"""Runs that are given more epochs than were planned, finished or not."""

import io
import json
import shutil

import pytest
from training import TinyNet, at_step, ctrl_c, outcome, settings

from minighost.cli.main import main
from minighost.models import registry
from minighost.train import Config, Interrupted, read_log, resume_config, run

pytestmark = pytest.mark.usefixtures("tinynet")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Folders of a finished run of 2 epochs, and of one of 3 that was planned for 2 before; nobody may change them."""
    folder = tmp_path_factory.mktemp("extend")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.MODELS, "tinynet", TinyNet)
        patch.setattr("minighost.plots.run.everything", lambda *args: [])
        run(settings(folder / "short", train__epochs=2, train__views="mirror"), stream=None)
        run(settings(folder / "long", train__extended="2", train__views="mirror"), stream=None)
    return folder / "short", folder / "long"


def extend(folder, epochs=3, stream=None):
    overrides = {"out": str(folder), "train.epochs": str(epochs)}
    return run(resume_config(overrides=overrides), resume=True, stream=stream)


def test_a_finished_run_that_is_extended_is_bit_for_bit_the_run_with_this_plan(both, tmp_path):
    folder, stream = shutil.copytree(both[0], tmp_path / "run"), io.StringIO()
    summary = extend(folder, stream=stream)
    assert outcome(folder) == outcome(both[1])
    assert Config.load(folder / "config.json") == Config.load(both[1] / "config.json")
    assert (summary["epochs"], summary["steps"]) == (3, 18)
    epochs = [line for line in read_log(folder / "log.jsonl") if line["kind"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert summary["seconds"] == pytest.approx(sum(line["seconds"] + line["test_seconds"] for line in epochs))
    assert summary["best_test_accuracy"] == max(line["test_accuracy"] for line in epochs)
    rates = {line["step"]: line["lr"] for line in read_log(folder / "log.jsonl") if line["kind"] == "step"}
    assert rates[12] < 0.006 < 0.01 < rates[14] > rates[18]  # down, and up to where a longer plan would be
    assert "extended planned for 2 epochs; from epoch 3 on the rate is that of a run of 3: 0.02\n" in stream.getvalue()


def test_a_stopped_run_first_follows_its_old_plan_to_the_end(both, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 8, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(tmp_path / "run", train__epochs=2, train__views="mirror"), stream=None)
    extend(tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(both[1])


@pytest.mark.parametrize("step", [None, 13])
def test_an_extension_that_is_cut_off_goes_on_without_its_number(both, tmp_path, monkeypatch, step):
    class PowerCut(Exception):
        pass

    def crash(*_):
        raise PowerCut

    folder = shutil.copytree(both[0], tmp_path / "run")
    with monkeypatch.context() as patch:
        if step is None:
            patch.setattr("minighost.train.runfolder.write_atomic", crash)
        else:
            at_step(patch, step, crash)
        with pytest.raises(PowerCut):
            extend(folder)
    assert not (folder / "summary.json").exists()
    run(resume_config(overrides={"out": str(folder)}), resume=True, stream=None)
    assert outcome(folder) == outcome(both[0] if step is None else both[1])
    assert (folder / "summary.json").exists()


def test_a_run_is_extended_again_and_again(both, tmp_path):
    folder = shutil.copytree(both[1], tmp_path / "run")
    assert extend(folder, 4)["epochs"] == 4
    assert Config.load(folder / "config.json").train.extended == (2, 3)


def test_fewer_epochs_are_refused_and_as_many_are_there_already(both, tmp_path, capsys):
    folder = shutil.copytree(both[0], tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(["train", "--out", str(folder), "--resume", "--epochs", "1"]) == 2
    assert capsys.readouterr().err == (
        f"minighost: error: {folder}: train.epochs: this run is planned for 2 epochs; give more than 2 to extend it, "
        f"got 1\n"
    )
    assert main(["train", "--out", str(folder), "--resume", "--epochs", "2"]) == 0
    assert "this run is finished" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_nothing_else_may_change_with_the_number_of_epochs(both, tmp_path):
    folder = shutil.copytree(both[0], tmp_path / "run")
    with pytest.raises(ValueError, match=r"cannot resume with another configuration: train.lr = 0.05 there, 0.1 now"):
        run(resume_config(overrides={"out": str(folder), "train.epochs": 3, "train.lr": 0.1}), resume=True, stream=None)
    tree = json.loads((folder / "config.json").read_text())
    tree["train"].update(epochs=3, extended=[1])
    (folder / "config.json").write_text(json.dumps(tree))
    with pytest.raises(
        ValueError, match="config.json no longer belongs to this run: train.epochs = 2 in the checkpoint"
    ):
        run(resume_config(overrides={"out": str(folder)}), resume=True, stream=None)
    for wrong in ("3", "1.5"):
        with pytest.raises(ValueError, match="train.extended: must be whole numbers below train.epochs=3"):
            settings(tmp_path / "other", train__extended=wrong)
