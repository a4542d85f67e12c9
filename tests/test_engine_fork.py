"""Processes that are forked after kernels have run: they compute the same on one thread, and never hang."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

BEGIN = """
import hashlib, multiprocessing, os, signal, sys, threading, time, warnings
import numpy as np
import threadpoolctl
import minighost as mg
from minighost import ops
from minighost.engine import launch
warnings.simplefilter("ignore", DeprecationWarning)  # Python's own warning against forking beside threads

def digest(_=None):
    model = mg.models.create("ghostnet", width=0.1, num_classes=10, stem_stride=1, rng=0)
    x = np.random.default_rng(0).normal(size=(6, 12, 12, 3)).astype(np.float32)
    model.backward(ops.softmax_cross_entropy(model(x), np.arange(6))[1])
    grads = b"".join(p.grad.tobytes() for p in model.parameters())
    return hashlib.sha256(grads + mg.nn.fold(model)(x).tobytes()).hexdigest()

def forked(work):
    child = os.fork()
    if child == 0:
        signal.alarm(50)
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"the child ended with status {status}"
"""

AFTER = """
expected = digest()
assert mg.threads().count == 4

def child():
    assert mg.threads().count == 1 and "forked" in mg.threads().reason, mg.threads()
    assert digest() == expected
    x = np.ones((1, 4, 4, 2))  # for a kernel that the parent has not compiled
    assert np.allclose(ops.max_pool_forward(x, 2)[0], 1)
    blas = {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}
    assert blas == {1}, blas
    try:
        mg.threads(2)
    except ValueError as error:
        assert "n=2 must be 1 in this process, which was forked" in str(error), error
    else:
        raise AssertionError("a forked process took two threads")
    with mg.threads(1):
        pass
    assert mg.threads().count == 1

def child_and_grandchild():
    child()
    forked(child)

forked(child_and_grandchild)
with mg.threads(3):
    forked(child_and_grandchild)
block = mg.threads(2).__enter__()
forked(lambda: (block.__exit__(), child()))  # a block that the parent began ends in the child
block.__exit__()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert set(pool.map_async(digest, range(4)).get(120)) == {expected}
assert mg.threads().count == 4 and digest() == expected  # the parent goes on as before
print("done")
"""

BEFORE = """
forked(lambda: print(mg.threads(), digest()))
print(mg.threads(), digest())
"""

BESIDE = """
expected = digest()
stop, x = threading.Event(), np.ones((64, 64, 64, 4), np.float32)

def add():
    while not stop.is_set():
        ops.add_forward(x, x)

def compile_kernels():
    while not stop.is_set():
        def fill(work, x):
            for i in launch.share(work, len(x)):
                x[i] = 1
        launch.kernel(fill)(np.zeros(3))

beside = [threading.Thread(target=work, daemon=True) for work in (add, add, compile_kernels)]
for thread in beside:
    thread.start()

def child():
    x = np.zeros(4)
    def fill(work, x):
        for i in launch.share(work, len(x)):
            x[i] = 2
    launch.kernel(fill)(x)
    assert x.tolist() == [2] * 4 and digest() == expected

for _ in range(4):
    time.sleep(0.05)
    forked(child)
stop.set()
for thread in beside:
    thread.join()
print("done")
"""


def _run(script, layer):
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "NUMBA_THREADING_LAYER": layer}
    command = [sys.executable, "-c", BEGIN + script]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, f"status {run.returncode}: {run.stderr}"
    return run.stdout


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_process_that_was_forked_after_a_kernel_computes_the_same_bits_on_one_thread(layer):
    assert _run(AFTER, layer) == "done\n"


def test_a_process_that_was_forked_before_any_kernel_has_threads_of_its_own():
    child, parent = _run(BEFORE, "omp").splitlines()
    assert child == parent and parent.startswith("threads(4), BLAS 1 ")


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_fork_beside_threads_that_launch_and_compile_does_not_hang(layer):
    assert _run(BESIDE, layer) == "done\n"
