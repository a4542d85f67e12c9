"""AlexNet, VGG-16, SqueezeNet and the CReLU network: their tables' sizes, and that they are networks like any other."""

import numpy as np
import pytest
from folds import perturbed
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns, count
from numpy.testing import assert_allclose

from minighost import models, nn

PUBLISHED = [  # name, options, side, classes, parameters, multiply-adds
    ("alexnet", {"groups": 2}, 227, 1000, 60_965_224, 724_406_816),
    ("alexnet", {"groups": 2}, 227, 10, 56_909_194, 720_351_776),
    ("alexnet", {"groups": 1}, 227, 1000, 62_378_344, 1_135_256_096),
    ("alexnet_torchvision", {}, 224, 1000, 61_100_840, 714_188_480),
    ("vgg16", {}, 224, 1000, 138_357_544, 15_470_264_320),
    ("vgg16", {"bn": True}, 224, 1000, 138_365_992, 15_470_264_320),
    ("vgg16_cifar", {"fc512": False}, 32, 10, 14_728_266, 313_201_664),
    ("vgg16_cifar", {"fc512": True}, 32, 10, 14_991_946, 313_463_808),
    ("squeezenet", {"version": "1.0"}, 224, 1000, 1_248_424, 818_924_576),
    ("squeezenet", {"version": "1.0"}, 32, 10, 740_554, 9_148_448),
    ("squeezenet", {"version": "1.1"}, 224, 1000, 1_235_496, 349_151_936),
    ("squeezenet", {"version": "1.1"}, 32, 10, 727_626, 2_995_904),
]


GHOST_VGG = [  # s, d, hidden layer, first replaced, parameters, multiply-adds
    (2, 1, True, True, 7_634_602, 157_003_776),
    (2, 1, False, True, 7_370_922, 156_741_632),
    (2, 3, True, True, 7_651_498, 158_109_696),
    (2, 3, False, True, 7_387_818, 157_847_552),
    (2, 5, True, True, 7_685_290, 160_321_536),
    (2, 5, False, True, 7_421_610, 160_059_392),
    (2, 7, True, True, 7_735_978, 163_639_296),
    (2, 7, False, True, 7_472_298, 163_377_152),
    (3, 3, True, True, 5_219_500, 107_240_040),
    (3, 3, False, True, 4_955_820, 106_977_896),
    (4, 3, True, True, 3_983_386, 80_432_640),
    (4, 3, False, True, 3_719_706, 80_170_496),
    (5, 3, True, True, 3_270_721, 65_665_296),
    (5, 3, False, True, 3_007_041, 65_403_152),
    (2, 3, True, False, 7_652_138, 158_699_520),
    (3, 3, True, False, 5_220_298, 107_995_752),
    (4, 3, True, False, 3_984_314, 81_317_376),
    (5, 3, True, False, 3_271_692, 66_596_112),
]


@pytest.mark.parametrize("name, options, side, classes, parameters, macs", PUBLISHED)
def test_sizes_are_those_of_the_table(name, options, side, classes, parameters, macs):
    check_count(name, options, side, classes, (parameters, macs))


def test_sizes_of_vggs_of_ghost_modules_are_those_of_the_table():
    for s, d, fc512, replace_first, *expected in GHOST_VGG:
        options = {"s": s, "d": d, "fc512": fc512, "replace_first": replace_first}
        check_count("ghost_vgg16_cifar", options, 32, 10, tuple(expected))


TINY = {"width": 1 / 16, "num_classes": 5, "dropout": 0}
FORMS = {  # network, options, shape; no dropout, for a forward is to be the same function twice
    "squeezenet 1.0": ("squeezenet", {"width": 0.25, "num_classes": 5, "dropout": 0}, (3, 32, 32, 3)),
    "squeezenet 1.1": ("squeezenet", {"version": "1.1", "width": 0.25, "num_classes": 5, "dropout": 0}, (3, 32, 32, 3)),
    "squeezenet_cifar": ("squeezenet_cifar", {"width": 0.25, "dropout": 0}, (3, 10, 10, 3)),
    "crelu_cifar": ("crelu_cifar", {"width": 0.125}, (3, 8, 8, 3)),
    "alexnet_cifar": ("alexnet_cifar", TINY, (3, 9, 9, 3)),
    "vgg16_cifar": ("vgg16_cifar", {"width": 1 / 16}, (3, 32, 32, 3)),
    "ghost_vgg16_cifar": ("ghost_vgg16_cifar", {"width": 1 / 16, "s": 3, "fc512": False}, (3, 32, 32, 3)),
    "alexnet": ("alexnet", TINY, (2, 67, 67, 3)),
    "alexnet_torchvision": ("alexnet_torchvision", TINY, (2, 64, 64, 3)),
    "vgg16": ("vgg16", TINY, (2, 32, 32, 3)),
    "vgg16, batch norm": ("vgg16", {**TINY, "bn": True}, (3, 32, 32, 3)),
}


def form(name):
    network, options, shape = FORMS[name]
    return models.create(network, **options), shape


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.long
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
        ("alexnet_cifar", {"width": 0.25, "dropout": 0}, {"lr": 1e-3, "adam": True}),
        ("vgg16_cifar", {"width": 0.25}, {"every": 1}),
        ("ghost_vgg16_cifar", {"width": 0.25}, {"every": 1}),
    ],
)
@pytest.mark.long
def test_twenty_steps_lower_the_loss(name, options, settings):
    check_learns(models.create(name, **options), **settings)


@pytest.mark.parametrize(
    "name, sides",
    [
        ("squeezenet_cifar", [32, 32, 16, 8]),
        ("crelu_cifar", [16, 8, 8]),
        ("vgg16_cifar", [16, 8, 4, 2, 1]),
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
    "name, options, side",
    [
        ("squeezenet", {"version": "1.0"}, 21),
        ("squeezenet", {"version": "1.1"}, 17),
        ("alexnet", {}, 67),
        ("alexnet_torchvision", {}, 63),
        ("vgg16", {}, 32),
    ],
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


def test_alexnet_begins_as_in_caffe():
    with_groups = models.create("alexnet", width=0.25, num_classes=20, rng=1)
    found = {name: getattr(with_groups, name) for name in ("conv1", "conv2", "conv3", "conv4", "conv5")}
    biases = {name: float(part[0].bias.data[0]) for name, part in found.items()}
    assert_allclose(list(biases.values()), [0, 0.1, 0, 0.1, 0.1], rtol=1e-6)
    assert_allclose([part[0].weight.data.std() for part in found.values()], 0.01, rtol=0.05)
    hidden = with_groups.hidden1[1], with_groups.hidden2[1]
    assert_allclose([layer.weight.data.std() for layer in hidden], 0.005, rtol=0.02)
    assert_allclose([layer.bias.data.mean() for layer in hidden], 0.1, rtol=1e-6)
    assert_allclose(with_groups.classifier.weight.data.std(), 0.01, rtol=0.05)
    assert not with_groups.classifier.bias.data.any()


def test_linear_weights_of_vgg_begin_as_in_torchvision():
    model = models.create("vgg16", width=0.125, num_classes=20, rng=1)
    assert_allclose([model.hidden1[0].weight.data.std(), model.hidden2[0].weight.data.std()], 0.01, rtol=0.05)


# AlexNet's two halves --------------------------------------------------------------------------------------------


def test_the_third_convolution_of_alexnet_reads_both_halves():
    model = models.create("alexnet_cifar", width=0.25)
    convolutions = [getattr(model, f"conv{k}")[0] for k in range(1, 6)]
    assert [conv.groups for conv in convolutions] == [1, 2, 1, 2, 2]


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
