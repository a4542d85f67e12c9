"""FasterNet: published counts, its block, and the laws of all networks."""

import numpy as np
import pytest
from folds import assert_folds, perturbed
from gradients import assert_module_gradients
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns, count
from numpy.testing import assert_allclose

from minighost import models, nn


@pytest.mark.parametrize(
    "variant, classes, params, macs",
    [
        ("t0", 1000, 3_905_500, 335_422_720),
        ("t1", 1000, 7_595_368, 850_511_872),
        ("t2", 1000, 14_982_888, 1_904_334_848),
        ("t0", 10, 2_637_310, 334_155_520),
        ("t1", 10, 6_327_178, 849_244_672),
        ("t2", 10, 13_714_698, 1_903_067_648),
    ],
)
def test_published_counts(variant, classes, params, macs):
    check_count("fasternet", {"variant": variant}, 224, classes, (params, macs))


def test_the_cifar_form_keeps_resolution():
    with nn.without_weights():
        model = models.create("fasternet_cifar")
    count(model, (32, 32, 3))
    assert [b.output_shape for b in (model.stem, *model.stages)] == [
        (32, 32, 40),
        (32, 32, 40),
        (16, 16, 80),
        (8, 8, 160),
        (4, 4, 320),
    ]


def test_activations_are_gelu_and_in_t2_relu():
    for variant, kind in (("t0", nn.GELU), ("t1", nn.GELU), ("t2", nn.ReLU)):
        with nn.without_weights():
            model = models.create("fasternet", variant=variant)
        assert type(model.act) is kind
        blocks = [m for m in model.modules() if isinstance(m, nn.FasterNetBlock)]
        assert len(blocks) == 13 and all(b.expand.bn.relu == (kind is nn.ReLU) for b in blocks)


def tiny(variant):
    return models.create("fasternet_cifar", variant=variant, width=0.1, num_classes=5)


@pytest.mark.parametrize("variant", ["t0", "t2"])
@pytest.mark.long
def test_gradients(variant):
    check_gradients(tiny(variant), (3, 8, 8, 3))


@pytest.mark.parametrize("variant", ["t0", "t2"])
def test_a_fused_step_is_a_step_layer_by_layer(variant):
    check_fuses(tiny(variant), (3, 8, 8, 3))


@pytest.mark.parametrize("variant", ["t0", "t2"])
def test_it_folds(variant):
    check_folds(tiny(variant), (3, 9, 8, 3))
    check_folds(models.create("fasternet", variant=variant, width=0.1), (2, 32, 32, 3))


@pytest.mark.long
def test_it_learns():
    check_learns(models.create("fasternet_cifar", width=0.2))


def test_a_blocks_gradients(rng):
    block = nn.FasterNetBlock(5, "gelu", rng=0)
    assert_module_gradients(block, rng.normal(size=(2, 3, 4, 5)))


@pytest.mark.small
@pytest.mark.parametrize("act", ["relu", "gelu"])
def test_a_block_mixes_channels_of_which_some_saw_their_neighbours(rng, act):
    block, x = nn.FasterNetBlock(8, act, rng=0).astype(np.float64).eval(), rng.normal(size=(2, 4, 5, 8))
    y = np.concatenate([block.partial.conv(np.ascontiguousarray(x[..., :2])), x[..., 2:]], axis=3)
    assert_allclose(block(x), x + block.project(block.expand(y)), rtol=1e-12, atol=1e-12)
    check_fuses(nn.FasterNetBlock(8, act, rng=0), (2, 4, 5, 8))
    assert_folds(perturbed(block), x)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"variant": "t9"}, "FasterNet: variant='t9' is unknown; choose from 't0', 't1', 't2'"),
        ({"width": 0}, "FasterNet: width must be finite and > 0, got 0"),
        ({"patch": 0}, "FasterNet: patch=0 must be a whole number of at least 1"),
        ({"num_classes": 0}, "FasterNet: num_classes=0 must be a whole number of at least 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        models.create("fasternet", **options)
