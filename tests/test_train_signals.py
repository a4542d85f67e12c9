"""A run that is asked to stop, at any moment and by any of three signals, says so in a line and can go on."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from training import Terminal, at_step, ctrl_c, outcome, settings

import minighost
from minighost import data
from minighost.cli import summary
from minighost.cli.main import main
from minighost.plots import run as plots
from minighost.train import Interrupted, load_checkpoint, run
from minighost.train.signals import listening
from minighost.train.trainer import Trainer

pytestmark = pytest.mark.usefixtures("tinynet")

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
ROOT = Path(minighost.__file__).parent.parent
RESUME = ". Continue with:\n    minighost train --resume --out {}\n"


def sends(number):
    """A function that takes anything and sends this process a signal."""
    return lambda *args, **options: signal.raise_signal(number)


def goes_on(folder, straight):
    """Whether a run resumes to what it would have been."""
    run(settings(folder), resume=True, stream=None)
    return outcome(folder) == outcome(straight[0]) and not (folder / "lock.json").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_finishes_the_step_and_saves(straight, tmp_path, monkeypatch, number):
    stream = io.StringIO()
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stopped:
        at_step(patch, 8, sends(number))
        run(settings(tmp_path / "run"), stream=stream)
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    words = f"stopped by {name} after 1 of 3 epochs and 2 of 6 steps; everything is saved"
    assert stopped.value.code == 128 + number
    assert stream.getvalue().endswith("\n" + words + RESUME.format(tmp_path / "run"))
    assert goes_on(tmp_path / "run", straight)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_stays_so(straight, tmp_path, monkeypatch, number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        at_step(monkeypatch, 8, sends(number))
        run(settings(tmp_path / "run"), stream=None)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert outcome(tmp_path / "run") == outcome(straight[0])


def test_a_signal_before_the_run_began_leaves_nothing(tmp_path, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(data, "load", sends(signal.SIGINT))
    with pytest.raises(Interrupted):
        run(settings(tmp_path / "run"), stream=stream)
    assert stream.getvalue() == "stopped by Ctrl-C before anything was written\n"
    assert not list(tmp_path.iterdir())


class Swallows:
    """An object in whose end an exception goes unheard."""

    def __del__(self):
        ctrl_c()


def swallowed(self):
    Swallows()
    patience = time.monotonic() + 60
    while time.monotonic() < patience:
        time.sleep(0.01)
    return 1.0, 1.0, 1.0


def swallowed_to_the_end(self):
    with contextlib.suppress(BaseException):
        ctrl_c()
    return 1.0, 1.0, 1.0


def turned_into_another(self):
    try:
        ctrl_c()
    except BaseException as error:
        raise SystemError("a function returned a result with an exception set") from error


@pytest.mark.parametrize("compiling", [ctrl_c, swallowed, swallowed_to_the_end, turned_into_another])
def test_ctrl_c_while_kernels_compile_is_a_line_and_the_run_goes_on(straight, tmp_path, monkeypatch, capfd, compiling):
    stream = io.StringIO()
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stopped:
        patch.setattr(Trainer, "rehearse", compiling)
        run(settings(tmp_path / "run"), stream=stream)
    assert stopped.value.code == 130 and capfd.readouterr().err == ""
    end = "compiling kernels ... \nstopped by Ctrl-C before the next step" + RESUME.format(tmp_path / "run")
    assert stream.getvalue().endswith(end)
    assert goes_on(tmp_path / "run", straight)


def test_a_signal_during_a_save_lets_it_finish(straight, tmp_path, monkeypatch):
    save = Trainer.save

    def interrupted(self, path, meta):
        if self.epoch == 2 and not self.stop:
            signal.raise_signal(signal.SIGTERM)
        save(self, path, meta)

    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stopped:
        patch.setattr(Trainer, "save", interrupted)
        run(settings(tmp_path / "run"), stream=None)
    assert stopped.value.code == 143
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last")[1]["trainer"]["epoch"] == 2
    assert goes_on(tmp_path / "run", straight)


def test_a_signal_during_the_last_evaluation_is_made_up_for(straight, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("minighost.train.run_training.write_atomic", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(settings(tmp_path / "run"), stream=None)
    stream = Terminal()
    with monkeypatch.context() as patch, pytest.raises(Interrupted):  # all that is missing is evaluated again
        patch.setattr(Trainer, "evaluate", lambda self, tick: (ctrl_c(), tick()))
        run(settings(tmp_path / "run"), resume=True, stream=stream)
    assert "stopped by Ctrl-C after 3 of 3 epochs" in stream.getvalue()
    assert goes_on(tmp_path / "run", straight)


def test_a_signal_while_the_last_pictures_are_drawn_comes_too_late(straight, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "everything", lambda *args: ctrl_c() or [])
    found = run(settings(tmp_path / "run"), stream=None)
    assert found["test_accuracy"] == straight[1]["test_accuracy"]
    assert outcome(tmp_path / "run") == outcome(straight[0])


def test_nothing_is_left_behind_by_listening(monkeypatch):
    before, hook = {number: signal.getsignal(number) for number in SIGNALS}, sys.unraisablehook
    with listening() as outer, listening() as inner:
        ctrl_c()
        assert inner and not outer
        ctrl_c()
        assert outer  # the second one insists
    assert {number: signal.getsignal(number) for number in SIGNALS} == before and sys.unraisablehook is hook
    said = []
    thread = threading.Thread(target=lambda: said.extend(listening().__enter__() or ["no request"]))
    thread.start()
    thread.join()
    assert said == ["no request"]


# The command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, words",
    [(number, "interrupted" if number == signal.SIGINT else f"ended by {number.name}") for number in SIGNALS],
)
def test_every_command_ends_with_a_line_and_the_status_that_shells_expect(capsys, monkeypatch, number, words):
    def swallows(args):
        with contextlib.suppress(BaseException):
            signal.raise_signal(number)

    def turns(args):
        with contextlib.suppress(BaseException):
            signal.raise_signal(number)
        raise ValueError("what a library says when it is left in the middle")

    for command in (sends(number), swallows, turns):
        monkeypatch.setattr(summary, "run", command)
        assert main(["summary"]) == 128 + number
        assert capsys.readouterr().err == f"minighost: {words}\n"


SCRIPT = """
import sys
from minighost.__main__ import program
from minighost.cli import train as command

def run(args):
    print("listens", flush=True)
    sys.path.insert(0, TESTS)
    from training import TinyNet, settings
    from minighost.models import registry
    from minighost.train import run
    registry.MODELS["tinynet"] = TinyNet
    run(settings(FOLDER))

command.run = run
FOLDER, TESTS = sys.argv[1:]
sys.argv[1:] = ["train"]
program()
"""


def test_a_signal_from_outside_at_any_moment_leaves_a_run_that_goes_on_or_nothing(straight, tmp_path):
    """Some processes at a time, each a little later: in imports, in the data, at compilation, at steps, at pictures."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    left = [(number, 0.25 * k) for k, number in enumerate(SIGNALS * 4)]
    while left:
        some, left = left[:4], left[4:]
        processes = []
        for number, delay in some:
            folder = tmp_path / f"{number.name}-{delay}"
            line = [sys.executable, "-c", SCRIPT, str(folder), str(Path(__file__).parent)]
            pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            processes.append((subprocess.Popen(line, env=environment, **pipes), folder, number, delay))
        for process, _, number, delay in processes:
            assert process.stdout.readline() == "listens\n"
            time.sleep(delay)
            process.send_signal(number)
        for process, folder, number, _ in processes:
            _, text = process.communicate(timeout=120)
            assert "Traceback" not in text and "ignored" not in text, text
            finished = (folder / "summary.json").exists()
            assert process.returncode in ((0, 128 + number, -number) if finished else (128 + number,)), text
            if folder.exists():
                assert goes_on(folder, straight)
