"""Inception's module, and the steps from it to the separable convolution (Chollet 2017, figures 1 to 4)."""

import numpy as np
import pytest
from folds import assert_folds, perturbed
from gradients import assert_module_gradients
from networks import check_fuses
from numpy.testing import assert_allclose

from minighost import nn

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def inception():
    return nn.InceptionModule(3, 2, 3, 4, 2, 3, 1, rng=0)


def dense(kernel):
    """The convolution with a kernel (3, 3, C, OC) that keeps the size."""
    layer = nn.Conv2d(*kernel.shape[2:], 3, padding=1, bias=False).astype(np.float64)
    layer.weight.data = kernel
    return layer


def test_the_branches_stand_side_by_side(rng):
    module, x = inception().astype(np.float64).eval(), rng.normal(size=(2, 5, 4, 3))
    out = module(x)
    start = 0
    for branch, width in zip(module.children(), (2, 4, 3, 1), strict=True):
        assert_allclose(out[..., start : start + width], branch(x), **CLOSE)
        start += width
    assert out.shape == (2, 5, 4, start)


def test_an_inception_modules_gradients(rng):
    assert_module_gradients(inception(), rng.normal(size=(2, 4, 3, 3)))


@pytest.mark.small
def test_an_inception_module_fuses_and_folds(rng):
    check_fuses(inception(), (2, 5, 4, 3))
    assert_folds(perturbed(inception()), rng.normal(size=(3, 5, 4, 3)))


@pytest.mark.parametrize("act", [None, "relu"])
def test_towers_side_by_side_are_one_1x1_and_a_grouped_convolution(rng, act):
    """Figures 2 and 3."""
    module, x = nn.Towers(3, 6, towers=2, act=act, rng=0).astype(np.float64), rng.normal(size=(2, 5, 4, 3))
    parts = []
    for t in (slice(0, 3), slice(3, 6)):
        tower = nn.Towers(3, 3, towers=1, act=act).astype(np.float64)
        tower.pointwise.weight.data = module.pointwise.weight.data[..., t]
        tower.spatial.weight.data = module.spatial.weight.data[..., t]
        parts.append(tower(x))
    assert_allclose(module(x), np.concatenate(parts, axis=3), **CLOSE)


def test_towers_gradients(rng):
    for towers in (1, 2, 4):
        assert_module_gradients(nn.Towers(3, 4, towers, rng=0), rng.normal(size=(2, 4, 3, 3)))


def test_the_extreme_without_activation_has_a_spatial_filter_per_output_and_separable_one_per_input(rng):
    x = rng.normal(size=(2, 5, 4, 3))
    extreme = nn.Towers(3, 4, towers=4, act=None, rng=0).astype(np.float64)
    w, k = extreme.pointwise.weight.data[0, 0], extreme.spatial.weight.data[:, :, 0]
    assert_allclose(extreme(x), dense(k[:, :, None, :] * w)(x), **CLOSE)
    separable = nn.SeparableConv2d(3, 4, 3, rng=0).astype(np.float64)
    w, k = separable.pointwise.weight.data[0, 0], separable.depthwise.weight.data[:, :, 0]
    assert_allclose(separable(x), dense(k[:, :, :, None] * w)(x), **CLOSE)


def test_with_one_spatial_filter_for_all_channels_the_order_does_not_matter(rng):
    x, k = rng.normal(size=(2, 5, 4, 3)), rng.normal(size=(3, 3, 1, 1))
    extreme = nn.Towers(3, 4, towers=4, act=None, rng=0).astype(np.float64)
    separable = nn.SeparableConv2d(3, 4, 3).astype(np.float64)
    separable.pointwise.weight.data = extreme.pointwise.weight.data
    separable.depthwise.weight.data, extreme.spatial.weight.data = np.tile(k, (1, 1, 1, 3)), np.tile(k, (1, 1, 1, 4))
    assert_allclose(extreme(x), separable(x), **CLOSE)


def test_a_stack_of_the_extreme_is_a_stack_of_separable_convolutions_between_a_1x1_and_a_depthwise(rng):
    """(depthwise . 1x1) . (depthwise . 1x1) . (depthwise . 1x1), with the brackets one further on."""
    x = rng.normal(size=(2, 5, 4, 3))
    first, second, third = (nn.Towers(c, 4, towers=4, act=None, rng=c).astype(np.float64) for c in (3, 4, 4))
    separable = [nn.SeparableConv2d(4, 4, 3).astype(np.float64) for _ in range(2)]
    for pair, before, after in zip(separable, (first, second), (second, third), strict=True):
        pair.depthwise.weight.data, pair.pointwise.weight.data = before.spatial.weight.data, after.pointwise.weight.data
    stack = nn.Sequential(first.pointwise, *separable, third.spatial)
    assert_allclose(stack(x), nn.Sequential(first, second, third)(x), **CLOSE)


def test_an_activation_between_breaks_the_equality(rng):
    x = rng.normal(size=(2, 5, 4, 3))
    with_relu, without = (nn.Towers(3, 4, towers=4, act=act, rng=0).astype(np.float64) for act in ("relu", None))
    assert np.abs(with_relu(x) - without(x)).max() > 0.1


def test_towers_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"Conv2d: groups=4 must divide in_channels=6 \(6 % 4 = 2\)"):
        nn.Towers(3, 6, towers=4)
