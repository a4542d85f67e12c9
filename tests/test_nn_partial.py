"""Partial convolution: dense on some channels, nothing on the others."""

import numpy as np
import pytest
from folds import assert_folds, nodes_of, perturbed
from gradients import assert_module_gradients
from numpy.testing import assert_allclose, assert_array_equal
from views import assert_kernels_see_plain_arrays

from minighost import nn
from minighost.engine.launch import watching
from minighost.nn.fold_nodes import Plain

pytestmark = pytest.mark.small


def test_the_first_channels_are_convolved_and_the_others_stay(rng):
    layer, x = nn.PartialConv2d(9, rng=0), rng.normal(size=(2, 4, 3, 9)).astype(np.float32)
    out = layer(x)
    assert_array_equal(out[..., 2:], x[..., 2:])
    assert_array_equal(out[..., :2], layer.conv(np.ascontiguousarray(x[..., :2])))


def test_it_has_a_sixteenth_of_the_weights_and_products(rng):
    partial, dense = nn.PartialConv2d(8, rng=0), nn.Conv2d(8, 8, 3, padding=1, bias=False)
    for layer in (partial, dense):
        layer(np.zeros((1, 5, 4, 8), np.float32))
    assert 16 * partial.conv.weight.size == dense.weight.size and 16 * partial.conv.macs == dense.macs


def test_a_division_by_one_is_a_convolution(rng):
    layer, x = nn.PartialConv2d(3, 1, rng=0), rng.normal(size=(2, 4, 3, 3)).astype(np.float32)
    assert_array_equal(layer(x), layer.conv(x))


@pytest.mark.parametrize("channels, division", [(5, 4), (4, 2), (3, 1)])
def test_gradients_hold(rng, channels, division):
    assert_module_gradients(nn.PartialConv2d(channels, division, rng=0), rng.normal(size=(2, 3, 4, channels)))


def _block():
    """As in FasterNet."""
    return nn.Sequential(
        nn.ConvBNAct(3, 8, 1, rng=0), nn.PartialConv2d(8, rng=1), nn.ConvBNAct(8, 6, 1, act="gelu", rng=2)
    )


def test_a_block_is_the_same_layer_by_layer(rng):
    x, dout = rng.normal(size=(2, 4, 3, 3)), rng.normal(size=(2, 4, 3, 6))
    results = []
    for fusing in (True, False):
        block = perturbed(_block()).train()
        with nn.fusing(fusing), watching(assert_kernels_see_plain_arrays):
            results.append([block(x), block.backward(dout), *(p.grad for p in block.parameters())])
    for fused, plain in zip(*results, strict=True):
        assert_allclose(fused, plain, atol=1e-10)


def test_a_block_folds_into_the_machine(rng):
    f = assert_folds(perturbed(_block()), rng.normal(size=(3, 4, 3, 3)))
    assert not any(isinstance(node, Plain) for node in nodes_of(f))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"channels": 3}, "division=4 leaves no channels of 3 to convolve; it may be at most 3"),
        ({"channels": 8, "division": 0}, "division=0 must be a whole number of at least 1"),
        ({"channels": 8, "kernel_size": 2}, "kernel_size=2 must be odd"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=f"PartialConv2d: {message}"):
        nn.PartialConv2d(**options)
