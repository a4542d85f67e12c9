"""A second oracle: finite differences cannot see a forward that is consistently wrong, PyTorch can (make parity)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minighost import ops

pytestmark = pytest.mark.parity

CONVOLUTIONS = {
    "dense": {},
    "stride, padding": {"stride": [2, 1], "padding": [1, 2]},
    "dilation": {"dilation": [2, 1], "padding": 1},
    "groups": {"groups": 2, "padding": 1},
    "depthwise": {"groups": 4, "padding": 1, "stride": 2},
}
TRANSPOSED = {
    "stride": {"stride": 2, "padding": 1, "output_padding": [1, 0]},
    "dilation": {"stride": [1, 3], "dilation": [2, 1], "output_padding": [1, 2]},
    "groups": {"stride": 2, "groups": 2},
}
ELEMENTWISE = ("relu6", "hard_sigmoid", "hard_swish")


def _cases():
    """(name, op, arrays, options), drawn once."""
    rng = np.random.default_rng(0)
    for name, options in CONVOLUTIONS.items():
        w = rng.normal(size=(3, 3, 4 // options.get("groups", 1), 8))
        yield name, "conv2d", {"x": rng.normal(size=(3, 9, 8, 4)), "w": w, "b": rng.normal(size=8)}, options
    for name, options in TRANSPOSED.items():
        OC = 3 * options.get("groups", 1)
        arrays = {"x": rng.normal(size=(2, 4, 3, 4)), "w": rng.normal(size=(3, 4, 3, 4)), "b": rng.normal(size=OC)}
        yield f"transposed, {name}", "conv_transpose2d", arrays, options
    for order, op in (("CRD", "depth_to_space"), ("CRD", "space_to_depth")):
        yield op, op, {"x": rng.normal(size=(2, 4, 6, 12))}, {"block": 2, "order": order}
    for mode in ("nearest", "bilinear"):
        for size in ([7, 3], [3, 10]):
            yield f"{mode} {size}", f"resize_{mode}", {"x": rng.normal(size=(2, 4, 5, 3))}, {"size": size}
    for training in (True, False):
        vectors = {"gamma": rng.normal(size=5), "beta": rng.normal(size=5), "mean": rng.normal(size=5)}
        arrays = {"x": rng.normal(size=(4, 3, 6, 5)), **vectors, "var": rng.uniform(0.5, 2, 5)}
        yield f"batch norm {training}", "batch_norm", arrays, {"training": training}
    for op in ("max_pool", "avg_pool"):
        yield op, op, {"x": rng.normal(size=(2, 7, 8, 3))}, {"kernel_size": 3, "stride": 2, "padding": 1}
    x = rng.normal(size=(2, 8, 7, 3))
    for padding in (0, 1):
        options = {"kernel_size": 3, "stride": 2, "padding": padding, "ceil_mode": True}
        yield f"max_pool, ceil, {padding}", "max_pool", {"x": x}, options
        for count in (True, False):
            yield f"avg_pool, ceil, {padding}, {count}", "avg_pool", {"x": x}, {**options, "count_include_pad": count}
    for op in ("adaptive_max_pool", "adaptive_avg_pool"):
        yield op, op, {"x": x}, {"output_size": [3, 5]}
    x = rng.normal(size=(2, 3, 2, 7))
    for size in (5, 4):
        options = {"size": size, "alpha": 0.3, "beta": 0.75, "k": 1.0}
        yield f"response norm {size}", "local_response_norm", {"x": x}, {**options, "form": "caffe"}
    yield "softmax", "softmax", {"x": x}, {"axis": 1}
    for op in ELEMENTWISE:
        yield op, op, {"x": rng.uniform(-8, 8, size=(4, 50))}, {}
    x, labels, weight = rng.normal(0, 3, size=(6, 7)), rng.integers(0, 7, 6), rng.uniform(0.1, 2, 7)
    yield "cross entropy", "cross_entropy", {"x": x, "labels": labels}, {"smoothing": 0.1}
    left_out = np.where(np.arange(6) % 3 == 1, -100, labels)
    for smoothing in (0.0, 0.2):
        arrays = {"x": x, "labels": left_out, "weight": weight}
        yield f"class weights {smoothing}", "cross_entropy", arrays, {"smoothing": smoothing, "ignore_index": -100}
    masked = np.where(np.arange(7) == (labels[:, None] + 1) % 7, -np.inf, x)
    yield "masked classes", "cross_entropy", {"x": masked, "labels": labels}, {"smoothing": 0.0}


def _ours(op, arrays, options):
    """Output, a function from dout to gradients in the order x, w, b (or gamma, beta), and changed statistics."""
    if op == "cross_entropy":
        loss, dlogits = ops.softmax_cross_entropy(arrays["x"], arrays["labels"], weight=arrays.get("weight"), **options)
        return np.array(loss), lambda dout: (dlogits * dout,)
    if op == "batch_norm":
        out, cache = ops.batch_norm_forward(*arrays.values(), **options)
    else:
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        out, cache = getattr(ops, f"{op}_forward")(*arrays.values(), **options)
    backward = getattr(ops, f"{op}_backward")

    def gradients(dout):
        grads = backward(dout, cache)
        return grads if isinstance(grads, tuple) else (grads,)

    return out, gradients


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What PyTorch says to all cases, from one process of its own; and the upstream gradients it was given."""
    folder, arrays, douts = tmp_path_factory.mktemp("parity"), {}, {}
    for name, op, inputs, options in _cases():
        out, _ = _ours(op, {k: v.copy() for k, v in inputs.items()}, options)
        douts[name] = np.random.default_rng(1).normal(size=out.shape)
        arrays.update({f"{name}/{k}": v for k, v in inputs.items()})
        arrays.update({f"{name}/op": op, f"{name}/options": json.dumps(options), f"{name}/dout": douts[name]})
    np.savez(folder / "cases.npz", **arrays)
    oracle = Path(__file__).with_name("torch_oracle.py")
    subprocess.run([sys.executable, oracle, folder / "cases.npz", folder / "answers.npz"], check=True, timeout=300)
    with np.load(folder / "answers.npz") as found:
        return {key: found[key] for key in found.files}, douts


@pytest.mark.parametrize("name, op, inputs, options", [pytest.param(*case, id=case[0]) for case in _cases()])
def test_pytorch_agrees(answers, name, op, inputs, options):
    theirs, douts = answers
    out, gradients = _ours(op, inputs, options)
    assert_allclose(out, theirs[f"{name}/out"], rtol=1e-9, atol=1e-11)
    learnt = [k for k in ("x", "w", "b", "gamma", "beta") if k in inputs]
    rtol = 1e-7 if op == "hard_sigmoid" else 1e-8  # PyTorch's kernel multiplies by a single-precision 1/6
    for key, grad in zip(learnt, gradients(douts[name]), strict=True):
        assert_allclose(grad, theirs[f"{name}/d{key}"], rtol=rtol, atol=1e-10, err_msg=f"d{key}")
    for statistic in {"mean", "var"} & inputs.keys():
        assert_allclose(inputs[statistic], theirs[f"{name}/{statistic}"], rtol=1e-9)
