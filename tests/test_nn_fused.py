"""Blocks that train with fused kernels are their layers one after the other, in all that can be seen from outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from minighost import models, nn
from minighost.engine import launch
from minighost.train import nonfinite

pytestmark = pytest.mark.small
CLOSE = {"rtol": 1e-10, "atol": 1e-10}

BLOCKS = {
    "identity": (6, 10, 6, 3, 1, 0),
    "wider": (6, 12, 8, 3, 1, 0),
    "strided": (4, 8, 6, 3, 2, 0),
    "gated": (6, 10, 6, 5, 1, 4),
    "strided 5x5, gated": (4, 8, 6, 5, 2, 4),
    "strided 4x4": (4, 8, 6, 4, 2, 0),
}


def run(block, x, dout, on):
    with nn.fusing(on):
        block.zero_grad()
        out = block(x)
        dx = block.backward(dout(out))
    return out, dx, {path: p.grad for path, p in block.named_parameters()}, block.state_dict()


def assert_same(layers, fused):
    """What `run` returned without and with fusing is equal."""
    for mine, plain in zip(fused[:2], layers[:2], strict=True):
        assert_allclose(mine, plain, **CLOSE)
    for mine, plain, atol in zip(fused[2:], layers[2:], (1e-9, 1e-10), strict=True):
        for path in plain:
            assert_allclose(mine[path], plain[path], rtol=1e-10, atol=atol, err_msg=path)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_fused_bottleneck_equals_its_layers(rng, name):
    x = rng.normal(size=(5, 7, 6, BLOCKS[name][0]))
    answers = []
    for on in (False, True):
        block = nn.GhostBottleneck(*BLOCKS[name], rng=0).astype(np.float64)
        for k, p in enumerate(block.parameters()):
            p.data += 0.1 * np.random.default_rng(k).normal(size=p.shape)
        answers.append(run(block, x, lambda out: np.random.default_rng(3).normal(size=out.shape), on))
    assert_same(*answers)


@pytest.mark.parametrize("channels, out, stride", [(4, 4, 1), (4, 6, 1), (4, 4, 2), (16, 16, 1), (16, 20, 2)])
def test_a_fused_residual_block_equals_its_layers(rng, channels, out, stride):
    x, answers = rng.normal(size=(5, 7, 6, channels)), []
    for on in (False, True):
        block = nn.ResidualBlock(channels, out, stride, rng=0).astype(np.float64)
        for k, p in enumerate(block.parameters()):
            p.data += 0.1 * np.random.default_rng(k).normal(size=p.shape)
        answers.append(run(block, x, lambda out: np.random.default_rng(3).normal(size=out.shape), on))
    assert_same(*answers)


UNITS = {
    "3x3": (4, 6, 3),
    "3x3 with stride": (4, 6, 3, 2),
    "pointwise": (4, 6, 1),
    "pointwise with stride": (4, 6, 1, 2),
    "depthwise": (6, 6, 3, 2, None, 1, 6),
    "grouped, dilated": (4, 6, 3, 1, None, 2, 2),
    "with multiplier": (4, 8, 3, 1, None, 1, 4),
}


@pytest.mark.parametrize("act", ["relu", None])
@pytest.mark.parametrize("name", UNITS)
def test_a_fused_unit_equals_its_layers(rng, name, act):
    x, answers = rng.normal(size=(5, 7, 6, UNITS[name][0])), []
    for on in (False, True):
        unit = nn.ConvBNAct(*UNITS[name], act=act, rng=0).astype(np.float64)
        unit.bn.weight.data += np.arange(unit.bn.weight.size) / 10
        answers.append(run(unit, x, lambda out: np.random.default_rng(3).normal(size=out.shape), on))
    assert_same(*answers)


GHOSTS = {"1x1": (4, 8, 1), "3x3 with stride": (4, 6, 3, 2, 3, 2), "5x5 ghosts": (4, 8, 3, 2, 5, 1, False)}


@pytest.mark.parametrize("name", GHOSTS)
def test_a_fused_ghost_module_equals_its_layers(rng, name):
    x, answers = rng.normal(size=(5, 7, 6, 4)), []
    for on in (False, True):
        ghost = nn.GhostModule(*GHOSTS[name], rng=0).astype(np.float64)
        for k, p in enumerate(ghost.parameters()):
            p.data += 0.1 * np.random.default_rng(k).normal(size=p.shape)
        answers.append(run(ghost, x, lambda out: np.random.default_rng(3).normal(size=out.shape), on))
    assert_same(*answers)


@given(st.integers(1, 9), st.integers(1, 6), st.sampled_from([1, 3]), st.booleans())
def test_ghosts_of_any_ratio_are_as_many_as_asked_for_and_equal_their_layers(channels, ratio, K, act):
    """Two ghosts of the first map and none of the second are not one ghost a map, though their numbers are the same."""
    rng, answers = np.random.default_rng(0), []
    x, dout = rng.normal(size=(3, 5, 4, 5)), rng.normal(size=(3, 5, 4, channels))
    for on in (False, True):
        ghost = nn.GhostModule(5, channels, K, ratio, act=act, rng=0).astype(np.float64)
        answers.append(run(ghost, x, lambda out: dout, on))
        assert answers[-1][0].shape == dout.shape
    assert_same(*answers)


def test_a_network_of_ratio_3_trains_fused_as_layer_by_layer(rng):
    x, answers = rng.normal(size=(4, 8, 8, 3)), []
    for on in (False, True):
        model = models.create("ghostnet_short", width=0.25, ratio=3, dropout=0).astype(np.float64)
        answers.append(run(model, x, lambda out: np.random.default_rng(3).normal(size=out.shape), on))
    assert_same(*answers)


def plain_kernels(module, x):
    """The kernels of single operations that a forward runs; those of the engine are not among them."""
    names = []
    with launch.watching(lambda function, args, seconds: names.append(function.__module__)):
        module(x)
    return [name for name in names if name.startswith("minighost.ops.")]


def test_fusing_is_for_training_and_can_be_switched_off(rng):
    x = rng.normal(size=(2, 4, 4, 4)).astype(np.float32)
    for block in (nn.GhostBottleneck(4, 8, 4, rng=0), nn.ResidualBlock(4, 4, rng=0)):
        assert not plain_kernels(block, x)
        with nn.fusing(False):
            assert "minighost.ops.batch_norm" in plain_kernels(block, x)
        assert not any("batch_norm" in name for name in plain_kernels(block.eval(), x)), "it is folded"
        assert not plain_kernels(block.train(), x)


def test_a_fused_backward_serves_once(rng):
    block, x = nn.GhostBottleneck(4, 8, 4, rng=0), rng.normal(size=(2, 4, 4, 4)).astype(np.float32)
    with nn.fusing(True):
        dout = block(x)
    block.backward(dout)
    with pytest.raises(RuntimeError, match="needs a forward"):
        block.backward(dout)


def test_a_fused_bottleneck_takes_arrays_of_any_layout(rng):
    wide, dwide = (rng.normal(size=(2, 5, 4, 8)) for _ in range(2))
    wide.flags.writeable = False
    answers = []
    for on in (False, True):
        block = nn.GhostBottleneck(4, 8, 4, rng=0).astype(np.float64)
        out, dx, *_ = run(block, wide[..., ::2], lambda out: dwide[..., ::2], on)
        answers.append((out, dx))
    for mine, plain in zip(*answers, strict=True):
        assert_allclose(mine, plain, **CLOSE)


def test_a_fused_backward_refuses_what_the_layers_refuse(rng):
    block, x = nn.GhostBottleneck(4, 8, 4, rng=0), rng.normal(size=(2, 4, 4, 4)).astype(np.float32)
    for dout, error, message in (
        (np.zeros((2, 4, 4, 5), np.float32), ValueError, r"dout must have shape \(2, 4, 4, 4\), got \(2, 4, 4, 5\)"),
        (np.zeros((2, 4, 4, 4)), TypeError, "dout must have the output's dtype, float32, got float64"),
    ):
        with nn.fusing(True):
            block(x)
        with pytest.raises(error, match=message):
            block.backward(dout)


def test_one_value_a_channel_is_refused_as_by_the_layers(rng):
    block, x = nn.GhostBottleneck(4, 8, 6, stride=2, rng=0), rng.normal(size=(1, 2, 2, 4)).astype(np.float32)
    for on in (False, True):
        with nn.fusing(on), pytest.raises(ValueError, match="training needs more than one value per channel"):
            block(x)


def test_the_layer_that_overflows_is_named_in_fused_training_too(rng):
    block, x = nn.GhostBottleneck(4, 8, 4, rng=0), np.full((2, 4, 4, 4), 1e30, np.float32)
    block.ghost1.primary.conv.weight.data *= np.float32(1e30)
    with nn.fusing(True), np.errstate(all="ignore"):
        error = nonfinite.explain(nn.Sequential(block), x, "step 1", "loss is nan", np.array([np.nan]), "no checkpoint")
    assert "output of layer '0.ghost1.primary.conv' (Conv2d)" in str(error)
