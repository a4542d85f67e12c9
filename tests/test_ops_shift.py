"""Shift: a depthwise convolution without a product."""

import numpy as np
import pytest
from folds import assert_folds, nodes_of, perturbed
from gradients import assert_gradients, assert_module_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minighost import nn, ops
from minighost.nn.fold_nodes import Plain

pytestmark = pytest.mark.small
BORDERS = ["zero", "edge"]


def _offsets(C, reach=4):
    return np.random.default_rng(C).integers(-reach, reach + 1, (C, 2))


@pytest.mark.parametrize("border", BORDERS)
@given(st.tuples(st.integers(0, 2), *[st.integers(1, 5)] * 3))
def test_twins_agree(border, shape):
    rng, offsets = np.random.default_rng(0), _offsets(shape[3], reach=7)
    x, dout = rng.normal(size=shape), rng.normal(size=shape)
    out, cache = ops.shift_forward(x, offsets, border)
    expected, kept = ops.shift_forward_reference(x, offsets, border)
    assert_array_equal(out, expected)
    dx, reference = ops.shift_backward(dout, cache), ops.shift_backward_reference(dout, kept)
    np.testing.assert_allclose(dx, reference, atol=1e-13)


@pytest.mark.parametrize("border", BORDERS)
def test_gradients_hold(rng, border):
    offsets = _offsets(3)
    assert_gradients(lambda x: ops.shift_forward(x, offsets, border), ops.shift_backward, rng.normal(size=(2, 4, 3, 3)))


def test_a_shift_with_zeros_is_depthwise_with_one_weight(rng):
    layer, x = nn.Shift(20), rng.normal(size=(2, 4, 5, 20))
    w = np.zeros((3, 3, 20, 1))
    for c, (down, right) in enumerate(layer.offsets):
        w[1 + down, 1 + right, c] = 1
    assert_array_equal(layer(x), ops.depthwise_forward(x, w, padding=1)[0])


def test_every_place_of_the_kernel_has_equally_many_channels_and_the_rest_stay():
    offsets = nn.Shift(20).offsets.tolist()
    counts = {(down, right): offsets.count([down, right]) for down in (-1, 0, 1) for right in (-1, 0, 1)}
    assert counts.pop((0, 0)) == 4 and set(counts.values()) == {2}


def test_an_edge_repeats_its_pixel_and_zeros_do_not(rng):
    x = np.arange(1.0, 4.0).reshape(1, 1, 3, 1)
    assert ops.shift_forward(x, [(5, -2)], "edge")[0].ravel().tolist() == [1, 1, 1]
    assert ops.shift_forward(x, [(5, -2)])[0].ravel().tolist() == [0, 0, 0]


@pytest.mark.parametrize("border", BORDERS)
def test_a_block_has_its_gradient_and_folds(rng, border):
    def block():
        return nn.Sequential(nn.ConvBNAct(3, 10, 1, rng=0), nn.Shift(10, border=border), nn.ConvBNAct(10, 4, 1, rng=1))

    x = rng.normal(size=(2, 4, 3, 3))
    assert_module_gradients(perturbed(block()), x)
    f = assert_folds(perturbed(block()), x)
    assert any(isinstance(node, Plain) for node in nodes_of(f)) == (border == "edge")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: ops.shift_forward(x, [(0, 1)]), r"offsets must be .* each of the 2 channels, got shape \(1, 2\)"),
        (lambda x: ops.shift_forward(x, np.ones((2, 2))), "got shape .* of float64"),
        (lambda x: ops.shift_forward(x, [(0, 1)] * 2, "wrap"), "border='wrap' is unknown; choose from 'zero', 'edge'"),
        (lambda x: nn.Shift(2, border="wrap"), "Shift: border='wrap' is unknown"),
        (lambda x: nn.Shift(2, 4), "Shift: kernel_size=4 must be odd"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((1, 2, 2, 2)))
