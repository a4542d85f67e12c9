"""Whole runs: what they leave behind, how they stop, and that a resumed run is the same run."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from training import CLOCK, Terminal, TinyNet, at_step, ctrl_c, outcome, settings

from minighost import data
from minighost.errors import NonFiniteError
from minighost.train import (
    Interrupted,
    classification,
    evaluate,
    load_checkpoint,
    load_run,
    read_log,
    resume_config,
    run,
)
from minighost.train.trainer import Trainer

pytestmark = pytest.mark.usefixtures("tinynet")


# What a run leaves -------------------------------------------------------------------------------------------------


def test_the_folder_holds_all_that_was_promised(straight):
    folder, summary, _ = straight
    names = sorted(path.name for path in folder.iterdir())
    assert names == "checkpoints config.json confusion.png curves.png log.jsonl mistakes.png summary.json".split()
    checkpoints = [path.name.split("-")[0] for path in (folder / "checkpoints").iterdir()]
    assert sorted(checkpoints) == ["best", "best.json", "last", "last.json"]
    assert json.loads((folder / "summary.json").read_text()) == summary
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert summary["steps"] == 18 and summary["train_images"] == 100 and summary["test_images"] == 40
    assert summary["parameters"] == 3 * 9 * 4 + 8 + 50 and summary["macs"] == 8 * 8 * 27 * 4 + 40


def test_the_log_has_a_line_per_epoch_and_per_few_steps(straight):
    lines = read_log(straight[0] / "log.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(2, 19, 2))
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [(line["epoch"], line["step"]) for line in epochs] == [(1, 6), (2, 12), (3, 18)]
    assert all(line["images_per_second"] > 0 and 0 <= line["test_accuracy"] <= 1 for line in epochs)


def test_what_is_printed_says_what_happens_before_during_and_after(straight):
    folder, summary, text = straight
    for part in (
        "model    tinynet: 166 parameters",
        "data     shapes10: 100 training and 40 test images, 32x32, 10 classes",
        "plan     3 epochs of 6 steps, 16 images each; sgd, onecycle, peak rate 0.05",
        "machine  1 thread, seed 0",
        f"folder   {folder}",
        "compiling kernels ... ",
        "to go\n",
        "    3/3 ",
        f"{100 * summary['test_accuracy']:.2f} % of 40 test images correct",
        f"minighost eval --checkpoint {folder}",
    ):
        assert part in text
    assert "\r" not in text and "\x1b" not in text


def test_a_terminal_sees_the_same_run_with_bars(straight, tmp_path):
    stream = Terminal()
    run(settings(tmp_path / "run"), stream=stream)
    assert "\repoch 3/3   0% |" in stream.getvalue()
    assert outcome(tmp_path / "run")[0] == outcome(straight[0])[0]


def test_the_network_comes_back_with_the_accuracy_that_was_reported(straight):
    folder, summary, _ = straight
    loaded = load_run(folder)
    test_set = data.load("shapes10", "test", n=40)
    loader = data.Loader(test_set, 20, shuffle=False, mean=loaded.mean, std=loaded.std)
    result = evaluate(loaded.model, loader)
    assert (result.accuracy, loaded.epoch, loaded.classes) == (summary["test_accuracy"], 3, test_set.classes)
    assert result.loss == pytest.approx(summary["test_loss"], rel=1e-6)
    assert result.confusion.sum() == 40 and result.confusion.trace() == round(40 * result.accuracy)
    best = evaluate(load_run(folder, "best").model, loader)
    assert best.accuracy == summary["best_test_accuracy"]


def test_the_rehearsal_changes_nothing():
    x, labels = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32), np.arange(4)

    class Batches(list):
        def epoch(self, index, start=0):
            return (batch for batch in self[start:])

    trainer = Trainer(TinyNet(), Batches([(x, labels)] * 9), Batches([(x, labels)]), settings("unused").train)
    weights, rng_states = trainer.model.state_dict(), trainer._rng_states()
    trainer.rehearse()
    assert rng_states == trainer._rng_states() and rng_states["4"]["bit_generator"] == "PCG64"
    assert all((value == weights[name]).all() for name, value in trainer.model.state_dict().items())
    assert trainer.global_step == 0 and all(p.grad is None for p in trainer.model.parameters())
    assert trainer.optimizer.state_dict().keys() == {"lr.0", "lr.1"}


# Resume ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 6, 8, 17, 18])  # first, end of an epoch, within one, last but one, last
def test_a_run_interrupted_and_resumed_is_bit_for_bit_the_run_that_was_not(straight, tmp_path, monkeypatch, step):
    folder, stream = tmp_path / "a run", io.StringIO()
    with monkeypatch.context() as patch:
        at_step(patch, step, ctrl_c)
        with pytest.raises(Interrupted) as stopped:
            run(settings(folder), stream=stream)
    assert stopped.value.code == 130
    assert stream.getvalue().endswith(f"Continue with:\n    minighost train --resume --out '{folder}'\n")
    assert not (folder / "lock.json").exists()
    assert load_checkpoint(folder / "checkpoints" / "last")[1]["trainer"]["step"] == (step - 1) % 6 + 1
    summary = run(resume_config(overrides={"out": str(folder)}), resume=True, stream=stream)
    assert outcome(folder) == outcome(straight[0])
    assert {k: v for k, v in summary.items() if k not in CLOCK} == {
        k: v for k, v in straight[1].items() if k not in CLOCK
    }


def test_a_run_interrupted_while_it_evaluates_evaluates_again(straight, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", lambda self, tick: (ctrl_c(), tick()))
        with pytest.raises(Interrupted):
            run(settings(tmp_path / "run"), stream=None)
    run(settings(tmp_path / "run"), resume=True, stream=None)
    assert outcome(tmp_path / "run") == outcome(straight[0])


class PowerCut(Exception):
    pass


def test_a_crash_goes_back_to_the_last_checkpoint_and_its_log(straight, tmp_path, monkeypatch):
    def crash(trainer):
        raise PowerCut

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 11, crash)
        with pytest.raises(PowerCut):
            run(settings(folder, train__checkpoint_steps=4), stream=None)
    assert read_log(folder / "log.jsonl")[-1]["step"] == 10  # two lines more than at the checkpoint of step 8
    with open(folder / "log.jsonl", "a") as log:
        log.write('{"kind": "step", "st')
    (folder / "checkpoints" / "last.json.tmp").write_text("half")
    run(settings(folder, train__checkpoint_steps=4), resume=True, stream=None)
    assert outcome(folder) == outcome(straight[0])
    assert not list(folder.rglob("*.tmp"))


def test_a_crash_before_the_first_checkpoint_begins_again(straight, tmp_path, monkeypatch):
    def crash(trainer):
        raise PowerCut

    with monkeypatch.context() as patch:
        at_step(patch, 3, crash)
        with pytest.raises(PowerCut):
            run(settings(tmp_path / "run"), stream=None)
    run(settings(tmp_path / "run"), resume=True, stream=None)
    assert outcome(tmp_path / "run") == outcome(straight[0])


def test_a_crash_before_the_summary_only_evaluates(straight, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("minighost.train.run_training.write_atomic", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(settings(tmp_path / "run"), stream=None)
    summary = run(settings(tmp_path / "run"), resume=True, stream=None)
    assert summary["test_accuracy"] == straight[1]["test_accuracy"] and summary["steps"] == 18
    assert outcome(tmp_path / "run") == outcome(straight[0])


def test_adamw_without_average_resumes_too(tmp_path, monkeypatch):
    changes = dict(
        train__optimizer="adamw", train__ema_decay=0, train__lr=0.01, train__clip_norm=0.5, train__views="mirror"
    )
    run(settings(tmp_path / "straight", **changes), stream=None)
    with monkeypatch.context() as patch:
        at_step(patch, 9, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(tmp_path / "halted", **changes), stream=None)
    run(settings(tmp_path / "halted", **changes), resume=True, stream=None)
    assert outcome(tmp_path / "halted") == outcome(tmp_path / "straight")


def test_mirror_images_are_looked_at_after_the_last_epoch_only(tmp_path, monkeypatch):
    looks, evaluate = [], classification.evaluate

    def watched(*args, views, **rest):
        looks.append(views)
        return evaluate(*args, views=views, **rest)

    monkeypatch.setattr(classification, "evaluate", watched)
    run(settings(tmp_path / "run", train__views="mirror"), stream=None)
    assert looks == ["image", "image", "mirror"]


def test_a_finished_run_resumes_to_its_summary(straight):
    stream = io.StringIO()
    assert run(settings(straight[0]), resume=True, stream=stream) == straight[1]
    assert stream.getvalue() == f"{straight[0]}: this run is finished; its results are in summary.json\n"


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from training import TinyNet, settings
from minighost.models import registry
from minighost.train import run
registry.MODELS["tinynet"] = TinyNet
run(settings(Path(sys.argv[1]), train__epochs=100_000))
"""


def test_ctrl_c_from_outside_ends_with_status_130_and_a_second_one_is_not_needed(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", SCRIPT, str(folder), str(Path(__file__).parent)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (folder / "checkpoints" / "last.json").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped by Ctrl-C after" in text and "Traceback" not in text
    load_checkpoint(folder / "checkpoints" / "last")


def test_a_second_ctrl_c_ends_at_once(tmp_path, monkeypatch):
    def twice(trainer):
        ctrl_c()
        ctrl_c()

    at_step(monkeypatch, 8, twice)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(settings(tmp_path / "run"), stream=None)
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last")[1]["trainer"]["epoch"] == 1
    assert not (tmp_path / "run" / "lock.json").exists() and signal.getsignal(signal.SIGINT) is before


# What is not finite ------------------------------------------------------------------------------------------------


def spoil(name, value):
    def action(trainer):
        dict(trainer.model.named_parameters())[name].data.flat[0] = value

    return action


SPOILT = "An earlier step corrupted it"


@pytest.mark.parametrize(
    "action, culprit, fate",
    [
        (spoil("0.weight", np.nan), "the loss is nan; weight '0.weight': 1 of 108 values are not finite", SPOILT),
        (spoil("1.weight", 3e38), "output of layer '1' (BatchNorm2d): ", "No weight was changed"),
        (spoil("5.bias", np.inf), "weight '5.bias': 1 of 10 values are not finite", SPOILT),
    ],
)
def test_a_run_that_is_not_finite_stops_with_step_layer_and_tensor(
    straight, tmp_path, monkeypatch, action, culprit, fate
):
    train_step, folder = Trainer.train_step, tmp_path / "run"
    at_step(monkeypatch, 8, action)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as error:
        run(settings(folder), stream=None)
    message = str(error.value)
    assert message.startswith("step 9 (epoch 2, batch 3 of 6, learning rate 0.0") and culprit in message
    assert message.endswith(
        f"{fate}; the last checkpoint is good. Lower train.lr, lengthen train.warmup_epochs or set train.clip_norm"
    )
    monkeypatch.setattr(Trainer, "train_step", train_step)
    run(settings(folder), resume=True, stream=None)
    assert outcome(folder) == outcome(straight[0])


def test_a_gradient_that_is_not_finite_names_the_parameter_nearest_to_the_loss(tmp_path, monkeypatch):
    def spoil_backward(trainer):
        batch_norm = list(trainer.model.modules())[2]
        backward = batch_norm.backward
        batch_norm.backward = lambda dout: backward(dout * np.float32(np.nan))
        kept.update(trainer.model.state_dict(), model=trainer.model)

    kept = {}
    at_step(monkeypatch, 2, spoil_backward)
    with pytest.raises(NonFiniteError) as error:
        run(settings(tmp_path / "run"), stream=None)
    assert "the gradient's norm is nan; gradient of '1.bias' (and 2 more towards the input): 4 of 4" in str(error.value)
    assert "No weight was changed; no checkpoint exists yet." in str(error.value)
    for name, p in kept.pop("model").named_parameters():
        assert_array_equal(p.data, kept[name])
