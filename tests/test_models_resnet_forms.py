"""ResNets of all forms: the sizes of their tables, shortcuts A and B, bottlenecks, ghost modules."""

import numpy as np
import pytest
from folds import nodes_of
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns
from numpy.testing import assert_array_equal

from minighost import models, nn
from minighost.nn import fold_nodes

CIFAR = [  # depth, shortcut, parameters, multiply-adds
    (20, "A", 269_722, 40_551_040),
    (20, "B", 272_474, 40_813_184),
    (32, "A", 464_154, 68_862_592),
    (32, "B", 466_906, 69_124_736),
    (44, "A", 658_586, 97_174_144),
    (44, "B", 661_338, 97_436_288),
    (56, "A", 853_018, 125_485_696),
    (56, "B", 855_770, 125_747_840),
    (110, "A", 1_727_962, 252_887_680),
    (110, "B", 1_730_714, 253_149_824),
]
GHOST_CIFAR = [  # depth, s, d, parameters, multiply-adds; shortcut A, stem kept
    (20, 2, 1, 136_426, 20_583_040),
    (20, 2, 3, 139_114, 21_271_168),
    (20, 2, 5, 144_490, 22_647_424),
    (20, 2, 7, 152_554, 24_711_808),
    (20, 3, 3, 99_034, 15_792_256),
    (20, 4, 3, 73_810, 11_631_232),
    (20, 5, 3, 63_466, 10_907_776),
    (56, 2, 1, 430_090, 63_222_400),
    (56, 2, 3, 438_154, 65_286_784),
    (56, 2, 5, 454_282, 69_415_552),
    (56, 2, 7, 478_474, 75_608_704),
    (56, 3, 3, 310_714, 48_112_768),
    (56, 4, 3, 230_722, 35_187_328),
    (56, 5, 3, 197_674, 32_832_640),
]
GHOST_56 = [  # d, stem replaced, batch norm, parameters, multiply-adds
    (3, False, "inside+outside", 442_186, 65_286_784),
    (3, True, "inside", 438_010, 65_139_328),
    (1, False, "inside+outside", 434_122, 63_222_400),
    (1, True, "inside", 429_882, 63_009_408),
]
IMAGENET = [
    ("resnet18", {}, 11_689_512, 1_814_073_344),
    ("resnet50", {"stride_on": "3x3"}, 25_557_032, 4_089_184_256),
    ("resnet50", {"stride_on": "1x1"}, 25_557_032, 3_857_973_248),
    ("ghost_resnet50", {"s": 2, "d": 3, "bn": "inside", "conv_bias": False}, 13_953_512, 2_151_023_360),
    ("ghost_resnet50", {"s": 2, "d": 3, "bn": "none", "conv_bias": True}, 13_927_016, 2_151_023_360),
    ("ghost_resnet50", {"s": 4, "d": 3, "bn": "inside", "conv_bias": False}, 8_151_752, 1_181_942_912),
    ("ghost_resnet50", {"s": 4, "d": 3, "bn": "none", "conv_bias": True}, 8_125_256, 1_181_942_912),
]


def test_sizes_for_small_images_are_those_of_the_table():
    for depth, shortcut, *expected in CIFAR:
        check_count("resnet_cifar", {"depth": depth, "shortcut": shortcut}, 32, 10, tuple(expected))
        if depth == 56:
            check_count("resnet56_cifar", {"shortcut": shortcut}, 32, 10, tuple(expected))


def test_sizes_with_ghost_modules_are_those_of_the_table():
    plain = {"shortcut": "A", "replace_first": False, "bn": "inside"}
    for depth, s, d, *expected in GHOST_CIFAR:
        check_count("ghost_resnet_cifar", {"depth": depth, "s": s, "d": d, **plain}, 32, 10, tuple(expected))
    for d, replace_first, bn, *expected in GHOST_56:
        options = {"s": 2, "d": d, "replace_first": replace_first, "bn": bn}
        check_count("ghost_resnet56_cifar", options, 32, 10, tuple(expected))


@pytest.mark.parametrize("name, options, parameters, macs", IMAGENET)
def test_sizes_for_large_images_are_those_of_the_table(name, options, parameters, macs):
    check_count(name, options, 224, 1000, (parameters, macs))


def small(**options):
    """Two blocks of each kind are all that there is to a deeper one."""
    return models.ResNetImageNet(**{"depth": 50, "width": 1 / 16, "num_classes": 5, "small": True, **options})


FORMS = {
    "shortcut A": lambda: models.create("resnet_cifar", depth=8, width=0.25),
    "basic": lambda: small(depth=18),
    "bottleneck": lambda: small(),
    "as for large images": lambda: models.create("resnet50", width=1 / 16, num_classes=5),
    "stride on the 1x1": lambda: small(stride_on="1x1"),
    "ghost": lambda: models.create("ghost_resnet_cifar", depth=8, width=0.25, shortcut="B", replace_first=True),
    "ghost, no batch norm": lambda: models.create("ghost_resnet50", width=1 / 16, bn="none", conv_bias=True, s=3),
}


@pytest.mark.parametrize("name", ["shortcut A", "bottleneck", "ghost"])
@pytest.mark.long
def test_gradients_in_random_directions(name):
    check_gradients(FORMS[name](), (3, 16, 16, 3) if name == "bottleneck" else (4, 8, 8, 3))


@pytest.mark.parametrize("name", FORMS)
def test_fused_and_folded_they_compute_what_their_layers_do(name):
    shape = (3, 32, 32, 3) if name in ("as for large images", "ghost, no batch norm") else (3, 8, 8, 3)
    check_fuses(FORMS[name](), shape)
    check_folds(FORMS[name](), shape)


@pytest.mark.parametrize(
    "name, options",
    [
        ("resnet_cifar", {"depth": 8, "width": 0.5}),
        ("resnet18_cifar", {"width": 0.125}),
        ("resnet50_cifar", {"width": 0.0625}),
        ("ghost_resnet_cifar", {"depth": 8, "width": 0.5}),
        ("ghost_resnet50_cifar", {"width": 0.125}),
    ],
)
@pytest.mark.long
def test_twenty_steps_lower_the_loss(name, options):
    check_learns(models.create(name, **options))


def test_forms_for_small_images_have_maps_32_32_16_8_4_pixels_wide():
    for name in ("resnet18_cifar", "resnet50_cifar", "ghost_resnet50_cifar"):
        model = models.create(name, width=1 / 16)
        model.eval()(np.zeros((1, 32, 32, 3), np.float32))
        with nn.fusing(False):
            model(np.zeros((1, 32, 32, 3), np.float32))
        assert [stage.output_shape[0] for stage in (model.stem, *model.stages)] == [32, 32, 16, 8, 4]


def test_the_stride_moves_to_the_first_convolution_when_asked_for():
    for stride_on, strides in (("3x3", [(1, 1), (2, 2)]), ("1x1", [(2, 2), (1, 1)])):
        block = small(stride_on=stride_on).stages[1][0]
        assert [block.reduce.conv.stride, block.spatial.conv.stride] == strides


# Shortcut A ----------------------------------------------------------------------------------------------------


def test_shortcut_a_takes_every_second_pixel_between_channels_of_zeros(rng):
    x = rng.normal(size=(2, 5, 6, 4))
    out = nn.Subsample(9, 2)(x)
    assert out.shape == (2, 3, 3, 9)
    assert_array_equal(out[..., 2:6], x[:, ::2, ::2])
    assert not out[..., :2].any() and not out[..., 6:].any()


def test_a_block_with_shortcut_a_has_no_more_parameters_than_its_convolutions():
    block = nn.ResidualBlock(4, 8, 2, "A", rng=0)
    assert sum(p.size for p in block.shortcut.parameters()) == 0
    assert nn.ResidualBlock(4, 4, 1, "A").shortcut is None


def test_shortcut_a_folds_into_a_convolution(rng):
    folded = nn.fold(nn.Sequential(nn.ConvBNAct(3, 4, 1), nn.Subsample(6, 2)))
    assert all(isinstance(node, fold_nodes.Convolution) for node in nodes_of(folded))
    alone, x = nn.Subsample(6, 2), rng.normal(size=(2, 5, 5, 4))
    assert_array_equal(nn.fold(nn.Sequential(alone))(x), alone(x))  # how many channels come in is not known before


# Refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: models.create("resnet_cifar", depth=21), r"depth=21 must be 6n \+ 2, .* \(19 % 6 = 1\); .* 20 and 26"),
        (lambda: models.create("resnet_cifar", shortcut="C"), "shortcut='C' is unknown; choose from 'A', 'B'"),
        (lambda: models.create("resnet50", stride_on="5x5"), "stride_on='5x5' is unknown; choose from '3x3', '1x1'"),
        (lambda: models.ResNetImageNet(19), "depth=19 is unknown; choose from 18, 34, 50, 101, 152"),
        (lambda: models.create("ghost_resnet50", bn="outside"), "bn='outside' is unknown; choose from 'inside'"),
        (lambda: models.create("ghost_resnet50", conv_bias=True), "conv_bias=True needs bn='none', not 'inside'"),
        (lambda: nn.Subsample(2)(np.zeros((1, 1, 1, 3))), "out_channels=2 must be at least the 3 channels of x"),
    ],
)
def test_what_does_not_fit_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
