"""An experiment is what it says: arms that can be built, runs that are read honestly, verdicts that seeds allow."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from commands import printed, refused
from sweeps import Runner, ctrl_c_during
from training import ctrl_c

from minighost.experiments import reading, report, run, timing
from minighost.experiments.catalogue import EXPERIMENTS
from minighost.experiments.command import command, overrides
from minighost.experiments.equal_time import at_equal_time
from minighost.experiments.experiment import ACCURACY, COLUMNS, Claim, Experiment, Form
from minighost.experiments.findings import Arm, Findings
from minighost.experiments.gather import gather
from minighost.experiments.power import exponent, fits
from minighost.experiments.reading import Difference
from minighost.experiments.trials import arranged, trials
from minighost.experiments.vgg_sizes import PUBLISHED, sizes
from minighost.train import Config, Interrupted
from minighost.train.config import keys

BOTH = pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
ALL = pytest.mark.parametrize("name", EXPERIMENTS)


@ALL
@BOTH
def test_every_arm_of_every_form_is_a_network_that_can_be_built_and_a_recipe_that_is_complete(name, quick):
    experiment = EXPERIMENTS[name]
    found = trials(experiment, quick, 1)
    assert [trial.values["arm"] for trial in found.trials] == list(experiment.form(quick).arms)
    assert {trial.config.data.name for trial in found.trials} == {"shapes10" if quick else "cifar10"}
    assert {"train.epochs", "train.lr", "train.optimizer", "train.weight_decay"} <= set(experiment.form(quick).recipe)


@ALL
def test_what_an_experiment_claims_and_shows_is_about_its_arms(name):
    experiment = EXPERIMENTS[name]
    assert experiment.name == name and re.fullmatch(r"[a-z]+(-[a-z]+)*", name) and experiment.question.endswith("?")
    assert set(experiment.columns) <= set(COLUMNS) and set(experiment.plots) <= {ACCURACY, *COLUMNS}
    for form in (experiment.full, experiment.quick):
        told = {arm for claim in experiment.claims for arm in claim[:2]}
        told |= set(experiment.published or {}) | set(experiment.families or {})
        assert told <= set(form.arms) and form.minutes > 0
        assert all(key in keys() or key.startswith("model.") for key in form.recipe)
        own = [key for settings in form.arms.values() for key in settings]
        assert set(own) - {"train.crop"} <= {
            key for key in own if key.startswith(("model.", "data.size", "train.decay", "train.prune"))
        }


CELLS = {  # s, d: parameters with the hidden layer, multiply-adds without it
    (2, 1): (7_634_602, 156_741_632),
    (2, 3): (7_651_498, 157_847_552),
    (2, 5): (7_685_290, 160_059_392),
    (2, 7): (7_735_978, 163_377_152),
    (3, 3): (5_219_500, 106_977_896),
    (4, 3): (3_983_386, 80_170_496),
    (5, 3): (3_270_721, 65_403_152),
}


@pytest.mark.parametrize("s, d", CELLS)
def test_the_papers_size_cells_come_out_to_the_last_unit(s, d):
    parameters, macs = sizes(s, d)
    assert (parameters, macs) == CELLS[s, d]
    assert (round(parameters / 1e6, 1), round(macs / 1e6)) == PUBLISHED[s, d]


# A folder that somebody else might have left -----------------------------------------------------------------------


SMALL = Experiment(
    name="small",
    question="Is a higher rate better?",
    source="nobody",
    claims=(Claim("fast", "slow", points=2.0), Claim("slow", "fast", expects="equal")),
    full=Form({"model.name": "tinynet"}, {"slow": {"train.lr": 0.01}, "fast": {"train.lr": 0.1}}, minutes=1),
    quick=Form(
        {
            "model.name": "tinynet",
            "data.train_size": 32,
            "data.test_size": 20,
            "train.epochs": 1,
            "train.batch_size": 16,
        },
        {"slow": {"train.lr": 0.01}, "fast": {"train.lr": 0.1}},
        minutes=1,
        seeds=2,
    ),
    plots=("accuracy", "macs"),
    notes=("A note.",),
)


@pytest.fixture
def small(monkeypatch, tinynet, tmp_path):
    monkeypatch.setitem(EXPERIMENTS, "small", SMALL)
    monkeypatch.chdir(tmp_path)
    return SMALL


def fabricated(accuracies, failed=()):
    """A folder of SMALL's quick form in which these trials have finished: {(arm, seed): accuracy}."""
    seeds = 1 + max(seed for _, seed in [*accuracies, *failed])
    folder, _ = arranged(SMALL, True, seeds, "made")
    folder.path.mkdir()
    for entry in list(folder.entries.values()):
        key = entry.values["arm"], entry.seed
        if key in failed:
            folder.note(entry.name, "step 3: the loss is nan")
        elif key in accuracies:
            (folder.path / entry.name).mkdir()
            summary = {"test_accuracy": accuracies[key], "seconds": 90.0, "data": "shapes10"}
            summary |= {"train_images": 32, "test_images": 20, "images_per_second": 5.0}
            (folder.path / entry.name / "summary.json").write_text(json.dumps(summary))
    folder.write()
    return folder.path


def test_a_report_has_mean_and_standard_deviation_over_the_finished_seeds(small):
    folder = fabricated({("slow", 0): 0.5, ("slow", 1): 0.6, ("slow", 2): 0.7, ("fast", 0): 0.9, ("fast", 2): 0.8})
    page, numbers, *pictures = report.write(gather(folder), "out")
    found = json.loads(numbers.read_text())
    assert found["arms"]["slow"]["mean"] == pytest.approx(60) and found["arms"]["slow"]["n"] == 3
    assert found["arms"]["slow"]["standard_deviation"] == pytest.approx(10)
    assert found["arms"]["fast"]["accuracies"] == [90.0, 80.0] and found["arms"]["slow"]["settings"] == {
        "train.lr": 0.01
    }
    text = page.read_text(encoding="utf-8")
    assert "| slow | 3 | 60.00 ± 10.00 | " in text and "| fast | 2 | 85.00 ± 7.07 | " in text and "A note." in text
    assert "**Incomplete: 1 of 6 trials is missing.**\n* fast, seed 1: not begun\n" in text
    assert [path.name for path in pictures] == ["accuracy.png", "macs.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert "n = 2 to 3 seeds" in text and "`train.lr=0.1`" in text and found["form"] == "quick"


def test_a_failed_trial_is_named_with_its_reason_and_counts_for_nothing(small):
    folder = fabricated({("slow", 0): 0.5, ("fast", 1): 0.75}, failed={("fast", 0)})
    findings = gather(folder)
    assert findings.arms["fast"].accuracies == [75.0] and findings.arms["fast"].spread is None
    assert findings.missing == ["slow, seed 1: not begun", "fast, seed 0: failed: step 3: the loss is nan"]
    assert "fast, seed 0: failed: step 3: the loss is nan" in report.write(findings, "out")[0].read_text("utf-8")


def test_a_network_that_ended_smaller_than_it_began_has_the_size_of_its_end(small):
    folder = fabricated({("slow", 0): 0.5, ("fast", 0): 0.75})
    path = folder / "arm=slow,seed=0" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"parameters": 99, "macs": 77}))
    arms = gather(folder).arms
    assert (arms["slow"].parameters, arms["slow"].macs) == (99, 77)
    assert arms["fast"].parameters == 166 and arms["fast"].macs > 77


def test_a_damaged_summary_is_missing_and_said_so(small):
    folder = fabricated({("slow", 0): 0.5, ("fast", 0): 0.75})
    (folder / "arm=slow,seed=0" / "summary.json").write_text("{")
    (line,) = gather(folder).missing
    assert line.startswith("slow, seed 0: ") and "not the summary of a run" in line


def test_nothing_follows_from_one_seed_nor_from_no_trial(small):
    first, second = reading.read(gather(fabricated({("slow", 0): 0.5, ("fast", 0): 0.9})))
    assert first == "fast against slow: claimed +2.0 points, here +40.00 points: one seed: nothing follows"
    assert second.endswith("one seed: nothing follows")
    empty = Findings(SMALL, True, {}, None, {}, False, {})
    assert reading.read(empty)[0].endswith("not known yet, for fast and slow has no finished trial")


def test_the_folder_of_another_sweep_is_refused(small, tmp_path):
    folder = fabricated({("slow", 0): 0.5})
    record = json.loads((folder / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps(record | {"space": "lr.toml"}))
    with pytest.raises(ValueError, match="made: holds the sweep of 'lr.toml', which is no experiment that is known"):
        gather(folder)


def test_a_report_is_of_the_trials_that_were_wanted_last(small):
    path = fabricated({("slow", 0): 0.5, ("slow", 1): 0.6, ("fast", 0): 0.9, ("fast", 1): 0.8})
    folder, _ = arranged(SMALL, True, 1, path)
    folder.write()
    findings = gather(path)
    assert findings.arms["slow"].accuracies == [50.0] and findings.trials == 2
    assert command(findings) == "minighost experiment run small --quick --seeds 1"


def test_settings_for_all_trials_are_part_of_the_command_that_repeats_them(small, monkeypatch):
    folder, _ = arranged(SMALL, True, 2, "made", {"train.epochs": "2", "data.size": "16"})
    folder.path.mkdir()
    folder.write()
    findings = gather("made")
    given = "--set data.size=16x16 --set train.epochs=2"
    assert command(findings) == f"minighost experiment run small --quick --seeds 2 {given}"
    other = SMALL.quick._replace(arms={"slow": {"train.lr": 0.02}, "fast": {"train.lr": 0.1}})
    monkeypatch.setitem(EXPERIMENTS, "small", dataclasses.replace(SMALL, quick=other))
    assert overrides(gather("made")) is None
    assert "The experiment has been changed since" in report.write(gather("made"), "out")[0].read_text("utf-8")


@pytest.mark.long
def test_milliseconds_are_taken_once_and_again_only_if_asked(small, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "small", dataclasses.replace(SMALL, columns=("train_ms",), plots=("train_ms",)))
    monkeypatch.setattr(timing, "ROUNDS", 1)
    path = fabricated({("slow", 0): 0.5, ("fast", 0): 0.9})
    first = run.clocked(path)
    assert first.arms["slow"].train_ms > 0 and first.arms["fast"].inference_ms > 0
    assert run.clocked(path).timing == first.timing
    assert run.clocked(path, again=True).timing["milliseconds"] != first.timing["milliseconds"]
    page, _, picture = report.write(run.clocked(path), "out")
    assert picture.name == "train-ms.png" and "medians for a batch of 64 images on 1 thread" in page.read_text("utf-8")
    for last, said in ((14.0, False), (90.0, True)):
        samples = dict.fromkeys(("train", "inference"), [10.0, 11.0, 12.0, last])
        made = {"batch": 64, "threads": 1, "milliseconds": {"slow": samples, "fast": samples}}
        (path / timing.FILE).write_text(json.dumps(made))
        assert ("They scatter by up to " in report.write(gather(path), "out")[0].read_text("utf-8")) == said
    (path / timing.FILE).write_text('{"milliseconds": {"slow": {}}}')
    assert timing.read(path) == {} and run.clocked(path).timing


# What follows ------------------------------------------------------------------------------------------------------


def arm(*accuracies, name="a", **costs):
    return Arm(name, Config(), list(accuracies), [], [], 1, costs.pop("macs", 1), **costs)


def test_the_interval_of_a_difference_is_welchs():
    one, other = arm(90.0, 91.0, 93.5), arm(88.0, 88.5, 89.0, 88.2)
    found = reading.difference(one, other)
    low, high = -1.163674160610424, 7.31367416061043  # scipy.stats.ttest_ind(..., equal_var=False)
    assert (found.points - found.margin, found.points + found.margin) == pytest.approx((low, high))


@pytest.mark.parametrize(
    "claim, points, margin, words",
    [
        (Claim("a", "b", points=1.0), 0.5, None, "one seed: nothing follows"),
        (Claim("a", "b", points=1.0), 0.5, 0.6, "open: the seeds spread too much to tell"),
        (Claim("a", "b", points=0.8), 0.5, 0.4, "agrees with the claim"),
        (Claim("a", "b", points=1.0), 0.5, 0.4, "agrees in direction; the difference is smaller"),
        (Claim("a", "b", points=0.2), 0.7, 0.4, "agrees in direction; the difference is larger"),
        (Claim("a", "b", expects="higher"), 0.5, 0.4, "agrees with the claim"),
        (
            Claim("a", "b", points=-6.2),
            -0.8,
            1.0,
            "open: the seeds spread too much to tell, but a difference as claimed is excluded",
        ),
        (Claim("a", "b", points=1.0), -0.5, 0.4, "CONTRADICTS the claim"),
        (Claim("a", "b", points=-0.7), -0.5, 0.4, "agrees with the claim"),
        (Claim("a", "b", expects="equal"), -0.5, 0.4, "CONTRADICTS the claim"),
        (Claim("a", "b", expects="equal"), 0.5, 0.4, "more than claimed"),
        (
            Claim("a", "b", points=0.0),
            0.5,
            0.6,
            "no difference is seen, as claimed; the interval says how large one may be",
        ),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(claim, points, margin, words):
    assert reading.verdict(claim, Difference(points, margin)) == words


def test_equal_seeds_leave_no_spread_and_no_division_by_zero():
    found = reading.difference(arm(50.0, 50.0), arm(40.0, 40.0))
    assert found == Difference(10.0, 0.0) and found.clear


@pytest.mark.parametrize("power", [0.0, 1.7, 2.0])
def test_an_exact_power_law_has_its_exponent(power):
    assert exponent([(x, 3.0 * x**power) for x in (0.25, 0.5, 1.0, 1.3)]) == pytest.approx(power, abs=1e-9)


def findings_of(families, *arms):
    experiment = Experiment("x", "?", "", SMALL.full, SMALL.quick, families=families)
    return Findings(experiment, False, {one.name: one for one in arms}, None, {}, False, {})


def test_a_family_is_fitted_from_its_own_arms_only():
    found = findings_of(
        {"u 1": "u", "u 2": "u", "v 1": "v"},
        arm(1.0, name="u 1", macs=10, train_ms=5.0),
        arm(1.0, name="u 2", macs=40, train_ms=10.0),
        arm(1.0, name="v 1", macs=7),
    )
    (line,) = fits(found, "α", lambda one: float(one.name.split()[1]))
    assert line == "u: claimed to rise as α^2; here multiply-adds as α^2.00, training step as α^1.00"


def test_accuracy_at_equal_cost_is_read_off_between_the_two_arms_that_enclose_it():
    families = {"plain": "", "g 1": "g", "g 2": "g"}
    low, high = arm(80.0, 80.2, name="g 1", train_ms=1.0), arm(84.0, 84.2, name="g 2", train_ms=4.0)
    found = findings_of(families, arm(81.0, 81.2, name="plain", train_ms=2.0), low, high)
    text = at_equal_time(found, "plain", "g", "train_ms")
    assert text.startswith(
        "at the training step of plain (2.0 ms), g is 1.00 points ahead, between g 1 (1.0 ms) and g 2 "
    )
    text = at_equal_time(
        findings_of(families, arm(81.0, name="plain", train_ms=9.0), low, high), "plain", "g", "train_ms"
    )
    assert text.endswith("plain (9.0 ms): outside of what the arms of g span, 1.0 ms to 4.0 ms; nothing follows")
    assert "not known yet" in at_equal_time(findings_of(families, low, high), "plain", "g", "train_ms")


# The command -------------------------------------------------------------------------------------------------------


def test_list_shows_every_experiment_with_its_question_and_what_it_takes(capsys):
    text = printed(capsys, "experiment", "list")
    assert [line for line in text.splitlines() if not line.startswith(" ")] == list(EXPERIMENTS)
    assert max(map(len, text.splitlines())) <= 80 and text.count("with 2 workers") == 2 * len(EXPERIMENTS)


def test_the_page_names_every_experiment_with_the_number_of_its_arms():
    page = (Path(__file__).parents[1] / "docs" / "experiments.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (\d+) \|", page, re.MULTILINE)
    assert dict(rows) == {name: str(len(one.full.arms)) for name, one in EXPERIMENTS.items()}


@pytest.mark.parametrize(
    "argv, message",
    [
        (["run", "ghost-dd"], "unknown experiment 'ghost-dd' (did you mean 'ghost-d'?); available: ghost-d, "),
        (["report", "widht"], "unknown experiment 'widht' (did you mean 'width'?); available: "),
        (["run"], "experiment run: which one? `minighost experiment list` shows them"),
        (["report"], "runs/experiments: no experiment was run there; `minighost experiment list` shows them"),
        (["report", "width"], "runs/experiments/width: no runs are there; `minighost experiment run width` makes them"),
        (["run", "width", "--seeds", "0"], "--seeds 0: must be a whole number from 1 to 100"),
        (["run", "width", "--quick", "--data-dir", "d"], "--data-dir: the quick form needs no files"),
        (["run", "width", "--measure"], "--measure: is for `minighost experiment report`; leave it out"),
        (["run", "width", "--data-dir", "nowhere"], "no CIFAR-10: nowhere does not exist"),
        (["run", "width", "--workers", "0"], "--workers 0: must be a whole number from 1 to 1024"),
        (
            ["run", "ghost-d", "--set", "train.lrr=1"],
            "ghost-d, arm 'plain': unknown key 'train.lrr'; did you mean train.lr",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "experiment", *argv)
    assert not list(tmp_path.iterdir())


def test_report_of_all_that_were_run_gives_each_a_folder(small, capsys, tmp_path):
    fabricated({("slow", 0): 0.5}).rename(tmp_path / "one")
    text = printed(capsys, "experiment", "report", "--runs", ".", "--out", "pages")
    assert (tmp_path / "pages/one/README.md").exists() and "Is a higher rate better?" in text
    assert "holds the runs of small, not of width" in refused(capsys, "experiment", "report", "width", "--runs", "one")


# A whole run -------------------------------------------------------------------------------------------------------


def test_an_experiment_goes_on_where_it_stopped_and_reports_at_its_end(monkeypatch, capsys, tmp_path, small):
    runs = Runner(monkeypatch)
    runs.before[2] = ctrl_c_during
    with pytest.raises(Interrupted):
        run.run(small, True, 2, "made")
    begun = len(runs)
    assert begun < 4 and not (tmp_path / "made/report").exists()
    assert run.run(small, True, 2, "made") == 0 and sorted(set(runs)) == sorted(
        f"arm={name},seed={seed}" for name in ("slow", "fast") for seed in (0, 1)
    )
    out, ended = capsys.readouterr().out, len(runs)
    assert "Is a higher rate better?" in out and "fast against slow: claimed +2.0 points" in out
    assert {path.name for path in (tmp_path / "made/report").iterdir()} == {
        "README.md",
        "results.json",
        "accuracy.png",
        "macs.png",
    }
    assert run.run(small, True, 2, "made") == 0 and len(runs) == ended


@pytest.mark.long
def test_ctrl_c_while_milliseconds_are_taken_ends_at_once_and_the_same_command_takes_them(small, monkeypatch, capsys):
    timed = dataclasses.replace(SMALL, columns=("train_ms",), plots=())
    monkeypatch.setitem(EXPERIMENTS, "small", timed)
    monkeypatch.setattr(timing, "ROUNDS", 1)
    path = fabricated({("slow", 0): 0.5, ("fast", 0): 0.9})
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(timing.bench, "measure", lambda *args: ctrl_c())
        run.run(timed, True, 1, path)
    assert not (path / timing.FILE).exists() and not (path / "report").exists()
    assert run.run(timed, True, 1, path) == 0 and (path / timing.FILE).exists()
