"""ShuffleNet v1 and v2: published counts, what a width may be, and the laws of all networks."""

import numpy as np
import pytest
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns, count

from minighost import models, nn

V1 = [  # width, groups, bias, side, classes, parameters, multiply-adds
    (0.5, 3, False, 224, 1000, 717_324, 37_589_856),
    (1.0, 3, False, 224, 1000, 1_864_728, 137_460_672),
    (1.5, 3, False, 224, 1000, 3_441_168, 292_443_552),
    (2.0, 3, False, 224, 1000, 5_449_776, 524_045_184),
    (0.5, 8, False, 224, 1000, 1_010_448, 40_469_760),
    (1.0, 8, False, 224, 1000, 2_433_768, 138_365_952),
    (1.5, 8, False, 224, 1000, 4_268_952, 290_188_800),
    (2.0, 8, False, 224, 1000, 6_521_232, 521_942_016),
    (1.0, 1, True, 224, 1000, 1_531_936, 143_078_976),
    (1.0, 2, True, 224, 1000, 1_733_848, 140_836_512),
    (1.0, 3, True, 224, 1000, 1_865_728, 137_460_672),
    (1.0, 4, True, 224, 1000, 1_968_344, 134_339_776),
    (1.0, 8, True, 224, 1000, 2_434_768, 138_365_952),
    (1.0, 3, False, 32, 10, 914_328, 2_795_328),
    (0.5, 3, False, 32, 10, 242_124, 762_144),
]
V2 = [  # width, variant, side, classes, parameters, multiply-adds
    (0.5, "torchvision", 224, 1000, 1_366_792, 40_476_448),
    (1.0, "torchvision", 224, 1000, 2_278_604, 144_907_992),
    (1.5, "torchvision", 224, 1000, 3_503_624, 295_759_392),
    (2.0, "torchvision", 224, 1000, 7_393_996, 583_253_464),
    (0.5, "megvii", 224, 1000, 1_365_792, 40_476_448),
    (1.0, "megvii", 224, 1000, 2_278_760, 145_814_296),
    (1.5, "megvii", 224, 1000, 3_506_720, 298_970_656),
    (2.0, "megvii", 224, 1000, 7_402_600, 590_783_000),
    (0.5, "torchvision", 32, 10, 352_042, 815_392),
    (1.0, "torchvision", 32, 10, 1_263_854, 2_946_648),
    (0.5, "megvii", 32, 10, 352_032, 815_392),
    (1.0, "megvii", 32, 10, 1_265_000, 2_965_144),
]
TINY = {
    "v1": ("shufflenet_v1_cifar", {"width": 0.1, "groups": 2}),
    "torchvision": ("shufflenet_v2_cifar", {"width": 0.04}),
    "megvii": ("shufflenet_v2_cifar", {"width": 0.25, "variant": "megvii", "fc_bias": False}),
}


def tiny(kind):
    name, options = TINY[kind]
    return models.create(name, **options, num_classes=5)


@pytest.mark.parametrize("width, groups, fc_bias, side, classes, params, macs", V1)
def test_published_counts_of_the_first(width, groups, fc_bias, side, classes, params, macs):
    options = {"width": width, "groups": groups, "fc_bias": fc_bias}
    check_count("shufflenet_v1", options, side, classes, (params, macs))


@pytest.mark.parametrize("width, variant, side, classes, params, macs", V2)
def test_published_counts_of_the_second(width, variant, side, classes, params, macs):
    options = {"width": width, "variant": variant, "fc_bias": variant == "torchvision"}
    check_count("shufflenet_v2", options, side, classes, (params, macs))


@pytest.mark.parametrize("width, params, macs", [(0.5, 352_042, 10_902_016), (1.0, 1_263_854, 45_002_112)])
def test_the_second_with_a_stem_for_small_images_is_its_cifar_form(width, params, macs):
    options = {"width": width, "variant": "torchvision", "fc_bias": True}
    check_count("shufflenet_v2", {**options, "stem_stride": 1, "maxpool": False}, 32, 10, (params, macs))
    check_count("shufflenet_v2_cifar", options, 32, 10, (params, macs))


@pytest.mark.parametrize("name", ["shufflenet_v1_cifar", "shufflenet_v2_cifar"])
def test_the_cifar_forms_keep_resolution(name):
    with nn.without_weights():
        model = models.create(name)
    count(model, (32, 32, 3))
    assert [b.output_shape[0] for b in (model.stem, *model.stages)] == [32, 16, 8, 4]


def test_channels_of_the_first_with_any_width_divide_by_the_groups():
    for groups in (1, 2, 3, 4, 8):
        for width in (0.1, 0.3, 0.77, 1.2, 2.3):
            with nn.without_weights():
                model = models.create("shufflenet_v1", width=width, groups=groups)
            stages = [stage.output_shape or stage[-1].expand.conv.weight.shape[3] for stage in model.stages]
            assert stages[0] % (4 * groups) == 0 and stages == [stages[0], 2 * stages[0], 4 * stages[0]]


def test_only_the_1x1_convolution_after_the_stem_is_not_grouped():
    with nn.without_weights():
        model = models.create("shufflenet_v1", groups=4)
    pointwise = [u.reduce.conv.groups for stage in model.stages for u in stage]
    assert pointwise == [1] + [4] * 15


def test_initial_weights_are_megviis():
    model = models.create("shufflenet_v1", groups=8)
    assert abs(model.stem.conv.weight.data.std() - 0.01) < 0.001
    unit = model.stages[2][1]
    assert abs(unit.reduce.conv.weight.data.std() * 1536 / 8 - 1) < 0.02
    assert abs(unit.depthwise.conv.weight.data.std() - 1) < 0.05
    assert abs(model.classifier.weight.data.std() - 0.01) < 0.001
    assert np.all(unit.expand.bn.bias.data == np.float32(1e-4))


def test_initial_weights_of_the_second_are_pytorchs_in_torchvisions_variant():
    weight = models.create("shufflenet_v2", width=0.5).tail.conv.weight.data
    assert 0.99 < np.abs(weight).max() * 192**0.5 <= 1


def test_only_megviis_widest_has_dropout():
    for width, variant, p in ((2.0, "megvii", 0.2), (1.5, "megvii", 0.0), (2.0, "torchvision", 0.0)):
        with nn.without_weights():
            assert models.create("shufflenet_v2", width=width, variant=variant).dropout.p == p


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.long
def test_gradients(kind):
    check_gradients(tiny(kind), (4, 16, 16, 3))


@pytest.mark.parametrize("kind", TINY)
def test_a_fused_step_is_a_step_layer_by_layer(kind):
    check_fuses(tiny(kind), (4, 16, 16, 3))


@pytest.mark.parametrize("kind", TINY)
def test_it_folds(kind):
    check_folds(tiny(kind), (3, 9, 8, 3))


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.long
def test_it_learns(kind):
    name, options = TINY[kind]
    check_learns(models.create(name, **options), steps=40, lr=0.02)  # at 0.05 the last bits decide


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("shufflenet_v1", {"groups": 5}, "ShuffleNetV1: groups=5 is unknown; choose from 1, 2, 3, 4, 8"),
        ("shufflenet_v1", {"width": -1}, "ShuffleNetV1: width must be finite and > 0, got -1"),
        ("shufflenet_v2", {"variant": "keras"}, "variant='keras' is unknown; choose from 'torchvision', 'megvii'"),
        ("shufflenet_v2", {"num_classes": 0}, "ShuffleNetV2: num_classes=0 must be a whole number of at least 1"),
        ("shufflenet_v2", {"width": 0.01, "variant": "megvii"}, "out_channels=4 must be more than in_channels=24"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, **options)
