"""The table of the family: what a run leaves, what failed, and what counts as learning."""

import json

import pytest

from minighost import models
from versus import family


@pytest.fixture
def table(tmp_path, monkeypatch, capsys):
    """Run the command on runs that are finished already; returns status, JSON, Markdown and what was printed."""

    def call(accuracies, **summary):
        monkeypatch.setattr(family, "_networks", lambda: list(accuracies))
        for name, each in accuracies.items():
            folder = tmp_path / "runs" / name
            folder.mkdir(parents=True)
            (folder / "summary.json").write_text(json.dumps({"parameters": 1000, "macs": 20000, **summary}))
            records = [{"kind": "epoch", "test_accuracy": accuracy} for accuracy in each]
            (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        out = tmp_path / "out"
        status = family.main(
            ["--data-dir", str(tmp_path), "--rounds", "0", "--runs", str(tmp_path / "runs"), "--out", str(out)]
        )
        written = json.loads((out / "family.json").read_text()), (out / "family.md").read_text()
        return status, *written, capsys.readouterr()

    return call


def test_a_row_has_the_runs_numbers_and_the_lines_of_the_networks_file(table):
    status, outcome, text, _ = table({"resnet20": [0.2, 0.31], "quicknet": [0.25, 0.4]})
    assert status == 0 and [row["model"] for row in outcome["networks"]] == ["resnet20", "quicknet"]
    assert outcome["networks"][0]["accuracies"] == [0.2, 0.31] and 20 < outcome["networks"][0]["lines"] < 400
    assert "| resnet20 | 1,000 | 20,000 |" in text and "| 20.0 31.0 |" in text and "JPEG copy" in text


def test_a_network_at_chance_or_one_that_fails_is_said_and_gives_status_1(table):
    status, *_ = table({"resnet20": [0.1, 0.11]})
    assert status == 1


def test_a_failure_is_listed_and_the_others_go_on(table, monkeypatch):
    train = family.train.run
    monkeypatch.setattr(family, "_summary", lambda name, *rest: _fail() if name == "quicknet" else {**ROW})
    status, outcome, text, printed = table({"quicknet": [], "resnet20": []})
    assert train is family.train.run and status == 1
    assert "* quicknet: no such data" in text and "| resnet20 |" in text and "quicknet: no such data" in printed.err


ROW = {"parameters": 1, "macs": 2, "accuracies": [0.5], "images_per_second": 3.0}


def _fail():
    raise ValueError("no such data")


def test_every_network_for_small_images_takes_part():
    assert set(family._networks()) >= {"ghostnet_cifar", "quicknet", "resnet20", "xception_cifar"}
    assert set(family._networks()) <= set(models.names()) and "ghostnet" not in family._networks()
