"""What every backward asks for: a forward before it, a gradient like the output, arrays that nobody has changed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minighost import models, nn

LAYERS = {
    "conv": lambda: nn.Conv2d(4, 6, 3),
    "pointwise": lambda: nn.Conv2d(4, 6, 1),
    "depthwise": lambda: nn.Conv2d(4, 4, 3, groups=4),
    "batch norm": lambda: nn.BatchNorm2d(4, relu=True),
    "batch norm of rows": lambda: nn.BatchNorm1d(4, relu=True),
    "linear": lambda: nn.Linear(4, 3),
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard sigmoid": nn.HardSigmoid,
    "clip": nn.ClipGate,
    "hard swish": nn.HardSwish,
    "crelu": nn.CReLU,
    "shuffle": lambda: nn.ChannelShuffle(2),
    "mean": nn.GlobalAvgPool,
    "max pool": lambda: nn.MaxPool2d(2),
    "average pool": lambda: nn.AvgPool2d(2),
    "identity": nn.Identity,
    "dropout": nn.Dropout,
    "unit": lambda: nn.ConvBNAct(4, 6, 3),
    "gate": lambda: nn.SqueezeExcite(4, 2),
    "unit, relu6": lambda: nn.ConvBNAct(4, 6, 3, act="relu6"),
    "branches": lambda: nn.ConvBranches(4, 4, 3, branches=2),
    "merged branches": lambda: nn.ConvAct(4, 6, 3),
    "ghost": lambda: nn.GhostModule(4, 6, 1),
    "ghost, ratio 3": lambda: nn.GhostModule(4, 4, 1, ratio=3),
    "bottleneck": lambda: nn.GhostBottleneck(4, 8, 4, se_hidden=2),
    "residual": lambda: nn.ResidualBlock(4, 6, 2),
    "whitening": lambda: nn.PatchWhitening(4),
    "chain": lambda: nn.Sequential(nn.Identity(), nn.ReLU()),
    "empty chain": nn.Sequential,
}
ROWS = "linear", "batch norm of rows"


def built(name):
    layer = LAYERS[name]()
    return layer, np.random.default_rng(0).normal(size=(2, 4) if name in ROWS else (2, 6, 5, 4)).astype(np.float32)


@pytest.mark.small
@pytest.mark.parametrize("mode", ["fused", "layer by layer", "evaluation"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_gradient_unlike_the_output_is_refused_in_one_line(name, mode):
    layer, x = built(name)
    with nn.fusing(mode == "fused"):
        out = layer.train(mode != "evaluation")(x)
    for dout, error, message in (
        (out.astype(np.float64), TypeError, "dout must have the output's dtype, float32, got float64; convert it with"),
        (out.astype(np.int64), TypeError, "dout must have the output's dtype, float32, got int64"),
        (out.astype(np.float16), TypeError, "dout must have the output's dtype, float32, got float16"),
        (out.tolist(), TypeError, "dout must be a NumPy array, got list"),
        (None, TypeError, "dout must be a NumPy array, got NoneType"),
        (out[..., :-1], ValueError, f"dout must have shape {out.shape}, got"),
        (out[None], ValueError, f"dout must have shape {out.shape}, got"),
        (out[:1], ValueError, f"dout must have shape {out.shape}, got"),
    ):
        with pytest.raises(error) as caught:
            layer.backward(dout)
        said = str(caught.value)
        assert said.startswith(f"{type(layer).__name__} backward: {message}") and "\n" not in said
    swapped = out.byteswap().view(out.dtype.newbyteorder())
    dx = layer.backward(swapped)  # what was refused took nothing away; the byte order does not matter
    assert dx.shape == x.shape and dx.dtype.newbyteorder("=") == np.float32


@pytest.mark.parametrize("name", ["ghostnet_short", "quicknet"])
def test_a_networks_backward_has_the_same_rule(name, rng):
    model, x = models.create(name, width=0.1), rng.normal(size=(2, 16, 16, 3)).astype(np.float32)
    out = model(x)
    with pytest.raises(TypeError, match=r"^\w+ backward: dout must have the output's dtype, float32, got float64"):
        model.backward(out.astype(np.float64))
    assert model.backward(out).dtype == np.float32


class Rows(nn.BatchNorm2d):
    """Batch norm of rows (N, C), as images of a single pixel."""

    def forward(self, x):
        return super().forward(x[:, None, None])[:, 0, 0]

    def backward(self, dout):
        return super().backward(dout[:, None, None])[:, 0, 0]


class Named(Rows):
    """A class of its own above that."""


@pytest.mark.small
def test_a_subclass_may_hand_its_base_a_gradient_of_another_shape(rng):
    x, plain = rng.normal(size=(5, 4)).astype(np.float32), nn.BatchNorm2d(4)
    own = nn.BatchNorm2d(4)
    forward, backward = own.forward, own.backward
    own.forward, own.backward = (lambda x: forward(x[:, None, None])[:, 0, 0]), (lambda d: backward(d[:, None, None]))
    expected = plain.backward(plain(x[:, None, None])).ravel()
    for layer in (Rows(4), Named(4), own):
        np.testing.assert_array_equal(layer.backward(layer(x)).ravel(), expected)


@pytest.mark.small
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_a_gradient_of_another_dtype_reaches_no_kernel_of_a_subclass(dtype):
    class Handed(nn.Linear):
        def backward(self, dout):
            return super().backward(dout.astype(dtype))

    layer = Handed(4, 3)
    out = layer(np.ones((2, 4), np.float32))
    with pytest.raises(TypeError) as caught:
        layer.backward(out)
    assert "\n" not in str(caught.value) and np.dtype(dtype).name in str(caught.value)


@pytest.mark.small
@pytest.mark.parametrize("mode", ["fused", "layer by layer", "evaluation"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_forward_serves_one_backward(name, mode):
    layer, x = built(name)
    layer.train(mode != "evaluation")
    with nn.fusing(False):
        out = layer(x)  # whose caches nobody fetches
    with nn.fusing(mode == "fused"):
        layer(x)
    layer.backward(out)
    for inner in (m for m in layer.modules() if type(m) is not nn.ModuleList):  # a list has neither
        with pytest.raises(RuntimeError, match=r"backward\(\) needs a forward\(\) before it"):
            inner.backward(out)


@pytest.mark.small
def test_a_forward_that_failed_serves_none(rng):
    for layer, good in (
        (nn.Conv2d(4, 6, 3), (2, 6, 5, 4)),
        (nn.ConvBNAct(4, 6, 3), (2, 6, 5, 4)),
        (nn.Linear(4, 3), (2, 4)),
    ):
        out = layer(rng.normal(size=good).astype(np.float32))
        with pytest.raises(ValueError):
            layer(rng.normal(size=(*good[:-1], 5)).astype(np.float32))
        with pytest.raises(RuntimeError, match="needs a forward"):
            layer.backward(out)


@pytest.mark.small
@pytest.mark.parametrize("on", [True, False])
def test_a_change_in_place_between_forward_and_backward_is_named(rng, on):
    x = rng.normal(size=(2, 6, 5, 4)).astype(np.float32)
    model = nn.Sequential(nn.ConvBNAct(4, 4, 3, rng=0), nn.Sequential(nn.ReLU(), nn.GhostBottleneck(4, 8, 4, rng=0)))
    for change, layer in (
        (lambda seen: x.__iadd__(1), r"0(\.conv)? \("),
        (lambda seen: seen[0].__imul__(2), r"1\.(0|1|1\.ghost1\.primary\.conv) \("),
        (lambda seen: model[0].conv.weight.data.__imul__(2), r"0(\.conv)? \("),
    ):
        seen = []
        model[0].forward = lambda x, seen=seen: seen.append(nn.ConvBNAct.forward(model[0], x)) or seen[0]
        with nn.fusing(on), nn.checking():
            dout = model(x).copy()
        change(seen)
        with pytest.raises(RuntimeError, match=f"^{layer}.* changed in place after the forward, so its gradients"):
            model.backward(dout)


@pytest.mark.small
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("on", [True, False])
def test_checking_lets_pass_what_was_not_changed(name, on):
    layer, x = built(name)
    with nn.fusing(on), nn.checking():
        for _ in range(2):
            out = layer(x)
            assert layer.backward(np.ones_like(out)).shape == x.shape
        layer(x)
        x += 1
        dx = layer.backward(np.ones_like(layer(x)))  # the earlier forward no longer counts
    assert dx.shape == x.shape and layer._fingerprints is None


@pytest.mark.small
def test_without_the_switch_nothing_is_noted(rng):
    layer = nn.Linear(4, 3, rng=0)
    out = layer(rng.normal(size=(2, 4)).astype(np.float32))
    assert layer._fingerprints is None
    layer.backward(out)


def test_the_environment_switches_the_check_on():
    code = "from minighost.nn import checksums; print(checksums.is_on())"
    for value, expected in (("1", "True"), ("0", "False"), ("", "False")):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "MINIGHOST_DEBUG": value}
        command = [sys.executable, "-c", code]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120).stdout
        assert said.split() == [expected]
