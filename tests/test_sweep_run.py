"""A sweep loses nothing: trials go on where they stopped, a failed one costs only itself; one table compares."""

import contextlib
import csv
import io
import json

import pytest
from commands import refused
from sweeps import Runner, ctrl_c_during
from training import Terminal, at_step, ctrl_c

from minighost import train
from minighost.cli.main import main
from minighost.errors import NonFiniteError, RunLocked
from minighost.plots import figure
from minighost.plots import sweep as plots
from minighost.sweep import run_sweep
from minighost.sweep.folder import SweepFolder
from minighost.train import Interrupted, load_run
from minighost.train.lock import run_lock

SPACE = """seeds = [0, 1]
settings.model.name = "tinynet"
settings.model.width = "none"
settings.data.train_size = 64
settings.data.test_size = 32
settings.train.epochs = 2
settings.train.batch_size = 32
grid.train.lr = [0.05, 0.1]
"""


@pytest.fixture
def here(tmp_path, monkeypatch, tinynet):
    """A folder with space.toml, in which trials run in threads of this process; returns the trials that were run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.toml").write_text(SPACE)
    monkeypatch.setattr("minighost.plots.sweep.sweep", lambda points, keys, path, title: drawn.append(points))
    return Runner(monkeypatch)


drawn: list = []  # what would have been drawn


def sweep(**options):
    """Run the sweep of this folder; how many trials failed, and what it reported."""
    stream = io.StringIO()
    return run_sweep.run("space.toml", "out", None, run_sweep.Options(**options), stream), stream.getvalue()


def fails(task):
    raise NonFiniteError("step 3: the loss is nan")


def test_every_trial_is_an_ordinary_run_and_the_table_orders_them_by_their_mean(here, tmp_path, capsys):
    failed, said = sweep(workers=2)
    out = capsys.readouterr().out
    names = [f"lr={lr},seed={seed}" for seed in (0, 1) for lr in (0.05, 0.1)]
    assert failed == 0 and sorted(here) == sorted(names)
    assert said.startswith(
        "sweep    4 trials over train.lr; seeds 0, 1\nworkers  2 at a time, 1 thread each\nfolder   out\n"
    )
    accuracy = {
        name: json.loads((tmp_path / "out" / name / "summary.json").read_text())["test_accuracy"] for name in names
    }
    means = {lr: (accuracy[f"lr={lr},seed=0"] + accuracy[f"lr={lr},seed=1"]) / 2 for lr in (0.05, 0.1)}
    rows = [line.split() for line in out.splitlines()[3:5]]
    assert [float(row[2]) for row in rows] == [round(100 * mean, 2) for mean in sorted(means.values(), reverse=True)]
    for row in rows:
        both = [100 * accuracy[f"lr={row[0]},seed={seed}"] for seed in (0, 1)]
        assert row[1] == "2" and [float(row[4]), float(row[6])] == [round(min(both), 2), round(max(both), 2)]
    with open("out/results.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["trial"]: float(line["test_accuracy"]) for line in lines} == accuracy
    assert (tmp_path / "out/results.md").read_text().count("\n| 0.") == 2
    assert len(drawn[-1]) == 4 and ({"train.lr": 0.1}, accuracy["lr=0.1,seed=1"]) in drawn[-1]
    assert load_run("out/lr=0.1,seed=1").config.seed == 1
    assert all(len(line) <= 80 for line in out.splitlines() + said.splitlines())


def test_the_same_command_again_runs_nothing_and_prints_the_table(here, capsys):
    sweep()
    first, begun = capsys.readouterr().out, len(here)
    failed, said = sweep()
    assert (failed, len(here)) == (0, begun) and capsys.readouterr().out == first
    assert "before   4 finished, 0 failed; 0 to go\n" in said


def test_a_failed_trial_costs_only_itself_and_is_run_again_only_when_asked(here, capsys):
    here.before[2] = fails
    failed, said = sweep()
    (lost,) = [line for line in said.splitlines() if "failed" in line]
    assert failed == 1 and lost == "2/4    failed           lr=0.1,seed=0: step 3: the loss is nan" and len(here) == 4
    out = capsys.readouterr().out
    assert "\nfailed   lr=0.1,seed=0: step 3: the loss is nan\n" in out and " 1 of 2 " in out
    with open("out/results.csv", newline="") as file:
        states = {line["trial"]: (line["state"], line["failed"]) for line in csv.DictReader(file)}
    assert states["lr=0.1,seed=0"] == ("failed", "step 3: the loss is nan")
    failed, said = sweep()
    assert (failed, len(here)) == (1, 4) and "3 finished, 1 failed (--retry runs them again); 0 to go" in said
    assert main(["sweep", "space.toml", "--out", "out"]) == 1
    assert main(["sweep", "space.toml", "--out", "out", "--retry"]) == 0
    assert here[4:] == ["lr=0.1,seed=0"] and not SweepFolder("out").path.joinpath("stop").exists()


def test_ctrl_c_starts_no_further_trial_and_says_how_to_go_on(here, capsys):
    here.before[2] = ctrl_c_during
    with pytest.raises(Interrupted) as stopped:
        sweep(command="minighost sweep space.toml --workers 1")
    assert stopped.value.code == 130 and len(here) == 2
    stream = io.StringIO()
    run_sweep.run("space.toml", "out", stream=stream)
    assert "before   2 finished, 0 failed; 2 to go\n" in stream.getvalue() and len(here) == 4


def test_an_unfinished_trial_goes_on_from_its_checkpoint_to_the_same_bits(here, tmp_path):
    sweep()
    whole = json.loads((tmp_path / "out/lr=0.1,seed=0/summary.json").read_text())
    run_sweep.Path("out").rename("done")
    (tmp_path / "out").mkdir()
    config = train.Config.load("done/lr=0.1,seed=0/config.json").replace(out="out/lr=0.1,seed=0", threads=1)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        at_step(patch, 3, ctrl_c)
        train.run(config, stream=None)
    (tmp_path / "out/sweep.json").write_text((tmp_path / "done/sweep.json").read_text())
    assert "lr=0.1,seed=0   unfinished" in printed_list()
    sweep()
    resumed = json.loads((tmp_path / "out/lr=0.1,seed=0/summary.json").read_text())
    assert resumed["test_loss"] == whole["test_loss"]


def printed_list():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(["sweep", "space.toml", "--out", "out", "--list"])
    return out.getvalue()


def test_a_changed_file_adds_its_trials_and_keeps_those_that_it_no_longer_has(here, tmp_path, capsys):
    sweep()
    (tmp_path / "space.toml").write_text(SPACE.replace("[0.05, 0.1]", "[0.1, 0.4]"))
    capsys.readouterr()
    _, said = sweep()
    assert sorted(here[4:]) == ["lr=0.4,seed=0", "lr=0.4,seed=1"]
    assert "kept     2 trials that the file no longer has: lr=0.05,seed=0, lr=0.05,seed=1\n" in said
    assert "0.05" not in capsys.readouterr().out and (tmp_path / "out/lr=0.05,seed=0/summary.json").exists()
    (tmp_path / "space.toml").write_text(SPACE.replace("epochs = 2", "epochs = 1"))
    _, said = sweep()  # other settings are other trials, beside those of the same name
    assert set(here[6:]) == {f"lr={lr},seed={seed}-2" for lr in (0.05, 0.1) for seed in (0, 1)}
    (tmp_path / "space.toml").write_text(SPACE)
    before = len(here)
    assert sweep()[0] == 0 and len(here) == before


def test_a_bar_shows_epochs_and_trials(here):
    stream = Terminal()
    run_sweep.run("space.toml", "out", stream=stream)
    assert "sweep" in stream.getvalue() and "/8 [" in stream.getvalue() and "4/4" in stream.getvalue()


def test_a_folder_that_holds_something_else_is_refused(here, tmp_path, capsys):
    (tmp_path / "other.toml").write_text(SPACE)
    sweep()
    said = refused(capsys, "sweep", "other.toml", "--out", "out")
    assert "out: holds the sweep of 'space.toml', not of 'other.toml'; choose another --out" in said
    said = refused(capsys, "sweep", "space.toml", "--out", "out/lr=0.1,seed=0")
    assert "holds a run, not a sweep; choose another folder with --out" in said
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter").write_text("dear")
    assert "mine: is not empty and holds no sweep" in refused(capsys, "sweep", "space.toml", "--out", "mine")
    with run_lock("out"), pytest.raises(RunLocked):
        sweep()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"space": "space.toml", "trials": {"../x": {}}}', '{"space": "space.toml", "trials": {"x": {}}}',
     '{"space": "space.toml", "trials": []}', "[" * 100_000],
    ids=range(7),
)  # fmt: skip
def test_a_damaged_record_is_one_line(here, tmp_path, capsys, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sweep.json").write_text(content)
    assert "sweep.json: not the record of a sweep: " in refused(capsys, "sweep", "space.toml", "--out", "out")


def test_many_swept_keys_still_fit_80_columns(here, tmp_path, capsys):
    (tmp_path / "space.toml").write_text(
        SPACE.replace("[0.05, 0.1]", "[0.1]")
        + "".join(f"grid.train.{key} = {values}\n" for key, values in WIDE.items())
    )
    sweep()
    out = capsys.readouterr().out
    table = out.partition("\nlook at")[0].splitlines()
    assert all(len(line) <= 80 for line in table) and "lr=0.1 momentum=0.8 weight_decay=0.0001" in out


WIDE = {
    "momentum": [0.8],
    "weight_decay": [1e-4],
    "label_smoothing": [0.1],
    "warmup_epochs": [0.5],
    "schedule": ["cosine"],
}


def test_the_picture_has_a_panel_for_each_key_and_an_axis_that_suits_its_values(tmp_path, monkeypatch):
    kept = []

    @contextlib.contextmanager
    def picture(path, width, height):
        with figure.picture(path, width, height) as drawing:
            kept.append(drawing)
            yield drawing

    monkeypatch.setattr(plots, "picture", picture)
    points = [
        ({"train.lr": lr, "train.flip": flip, "train.crop": crop}, 0.5 + lr)
        for lr, crop in ((0.01, 0), (0.1, 2), (0.3, 4))
        for flip in (True, False, "alternate")
    ]
    plots.sweep(points, ["train.lr", "train.flip", "train.crop"], tmp_path / "sweep.png", "three keys")
    rate, flip, crop = kept[0].axes
    assert [axes.get_xlabel() for axes in kept[0].axes] == ["train.lr", "train.flip", "train.crop"]
    assert (rate.get_xscale(), crop.get_xscale()) == ("log", "linear")
    assert [label.get_text() for label in flip.get_xticklabels()] == ["true", "false", "alternate"]
    assert [list(line.get_ydata()) for line in rate.lines][1] == pytest.approx([51, 60, 80])
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
