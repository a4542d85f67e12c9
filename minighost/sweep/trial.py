"""What joblib runs, here or on a machine of a cluster: it starts a trial's process, watches it, and stops it.

A process of its own for each trial: one that runs out of memory or crashes takes nothing else with it, signals reach
the trainer's main thread whatever the back end, and its threads are its own.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from minighost.train.runfolder import RunFolder

__all__ = ["Outcome", "Task", "run_trial"]

EVERY = 0.2  # seconds between two looks at the request to stop
TAIL = 1 << 16  # bytes of what a trial printed among which its error is looked for


class Task(NamedTuple):
    """A trial, as it travels to a worker.

    Attributes
    ----------
    name : str
    config : str
        The configuration as JSON; its `out` is absolute.
    threads : int
    stop : str
        A file: as soon as it exists, the trial is to save and end.
    cwd : str
        The folder that relative paths in the settings start from.
    """

    name: str
    config: str
    threads: int
    stop: str
    cwd: str


class Outcome(NamedTuple):
    """How a trial ended: "finished", "stopped", or "failed" for a reason."""

    name: str
    state: str
    reason: str = ""


def run_trial(task):
    """Run a trial, or continue it where it stopped.

    Parameters
    ----------
    task : Task

    Returns
    -------
    Outcome
        Nothing is raised: whatever happens to a trial is its outcome.
    """
    try:
        return _run(task)
    except OSError as error:
        return Outcome(task.name, "failed", f"{error.filename or 'its process'}: {error.strerror or error}")


def _run(task):
    stop, folder = Path(task.stop), Path(json.loads(task.config)["out"])
    if not stop.parent.is_dir():
        return Outcome(
            task.name, "failed", f"{stop.parent} is not there on {socket.gethostname()}: workers must share it"
        )
    if stop.exists():
        return Outcome(task.name, "stopped")
    folder.mkdir(exist_ok=True)
    with open(folder / "output.log", "ab") as log:
        begin = log.tell()
        status, asked = _watch(_start(task, log), task, stop)
    if RunFolder(folder).finished:
        return Outcome(task.name, "finished")
    if asked:
        return Outcome(task.name, "stopped")
    return Outcome(task.name, "failed", _reason(status, folder / "output.log", begin))


def _start(task, log):
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(task.threads))
    own: dict = {"start_new_session": True}
    if sys.platform == "win32":
        own = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "minighost.sweep.child"],  # -P: a learner's numpy.py in this folder is not NumPy
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        cwd=task.cwd,
        env={**os.environ, **limits, "PYTHONPATH": os.pathsep.join(paths)},
        **own,  # Ctrl-C in a terminal would otherwise reach it too
    )


def _watch(process, task, stop):
    """The exit status, and whether it was asked to stop."""
    asked = False
    with process:
        try:
            with contextlib.suppress(BrokenPipeError):  # it died at once
                process.stdin.write(task.config.encode() + b"\n")
                process.stdin.flush()
            while process.poll() is None:
                if not asked and stop.exists():
                    asked = True
                    process.stdin.close()
                time.sleep(EVERY)
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
    return process.returncode, asked


def _reason(status, log, begin):
    """Why a process ended, in one line: what it said last, or the signal that ended it."""
    if status < 0:
        name = signal.Signals(-status).name
        return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    with open(log, "rb") as file:
        file.seek(max(begin, file.seek(0, os.SEEK_END) - TAIL))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"its process ended with status {status}"])[-1]
