"""Filters of smallest l1 norm are taken out, and nothing else happens."""

import numpy as np
import pytest
from folds import perturbed
from numpy.testing import assert_allclose, assert_array_equal

from minighost import analysis, models, nn
from minighost.nn.pruning import strongest_filters


def network(inner=1.0, shortcut="A"):
    model = models.create("resnet_cifar", depth=8, width=0.5, shortcut=shortcut, inner=inner, rng=0)
    return perturbed(model, seed=int(8 * inner))


def blocks(model):
    return [module for module in model.modules() if isinstance(module, nn.ResidualBlock)]


def silence(block, filters):
    """Their maps are zeros from now on."""
    for p in (block.first.bn.weight, block.first.bn.bias):
        p.data[filters] = 0


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_pruned_network_is_the_one_whose_weakest_filters_give_zeros(rng, shortcut, training):
    model, x = network(shortcut=shortcut), rng.normal(size=(3, 8, 8, 3))
    pruned = nn.prune(model, network(0.5, shortcut))
    for block in blocks(model):
        n = block.first.conv.weight.shape[3]
        silence(block, np.setdiff1d(np.arange(n), strongest_filters(block, n // 2)))
    assert_allclose(pruned.train(training)(x), model.train(training)(x), rtol=1e-9, atol=1e-9)


def test_filters_that_give_zeros_already_are_pruned_without_a_change(rng):
    model, x = network(), rng.normal(size=(3, 8, 8, 3))
    for block in blocks(model):
        block.first.conv.weight.data[..., 1::2] /= 100  # so that these are the weakest
        silence(block, slice(1, None, 2))
    before = model.eval()(x)
    assert_allclose(nn.prune(model, network(0.5)).eval()(x), before, rtol=1e-9, atol=1e-9)


def test_the_filters_that_stay_are_those_of_largest_l1_norm_in_their_order():
    (block, *_), sums = blocks(network()), [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]
    weight = block.first.conv.weight
    weight.data = np.broadcast_to(-np.array(sums) / 72, weight.shape)  # 3 * 3 * 8 numbers to a filter
    assert_array_equal(strongest_filters(block, 4), [2, 4, 5, 7])
    assert_array_equal(strongest_filters(block, 7), [0, 1, 2, 4, 5, 6, 7])  # of equal ones the first


def test_the_network_that_was_pruned_stays_as_it_was():
    model = network()
    before = {path: value.copy() for path, value in model.state_dict().items()}
    nn.prune(model, network(0.5))
    for path, value in model.state_dict().items():
        assert_array_equal(value, before[path], err_msg=path)


def test_half_the_inner_filters_halve_the_multiply_adds_of_every_block():
    whole, half = (
        sum(row.macs for row in analysis.count(network(inner), (32, 32, 3)) if "stages" in row.path)
        for inner in (1.0, 0.5)
    )
    assert half == whole / 2


@pytest.mark.parametrize(
    "model, smaller, message",
    [
        (
            lambda: models.create("ghost_resnet_cifar", depth=8, width=0.25),
            lambda: network(0.5),
            "prune: ResNet has no residual block of plain convolutions to take filters of",
        ),
        (
            network,
            lambda: models.create("resnet_cifar", depth=14, width=0.5, inner=0.5),
            "prune: the smaller network must be the same but for a smaller inner=; ",
        ),
        (lambda: network(0.5), network, "prune: the smaller network must be the same but for a smaller inner=; "),
    ],
)
def test_what_cannot_be_pruned_is_refused_in_one_line(model, smaller, message):
    with pytest.raises(ValueError) as error:
        nn.prune(model(), smaller())
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize("inner", [0, 1.5])
def test_the_share_that_is_left_is_above_0_and_at_most_1(inner):
    with pytest.raises(ValueError, match=r"^ResNet: inner must be .* got"):
        models.create("resnet_cifar", inner=inner)
