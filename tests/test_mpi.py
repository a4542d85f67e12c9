"""`mpirun -n 2 minighost train --mpi` for real: equal to one process, stopped, killed and resumed (make mpi)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_train_parallel import trained
from training import outcome

from minighost.train import parallel

pytestmark = pytest.mark.mpi

HERE = Path(__file__).parent
BESIDE = Path(sys.executable).with_name("mpirun")
MPIRUN = str(BESIDE) if BESIDE.exists() else shutil.which("mpirun")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")]),
    "OMPI_ALLOW_RUN_AS_ROOT": "1",  # Open MPI asks for both, in a container too
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
TINY = ("data.train_size=100", "data.test_size=40", "train.warmup_epochs=0.5", "train.log_every=2", "threads=1")


def start(count, *command):
    launcher = [MPIRUN, "-n", str(count)] if count else []
    return subprocess.Popen(
        [*launcher, sys.executable, *map(str, command)],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # MPICH says here what has become of a process
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(count, *argv):
    """Start a training of 60 epochs of 6 steps of 16 images."""
    settings = [word for setting in TINY for word in ("--set", setting)]
    return start(
        count,
        *("-m", "minighost", "train", "--mpi", "--epochs", "60", "--batch-size", "16", "--lr", "0.05"),
        *settings,
        *argv,
    )


def ended(process, within=120):
    """Its exit status and what it said."""
    try:
        return process.communicate(timeout=within)[0], process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def resume(count, out):
    return ended(start(count, "-m", "minighost", "train", "--mpi", "--resume", "--out", out))


@pytest.fixture
def net(tmp_path):
    """``("--model", FILE.py:Net)``."""
    (tmp_path / "net.py").write_text("from training import TinyNet as Net\n")
    return "--model", f"{tmp_path}/net.py:Net"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run on two ranks that nothing disturbed, and what it said."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "net.py").write_text("from training import TinyNet as Net\n")
    said, status = ended(train(2, "--model", f"{folder}/net.py:Net", "--out", folder / "run"))
    assert status == 0, said
    return folder / "run", said


def under_way(folder, process):
    """Wait until there are checkpoints; the number of the process that is rank 0."""
    log, end = folder / "log.jsonl", time.monotonic() + 120
    while not (log.exists() and log.read_bytes().count(b'"kind": "epoch"') > 3):
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.05)
    return json.loads((folder / "lock.json").read_text())["pid"]


@pytest.mark.parametrize("synchronised", [True, False])
def test_two_processes_have_the_weights_of_one_or_of_each_other(tmp_path, synchronised):
    (tmp_path / "program.py").write_text(
        "import sys, numpy as np\n"
        "from minighost.train import parallel\n"
        "from test_train_parallel import trained\n"
        "with parallel.start() as ranks:\n"
        "    assert ranks.count == 2\n"
        f"    records, state, evaluation = trained(ranks, synchronised={synchronised})\n"
        "    losses = np.array([record['loss'] for record in records])\n"
        "    np.savez(f'{sys.argv[1]}/{ranks.rank}.npz', losses=losses, logits=evaluation.logits, **state)\n"
    )
    said, status = ended(start(2, tmp_path / "program.py", tmp_path))
    assert status == 0, said
    zero, one = (dict(np.load(tmp_path / f"{rank}.npz")) for rank in range(2))
    assert all(zero[name].tobytes() == one[name].tobytes() for name in zero)
    records, state, evaluation = trained(parallel.Single())
    close = np.allclose(zero["losses"], [record["loss"] for record in records], rtol=1e-11, atol=0)
    assert close == synchronised  # else each normalises 8 images, not 16
    if synchronised:
        for name, value in state.items():
            assert_allclose(zero[name], value, rtol=1e-9, atol=1e-11, err_msg=name)
        assert_allclose(zero["logits"], evaluation.logits, atol=1e-5)


def test_a_run_stopped_by_a_signal_stops_after_one_step_everywhere_and_resumes_bit_for_bit(whole, net, tmp_path):
    process = train(2, *net, "--out", tmp_path / "run")
    os.kill(under_way(tmp_path / "run", process), signal.SIGTERM)
    said, status = ended(process, within=30)
    assert status != 0 and "everything is saved. Continue with:\n" in said
    assert f"mpirun -n 2 minighost train --mpi --resume --out {tmp_path}/run\n" in said
    assert not (tmp_path / "run" / "lock.json").exists()
    said, status = resume(2, tmp_path / "run")
    assert status == 0 and "resume   after" in said, said
    assert outcome(tmp_path / "run") == outcome(whole[0])


def test_a_killed_rank_ends_the_job_and_what_was_saved_resumes_bit_for_bit(whole, net, tmp_path):
    process = train(2, *net, "--out", tmp_path / "run")
    os.kill(under_way(tmp_path / "run", process), signal.SIGKILL)
    said, status = ended(process, within=30)
    assert status != 0 and "signal 9" in said  # mpirun's words
    said, status = resume(2, tmp_path / "run")
    assert status == 0, said
    assert outcome(tmp_path / "run") == outcome(whole[0])


def test_a_rank_that_fails_alone_ends_the_job_with_its_message(tmp_path):
    (tmp_path / "program.py").write_text(
        "from minighost.train import parallel\n"
        "with parallel.start() as ranks:\n"
        "    if ranks.rank == 1:\n"
        "        raise OSError(28, 'No space left on device', 'cache')\n"
        "    ranks.any(False)\n"
    )
    said, status = ended(start(2, tmp_path / "program.py"), within=60)
    assert status != 0
    assert "minighost: error: rank 1 of 2: cache: No space left on device\n" in said


def test_what_all_ranks_refuse_is_said_once(net, tmp_path):
    said, status = ended(train(3, *net, "--out", tmp_path / "run"))
    assert status == 2
    message = "minighost: error: train.batch_size: 16 images cannot be shared equally by 3 ranks; use 15 or 18\n"
    assert said.count("minighost: error") == 1 and message in said
    assert not (tmp_path / "run").exists()


def test_one_process_without_mpirun_trains_and_says_that_it_is_alone(net, tmp_path):
    said, status = ended(train(0, *net, "--epochs", "1", "--out", tmp_path / "run"))
    assert status == 0 and "ranks    1: nothing to share; `mpirun -n 4 minighost train --mpi` starts four\n" in said


def test_only_the_first_rank_speaks(whole):
    said = whole[1]
    assert "ranks    2 on one computer, 8 images each; batch norm over the whole batch\n" in said
    assert said.count("model    ") == 1 and said.count("test images correct") == 1
