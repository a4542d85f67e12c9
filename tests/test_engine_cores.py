"""No process uses more threads than it may."""

import os
import subprocess
import sys

import pytest

from minighost.engine import cores


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A process with no limits; returns where to write a quota."""
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cores.multiprocessing, "parent_process", lambda: None)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    return tmp_path / "cpu.max"


def test_without_limits_every_core_is_used(alone):
    assert cores.suitable(8) == (8, "")
    alone.write_text("max 100000\n")
    assert cores.suitable(8) == (8, "")


@pytest.mark.parametrize(("told", "n"), [("3", 3), ("3,2", 3), ("99", 8), ("0", 8), ("many", 8), ("", 8)])
def test_what_openmp_was_told_counts_for_kernels(alone, monkeypatch, told, n):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert cores.suitable(8) == (n, "OMP_NUM_THREADS=3" if n < 8 else "")


@pytest.mark.parametrize(("quota", "n"), [("150000 100000", 2), ("10000 100000", 1), ("900000 100000", 8)])
def test_a_containers_quota_counts(alone, quota, n):
    alone.write_text(quota)
    found, reason = cores.suitable(8)
    assert found == n and ("quota" in reason) == (n < 8)


def test_a_process_of_a_pool_uses_one_thread_unless_it_is_told_otherwise(alone, monkeypatch):
    monkeypatch.setattr(cores.multiprocessing, "parent_process", lambda: object())
    assert cores.suitable(8) == (1, "a process of a pool")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert cores.suitable(8)[0] == 4
    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")
    assert cores.suitable(8) == (8, "")


def test_the_limit_and_its_reason_are_shown():
    code = "import minighost as mg; print(*(str(mg.threads(n)) for n in (None, 2, None)))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("NUMBA_NUM_THREADS", None)
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    if os.cpu_count() > 1:
        assert run.stdout.strip() == "threads(1), BLAS 1 (OMP_NUM_THREADS=1) threads(2), BLAS 1 threads(2), BLAS 1"


@pytest.mark.parametrize("told", ["garbage", "", "0", "-3", "1.5", "100000", "9" * 5000, "\u00b2"])
def test_a_number_of_threads_in_the_environment_that_is_none_is_refused(monkeypatch, told):
    monkeypatch.setenv("NUMBA_NUM_THREADS", told)
    with pytest.raises(ValueError, match="NUMBA_NUM_THREADS=.* must be a whole number from 1 to"):
        cores.check_environment()


@pytest.mark.parametrize("told", [None, "1", " 8 ", "1024"])
def test_a_number_of_threads_in_the_environment_counts(monkeypatch, told):
    if told is None:
        monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("NUMBA_NUM_THREADS", told)
    cores.check_environment()


def test_a_command_says_so_in_one_line():
    environment = {**os.environ, "NUMBA_NUM_THREADS": "many"}
    command = [sys.executable, "-m", "minighost", "gradcheck", "relu"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2 and run.stdout == "" and run.stderr.count("\n") == 1
    assert run.stderr.startswith("minighost: error: NUMBA_NUM_THREADS='many' in the environment")
