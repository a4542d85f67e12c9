"""AlexNet, VGG-16, SqueezeNet and the CReLU network: their tables' sizes, and that they are networks like any other."""

import numpy as np
import pytest
from folds import perturbed
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns, count
from numpy.testing import assert_allclose

from minighost import models, nn

PUBLISHED = [  # name, options, side, classes, parameters, multiply-adds
    ("squeezenet", {"version": "1.0"}, 224, 1000, 1_248_424, 818_924_576),
    ("squeezenet", {"version": "1.0"}, 32, 10, 740_554, 9_148_448),
    ("squeezenet", {"version": "1.1"}, 224, 1000, 1_235_496, 349_151_936),
    ("squeezenet", {"version": "1.1"}, 32, 10, 727_626, 2_995_904),
]


@pytest.mark.parametrize("name, options, side, classes, parameters, macs", PUBLISHED)
def test_sizes_are_those_of_the_table(name, options, side, classes, parameters, macs):
    check_count(name, options, side, classes, (parameters, macs))


FORMS = {  # network, options, shape; no dropout, for a forward is to be the same function twice
    "squeezenet 1.0": ("squeezenet", {"width": 0.25, "num_classes": 5, "dropout": 0}, (3, 32, 32, 3)),
    "squeezenet 1.1": ("squeezenet", {"version": "1.1", "width": 0.25, "num_classes": 5, "dropout": 0}, (3, 32, 32, 3)),
    "squeezenet_cifar": ("squeezenet_cifar", {"width": 0.25, "dropout": 0}, (3, 10, 10, 3)),
    "crelu_cifar": ("crelu_cifar", {"width": 0.125}, (3, 8, 8, 3)),
}


def form(name):
    network, options, shape = FORMS[name]
    return models.create(network, **options), shape


@pytest.mark.parametrize("name", FORMS)
def test_gradients_in_random_directions(name):
    model, shape = form(name)
    check_gradients(perturbed(model), shape)  # biases of 0 after a dead squeeze lie on the kink of the ReLU


@pytest.mark.parametrize("name", FORMS)
def test_fused_and_folded_they_compute_what_their_layers_do(name):
    check_fuses(*form(name))
    check_folds(*form(name))


@pytest.mark.parametrize(
    "name, options, settings",
    [
        ("squeezenet_cifar", {"width": 0.5, "dropout": 0}, {"lr": 1e-3, "adam": True}),
        ("crelu_cifar", {"width": 0.25}, {}),
    ],
)
def test_twenty_steps_lower_the_loss(name, options, settings):
    check_learns(models.create(name, **options), **settings)


@pytest.mark.parametrize(
    "name, sides",
    [
        ("squeezenet_cifar", [32, 32, 16, 8]),
        ("crelu_cifar", [16, 8, 8]),
    ],
)
def test_forms_for_small_images_keep_the_resolution_that_their_docstrings_state(name, sides):
    model = models.create(name, width=0.25)
    with nn.fusing(False):
        model.eval()(np.zeros((1, 32, 32, 3), np.float32))
    parts = [model.stem] if hasattr(model, "stem") else []
    assert [part.output_shape[0] for part in (*parts, *model.stages)] == sides


# The smallest image ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, options, side", [("squeezenet", {"version": "1.0"}, 21), ("squeezenet", {"version": "1.1"}, 17)]
)
def test_the_smallest_image_is_the_one_that_is_stated(name, options, side):
    model = models.create(name, width=0.25, num_classes=5, **options).eval()
    assert model(np.zeros((1, side, side, 3), np.float32)).shape == (1, 5)
    with pytest.raises(ValueError, match="more than the padded input has"):
        model(np.zeros((1, side - 1, side - 1, 3), np.float32))


# CReLU -----------------------------------------------------------------------------------------------------------


def test_crelu_halves_the_filters_of_its_layers_and_leaves_the_maps_as_many():
    sizes = {}
    for crelu in (0, 4):
        model = models.create("crelu_cifar", crelu=crelu)
        sizes[crelu] = count(model, (32, 32, 3))
        assert [stage.output_shape[2] for stage in model.stages] == [96, 192, 192]
    convolutions = [9 * 3 * 96, 9 * 96 * 96, 9 * 96 * 96, 9 * 96 * 192]
    norms = 2 * (3 * 96 + 192)
    assert sizes[0][0] - sizes[4][0] == (sum(convolutions) + norms) // 2
    pixels = [32 * 32, 32 * 32, 16 * 16, 16 * 16]
    saved = sum(w * at for w, at in zip(convolutions, pixels, strict=True)) // 2
    assert sizes[0][1] - sizes[4][1] == saved


# Initial weights -------------------------------------------------------------------------------------------------


def test_squeezenet_begins_as_in_torchvision():
    model = models.create("squeezenet", rng=1)
    w = model.stages[0][1].expand3[0].weight.data
    assert_allclose(np.abs(w).max(), (6 / (9 * 16)) ** 0.5, rtol=0.02)
    assert_allclose(w.std(), (2 / (9 * 16)) ** 0.5, rtol=0.05)
    assert_allclose(model.classifier.weight.data.std(), 0.01, rtol=0.05)


# Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("squeezenet", {"version": "1.2"}, "SqueezeNet: version='1.2' is unknown; choose from '1.0', '1.1'"),
        ("squeezenet", {"width": 0}, "SqueezeNet: width must be finite and > 0, got 0"),
        ("crelu_cifar", {"crelu": 9}, "CReLUNet: crelu=9 must be at most 8, the number of its layers"),
        ("crelu_cifar", {"crelu": -1}, "CReLUNet: crelu=-1 must be a whole number of at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, **options)
