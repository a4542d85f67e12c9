"""Whatever was done to a block's modules: fused, layer by layer and folded are one function of the same modules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from surgery import BLOCKS, block, operate

from minighost import models, nn

pytestmark = pytest.mark.small
CLOSE = {"rtol": 1e-8, "atol": 1e-9}


def train(module, x, steps=2, between=None):
    """A few steps of gradient descent; all that can be seen from outside, or the error, as (name of step, array)."""
    seen, rng = [], np.random.default_rng(9)
    try:
        for k in range(steps):
            module.zero_grad()
            out = module(x)
            seen.append((f"out {k}", out.copy()))
            if between is not None and k == steps - 1:
                between(module)
            seen.append((f"dx {k}", module.backward(rng.normal(size=out.shape)).copy()))
            seen += [(f"gradient of {path} {k}", p.grad) for path, p in module.named_parameters()]
            for p in module.parameters():
                if p.grad is not None:
                    p.data -= 0.01 * p.grad
            seen += [(f"{path} {k}", value) for path, value in module.state_dict().items()]
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        seen.append(("error", type(error)))
    return seen


def assert_same(fused, layers, done):
    assert [name for name, _ in fused] == [name for name, _ in layers], (done, fused[-1], layers[-1])
    for (name, mine), (_, plain) in zip(fused, layers, strict=True):
        if name == "error":  # which of a block's faults is met first may differ
            continue
        if plain is None:
            assert mine is None, (done, name)
        else:
            assert_allclose(mine, plain, **CLOSE, err_msg=f"{name} after {done}")


@pytest.mark.parametrize("name", BLOCKS)
@given(seed=st.integers(0, 2**32 - 1), times=st.integers(1, 3))
def test_fused_and_layer_by_layer_are_one_function_whatever_was_done_to_the_modules(name, seed, times):
    x, answers = np.random.default_rng(seed).normal(size=(3, 6, 5, 4)), []
    for on in (True, False):
        module = block(name)
        done = operate(module, np.random.default_rng(seed), times)
        with nn.fusing(on):
            answers.append(train(module, x))
    assert_same(*answers, done)


def outcome(call):
    """What a call returns, or the class of its error."""
    try:
        return call()
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        return type(error)


@pytest.mark.parametrize("name", BLOCKS)
@given(seed=st.integers(0, 2**32 - 1), times=st.integers(1, 3))
def test_a_folded_block_is_its_evaluation_whatever_was_done_to_the_modules(name, seed, times):
    module, x = block(name), np.random.default_rng(seed).normal(size=(3, 6, 5, 4))
    done = operate(module, np.random.default_rng(seed), times)
    folded = outcome(lambda: nn.fold(module)(x))
    with nn.fusing(False):
        plain = outcome(lambda: module.eval()(x))
    if isinstance(plain, type) or isinstance(folded, type):
        assert isinstance(plain, type) == isinstance(folded, type), (done, folded, plain)
    else:
        assert_allclose(folded, plain, **CLOSE, err_msg=str(done))


@pytest.mark.parametrize("name", ["ghostnet_short", "quicknet"])
@pytest.mark.parametrize("seed", range(3))
def test_networks_are_one_function_too_fused_and_layer_by_layer(name, seed):
    x, answers = np.random.default_rng(seed).normal(size=(3, 8, 8, 3)), []
    options = {"ratio": 2} if name == "quicknet" else {}
    for on in (True, False):
        model = models.create(name, width=0.1, **options).astype(np.float64)
        freeze(model.modules())
        done = operate(model, np.random.default_rng(seed), 1)
        with nn.fusing(on):
            answers.append(train(model, x))
    assert_same(*answers, done)
    assert answers[0][-1][0] != "error", answers[0][-1]


def freeze(modules):
    """What every fine-tuning script does."""
    for m in modules:
        if isinstance(m, nn.BatchNorm2d):
            m.eval()


@pytest.mark.parametrize("name", ["unit", "ghost", "bottleneck, strided", "residual, strided"])
def test_a_frozen_batch_norm_uses_its_statistics_and_keeps_them(name, rng):
    module, x = block(name).train(), rng.normal(size=(3, 6, 5, 4))
    freeze(module.modules())
    before, expected = module.state_dict(), nn.fold(module)(x)
    assert_allclose(module(x), expected, **CLOSE)
    for path, value in module.state_dict().items():
        np.testing.assert_array_equal(value, before[path])


@pytest.mark.parametrize("change", ["mode", "there and back", "batch norm", "convolution"])
@pytest.mark.parametrize("name", ["unit", "ghost", "bottleneck, strided", "residual, strided"])
def test_a_layer_that_changes_between_forward_and_backward_has_nothing_for_a_backward(name, change):
    def between(module):
        unit = next(m for m in module.modules() if isinstance(m, nn.ConvBNAct))
        if change == "batch norm":
            unit.bn = nn.BatchNorm2d(unit.bn.weight.size).astype(np.float64)
        elif change == "convolution":
            w = unit.conv.weight.shape
            unit.conv = nn.Conv2d(w[2] * unit.conv.groups, w[3], 5, padding=2, bias=False).astype(np.float64)
        else:
            unit.bn.eval().train(change != "mode")

    x, answers = np.random.default_rng(0).normal(size=(3, 6, 5, 4)), []
    for on in (True, False):
        with nn.fusing(on):
            answers.append(train(block(name), x, 1, between))
    assert answers[0][-1] == answers[1][-1] == ("error", RuntimeError)


def test_a_layers_own_forward_that_is_bound_to_the_model_folds_in_evaluation(rng):
    """As a decorator does it; what the fold copies still calls the original, which must not learn from it."""
    model, x = nn.Sequential(block("unit"), nn.ReLU6()), rng.normal(size=(3, 6, 5, 4))
    forward = model[0].forward
    model[0].forward = lambda x: forward(x) * 2
    before, folded = model.state_dict(), nn.fold(model)
    out = folded(x)
    assert all(m.training for m in model.modules())
    for path, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[path])
    with nn.fusing(False):
        assert_allclose(out, model.eval()(x), **CLOSE)


class Doubled(nn.Module):
    """A user's layer, which knows of x and of nothing else."""

    def forward(self, x):
        return 2 * x

    def backward(self, dout):
        return 2 * dout


REPLACED = {
    "unit": ["bn", "conv"],
    "ghost": ["primary.bn", "cheap", "cheap.bn"],
    "bottleneck": ["se", "ghost1.cheap", "ghost2.primary.bn", "shortcut", "shortcut.0", "depthwise.bn"],
    "residual": ["first.bn", "second", "shortcut", "act"],
}


@pytest.mark.parametrize("kind, path", [(kind, path) for kind, paths in REPLACED.items() for path in paths])
@pytest.mark.parametrize("make", [nn.Identity, Doubled])
def test_a_layer_that_takes_x_alone_may_stand_anywhere(kind, path, make):
    """Channels and strides are such that nothing but the layer itself can be wrong."""
    x, answers = np.random.default_rng(0).normal(size=(3, 6, 5, 4)), []
    for on in (True, False):
        module = {
            "unit": lambda: nn.ConvBNAct(4, 4, 3, rng=0),
            "ghost": lambda: nn.GhostModule(4, 8, 1, rng=0),
            "bottleneck": lambda: nn.GhostBottleneck(4, 8, 4, se_hidden=4, depthwise=True, rng=0),
            "residual": lambda: nn.ResidualBlock(4, 4, rng=0),
        }[kind]().astype(np.float64)
        if kind == "bottleneck":
            units = [nn.ConvBNAct(4, 4, k, groups=g, act=None, rng=0) for k, g in ((3, 4), (1, 1))]
            module.shortcut = nn.Sequential(*units).astype(np.float64)
        owner, _, name = path.rpartition(".")
        owner = dict(module.named_modules())[owner]
        if name.isdigit():
            owner._layers[int(name)] = make()
        else:
            setattr(owner, name, make())
        with nn.fusing(on):
            answers.append(train(module, x))
    assert_same(*answers, path)
    assert answers[0][-1][0] != "error", answers[0][-1]
