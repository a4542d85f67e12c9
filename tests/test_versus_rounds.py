"""minighost against its peers: turns, agreement, ratios, who is absent; most contestants only pretend to work."""

import gc
import io
import json

import numpy as np
import pytest

from versus import __main__ as front
from versus import compare, peers, plot, report, rounds, suite, works
from versus.peers import minighost_peer
from versus.process import Worker, WorkerFailed
from versus.worker import WARMUP, serve

WORK = works.Work("tiny", "forward", "conv", (2, 5, 5, 3), {"kernel": 3, "out": 4})


class Pretender:
    """A worker without a process: takes as long a step as it says, and writes each turn into a common list."""

    def __init__(self, name, step_s, turns, results=1.0):
        self.name, self.step_s, self.first_s, self.turns = name, step_s, 9.0, turns
        self.results, self.peak_mib = {"out": np.full(3, results)}, 77

    def run(self, steps):
        self.turns.append((self.name, steps))
        return self.step_s

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.turns.append((self.name, "end"))


# Turns ---------------------------------------------------------------------------------------------------------


def test_the_contestants_take_turns():
    turns, pauses = [], []
    workers = {name: Pretender(name, step_s, turns) for name, step_s in (("A", 0.5), ("B", 0.1), ("C", 7.0))}
    times = rounds.interleave(workers, rounds=3, seconds=1.0, sleep=pauses.append)
    assert turns == [("A", 2), ("B", 10), ("C", 1)] * 3
    assert times == {"A": [0.5] * 3, "B": [0.1] * 3, "C": [7.0] * 3}
    assert len(pauses) == 9


def test_a_worker_times_what_was_ordered_and_nothing_else():
    now, out = [0.0], io.StringIO()

    def step():
        now[0] += 1.0 if gc.isenabled() else 0.25  # the collector rests within a turn only

    serve(step, ["3\n", "5\n"], out, start=-10.0, clock=lambda: now[0])
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert all(answer.pop("peak_mib", 1) for answer in answers)
    assert answers == [{"first_s": 11.0, "step_s": 1.0}, {"seconds": 0.75}, {"seconds": 1.25}]
    assert now[0] == 1 + WARMUP + 0.25 * (4 + 6)
    assert gc.isenabled()


def test_a_process_does_the_work_and_one_thread_gives_the_bits_of_two():
    who = peers.contestant("minighost@1", 2)
    with Worker(works.WORKS["conv-3x3-forward"], who) as worker:
        assert worker.run(2) > 0 and worker.step_s > 0
        minighost = minighost_peer.build(works.WORKS["conv-3x3-forward"], 1, "")
        np.testing.assert_array_equal(worker.results["out"], minighost.check()["out"])


def test_a_process_that_fails_says_why():
    with pytest.raises(WorkerFailed, match=r"KeyError: 'tiny' \(exit status 1\)"):
        Worker(WORK, peers.contestant("minighost", 1))


# Agreement and ratios ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "theirs, message",
    [
        ({"a": np.array([1.0, 2.1])}, "a: 0.1 apart, 0.05 of the largest; allowed is 0.01"),
        ({"a": np.array([1.0, np.nan])}, "a: nan apart"),
        ({"a": np.ones(3)}, r"a: shapes \(3,\) and \(2,\) differ"),
        ({"b": np.ones(2)}, "different results: b against a"),
    ],
)
def test_who_computes_something_else_is_refused(theirs, message):
    with pytest.raises(compare.Disagreement, match=message):
        compare.difference(theirs, {"a": np.array([1.0, 2.0])}, 0.01)


def test_the_largest_difference_is_reported():
    ours = {"a": np.array([1.0, 4.0]), "b": np.array([100.0])}
    theirs = {"a": np.array([1.0, 4.01]), "b": np.array([100.1])}
    assert compare.difference(theirs, ours, 0.01) == pytest.approx((0.1, 0.0025))


def test_a_ratio_is_taken_within_each_round():
    theirs, ours = [2.0, 40.0, 3.0], [1.0, 10.0, 0.5]
    found = compare.ratio(theirs, ours)
    assert found == {"median": 4, "low": 3, "high": 5, "n": 3, "rounds": [2, 4, 6]}
    assert np.median(theirs) / np.median(ours) == 3  # what a ratio of medians would have said


# A whole work --------------------------------------------------------------------------------------------------


def done(makers, labels, monkeypatch, **options):
    turns, told = [], []

    def start(work, who):
        made = makers[who.label]
        if isinstance(made, Exception):
            raise made
        return Pretender(who.label, *made[:1], turns, *made[1:])

    monkeypatch.setattr(rounds, "PAUSE", 0)
    monkeypatch.setattr(suite, "missing", lambda name: ["mygrad"] if name == "mygrad" else [])
    outcome = suite.do(WORK, labels, threads=2, rounds=3, seconds=1.0, tell=told.append, start=start)
    return outcome["contestants"], turns, told


def test_who_agrees_is_timed_and_who_does_not_is_listed_with_the_reason(monkeypatch):
    makers = {
        "minighost": (0.5,),
        "torch-nchw": (1.0,),
        "torch-compile": (0.1, 1.5),
        "torch-channels-last": WorkerFailed("no compiler (exit status 1)"),
    }
    labels = ["minighost", "torch-nchw", "torch-compile", "torch-channels-last", "mygrad"]
    found, turns, told = done(makers, labels, monkeypatch)
    assert list(found) == labels
    assert found["torch-nchw"]["ratio"]["median"] == 2 and found["torch-nchw"]["ratio"]["n"] == 3
    assert found["torch-nchw"]["median_ms"] == 1000 and found["torch-nchw"]["images_per_s"] == 2
    assert found["torch-compile"]["absent"].startswith("computes something else: out: 0.5 apart")
    assert found["torch-channels-last"]["absent"] == "failed: no compiler (exit status 1)"
    assert found["mygrad"]["absent"] == "not installed: mygrad"
    assert turns[:6] == [("minighost", 2), ("torch-nchw", 1)] * 3
    assert sorted(turns[6:]) == [("minighost", "end"), ("torch-compile", "end"), ("torch-nchw", "end")]
    assert any("results at most 0 apart" in line for line in told)


def test_without_minighost_there_is_nothing_to_compare_with(monkeypatch):
    found, turns, _ = done({"minighost": WorkerFailed("broken")}, ["minighost", "torch-nchw"], monkeypatch)
    assert found == {"minighost": {"threads": 2, "absent": "failed: broken"}} and turns == []


def test_everybody_who_can_takes_part_and_minighost_is_first():
    train, conv = works.WORKS["ghostnet-1.0-train"], works.WORKS["conv-3x3-both"]
    assert suite.taking_part(train, None, 2) == ["minighost", "torch-nchw", "torch-channels-last", "torch-compile"]
    assert suite.taking_part(conv, None, 2)[-1] == "mygrad"
    assert suite.taking_part(train, ["onnxruntime", "torch-nchw@1"], 2) == ["minighost", "torch-nchw@1"]
    assert suite.taking_part(works.WORKS["ghostnet-1.0-train-scaling"], None, 2) == ["minighost", "minighost@1"]
    inference = suite.taking_part(works.WORKS["vgg-infer-1"], None, 2)
    assert {"onnxruntime", "torch-folded"} < set(inference)


def test_a_label_may_say_the_number_of_threads():
    assert peers.contestant("torch-nchw@4", 2) == peers.Contestant("torch-nchw@4", "torch-nchw", 4)
    assert peers.contestant("minighost", 2).threads == 2


def test_what_is_not_installed_is_found_out_without_importing(monkeypatch):
    monkeypatch.setitem(peers.PEERS, "none", peers.Peer("none", needs=("json", "no_such_package")))
    assert peers.missing("none") == ["no_such_package"] and peers.missing("minighost") == []


# Reports -------------------------------------------------------------------------------------------------------


@pytest.fixture
def outcome(monkeypatch):
    labels = ["minighost", "torch-nchw", "mygrad"]
    found, _, _ = done({"minighost": (0.5,), "torch-nchw": (1.0,)}, labels, monkeypatch)
    work = {"work": "tiny", "kind": "forward", "shape": [2, 5, 5, 3], "options": {"kernel": 3}, "contestants": found}
    return {"machine": report.machine(), "rounds": 3, "turn_s": 1.0, "works": [work]}


def test_the_table_lists_everybody(outcome):
    lines = report.markdown(outcome).splitlines()
    assert "forward, input 2x5x5x3, kernel 3" in lines
    assert "| minighost | 2 | 500.00 (500.00-500.00) | 4 | 1.00 (1.00-1.00) |  | 9.0 | 77 |" in lines
    assert "| torch-nchw | 2 | 1000.00 (1000.00-1000.00) | 2 | 2.00 (2.00-2.00) | 0e+00 | 9.0 | 77 |" in lines
    assert "| mygrad | 2 | not installed: mygrad | | | | | |" in lines
    rows = [line for line in lines[lines.index("## tiny") :] if line.startswith("|")]
    assert {line.replace("not installed", "").count("|") for line in rows} == {9}


def test_one_table_has_a_line_for_each_work_and_names_the_peer_that_comes_closest(outcome):
    (tiny,) = outcome["works"]
    ratio = {"median": 1.5, "low": 1.25, "high": 1.75}
    slow = {"minighost@1": {"ratio": {**ratio, "median": 0.5}}, "torch-compile": {"ratio": ratio}}
    second = {"work": "second", "contestants": {**tiny["contestants"], **slow}}
    third = {"work": "third", "contestants": {"minighost": {"absent": "failed: no memory"}}}
    lines = report.overview({"works": [tiny, second, third]}).splitlines()
    assert lines[3:] == [
        "| work | minighost, ms | images/s | torch-nchw | mygrad | minighost@1 | torch-compile | fastest peer |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        "| tiny | 500.00 | 4 | 2.00 (2.00-2.00) | absent |  |  | 2.00 |",
        "| second | 500.00 | 4 | 2.00 (2.00-2.00) | absent | 0.50 (1.25-1.75) | 1.50 (1.25-1.75) | 1.50 |",
        "| third | absent |  |  |  |  |  |  |",
    ]
    assert "## All works" in report.markdown(outcome).splitlines()


def test_results_are_written_as_json_markdown_and_picture(outcome, tmp_path):
    report.write(tmp_path / "new", outcome)
    assert json.loads((tmp_path / "new" / "results.json").read_text(encoding="utf-8")) == outcome
    assert (tmp_path / "new" / "results.md").read_text(encoding="utf-8") == report.markdown(outcome)
    assert plot.ratios(outcome, tmp_path / "results.png")
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_compare_is_no_picture(outcome, tmp_path):
    del outcome["works"][0]["contestants"]["torch-nchw"]
    assert not plot.ratios(outcome, tmp_path / "results.png") and not list(tmp_path.iterdir())


def test_the_machine_is_named():
    found = report.machine()
    assert found["cpu"] and found["cores"] >= 1 and found["versions"]["numpy"] == np.__version__


# The command ---------------------------------------------------------------------------------------------------


def test_the_command_does_what_was_chosen_and_says_where_it_is(capsys, monkeypatch, tmp_path, outcome):
    asked = []

    def do(work, labels, threads, rounds, seconds, tell):
        asked.append((work.name, labels, threads, rounds, seconds))
        return outcome["works"][0]

    monkeypatch.setattr(suite, "do", do)
    argv = ["--only", "pointwise-*", "--peers", "torch-nchw,mygrad", "--rounds", "4", "--threads", "1"]
    assert front.main([*argv, "--seconds", "0.5", "--out", str(tmp_path)]) == 0
    assert asked == [(f"pointwise-{kind}", ["minighost", "torch-nchw"], 1, 4, 0.5) for kind in ("forward", "both")]
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "results.md", "results.png"}
    assert "written to" in capsys.readouterr().out


@pytest.mark.parametrize("absent, status", [("not installed: torch", 0), ("failed: x", 1), ("computes something", 1)])
def test_only_what_is_not_installed_is_no_failure(monkeypatch, tmp_path, outcome, absent, status):
    outcome["works"][0]["contestants"]["mygrad"]["absent"] = absent
    monkeypatch.setattr(suite, "do", lambda *args: outcome["works"][0])
    assert front.main(["--only", "vgg-train", "--out", str(tmp_path)]) == status


def test_the_list_does_nothing(capsys):
    assert front.main(["--list", "--only", "ghostnet-0.5-infer-1", "--peers", "onnxruntime"]) == 0
    assert capsys.readouterr().out.split() == ["ghostnet-0.5-infer-1", "minighost", "onnxruntime"]


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--only", "alexnet"], "--only alexnet: no such work; available: ghostnet-1.0-train, "),
        (["--peers", "jax"], "--peers jax: unknown peer 'jax'; available: minighost, torch-nchw, "),
        (["--peers", "minighost@x"], "the @ must be followed by a number of threads, e.g. minighost@1"),
        (["--rounds", "0"], "--rounds 0: must be greater than 0"),
        (["--seconds", "-1"], "--seconds -1.0: must be greater than 0"),
    ],
)
def test_what_there_is_not_is_one_line(capsys, argv, message):
    assert front.main(argv) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
