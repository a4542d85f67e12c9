"""The clock, the roofline, and the counts of operations and bytes; nothing here depends on how fast the machine is."""

import gc
import sys

import numpy as np
import pytest

from minighost import analysis, bench, models, nn, ops
from minighost.bench import memory, roofline
from minighost.bench.cost import Piece
from minighost.engine.launch import kernel, watching


class Clock:
    """Time goes on by what the list says at each second look."""

    def __init__(self, *durations):
        self.durations, self.now, self.looks = list(durations), 0.0, 0

    def __call__(self):
        if self.looks % 2:
            self.now += self.durations.pop(0)
        self.looks += 1
        return self.now


def test_the_machine_is_what_its_files_say(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU: 3 GHz\n")
    assert bench.machine(tmp_path / "cpuinfo")["cpu"] == "Some CPU: 3 GHz"
    elsewhere = bench.machine(tmp_path / "none")
    assert elsewhere["cpu"] and elsewhere["cores"] >= 1 and elsewhere["python"].startswith("3.")


# The clock -----------------------------------------------------------------------------------------------------


def test_the_warm_up_does_not_count():
    calls = []
    timing = bench.measure(lambda: calls.append(1), repeats=3, warmup=2, clock=Clock(100, 50, 1, 3, 2))
    assert len(calls) == 5
    assert timing.first == 100 and timing.samples == pytest.approx((1, 3, 2))
    assert timing.median == 2 and timing.least == 1 and timing.spread == pytest.approx(1)


def test_what_setup_does_is_outside_the_clock():
    clock = Clock(1, 1)
    seen = []

    def setup():
        clock.now += 1000
        return "made"

    timing = bench.measure(seen.append, repeats=1, warmup=1, setup=setup, clock=clock)
    assert seen == ["made"] * 2 and timing.samples == (1,)


def test_the_collector_rests_while_the_clock_runs_and_is_woken_afterwards():
    states = []
    bench.measure(lambda: states.append(gc.isenabled()), repeats=2, warmup=1)
    assert states == [False] * 3 and gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        bench.measure(lambda: 1 / 0)
    assert gc.isenabled()


@pytest.mark.parametrize("option", ["repeats", "warmup"])
def test_at_least_one_call_counts_and_one_does_not(option):
    with pytest.raises(ValueError, match=f"measure: {option}=0 must be at least 1"):
        bench.measure(lambda: None, **{option: 0})


# The roofline --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_roof():
    return bench.measure_roofline(1, sizes=(32,), nbytes=1 << 20, repeats=1)


def test_both_roofs_are_found(small_roof):
    assert small_roof.flops > 0 and small_roof.copy > 0 and small_roof.triad > 0
    assert small_roof.threads == 1 and small_roof.cache_bytes > 0
    assert 0.9 * 2**20 < small_roof.array_bytes <= 2**20


def test_a_thread_makes_one_call_for_all_of_its_triad(monkeypatch):
    calls: list = []
    triad = roofline._triad
    monkeypatch.setattr(
        roofline, "_triad", lambda *own, n_threads: calls.append(own) or triad(*own, n_threads=n_threads)
    )
    roof = bench.measure_roofline(1, sizes=(32,), nbytes=1 << 20, repeats=2)
    assert len(calls) == 3, "short calls from several threads wait for Python's lock, not for memory"
    for a, b, c in calls:
        assert 3 * a.nbytes == roof.array_bytes
        np.testing.assert_array_equal(a, b + c / 2)


def test_memory_limits_what_has_little_to_compute():
    roof = bench.Roofline(flops=100.0, copy=5.0, triad=10.0, threads=1)
    assert [roof.attainable(intensity) for intensity in (1, 10, 1000)] == [10, 100, 100]
    assert roof.least([Piece("a", 100, 10), Piece("b", 100, 20), Piece("c", 0, 5)]) == 1 + 2 + 0.5


def test_the_roofline_of_this_machine_is_measured_once(monkeypatch):
    calls = []
    monkeypatch.setattr(roofline, "measure_roofline", lambda threads: calls.append(threads) or "roof")
    roofline.roofline_here.cache_clear()
    assert [bench.roofline_here(n) for n in (1, 2, 1)] == ["roof"] * 3
    assert calls == [1, 2]
    roofline.roofline_here.cache_clear()


def test_more_threads_than_there_can_be_are_refused():
    with pytest.raises(ValueError, match="threads: n=1000000 must lie between 1 and"):
        bench.measure_roofline(1_000_000)


def test_the_largest_cache_is_the_last_level(tmp_path):
    for k, size in enumerate(["32K", "1M", "none", "512K"]):
        (tmp_path / f"index{k}").mkdir()
        (tmp_path / f"index{k}" / "size").write_text(size + "\n")
    assert roofline._last_level_cache(tmp_path) == 1 << 20
    assert roofline._last_level_cache(tmp_path / "nowhere", otherwise=7) == 7


# Memory --------------------------------------------------------------------------------------------------------


def test_the_peak_of_memory_is_what_linux_states(tmp_path):
    (tmp_path / "status").write_text("Name:\tx\nVmHWM:\t   1500 kB\nVmRSS:\t 10 kB\n")
    assert memory.peak_memory(tmp_path / "status") == 1500 * 1024


def test_the_units_of_getrusage_differ_on_macos(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    usage = type("Usage", (), {"ru_maxrss": 7})
    monkeypatch.setattr(resource, "getrusage", lambda who: usage)
    for platform, expected in (("linux", 7 * 1024), ("darwin", 7)):
        monkeypatch.setattr(memory.sys, "platform", platform)
        assert memory.peak_memory(tmp_path / "none") == expected


def test_the_peak_of_memory_stays_until_it_is_forgotten(tmp_path):
    before = memory.peak_memory()
    array = np.ones(40_000_000)
    peak = memory.peak_memory()
    assert peak >= before and peak > array.nbytes
    del array
    memory.forget_peak(tmp_path / "no" / "switch")
    assert memory.peak_memory() > peak - 10_000_000  # Linux counts in batches
    if sys.platform == "linux":
        memory.forget_peak()
        assert memory.peak_memory() < peak - 200_000_000


# Cost ----------------------------------------------------------------------------------------------------------


def test_operations_are_twice_the_multiply_adds_and_three_times_that_in_training():
    model = models.create("ghostnet", width=0.5, num_classes=10, stem_stride=1)
    macs = sum(row.macs for row in analysis.count(model, (32, 32, 3)))
    assert sum(piece.flops for piece in bench.inference_cost(model, (32, 32, 3), 7)) == 2 * 7 * macs
    assert sum(piece.flops for piece in bench.training_cost(model, (32, 32, 3), 7)) == 6 * 7 * macs


def test_the_bytes_of_two_layers_by_hand():
    model = nn.Sequential(nn.ConvBNAct(3, 8, 3, stride=2), nn.GlobalAvgPool(), nn.Linear(8, 5))
    N, (x, y), (z, logits) = 4, (6 * 6 * 3, 3 * 3 * 8), (8, 5)
    conv, linear = 3 * 3 * 3 * 8 + 2 * 8, 8 * 5 + 5  # with batch norm's two vectors
    forward = [4 * (N * (x + y) + conv), 4 * (N * (z + logits) + linear)]
    backward = [4 * (N * (2 * z + logits) + 2 * linear), 4 * (N * (2 * x + y) + 2 * conv)]
    assert [piece.bytes for piece in bench.inference_cost(model, (6, 6, 3), N)] == forward
    update = 4 * 5 * (conv + linear)
    assert [piece.bytes for piece in bench.training_cost(model, (6, 6, 3), N)] == [*forward, *backward, update]


def test_every_parameter_is_read():
    model = models.create("ghostnet", width=0.25, num_classes=10)
    without_images = bench.inference_cost(model, (32, 32, 3), batch=0)
    assert sum(piece.bytes for piece in without_images) == 4 * analysis.total_parameters(model)


def test_counting_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    before = {id(module): dict(vars(module)) for module in model.modules()}
    bench.inference_cost(model, (5, 5, 3), 2)
    of_a_forward = {"input_shape", "output_shape", "training", "_cache", "_output", "_fingerprints", "_kept_fold"}
    assert all(set(vars(module)) - of_a_forward <= set(before[id(module)]) for module in model.modules())
    assert model.training


# The profile ---------------------------------------------------------------------------------------------------


def flops_of(model, x):
    """Of all kernels of a training step, as the profile counts them."""
    step = bench.TrainingStep(model, x, np.zeros(len(x), int))
    return sum(piece.flops for one in bench.profile(step, 1, 1).kernels for piece in one.pieces)


def test_the_operations_of_the_kernels_are_those_of_the_layers():
    model = models.create("ghostnet", width=0.25, num_classes=10)
    x = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)
    stem = bench.inference_cost(model, (32, 32, 3), 3)[0]  # nobody needs the gradient of the images
    assert flops_of(model, x) == sum(piece.flops for piece in bench.training_cost(model, (32, 32, 3), 3)) - stem.flops


def test_winograds_operations_are_those_it_carries_out():
    layer = nn.ConvBNAct(16, 24, 3, rng=0)
    x = np.random.default_rng(0).normal(size=(2, 8, 7, 16)).astype(np.float32)

    def step():
        layer.backward(layer(x))

    found = {one.kernel: sum(piece.flops for piece in one.pieces) for one in bench.profile(step, 1, 1).kernels}
    products = 36 * (2 * 2 * 2) * 16 * 24  # 36 of (tiles, C) @ (C, OC)
    assert found["kernels.winograd._forward"] == 2 * products and found["kernels.winograd._backward"] == 4 * products


def test_a_kernel_declares_its_operations_from_its_arguments_by_name():
    @kernel(flops=lambda a: 2 * a.x.size * len(a.w))
    def _products(work, x, w):
        x[:] = w[0]

    @kernel
    def _no_products(work, x, w):
        x[:] = w[0]

    x, w = np.zeros(5), np.ones(3)
    assert _products.flops(x, w) == 30 and _no_products.flops(x, w) == 0
    found = {one.kernel.rpartition(".")[2]: one.pieces for one in bench.profile(lambda: _products(x, w), 1, 1).kernels}
    assert [piece.flops for piece in found["_products"]] == [30], found


def test_a_profile_keeps_none_of_the_arrays_it_has_seen():
    x = np.zeros((1, 64, 64, 8), np.float32)
    held: list = []

    def step():
        out, _ = ops.add_forward(x, x)
        held.append(out.ctypes.data)

    found = bench.profile(step, repeats=3, warmup=1)
    assert len(set(held)) == 1  # its memory was taken again
    (only,) = found.kernels
    assert only.kernel == "add._add" and only.pieces == [Piece("add._add", 0, 2 * x.nbytes)] and found.rest > 0


def test_watching_ends_with_the_block_whatever_happens():
    x, seen = np.zeros((1, 2, 2, 1)), []
    with pytest.raises(KeyError), watching(lambda *call: seen.append(call)):
        ops.add_forward(x, x)
        raise KeyError
    ops.add_forward(x, x)
    ((function, args, seconds),) = seen
    assert function.__name__ == "_add" and len(args) == 4 and seconds > 0
