"""A backward after a call that a kept fold has answered: the layers run then, on the input that was kept."""

import copy

import numpy as np
import pytest
from kept_folds import CLOSE, by_layers, chain, folds
from numpy.testing import assert_allclose
from surgery import BLOCKS, block

from minighost import nn
from minighost.engine import launch

pytestmark = pytest.mark.small


def gradients(model, x, dout, call):
    model.zero_grad()
    out = call(model, x)
    return [out, model.backward(dout), *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("name", BLOCKS)
def test_a_backward_after_evaluation_is_that_of_the_layers(rng, name):
    model, x = block(name).eval(), rng.normal(size=(3, 6, 5, 4))
    dout = rng.normal(size=model(x).shape)
    expected = gradients(copy.deepcopy(model), x, dout, by_layers)
    for _ in range(3):
        for mine, theirs in zip(gradients(model, x, dout, nn.Module.__call__), expected, strict=True):
            assert_allclose(mine, theirs, **CLOSE)
    with pytest.raises(RuntimeError, match="each forward serves one backward"):
        model.backward(dout)


def test_a_backward_is_of_the_last_call_and_may_begin_inside(rng):
    model, x = chain()
    model(x)
    by_layers(model, x + 1)
    model(x)
    dout = rng.normal(size=(3, 6, 5, 4))
    dx = model[1].backward(model[2].backward(dout))
    other = copy.deepcopy(model)
    by_layers(other, x)
    assert_allclose(dx, other[1].backward(other[2].backward(dout)), **CLOSE)
    with pytest.raises(RuntimeError, match="each forward serves one backward"):
        model[2].backward(dout)


def test_of_several_models_that_answered_the_last_one_with_the_layer_is_gone_through(rng):
    dout = rng.normal(size=(3, 6, 5, 4))
    for inside_last in (True, False):
        model, x = chain()
        by_layers(model, x + 1 if inside_last else x)
        expected, other = model[0].backward(dout), chain()[0]
        for inside in (not inside_last, inside_last):
            model[0](x + 1) if inside else model(x)
        other(x + 2)
        assert_allclose(model[0].backward(dout), expected, **CLOSE)


def test_inside_checking_the_layers_run_and_notice_what_was_changed():
    model, x = chain()
    model(x)
    with nn.checking():
        out = model(x)
    x += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        model.backward(out)


def test_after_a_change_of_mode_there_is_nothing_to_go_back_through():
    model, x = chain()
    out = model(x)
    model.train()
    with pytest.raises(RuntimeError, match="needs a forward"):
        model.backward(out)
    model.eval()
    model(x)
    model[0].train()
    with pytest.raises(RuntimeError, match="needs a forward"):
        model.backward(out)


def test_while_backwards_follow_the_layers_run_once_per_call():
    model, x = chain()
    dout = np.ones_like(model(x))
    model.backward(dout)
    runs = []
    with launch.watching(lambda function, args, seconds: runs.append(function.__module__)):
        model.backward(model(x))
    assert not any(name.startswith("minighost.engine.inference") for name in runs)
    model(x)
    assert folds(model, x)
