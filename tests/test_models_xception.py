"""Xception: published counts, the order inside a unit, and the laws of all networks."""

import numpy as np
import pytest
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns, count

from minighost import models, nn


@pytest.mark.parametrize(
    "side, classes, expected", [(299, 1000, (22_855_952, 8_357_403_496)), (32, 10, (20_827_442, 88_184_800))]
)
def test_published_counts(side, classes, expected):
    check_count("xception", {}, side, classes, expected)


def test_there_are_34_separable_convolutions_in_14_modules_and_shortcuts_around_12():
    with nn.without_weights():
        model = models.create("xception")
    assert sum(isinstance(m, nn.SeparableConv2d) for m in model.modules()) == 34
    modules = [m for m in model.modules() if isinstance(m, nn.XceptionModule)]
    assert len(modules) == 12 and sum(m.shortcut is None for m in modules) == 8
    assert [module.units[0].act is None for module in modules] == [True] + [False] * 11


def test_the_cifar_form_keeps_resolution_and_parameters():
    with nn.without_weights():
        model = models.create("xception_cifar")
    assert count(model, (32, 32, 3)) == (20_827_442, 1_359_655_936)
    blocks = [model.stem, *model.entry, *model.middle, model.exit, model.tail]
    assert [b.output_shape[0] for b in blocks] == [32, 32, 16, 8, *[8] * 8, 4, 4]


def test_batch_norms_are_kerass_with_imagenets_topology_and_ours_for_small_images():
    for name, expected in (("xception", (1e-3, 0.01)), ("xception_cifar", (1e-5, 0.1))):
        with nn.without_weights():
            model = models.create(name)
        assert {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {expected}


def tiny():
    return models.create("xception_cifar", width=0.02, num_classes=5)


@pytest.mark.long
def test_gradients():
    check_gradients(tiny(), (3, 8, 8, 3))


def test_a_fused_step_is_a_step_layer_by_layer():
    check_fuses(tiny(), (3, 8, 8, 3))


def test_it_folds():
    check_folds(tiny(), (3, 9, 8, 3))
    check_folds(models.create("xception", width=0.02), (2, 32, 32, 3))


@pytest.mark.long
def test_it_learns():
    check_learns(models.create("xception_cifar", width=0.05))


@pytest.mark.small
@pytest.mark.parametrize("channels, widths, stride", [(3, (3, 3), 1), (3, (4,), 1), (3, (4, 5), 2)])
def test_a_module_is_relu_separable_batch_norm_and_a_shortcut_from_before_the_relu(rng, channels, widths, stride):
    module = nn.XceptionModule(channels, widths, stride, rng=0).astype(np.float64)
    x = rng.normal(size=(2, 5, 6, channels))
    with nn.fusing(False):
        y = x
        for unit in module.units:
            y = unit.bn(unit.conv.pointwise(unit.conv.depthwise(np.maximum(y, 0))))
        y = y if stride == 1 else nn.MaxPool2d(3, stride, 1)(y)
        shortcut = x if module.shortcut is None else module.shortcut(x)
    np.testing.assert_allclose(module(x), y + shortcut, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0}, "Xception: width must be finite and > 0, got 0"),
        ({"num_classes": 0}, "Xception: num_classes=0 must be a whole number of at least 1"),
        ({"strides": (2, 2)}, r"Xception: strides=\(2, 2\) must be 4 numbers, of three entry modules and the exit one"),
    ],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        models.create("xception", **options)
