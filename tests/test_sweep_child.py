"""A trial is a process of its own: what ends it costs only itself; it saves when nobody waits for it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import minighost
from minighost import train
from minighost.sweep.trial import Task, run_trial
from minighost.train.runfolder import RunFolder

NET = """
import minighost as mg

class Net(mg.nn.Sequential):
    def __init__(self, num_classes, rng):
        conv, linear = mg.nn.Conv2d(3, 4, 3, stride=4, rng=rng), mg.nn.Linear(4, num_classes, rng=rng)
        super().__init__(conv, mg.nn.GlobalAvgPool(), linear)
"""
ROOT = Path(minighost.__file__).parents[1]


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A trial of a network of one's own, long enough to be ended in between."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    settings = {"data.train_size": 64, "data.test_size": 32, "train.batch_size": 32, "train.epochs": 2}
    config = train.Config.resolve(overrides={"model.name": "net.py:Net", **settings, "out": str(tmp_path / "out/one")})
    (tmp_path / "out").mkdir()
    return Task("one", json.dumps(config.to_dict()), 1, str(tmp_path / "out/stop"), str(tmp_path))


def longer(task):
    """The same trial with more epochs than anybody waits for."""
    config = json.loads(task.config)
    config["train"]["epochs"] = 100_000
    return task._replace(config=json.dumps(config))


def soon(path, action):
    """Do something in a thread as soon as a file is there; returns the thread."""

    def wait():
        end = time.monotonic() + 60
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def owner(folder):
    """The process that trains there."""
    return json.loads((folder / "lock.json").read_text())["pid"]


def test_a_trial_in_its_own_process_gives_the_bits_of_a_run_in_this_one(task, tmp_path):
    assert run_trial(task) == ("one", "finished", "")
    config = train.Config.from_dict(json.loads(task.config)).replace(out=str(tmp_path / "here"), threads=1)
    here = train.run(config, stream=None)
    there = json.loads((tmp_path / "out/one/summary.json").read_text())
    assert there["test_loss"] == here["test_loss"] and "2/2" in (tmp_path / "out/one/output.log").read_text()


@pytest.mark.long
def test_a_trial_that_is_killed_or_asked_to_stop_goes_on_afterwards(task, tmp_path):
    folder, long = tmp_path / "out/one", longer(task)
    last = folder / "checkpoints/last.json"
    thread = soon(last, lambda: os.kill(owner(folder), getattr(signal, "SIGKILL", signal.SIGTERM)))
    assert run_trial(long) == ("one", "failed", "its process was ended by SIGKILL (out of memory?)")
    thread.join()
    killed = RunFolder(folder).meta().trainer["epoch"]
    stop = Path(task.stop)
    thread = soon(folder / "lock.json", stop.touch)  # the dead one's, which gives way
    assert run_trial(long) == ("one", "stopped", "") and RunFolder(folder).meta().trainer["epoch"] >= killed > 0
    thread.join()
    assert run_trial(long) == ("one", "stopped", "")  # without a process
    assert not (folder / "lock.json").exists() or not Path(f"/proc/{owner(folder)}").exists()


@pytest.mark.long
def test_a_trial_whose_starter_died_saves_and_ends(task, tmp_path):
    folder, code = (
        tmp_path / "out/one",
        "import sys; from minighost.sweep.trial import *; run_trial(Task(*sys.argv[1:]))",
    )
    words = [str(word) for word in longer(task)]
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    starter = subprocess.Popen([sys.executable, "-c", code, *words], env=paths)
    soon(folder / "checkpoints/last.json", starter.kill).join()
    starter.wait()
    end = time.monotonic() + 60
    while (folder / "lock.json").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert "stopped by SIGTERM" in (folder / "output.log").read_text() and not (folder / "lock.json").exists()


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"data": {"name": "cifar10", "dir": "nowhere"}}, "nowhere"),
        ({"model": {"name": "exits.py:Net"}}, "its process ended with status 3"),
    ],
)
def test_why_a_trial_failed_is_one_line(task, tmp_path, change, reason):
    (tmp_path / "exits.py").write_text("import os\nos._exit(3)\n")
    config = json.loads(task.config)
    for section, values in change.items():
        config[section].update(values)
    name, state, said = run_trial(task._replace(config=json.dumps(config)))
    assert (name, state) == ("one", "failed") and reason in said and "\n" not in said


def test_a_folder_that_the_worker_does_not_see_is_named(task, tmp_path):
    state = run_trial(task._replace(stop=str(tmp_path / "elsewhere/stop")))
    assert state.state == "failed" and f"{tmp_path / 'elsewhere'} is not there on " in state.reason


@pytest.mark.cluster
def test_a_sweep_on_a_dask_cluster_of_two_workers_outlives_one_of_them(task, tmp_path):
    """A worker that is killed costs nothing: its trial goes on elsewhere, to the same bits as here."""
    distributed = pytest.importorskip("distributed")
    (tmp_path / "space.toml").write_text(
        "settings.model.name = 'net.py:Net'\nsettings.data.train_size = 64\nsettings.data.test_size = 32\n"
        "settings.train.batch_size = 32\nsettings.train.epochs = 40\ngrid.train.lr = [0.05, 0.1, 0.2]\n"
    )
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        pid = next(iter(cluster.workers.values())).pid
        soon(tmp_path / "runs/space/lr=0.05,seed=0/checkpoints/last.json", lambda: os.kill(pid, signal.SIGKILL))
        address = cluster.scheduler_address.removeprefix("tcp://")
        command = [
            sys.executable,
            "-m",
            "minighost",
            "sweep",
            "space.toml",
            "--backend",
            "dask",
            "--scheduler",
            address,
        ]
        done = subprocess.run(command, env=paths, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "workers  2 at a time on the dask cluster, 1 thread each" in done.stderr
    for lr in (0.05, 0.1, 0.2):
        there = tmp_path / f"runs/space/lr={lr},seed=0"
        here = train.run(train.Config.load(there / "config.json").replace(out=str(tmp_path / f"{lr}")), stream=None)
        assert here["test_loss"] == json.loads((there / "summary.json").read_text())["test_loss"]
