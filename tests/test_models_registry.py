"""What holds for every registered network, tried without weights and without images."""

import inspect
import re

import numpy as np
import pytest

from minighost import analysis, models, nn
from minighost.models.registry import MODELS

NAMES = models.names()
SIDES = {"alexnet": 227, "xception": 299}  # where it is neither 224 nor, for small images, 32
VARIANTS = {  # of which network; they share its form for small images
    "conv_mobilenet_v1": "mobilenet_v1",
    "alexnet_torchvision": "alexnet",
    "mobilenet_v4_conv_medium": "mobilenet_v4_conv_small",
}


def options_of(name):
    return inspect.signature(MODELS[name]).parameters


def side_of(name):
    return SIDES.get(name, 224 if options_of(name)["num_classes"].default == 1000 else 32)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_takes_the_usual_options_and_counts(name):
    assert {"width", "num_classes", "rng"} <= set(options_of(name))
    with nn.without_weights():
        model = models.create(name, num_classes=7, rng=0)
    rows = analysis.count(model, (side_of(name), side_of(name), 3))
    assert rows[-1].output_shape == (7,) or model.output_shape == (7,)
    assert sum(row.macs for row in rows) > 1e5
    assert sum(row.params for row in rows) == analysis.total_parameters(model) > 1e4
    assert all(row.params >= 0 and row.macs >= 0 and min(row.output_shape) > 0 for row in rows)
    assert model(np.empty((0, side_of(name), side_of(name), 3), np.float32)).shape == (0, 7)


@pytest.mark.parametrize("name", NAMES)
def test_the_small_images_that_a_network_can_be_tried_on_fit_a_narrow_one(name):
    with nn.without_weights():
        model = models.create(name, width=0.25, num_classes=5, rng=0)
    side = models.ABOUT[name].side
    assert side <= 96 and model(np.empty((0, side, side, 3), np.float32)).shape == (0, 5)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_says_when_what_and_where(name):
    about = models.ABOUT[name]
    assert 1998 <= about.year <= 2026
    assert 2 <= len(about.idea.split()) <= 8 and len(about.idea) <= 60
    assert re.search(r"\w+.*, \"?\w+", about.paper), about.paper


@pytest.mark.parametrize("name", [name for name in NAMES if side_of(name) > 32])
def test_every_network_for_large_images_has_a_form_for_small_ones(name):
    name = VARIANTS.get(name, name)
    small = f"{name}_cifar"
    assert small in NAMES
    assert options_of(small)["num_classes"].default == 10
    with nn.without_weights():
        model = models.create(small)
    shapes = [row.output_shape for row in analysis.count(model, (32, 32, 3))]
    sides = [shape[0] for shape in shapes if len(shape) == 3 and shape[0] > 1]
    assert sides[0] >= 31 and sides[-1] >= 2, "it keeps resolution"
    assert models.ABOUT[small][:3] == models.ABOUT[name][:3]


@pytest.mark.parametrize("name", NAMES)
def test_half_the_width_has_fewer_weights(name):
    with nn.without_weights():
        whole, half = (analysis.total_parameters(models.create(name, width=width)) for width in (1.0, 0.5))
    assert half < whole


@pytest.mark.parametrize("width", [0, -1, "wide", float("nan")])
@pytest.mark.parametrize("name", NAMES)
def test_a_width_that_is_no_number_above_0_is_refused_in_one_line(name, width):
    with pytest.raises(
        (TypeError, ValueError), match=rf"^\w+: width must be (finite and > 0|a number), got {width!r}$"
    ):
        models.create(name, width=width)


@pytest.mark.parametrize("name", NAMES)
def test_the_narrowest_network_has_channels_or_says_that_it_has_none(name):
    try:
        with nn.without_weights():
            model = models.create(name, width=1e-9)
    except ValueError as error:
        assert re.match(r"^\w+: (width=1e-09 |.*channels=\d+)", str(error)) and "\n" not in str(error), error
        return
    rows = analysis.count(model, (side_of(name), side_of(name), 3))
    assert all(min(row.output_shape) > 0 for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_has_a_receptive_field(name):
    with nn.without_weights():
        field = analysis.receptive_field(models.create(name))
    assert field.size[0] == field.size[1] > 16 and field.stride[0] in (1, 4, 8, 16, 32)
