"""Minutes against accuracy: what is counted, which seeds belong together, and who is at the front."""

import json

import pytest

from versus import pareto


def a_run(folder, *epochs, seconds, seed=0, threads=2):
    """What `minighost train` leaves: epochs of (seconds, seconds of the evaluation, accuracy)."""
    folder.mkdir()
    records = [{"kind": "step", "step": 1}]
    records += [{"kind": "epoch", "seconds": s, "test_seconds": t, "test_accuracy": a} for s, t, a in epochs]
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "summary.json").write_text(json.dumps({"seconds": seconds, "seed": seed}))
    config = {"train": {"lr": 0.1}, "data": {"dir": str(folder)}, "seed": seed, "threads": threads, "out": str(folder)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def a_record(file, *accuracies):
    """What `versus.record` leaves: runs of two epochs, the end with six views."""
    epochs = [
        {"seconds": 110, "test_seconds": 5, "test_accuracy": 0.75},
        {"seconds": 110, "test_seconds": 5, "test_accuracy": 0.8},
    ]
    runs = [
        {"seed": k, "setup_seconds": 5, "epochs": epochs, "test_accuracy": a, "test_seconds": 60}
        for k, a in enumerate(accuracies)
    ]
    file.write_text(json.dumps({"recipe": "airbench94_muon", "framework": "PyTorch 2.13", "runs": runs}))
    return file


def test_minutes_count_training_and_evaluation_and_at_the_end_everything(tmp_path):
    folder = a_run(tmp_path / "one", (50, 10, 0.75), (55, 5, 0.80), seconds=150)
    line = pareto.read(folder)
    assert (line.name, line.runs) == ("one", [[(1.0, 75.0), (2.5, 80.0)]])


def test_an_epoch_without_an_evaluation_is_no_point(tmp_path):
    folder = a_run(tmp_path / "one", (50, 10, 0.75), (60, 0, 0.80), seconds=120)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    lines.insert(1, {"kind": "epoch", "seconds": 60, "images_per_second": 9.0})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert pareto.read(folder).runs == [[(2.0, 75.0), (2.0, 80.0)]]


def test_of_pytorchs_run_the_one_evaluation_counts_that_its_recipe_has(tmp_path):
    line = pareto.read(a_record(tmp_path / "record.json", 0.82))
    (points,) = line.runs
    assert line.name == "airbench94_muon, PyTorch 2.13"
    assert points == [((5 + 110) / 60, 75.0), (pytest.approx((5 + 110 + 110 + 60) / 60), 82.0)]


def test_the_front_is_what_nobody_beats_in_both():
    assert pareto.front([(10, 80), (20, 90), (15, 79), (30, 89), (40, 91)]) == [(10, 80), (20, 90), (40, 91)]
    assert pareto.front([(10, 80), (10, 80)]) == [(10, 80)] * 2


def test_seeds_of_one_recipe_are_one_line_with_their_mean_and_deviation(tmp_path, monkeypatch):
    ends = (0.88, 0.9, 0.92)
    folders = [
        a_run(tmp_path / f"quick-{k}", (60, 0, 0.75), (60, 0, end), seconds=120, seed=k) for k, end in enumerate(ends)
    ]
    lines = pareto.gather(map(pareto.read, [*folders, a_run(tmp_path / "v-2", (60, 0, 0.8), seconds=60)]))
    assert list(lines) == ["quick", "v-2"]  # 2 is no seed there
    labels = []
    monkeypatch.setattr(pareto, "_label", lambda *args: labels.append(args) or "label")
    pareto.draw(lines, tmp_path / "p.png")
    assert labels == [("quick", pytest.approx(90), pytest.approx(2), 3), ("v-2", 80, None, 1)]


def test_runs_on_other_numbers_of_threads_are_no_seeds_of_one_line(tmp_path):
    folders = [
        a_run(tmp_path / f"quick-{k}", (60 * t, 0, 0.8), seconds=60 * t, seed=k, threads=t)
        for k, t in enumerate((2, 1, 1))
    ]
    lines = pareto.gather(map(pareto.read, folders))
    assert {name: len(runs) for name, runs in lines.items()} == {"quick-0": 1, "quick-1": 2}


def test_a_label_says_how_many_seeds_it_stands_for():
    assert pareto._label("quick", 90, 2, 3) == "quick  90.00 ± 2.00 % (n = 3)"
    assert pareto._label("v-2", 80, None, 1) == "v-2  80.00 % (n = 1)"


def test_runs_are_drawn_beside_pytorchs(tmp_path, capsys):
    runs = [a_run(tmp_path / name, (60, 0, 0.75), (60, 0, end), seconds=130) for name, end in (("a", 0.9), ("b", 0.8))]
    runs.append(a_record(tmp_path / "record.json", 0.82, 0.83))
    assert pareto.main([*map(str, runs), "--out", str(tmp_path / "p.png")]) == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == f"{tmp_path / 'p.png'}\n"


def test_what_holds_no_finished_run_is_named(tmp_path, capsys):
    (tmp_path / "nothing").mkdir()
    (tmp_path / "broken.json").write_text("{")
    for argv, message in (
        ([tmp_path / "nothing"], "nothing: holds no finished run of `minighost train`"),
        ([a_record(tmp_path / "none.json")], "none.json: holds no finished run of `python -m versus.record`"),
        ([tmp_path / "broken.json"], "broken.json: holds no finished run of `python -m versus.record`"),
        ([tmp_path / "absent.json"], "absent.json: No such file or directory"),
    ):
        assert pareto.main(list(map(str, argv))) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
