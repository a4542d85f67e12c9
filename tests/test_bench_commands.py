"""`minighost bench` and `minighost warmup`."""

import json
from dataclasses import replace

import numpy as np
import pytest
from commands import printed, refused

from minighost import bench, models, ops
from minighost.bench import warmup
from minighost.cli import speeds
from minighost.cli.warmup import USUAL

ROOF = bench.Roofline(flops=100e9, copy=10e9, triad=8e9, threads=1, array_bytes=400, cache_bytes=100)


@pytest.fixture(autouse=True)
def known_roof(monkeypatch):
    """A roofline that needs no measuring, and one thread: what is checked here does not depend on it."""
    monkeypatch.setattr(bench, "roofline_here", lambda threads: ROOF)
    with ops.threads(1):
        yield


NETWORK = ["bench", "ghostnet", "--width", "0.25", "--batch", "4", "--repeats", "3", "--warmup", "1", "--threads", "1"]


def json_of(capsys, tmp_path, *argv):
    printed(capsys, *argv, "--json", tmp_path / "out.json")
    return json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))


# Networks ------------------------------------------------------------------------------------------------------


def test_a_network_is_timed_in_training_and_inference(capsys):
    lines = printed(capsys, *NETWORK).splitlines()
    assert lines[0].startswith("ghostnet num_classes=10 width=0.25: 507,956 parameters, input 4x32x32x3 float32")
    assert [line.split("  ")[0] for line in lines if line.startswith(("training", "inference"))] == [
        "training step",
        "inference",
    ] * 2
    assert any(line.startswith("memory     peak of the process ") for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_json_of_a_network_holds_every_sample_and_what_follows(capsys, tmp_path):
    found = json_of(capsys, tmp_path, *NETWORK)
    assert found["input"] == [4, 32, 32, 3] and found["options"] == {"num_classes": 10, "width": 0.25}
    assert found["parameters"] == 507_956 and found["warmup"] == 1
    assert set(found["versions"]) == {"minighost", "python", "numpy", "numba"}
    assert found["memory"]["peak_before_bytes"] <= found["memory"]["peak_after_bytes"]
    training, inference = found["results"]
    assert training["flops"] == 3 * inference["flops"] > 0
    for result in found["results"]:
        samples = result["samples_ms"]
        assert len(samples) == result["repeats"] == 3
        assert result["median_ms"] == pytest.approx(np.median(samples)) and result["min_ms"] == min(samples)
        assert result["images_per_s"] == pytest.approx(4e3 / result["median_ms"])
        assert result["gflops_per_s"] == pytest.approx(result["flops"] / result["median_ms"] / 1e6)
        assert result["roofline_share"] == pytest.approx(result["roofline_ms"] / result["median_ms"])


@pytest.mark.parametrize("mode, names", [("train", ["training step"]), ("infer", ["inference"])])
def test_one_mode_alone(capsys, tmp_path, mode, names):
    assert [r["name"] for r in json_of(capsys, tmp_path, *NETWORK, "--mode", mode)["results"]] == names


def test_options_of_the_network_are_set_in_either_spelling(capsys, tmp_path):
    argv = [*NETWORK, "--mode", "infer", "--repeats", "1", "--set", "width=0.3", "--set", "model.stem_stride=1"]
    assert json_of(capsys, tmp_path, *argv)["options"] == {"num_classes": 10, "width": 0.3, "stem_stride": 1}


def test_a_profile_names_the_kernels_and_their_share_of_the_step(capsys, tmp_path):
    lines = printed(capsys, *NETWORK, "--profile", "--json", tmp_path / "out.json").splitlines()
    (start, head), (_, other) = [(k, line.split()) for k, line in enumerate(lines) if line.endswith("roof%")]
    assert head == ["training", "step", "calls", "ms", "%", "MB", "GB/s", "GF/s", "roof%"]
    assert other[0] == "inference" and max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    rows = lines[start + 2 : lines.index("", start)]
    assert any(row.startswith("kernels.pointwise._backward ") for row in rows)
    assert rows[-1].startswith("outside kernels")
    column = lines[start].index("%") + 1  # of the share's last digit
    assert sum(float(row[:column].split()[-1]) for row in rows) == pytest.approx(100, abs=1)
    training, _ = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["results"]
    for one in training["profile"]["kernels"]:
        assert one["bytes"] > 0 and one["ms"] > 0
        least = max(one["flops"] / ROOF.flops, one["bytes"] / ROOF.bandwidth)
        assert one["roofline_share"] >= 0.999e3 * least / one["ms"]  # call by call it is no less than of the sum


def test_a_training_step_learns():
    model = models.create("ghostnet", width=0.25, num_classes=4, dropout=0.0)
    x = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype(np.float32)
    step = bench.TrainingStep(model, x, np.arange(8) % 4)
    losses = [step() for _ in range(8)]
    assert losses[-1] < losses[0]


# Operations ----------------------------------------------------------------------------------------------------

SHAPE = (2, 6, 6, 4)
COUNTS = {  # settings: FLOPs of forward and backward, numbers moved forward and backward; x has 288 numbers
    "conv": ({"out": 8}, 2 * 576 * 36, 4 * 576 * 36, 288 + 288 + 576, 576 + 2 * (288 + 288)),
    "conv_transpose": ({"out": 8}, 2 * 36 * 4 * 128 * 2, 4 * 36 * 4 * 128 * 2, 288 + 512 + 2304, 2304 + 2 * 800),
    "depthwise": ({"kernel": 5, "stride": 2}, 2 * 72 * 25, 4 * 72 * 25, 288 + 100 + 72, 72 + 2 * (288 + 100)),
    "pointwise": ({"out": 3}, 2 * 216 * 4, 4 * 216 * 4, 288 + 12 + 216, 216 + 2 * (288 + 12)),
    "batch_norm": ({}, 5 * 288, 7 * 288, 288 + 8 + 288, 288 + 2 * (288 + 8)),
    "batch_norm_relu": ({}, 6 * 288, 8 * 288, 288 + 8 + 288, 288 + 2 * (288 + 8)),
    "relu": ({}, 288, 288, 576, 3 * 288),
    "subsample": ({}, 0, 0, 288 + 144, 144 + 2 * 288),
    "separable": ({"out": 3}, 2 * 72 * (36 + 12), 4 * 72 * (36 + 12), 288 + 48 + 216, 216 + 2 * (288 + 48)),
    "channel_shuffle": ({}, 0, 0, 576, 3 * 288),
    "shift": ({}, 0, 0, 576, 3 * 288),
    "shift_max": ({}, 7 * 288, 12 * 288, 576, 3 * 288),
    "pad": ({}, 0, 0, 288 + 512, 512 + 2 * 288),
    "sigmoid_focal_loss": ({}, 14 * 288, 288, 576, 3 * 288),
    "softmax": ({}, 5 * 288, 4 * 288, 576, 3 * 288),
    "local_response_norm": ({"kernel": 3}, 9 * 288, 10 * 288, 576, 3 * 288),
    "stochastic_depth": ({}, 288, 288, 576, 3 * 288),
    "depth_to_space": ({}, 0, 0, 576, 3 * 288),
    "resize_nearest": ({}, 0, 0, 288 + 1152, 1152 + 2 * 288),
    "resize_bilinear": ({}, 9 * 1152, 9 * 1152, 288 + 1152, 1152 + 2 * 288),
    "adaptive_max_pool": ({}, 4 * 72, 4 * 72, 288 + 72, 72 + 2 * 288),
    "adaptive_avg_pool": ({}, 4 * 72, 4 * 72, 288 + 72, 72 + 2 * 288),
    "max_pool": ({}, 4 * 72, 4 * 72, 288 + 72, 72 + 2 * 288),
    "avg_pool": ({"kernel": 3, "stride": 3}, 9 * 32, 9 * 32, 288 + 32, 32 + 2 * 288),
}


def test_every_operation_is_counted_here():
    assert set(COUNTS) == set(bench.OPERATIONS)


@pytest.mark.parametrize("name", COUNTS)
def test_operations_and_bytes_are_those_of_the_shape(name):
    settings, *flops_and_numbers = COUNTS[name]
    forward, *others, backward = (m.pieces[0] for m in bench.bench_operation(name, SHAPE, 1, 1, **settings))
    assert all(other == forward for other in others)
    assert [forward.flops, backward.flops, forward.bytes // 4, backward.bytes // 4] == flops_and_numbers


def test_constructions_of_transposed_convolution_stand_side_by_side():
    for kernel, stride in [(4, 2), (3, 2), (2, 3), (3, 1)]:
        found = bench.bench_operation("conv_transpose", SHAPE, 1, 1, kernel=kernel, stride=stride, groups=2)
        methods = [f"forward by {method}" for method in ("scatter", "zero_insertion", "depth_to_space")]
        assert [one.name for one in found] == ["forward", *methods, "backward"]
    with pytest.raises(ValueError, match=r"bench conv_transpose: groups=3 must divide out, 4 \(4 % 3 = 1\)"):
        bench.bench_operation("conv_transpose", SHAPE, groups=3)


def test_groups_divide_the_cost(capsys, tmp_path):
    argv = ["bench", "conv", "--shape", "2,6,6,4", "--repeats", "1", "--warmup", "1"]
    whole, halves = (json_of(capsys, tmp_path, *argv, "--groups", g) for g in (1, 2))
    assert whole["results"][0]["flops"] == 2 * halves["results"][0]["flops"]
    assert halves["settings"] == {"kernel": 3, "stride": 1, "out": None, "groups": 2}


def test_an_operation_is_timed_forward_and_backward(capsys):
    lines = printed(capsys, "bench", "relu", "--shape", "2,6,6,4", "--repeats", "2").splitlines()
    assert lines[0] == "relu: input 2x6x6x4 float32"
    ways = [line.split()[0] for line in lines if line.startswith(("forward", "backward"))]
    assert ways == ["forward", "backward"] * 2


def test_the_roofline_alone(capsys, tmp_path):
    text = printed(capsys, "bench", "roofline")
    assert "100.0 GFLOP/s" in text and "10.0 GB/s     copy" in text and "10.0 FLOP/byte" in text
    assert json_of(capsys, tmp_path, "bench", "roofline")["roofline"]["triad_gbytes_per_s"] == 8


def test_arrays_that_fit_into_the_cache_are_admitted():
    assert "fit in the cache" not in "".join(speeds.roofline(ROOF))
    assert "fit in the cache" in "".join(speeds.roofline(replace(ROOF, array_bytes=50)))


@pytest.mark.parametrize(
    "argv, message",
    [
        (["ghostnet", "--set", "features_only=true"], "features_only: a network without logits has no training step"),
        (["ghostnett"], "bench: unknown name 'ghostnett' (did you mean 'ghostnet'?); available: "),
        (
            ["ghostnet", "--kernel", "3"],
            "--kernel: has no effect on ghostnet: it is for operations, and this is a network",
        ),
        (["conv", "--batch", "3"], "--batch: has no effect on conv: it is for networks, and this is an operation"),
        (["roofline", "--shape", "1,1,1,1"], "--shape: has no effect on roofline"),
        (["conv", "--profile"], "--profile: has no effect on conv: it is for networks, and this is an operation"),
        (["ghostnet", "--batch", "0"], "--batch 0: must be a whole number of at least 1"),
        (["ghostnet", "--size", "-1"], "--size -1: must be a whole number of at least 1"),
        (["ghostnet", "--repeats", "0"], "--repeats 0: must be a whole number of at least 1"),
        (["ghostnet", "--warmup", "0"], "--warmup 0: must be a whole number of at least 1"),
        (["ghostnet", "--threads", "-1"], "threads: n=-1 must lie between 1 and"),
        (["ghostnet", "--mode", "test"], "invalid choice: 'test'"),
        (["ghostnet", "--width", "0"], "GhostNet: width must be finite and > 0, got 0.0"),
        (["ghostnet", "--set", "wide=1"], "ghostnet has no option 'wide' (did you mean 'width'?)"),
        (["ghostnet", "--set", "width"], "--set width: must read KEY=VALUE, e.g. --set stem_stride=1"),
        (["conv", "--shape", "1,2,3"], "--shape 1,2,3: must be N,H,W,C in whole numbers of at least 1"),
        (["conv", "--shape", "1,2,3,x"], "--shape 1,2,3,x: must be N,H,W,C"),
        (["conv", "--shape", "1,0,3,4"], "--shape 1,0,3,4: must be N,H,W,C"),
        (
            ["conv", "--shape", "1,6,6,4", "--groups", "3"],
            "groups=3 must divide the channels of the shape, 4 (4 % 3 = 1)",
        ),
        (["conv", "--shape", "1,6,6,4", "--groups", "2", "--out", "3"], "groups=2 must divide out, 3 (3 % 2 = 1)"),
        (["relu", "--json", "no/such/x.json"], "--json no/such/x.json: no folder no/such; create it first"),
        (["relu", "--kernel", "3"], "bench: relu has no setting 'kernel'; it has none"),
        (["depthwise", "--out", "3"], "bench: depthwise has no setting 'out'; it has kernel, stride"),
        (["depthwise", "--kernel", "0"], "--kernel 0: must be a whole number of at least 1"),
        (["max_pool", "--shape", "1,2,2,1", "--kernel", "5"], "max_pool: the kernel reaches over 5x5 pixels"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, argv, message):
    assert message in refused(capsys, "bench", *argv)


def test_an_unknown_operation_is_named_from_python_too():
    with pytest.raises(ValueError, match=r"bench: unknown operation 'con' \(did you mean 'conv'\?\); available: conv"):
        bench.bench_operation("con", (1, 1, 1, 1))


# Warm-up -------------------------------------------------------------------------------------------------------


def test_behind_a_warm_up_nothing_is_compiled_for_another_size():
    from numba.core import event

    bench.warm_up("ghostnet_short")
    model = models.create("ghostnet_short", width=0.4, num_classes=7)
    x = np.zeros((5, 40, 40, 3), np.float32)
    with event.install_recorder("numba:compile") as compiled:
        bench.TrainingStep(model, x, np.arange(5))()
        bench.inference_of(model)(x)
    assert not compiled.buffer


def test_a_warm_up_trains_and_evaluates_in_single_precision(monkeypatch):
    created, modes, folded = [], [], []

    def create(name, **options):
        model = models.create(name, **options)
        forward = model.forward
        model.forward = lambda x: modes.append((model.training, x.dtype)) or forward(x)
        return created.append(name) or model

    monkeypatch.setattr(warmup, "models", type("Models", (), {"create": staticmethod(create)}))
    monkeypatch.setattr(warmup, "inference_of", lambda model: lambda x: folded.append(x.dtype))
    bench.warm_up("ghostnet_short")
    assert created == ["ghostnet_short"] and modes == [(True, np.float32)] and folded == [np.float32]


def test_warmup_says_how_long_and_where(capsys, monkeypatch):
    monkeypatch.setattr(bench, "warm_up", lambda name: (1.25, 0.5))
    monkeypatch.setattr(bench, "kernels_folder", lambda: "some/folder")
    lines = printed(capsys, "warmup", "ghostnet", "ghostnet_short").splitlines()
    assert lines[0] == "ghostnet        training step   1.25 s, inference   0.50 s"
    assert lines[2] == "kernels are cached in some/folder"
    assert [line.split()[0] for line in printed(capsys, "warmup").splitlines()[:-1]] == list(USUAL)
    assert [line.split()[0] for line in printed(capsys, "warmup", "all").splitlines()[:-1]] == models.names()


def test_without_a_cache_warmup_says_so(capsys, monkeypatch):
    monkeypatch.setattr(bench, "warm_up", lambda name: (1.0, 1.0))
    monkeypatch.setenv("MINIGHOST_CACHE", "0")
    last = printed(capsys, "warmup", "ghostnet").splitlines()[-1]
    assert last.startswith("kernels are not cached: MINIGHOST_CACHE=0")


def test_the_folder_of_kernels_is_there():
    assert bench.kernels_folder() is None or bench.kernels_folder().is_dir()


@pytest.mark.parametrize(
    "argv, message",
    [
        (["ghostnets"], "warmup: unknown network 'ghostnets' (did you mean 'ghostnet'?); available: "),
        (["--threads", "-1"], "threads: n=-1 must lie between 1 and"),
        (["--threads", "99999"], "threads: n=99999 must lie between 1 and"),
        (["--threads", "two"], "invalid int value: 'two'"),
    ],
)
def test_a_wrong_warmup_is_one_line(capsys, argv, message):
    assert message in refused(capsys, "warmup", *argv)


@pytest.mark.parametrize("argv", [["warmup", "ghostnet"], ["bench", "relu", "--shape", "1,4,4,2", "--repeats", "1"]])
def test_threads_0_is_every_core(capsys, monkeypatch, argv):
    """As in a configuration, where it is the default."""
    before, seen = ops.threads().count, []
    monkeypatch.setattr(bench, "warm_up", lambda name: seen.append(ops.threads().count) or (1.0, 1.0))
    roof = bench.Roofline(1.0, 1.0, 1.0, before)
    monkeypatch.setattr(bench, "roofline_here", lambda count: seen.append(count) or roof)
    printed(capsys, *argv, "--threads", "0")
    assert seen == [before]


def test_the_number_of_threads_comes_back(capsys):
    before = ops.threads().count
    printed(capsys, "bench", "relu", "--shape", "1,4,4,2", "--repeats", "1", "--threads", "1")
    assert ops.threads().count == before
