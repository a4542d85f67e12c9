"""Trials of a sweep in the tests' own process."""

import json
import signal
import threading
import time
from pathlib import Path

from minighost import train
from minighost.errors import one_line
from minighost.sweep import run_sweep, trial
from minighost.sweep.folder import SweepFolder


class Runner(list):
    """Stands in for `run_trial`: a trial in this process. `before[n]` is called before the n-th, with its task."""

    def __init__(self, monkeypatch):
        self.before = {}
        monkeypatch.setattr(run_sweep, "run_trial", self.run)

    def run(self, task):
        if (folder := SweepFolder(Path(task.stop).parent)).stop.exists():
            return trial.Outcome(task.name, "stopped")
        self.append(task.name)
        config = train.Config.from_dict(json.loads(task.config))
        try:
            if (before := self.before.get(len(self))) is not None:
                before(task)
            train.run(config, resume=trial.RunFolder(config.out).has_run, stream=None)
        except (ValueError, ArithmeticError) as error:
            return trial.Outcome(task.name, "failed", one_line(error))
        assert folder.path.is_dir()
        return trial.Outcome(task.name, "finished")


def ctrl_c_during(task):
    """For `Runner.before`: Ctrl-C arrives while this trial runs; returns when the sweep has passed it on."""
    threading.Thread(target=signal.raise_signal, args=(signal.SIGINT,)).start()
    end = time.monotonic() + 20
    while not Path(task.stop).exists() and time.monotonic() < end:
        time.sleep(0.01)
