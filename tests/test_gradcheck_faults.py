"""Faults that need no slope, and what the checker leaves as it was."""

import numpy as np
import pytest

from minighost import nn, ops
from minighost.gradcheck import GradientError, check


def _greedy_cache(dout, cache):
    cache *= 2
    return dout * cache


def _spoils_dout(dout, cache):
    dout *= cache
    return dout


def _spoils_x(x):
    x += 1
    return x * 2


counter = iter(range(1000))

FAULTS = {
    "changes its cache": (lambda x: (x * 3, np.full_like(x, 3.0)), _greedy_cache, "two different gradients of x"),
    "changes dout": (lambda x: (x * 3, np.full_like(x, 3.0)), _spoils_dout, "backward changed dout"),
    "changes x": (_spoils_x, lambda d, x: 2 * d, "forward gave two different results|forward changed its input x at"),
    "by chance": (lambda x: x * next(counter), lambda d, x: d, "forward gave two different results"),
    "infinite": (lambda x: x / 0.0, lambda d, x: d, "NaNs or infinities; give inputs"),
    "no dout": (lambda x: x**2, lambda d, x: 2 * x, "is not proportional to dout"),
    "none": (lambda x: x**2, lambda d, x: None, r"backward gave no gradient for x \(None\)"),
    "two of one": (lambda x: x**2, lambda d, x: (d, d), "backward returned 2 gradients for 1 inputs"),
    "NaN": (lambda x: x**2, lambda d, x: d * np.nan, "the gradient of x has NaNs"),
    "three values": (lambda x: (x, x, x), lambda d, x: d, r"forward returned 3 values; it must return \(out, cache\)"),
    "integers": (lambda x: x.astype(int), lambda d, x: d, "forward returned int64, not floats"),
}


@pytest.mark.small
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_faults_that_need_no_slope(name):
    forward, backward, message = FAULTS[name]
    with pytest.raises(GradientError, match=message):
        check((forward, backward), np.array([1.0, -2.0, 3.0]))


@pytest.mark.small
def test_what_cannot_be_checked_is_a_type_error():
    with pytest.raises(TypeError, match="no input is an array of floats, so there is no gradient to check"):
        check((lambda x: x * 1.0, lambda d, x: d), np.arange(3))
    with pytest.raises(TypeError, match=r"give a layer, a pair \(forward, backward\)"):
        check(np.square, np.ones(3))
    with pytest.raises(TypeError, match="a layer is checked with one input"):
        check(nn.ReLU(), [np.ones((1, 2, 2, 1))] * 2)


@pytest.mark.small
def test_labels_are_handed_on_and_have_no_gradient(rng):
    logits, labels = rng.normal(size=(3, 4)), np.array([0, 3, 1])
    report = check((ops.softmax_cross_entropy, lambda d, dlogits: (d * dlogits, None)), [logits, labels])
    assert [finding.name for finding in report.findings] == ["logits"]


@pytest.mark.small
def test_the_callers_layer_and_arrays_stay_as_they_are(rng):
    layer, x = nn.Sequential(nn.ConvBNAct(3, 2, 3, rng=0), nn.Dropout(0.5, rng=1)), rng.normal(size=(2, 4, 4, 3))
    before, x_before = layer.state_dict(), x.copy()
    state = layer[1].rng.bit_generator.state
    check(layer, x)
    after = layer.state_dict()
    assert all((value == after[path]).all() and after[path].dtype == np.float32 for path, value in before.items())
    assert (x == x_before).all() and layer[1].rng.bit_generator.state == state


@pytest.mark.small
def test_a_wrong_gradient_far_inside_a_large_array_is_found(rng):
    x = rng.normal(size=(50, 40))
    right = check((lambda x: np.sin(x), lambda d, x: d * np.cos(x)), x)
    assert right.findings[0].where == "8 directions and 32 indices"

    def slightly(d, x):
        dx = d * np.cos(x)
        dx[17, 23] *= 1.1
        return dx

    with pytest.raises(GradientError, match="at random, 8 directions and 32 indices: number"):
        check((lambda x: np.sin(x), slightly), x)
