"""The run's folder: its lock, its log, its console."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from minighost.errors import FormatError, RunLocked
from minighost.train import lock, read_log
from minighost.train.log import Log


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_has_one_trainer_and_its_lock_goes_with_it(tmp_path):
    with lock.run_lock(tmp_path) as path:
        with pytest.raises(RunLocked) as error, lock.run_lock(tmp_path):
            pass
        assert str(error.value) == (
            f"{path}: process {os.getpid()} is training here; stop it, or choose another folder with --out"
        )
        assert path.exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["dead process", "number given out again", "cut short"])
def test_a_dead_owner_loses_its_lock(tmp_path, content):
    owner = {"pid": dead_process(), "host": socket.gethostname(), "started": "1"}
    if content == "number given out again":
        owner = {**owner, "pid": os.getpid()}  # it lives, but began at another moment
        if not lock._started(os.getpid()):
            owner["pid"] = dead_process()  # a system that does not tell when a process began
    (tmp_path / "lock.json").write_text("" if content == "cut short" else json.dumps(owner))
    with lock.run_lock(tmp_path) as path:
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def owner_with(**changes):
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": "1", **changes})


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 90, b'{"pid": 12', *(owner_with(pid=pid).encode() for pid in (0, -1, 10**30, "7", None, True, 1.5))],
)
def test_a_lock_that_no_process_can_hold_is_taken_over(tmp_path, monkeypatch, content):
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: None)
    (tmp_path / "lock.json").write_bytes(content)
    with lock.run_lock(tmp_path) as path:
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [b"mine", b"[1]", b"\xff\xfe", b"[" * 4000, b'{"name": "a lock"}', b"x" * 5000, b"null"]
)
def test_what_is_no_lock_of_ours_is_named_and_left_alone(tmp_path, content):
    path = tmp_path / "lock.json"
    path.write_bytes(content)
    with pytest.raises(RunLocked, match=rf"^{path}: .*move"), lock.run_lock(tmp_path):
        pass
    assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_does_not_stop_a_run_without_a_word(tmp_path):
    path = tmp_path / "lock.json"
    for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to(tmp_path / "nowhere")):
        make()
        with pytest.raises(RunLocked, match=rf"^{path}: .*(move it away|remove it)"), lock.run_lock(tmp_path):
            pass
        assert os.path.lexists(path)
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_lock_that_somebody_else_holds_by_now_is_not_removed(tmp_path):
    with lock.run_lock(tmp_path) as path:
        path.unlink()
        path.write_text("theirs")
    assert path.read_text() == "theirs"


def test_a_lock_from_another_computer_is_left_alone(tmp_path):
    (tmp_path / "lock.json").write_text(json.dumps({"pid": dead_process(), "host": "elsewhere", "started": ""}))
    with pytest.raises(RunLocked, match="on elsewhere is training here; if it died, remove this file"):
        with lock.run_lock(tmp_path):
            pass


def test_the_lock_goes_even_when_the_run_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), lock.run_lock(tmp_path):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


# Log -------------------------------------------------------------------------------------------------------------


def test_lines_come_back_and_a_resumed_log_drops_what_came_after_the_checkpoint(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    log.write(step=1, loss=0.1)
    length = log.sync()
    log.write(step=2, loss=float("nan"))
    log.close()
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1, "loss": 0.1}, {"step": 2, "loss": None}]
    log = Log(tmp_path / "log.jsonl", keep=length)
    log.write(step=3)
    log.close()
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1, "loss": 0.1}, {"step": 3}]


@pytest.mark.parametrize("last", ['{"step": 2, "lo', "2", '{"step": "\udcff"}'])
def test_a_last_line_cut_short_is_dropped_with_a_warning(tmp_path, last):
    path, said = tmp_path / "log.jsonl", []
    path.write_bytes(b'{"step": 1}\n' + last.encode("utf-8", "surrogateescape"))
    assert read_log(path, warn=said.append) == [{"step": 1}]
    assert said == [f"{path}: dropped the last line, which is incomplete"]


def test_a_broken_line_in_the_middle_is_an_error_with_its_number(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(FormatError, match=re.escape(f"{path}, line 2: not a JSON object")):
        read_log(path)
