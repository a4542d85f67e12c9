"""Ghosts by kernels of several sizes: what they cost, and that one larger size contains them."""

import numpy as np
import pytest
from folds import assert_folds, nodes_of, perturbed
from gradients import assert_module_gradients
from numpy.testing import assert_allclose

from minighost import nn
from minighost.nn.fold_nodes import Plain

pytestmark = pytest.mark.small


def _ghost(dw_size, out_channels=8, **options):
    return nn.GhostModule(3, out_channels, 1, dw_size=dw_size, rng=0, **options)


def _depthwise(module):
    return [layer for layer in module.cheap.modules() if isinstance(layer, nn.Conv2d)]


def test_ghosts_of_two_sizes_cost_34_eighteenths_of_those_of_three(rng):
    x = np.zeros((1, 5, 4, 3), np.float32)
    small, mixed = _ghost(3), _ghost((3, 5))
    for module in (small, mixed):
        module(x)
    for cost in (lambda layer: layer.weight.size, lambda layer: layer.macs):
        assert 18 * sum(map(cost, _depthwise(mixed))) == 34 * sum(map(cost, _depthwise(small)))


def test_kernels_of_one_larger_size_can_do_all_that_mixed_ones_can(rng):
    """The 3x3 kernels are 5x5 ones with a border of zeros."""
    mixed, large = perturbed(_ghost((3, 5))).eval(), perturbed(_ghost(5)).eval()
    first, second = mixed.cheap.units
    w = np.concatenate([np.pad(first.conv.weight.data, [(1, 1), (1, 1), (0, 0), (0, 0)]), second.conv.weight.data], 3)
    large.cheap.conv.weight.data = w
    large.primary.load_state_dict(mixed.primary.state_dict())
    for name, value in large.cheap.bn.state_dict().items():
        value[...] = np.concatenate([unit.bn.state_dict()[name] for unit in (first, second)])
        large.cheap.bn.load_state_dict({name: value}, strict=False)
    x = rng.normal(size=(2, 6, 5, 3))
    assert_allclose(mixed(x), large(x), atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"ratio": 3}, {"out_channels": 7}, {"stride": 2, "act": False}])
def test_gradients_hold_and_modules_fold(rng, options):
    x = rng.normal(size=(2, 5, 4, 3))
    assert_module_gradients(perturbed(_ghost((3, 5), **options)), x)
    f = assert_folds(perturbed(_ghost((3, 5), **options)), x)
    assert not any(isinstance(node, Plain) for node in nodes_of(f))


def test_three_sizes_divide_the_maps_as_evenly_as_possible(rng):
    module = nn.MixedDepthwise(8, (3, 5, 7), rng=0)
    assert [unit.conv.weight.shape for unit in module.units] == [(3, 3, 1, 3), (5, 5, 1, 3), (7, 7, 1, 2)]
    assert_module_gradients(perturbed(module), rng.normal(size=(2, 3, 3, 8)))


def test_an_even_size_or_more_sizes_than_maps_are_refused():
    with pytest.raises(ValueError, match=r"GhostModule: dw_size=\(3, 4\) must be odd"):
        _ghost((3, 4))
    with pytest.raises(ValueError, match="MixedDepthwise: 3 kernel sizes need from 1 to 2 parts"):
        nn.MixedDepthwise(2, (3, 5, 7))
