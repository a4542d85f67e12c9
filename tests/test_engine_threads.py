"""Several Python threads at once: the bits, the number of threads, and what holds in one block only."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minighost as mg
from minighost.engine import launch, memory
from minighost.ops import add_forward

HAMMER = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import minighost as mg
sys.setswitchinterval(1e-5)

def train(seed, turns):
    model = mg.models.create("ghostnet", width=0.1, num_classes=10, stem_stride=1, rng=0)
    rng, found = np.random.default_rng(seed), []
    for turn in range(turns):
        x, labels = rng.normal(size=(6, 12, 12, 3)).astype(np.float32), rng.integers(0, 10, 6)
        with mg.nn.fusing((seed + turn) % 2 == 0), mg.threads(1 + (seed + turn) % 4):
            model.zero_grad()
            model.backward(mg.ops.softmax_cross_entropy(model(x), labels)[1])
        found += [p.grad.tobytes() for p in model.parameters()]
    return found

def infer(seed, turns):
    rng, found = np.random.default_rng(seed), []
    for turn in range(turns):
        x = rng.normal(size=(1 + (7 * seed + turn) % 40, 8, 8, 3)).astype(np.float32)
        found.append(predict(x).tobytes())
    return found

predict = mg.nn.fold(mg.models.create("ghostnet", width=0.1, num_classes=10, stem_stride=1, rng=1))
jobs = [(train, 0, 3), (train, 1, 3), (infer, 2, 20), (infer, 3, 20)]
alone = [job(seed, turns) for job, seed, turns in jobs]
before, start = mg.threads().count, threading.Barrier(len(jobs))

def at_once(job):
    start.wait()
    return job[0](*job[1:])

for _ in range(2):
    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(at_once, jobs))
    assert together == alone, [a == b for a, b in zip(together, alone)]
assert mg.threads().count == before == 4, mg.threads()
print("the same bits")
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_python_threads_that_train_and_predict_at_once_get_the_bits_that_each_gets_alone(layer):
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "NUMBA_THREADING_LAYER": layer}
    command = [sys.executable, "-c", HAMMER]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout == "the same bits\n", f"status {run.returncode}: {run.stderr}"


@pytest.fixture
def ceiling(monkeypatch):
    """Let `threads` count to eight and start from four, whatever this machine has; no kernel runs meanwhile."""
    mg.threads()
    monkeypatch.setattr(launch.numba.config, "NUMBA_NUM_THREADS", 8)
    monkeypatch.setattr(launch._state, "threads", 4)


def test_blocks_that_overlap_leave_the_number_that_was_there_before(ceiling):
    for closing in ([0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1], [1, 2, 0], [2, 1, 0]):
        blocks = [mg.threads(n) for n in (1, 2, 3)]
        for block in blocks:
            block.__enter__()
        for k, number in enumerate(closing):
            blocks[number].__exit__()
            left = [n for n in range(3) if n not in closing[: k + 1]]
            assert mg.threads().count == (1 + left[-1] if left else 4), f"closed {closing[: k + 1]}"


def test_a_block_that_ends_before_a_later_one_has_begun_does_not_leave_its_number(ceiling):
    first = mg.threads(1)
    with first:
        second = mg.threads(2)
    with second:
        assert mg.threads().count == 2
    assert mg.threads().count == 4


def test_a_block_that_sets_nothing_gives_back_the_number_that_it_found(ceiling):
    with mg.threads() as shown:
        mg.threads(2)
        assert shown.count == 2
    assert mg.threads().count == 4


@pytest.mark.parametrize("n", [1.5, 2.0, "2", True, np.float32(1)])
def test_a_number_of_threads_is_an_integer(n):
    with pytest.raises(TypeError, match="threads: n must be an integer, got "):
        mg.threads(n)


def test_a_number_set_inside_a_block_ends_with_it(ceiling):
    with mg.threads(1):
        kept = mg.threads(3)
        assert kept.count == 3
    assert mg.threads().count == 4


def test_a_block_may_begin_again(ceiling):
    block = mg.threads(2)
    with block:
        assert mg.threads().count == 2
    assert mg.threads().count == 4
    mg.threads(6)
    with block:
        assert mg.threads().count == 2
    assert mg.threads().count == 6


def test_blocks_in_many_python_threads_leave_the_number_that_was_there_before(ceiling):
    def many(seed):
        for n in np.random.default_rng(seed).integers(1, 9, 200):
            with mg.threads(n), mg.threads(1 + n % 8):
                assert 1 <= mg.threads().count <= 8

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(many, range(8)))
    assert mg.threads().count == 4


def test_a_kernel_with_scratch_for_so_many_threads_runs_on_no_more(monkeypatch):
    """However the number changes between the choice of scratch and the launch."""
    seen = []

    def look(work, seen, visits):
        thread = launch.thread_id(work)
        seen[thread] = 1
        for k in launch.share(work, len(visits)):
            visits[k] = thread

    kernel = launch.kernel(look)
    for n_threads in (1, 2):
        monkeypatch.setattr(launch._state, "threads", 3 - n_threads)
        begun, visits = np.zeros(8, np.int64), np.full(10_000, -1)
        kernel(begun, visits, n_threads=n_threads)
        seen.append((begun.sum(), 0 <= visits.min() <= visits.max() < n_threads))
    assert seen == [(1, True), (2, True)]


def test_one_thread_does_not_wait_for_the_pool_and_two_do():
    def fill(work, x):
        for k in launch.share(work, len(x)):
            x[k] = 1

    kernel, x = launch.kernel(fill), np.zeros(9)
    kernel(x)
    with ThreadPoolExecutor(2) as others:
        with launch._state.turn:
            others.submit(kernel, x, n_threads=1).result(60)
            waiting = others.submit(kernel, x, n_threads=2)
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
        waiting.result(60)


class SlowList(list):
    """Another thread's turn comes just after something was added."""

    def append(self, item):
        super().append(item)
        time.sleep(1e-4)


def test_the_pool_of_memory_gives_each_thread_blocks_of_its_own(monkeypatch):
    monkeypatch.setattr(memory, "_blocks", {memory._size_class(36_000): SlowList()})
    start = threading.Barrier(4)

    def take(_):
        start.wait()
        return [memory.empty((9000,), np.float32) for _ in range(25)]

    with ThreadPoolExecutor(4) as pool:
        blocks = [block for own in pool.map(take, range(4)) for block in own]
    assert len({block.ctypes.data for block in blocks}) == len(blocks) == 100


def test_a_folded_network_plans_for_many_shapes_in_many_threads(rng):
    predict, interval = mg.nn.fold(mg.nn.Identity()), sys.getswitchinterval()

    def many(start):
        for k in range(4000):
            x = np.full((1, 1 + (start + k) % 90), float(k))
            assert (predict(x) == k).all()

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(many, range(0, 90, 15)))
    finally:
        sys.setswitchinterval(interval)
    assert len(predict._plans) <= 32


@pytest.mark.small
def test_fusing_and_watching_hold_in_the_thread_that_asked():
    from minighost.nn.functional import calls

    seen, x = [], np.ones((1, 2, 2, 4))
    with ThreadPoolExecutor(1) as other, mg.nn.fusing(False), launch.watching(lambda *call: seen.append(call)):
        assert other.submit(calls._fusing.get).result() is True and calls._fusing.get() is False
        other.submit(add_forward, x, x).result()
    assert not seen and calls._fusing.get() is True


def test_threads_that_compile_at_once_leave_numba_and_the_collector_as_they_were():
    level, start = launch.numba.config.OPT, threading.Barrier(3)

    def compile_one(k):
        def fill(work, x):
            for i in launch.share(work, len(x)):
                x[i] = k

        start.wait()
        x = np.zeros(3)
        launch.kernel(fill)(x)
        return x.tolist()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(compile_one, range(3))) == [[k] * 3 for k in range(3)]
    assert launch.numba.config.OPT == level and launch.gc.isenabled()
