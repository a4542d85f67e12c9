"""Test images are looked at after every epoch, or after every few and the last."""

import io
import json

import numpy as np
import pytest
from training import outcome, settings

from minighost.plots.run import curves
from minighost.train import History, read_log, run

pytestmark = pytest.mark.usefixtures("tinynet")


def test_an_epoch_in_between_is_not_tested_and_the_last_one_is(tmp_path):
    texts = {}
    for every in (1, 2):
        texts[every] = io.StringIO()
        run(settings(tmp_path / f"{every}", train__test_every=every), stream=texts[every])
    each, some = ([r for r in read_log(tmp_path / f"{n}" / "log.jsonl") if r["kind"] == "epoch"] for n in (1, 2))
    assert [sorted(key for key in r if key.startswith("test")) for r in some] == [
        [],
        ["test_accuracy", "test_loss", "test_seconds"],
        ["test_accuracy", "test_loss", "test_seconds"],  # the last
    ]
    assert [r["test_loss"] for r in some[1:]] == [r["test_loss"] for r in each[1:]]
    tensors = [outcome(tmp_path / f"{n}")[0] for n in (1, 2)]
    assert tensors[0] == tensors[1]  # looking at test images changes nothing
    summaries = [json.loads((tmp_path / f"{n}" / "summary.json").read_text()) for n in (1, 2)]
    assert summaries[0]["test_accuracy"] == summaries[1]["test_accuracy"]
    row = next(line for line in texts[2].getvalue().splitlines() if line.strip().startswith("1/3"))
    assert row.split().count("-") == 2
    curves(list(read_log(tmp_path / "2" / "log.jsonl")), tmp_path / "curves.png", "tested every second epoch")
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_a_history_has_gaps_where_nothing_was_tested():
    history = History("a run")
    history.epochs = [
        {"epoch": 1, "train_loss": 2.0, "train_accuracy": 0.9, "lr": 0.1, "seconds": 1.0},
        {
            "epoch": 2,
            "train_loss": 1.0,
            "train_accuracy": 0.8,
            "test_accuracy": 0.5,
            "test_loss": 1.5,
            "lr": 0.1,
            "seconds": 1.0,
        },
    ]
    assert np.isnan(history["test_accuracy"][0]) and history["test_accuracy"][1] == 0.5
    assert history.best["epoch"] == 2
    assert [row[3:5] for row in history._rows()[0]] == [("-", "-"), ("1.5000", "50.00 %")]
    with pytest.raises(KeyError, match="no 'accuracy'; available: epoch, train_loss, train_accuracy, test_accuracy"):
        history["accuracy"]
