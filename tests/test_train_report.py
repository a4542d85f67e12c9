"""What a run prints fits the terminal, counts in good English, and says which kernel is being compiled."""

import io
import time

import pytest
from training import Terminal, settings

from minighost.engine import launch
from minighost.terminal.console import Console
from minighost.train import report, run
from minighost.train.classification import Classification
from minighost.train.settings import TrainConfig
from minighost.wording import counted

RECORD = {
    "epoch": 100,
    "train_loss": 12345.678,
    "train_accuracy": 1.0,
    "test_loss": 17.6059,
    "test_accuracy": 1.0,
    "lr": 6.4e-05,
    "seconds": 3700.0,
    "test_seconds": 10.0,
}


@pytest.mark.parametrize(("columns", "bar"), [(60, 0), (80, 6), (90, 16), (200, 20)])
def test_a_row_fits_the_terminal_and_stands_under_its_heads(columns, bar):
    task = Classification(TrainConfig())
    row, head = report.row(task, RECORD, 100, 32400, "utf-8", columns), report.table_head(task)
    assert len(row) <= max(columns, 72) and row.count("█") == bar
    assert len(head) <= 80
    for word, value in (
        ("epoch", "100/100"),
        ("train loss", "12345.6780"),
        ("test loss", "17.6059"),
        ("left", "9:00:00"),
    ):
        assert head.index(word) + len(word) == row.index(value) + len(value)
    assert report.row(task, RECORD, 100, 32400, "ascii", 80).isascii()


@pytest.mark.usefixtures("tinynet")
def test_one_is_not_many(tmp_path):
    stream, one = io.StringIO(), {"train__epochs": 1, "train__warmup_epochs": 0, "train__batch_size": 64}
    run(settings(tmp_path / "run", data__test_size=1, **one), stream=stream)
    text = stream.getvalue()
    for part in (
        "100 training and 1 test image, ",
        "1 epoch of 1 step, ",
        "of 1 test image correct",
        "after 1 epoch in",
    ):
        assert part in text
    assert [counted(2, "epoch"), counted(1, "class"), counted(3, "batch")] == ["2 epochs", "1 class", "3 batches"]


@launch.kernel
def _never_compiled_before(work, x):
    x[0] = 1


def test_what_compiles_is_told_and_shown_in_a_terminal_only(monkeypatch):
    import numpy as np

    told = []
    monkeypatch.setattr(report, "TICK", 0.001)
    terminal = Terminal()
    with report.compiling(Console(terminal)), launch.compiling(told.append):
        _never_compiled_before(np.zeros(3, np.float32))
        _never_compiled_before(np.zeros(3, np.float32))
        time.sleep(0.05)
    assert told in (["test_train_report: never compiled before"], [])  # []: without the compiler
    assert terminal.getvalue().startswith("compiling kernels ... \rcompiling kernels ... 0:00")
    assert terminal.getvalue().rstrip().endswith(" s") and terminal.getvalue().endswith("\n")
    file = io.StringIO()
    with report.compiling(Console(file)) as seconds:
        seconds.append(3.25)
    assert file.getvalue() == "compiling kernels ... 3.2 s\n"


def test_a_block_that_raises_ends_its_line():
    file = io.StringIO()
    with pytest.raises(ZeroDivisionError), report.compiling(Console(file)):
        raise ZeroDivisionError
    assert file.getvalue() == "compiling kernels ... \n"
