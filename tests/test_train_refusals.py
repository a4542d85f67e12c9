"""Runs that may not begin: the folder is taken, or something does not fit. What is there stays as it is."""

import json
from pathlib import Path

import pytest
from training import TinyNet, at_step, ctrl_c, outcome, settings

from minighost import data
from minighost.errors import FormatError, RunLocked
from minighost.models import registry
from minighost.train import Interrupted, load_run, lock, resume_config, run

pytestmark = pytest.mark.usefixtures("tinynet")


def test_a_folder_that_holds_a_run_is_not_written_over(straight, tmp_path, monkeypatch):
    folder = straight[0]
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ValueError) as error:
        run(settings(folder), stream=None)
    assert str(error.value) == (
        f"{folder}: already holds this run, finished; use --overwrite to start over, or another --out"
    )
    with pytest.raises(ValueError) as error:
        run(settings(folder, train__epochs=4, seed=1), stream=None)
    assert str(error.value) == (
        f"{folder}: already holds a run of another configuration "
        "(seed = 0 there, 1 now; train.epochs = 3 there, 4 now); use --overwrite to start over, or another --out"
    )
    with pytest.raises(ValueError) as error:
        run(settings(folder, train__lr=1), resume=True, stream=None)
    assert str(error.value) == (
        f"{folder}: cannot resume with another configuration: train.lr = 0.05 there, 1.0 now. "
        "Leave those settings out, or start over in another folder with --out"
    )
    assert kept == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_unfinished_run_names_resume_first_and_overwriting_starts_over(straight, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 3, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(folder, seed=9), stream=None)
    with pytest.raises(ValueError, match="already holds this run, unfinished; use --resume to continue"):
        run(settings(folder, seed=9), stream=None)
    (folder / "notes.txt").write_text("mine")
    run(settings(folder), overwrite=True, stream=None)
    assert outcome(folder) == outcome(straight[0])
    assert (folder / "notes.txt").read_text() == "mine"


def test_files_of_somebody_else_are_left_alone(straight, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("notes.tmp", "checkpoints/model.pt", "config.json.bak"):
        (tmp_path / name).write_text("mine")
    run(settings(tmp_path), stream=None)
    run(settings(tmp_path), stream=None, overwrite=True)
    assert outcome(tmp_path) == outcome(straight[0])
    assert sum(path.is_file() and path.read_bytes() == b"mine" for path in tmp_path.rglob("*")) == 3
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError) as error:
        run(settings(tmp_path), stream=None)
    assert str(error.value) == (
        f"{tmp_path}: holds summary.json, which a run would replace, but no run; "
        "use --overwrite to replace it, or another --out"
    )
    (tmp_path / "config.json").write_text('{"name": "a web page"}')
    for overwrite in (False, True):
        with pytest.raises(FormatError, match="config.json: not the configuration of a run: unknown key 'name'"):
            run(settings(tmp_path), stream=None, overwrite=overwrite)


def test_a_run_that_appears_at_the_last_moment_is_not_written_over(tmp_path, monkeypatch):
    load = data.load

    def slow_load(*args, **options):
        (tmp_path / "config.json").write_text(json.dumps(settings(tmp_path, seed=3).to_dict()))
        return load(*args, **options)

    monkeypatch.setattr(data, "load", slow_load)
    with pytest.raises(ValueError, match="already holds a run of another configuration"):
        run(settings(tmp_path), stream=None)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_without_out_every_run_gets_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        run(settings(None, train__epochs=1), stream=None)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["shapes10-tinynet", "shapes10-tinynet-2"]
    newest = resume_config(overrides={"model.name": "tinynet"})
    assert Path(newest.out) == Path("runs/shapes10-tinynet-2")


def test_two_trainers_do_not_share_a_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with lock.run_lock(folder), pytest.raises(RunLocked):
        run(settings(folder), stream=None)
    assert not list(folder.iterdir())


def test_nothing_is_left_behind_by_a_run_that_cannot_begin(tmp_path):
    for changes, message in (
        (dict(model__name="nonet"), "unknown model 'nonet'"),
        (dict(model__colour="red"), "no option 'colour'"),
        (dict(data__name="mnist"), "unknown data set 'mnist'"),
        (dict(train__batch_size=101), "batch_size = 101 is larger than the data set"),
        (dict(threads=99_999), "threads: n=99999 must lie between"),
    ):
        with pytest.raises(ValueError, match=message):
            run(settings(tmp_path / "run", **changes), stream=None)
    assert not (tmp_path / "run").exists()


def test_what_is_not_a_run_or_does_not_fit_is_named(straight, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no run to resume here"):
        run(settings(tmp_path), resume=True, stream=None)
    with pytest.raises(FileNotFoundError, match="this is not the folder of a run"):
        load_run(tmp_path)
    with pytest.raises(ValueError, match="which: expected 'last' or 'best', got 'first'"):
        load_run(straight[0], "first")
    monkeypatch.setitem(registry.MODELS, "tinynet", lambda num_classes, rng: TinyNet(num_classes + 1, 0.1, rng))
    with pytest.raises(
        FormatError, match=r"last.json: this checkpoint does not fit its own configuration: (?s:.)*5\.bias"
    ):
        load_run(straight[0])


def test_other_images_than_those_of_the_run_are_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 3, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(tmp_path / "run"), stream=None)
    load = data.load
    monkeypatch.setattr(data, "load", lambda *args, **options: load(*args, **options, seed=1))
    with pytest.raises(ValueError, match="the training images are not those that this run began with"):
        run(settings(tmp_path / "run"), resume=True, stream=None)
