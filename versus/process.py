"""A contestant's process, from without."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

__all__ = ["Worker", "WorkerFailed"]

ROOT = Path(__file__).parents[1]


class WorkerFailed(Exception):
    """A contestant's process ended; the message is the last line that it wrote to stderr."""


class Worker:
    """Starts the process and waits until it is warm; a context manager that ends it.

    Parameters
    ----------
    work : Work
    who : Contestant

    Attributes
    ----------
    results : dict of str to ndarray
        What the contestant computed.
    first_s, step_s : float
        Seconds from the start of building to the end of the first step, and of a warm step.
    peak_mib : int or None
        The most memory that the process held in a turn so far; None before the first, or if the system does not tell.

    Raises
    ------
    WorkerFailed
        If it does not get that far.
    """

    def __init__(self, work, who):
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "results.npz"
        self._errors = open(Path(self._folder.name) / "errors", "w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "versus.worker", work.name, who.label, str(who.threads), file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=_environment(who.threads),
        )
        try:
            ready = self._answer()
            self.first_s, self.step_s, self.peak_mib = ready["first_s"], ready["step_s"], None
            with np.load(file) as results:
                self.results = {name: results[name] for name in results.files}
        except BaseException:
            self.close()
            raise

    def run(self, steps):
        """Let it do `steps` steps; returns the seconds that one took."""
        try:
            self._process.stdin.write(f"{steps}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._failure() from error
        answer = self._answer()
        if answer["peak_mib"] is not None:
            self.peak_mib = max(self.peak_mib or 0, answer["peak_mib"])
        return answer["seconds"] / steps

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        return json.loads(line)

    def _failure(self):
        status = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return WorkerFailed(f"{lines[-1] if lines else 'nothing on stderr'} (exit status {status})")

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def _environment(threads):
    """The same number of threads for every library that asks the environment."""
    names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
    return {**os.environ, **dict.fromkeys(names, str(threads))}
