"""MobileNet v1 to v4 and EfficientNet: published counts, gradients, folds, and that they learn."""

import re

import numpy as np
import pytest
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns

from minighost import models, nn

V3 = {"width": 0.75, "expand": "ratio x scaled input", "scale_head": False}
COUNTS = [
    # network, options, image size, classes, (parameters, multiply-adds)
    ("mobilenet_v1", {}, 224, 1000, (4_231_976, 568_740_352)),
    ("mobilenet_v1", {}, 192, 1000, (4_231_976, 418_121_728)),
    ("mobilenet_v1", {}, 160, 1000, (4_231_976, 290_675_200)),
    ("mobilenet_v1", {}, 128, 1000, (4_231_976, 186_400_768)),
    ("mobilenet_v1", {}, 32, 10, (3_217_226, 11_596_288)),
    ("mobilenet_v1", {"width": 0.75}, 224, 1000, (2_585_560, 325_400_448)),
    ("mobilenet_v1", {"width": 0.75}, 32, 10, (1_824_250, 6_632_832)),
    ("mobilenet_v1", {"width": 0.5}, 224, 1000, (1_331_592, 149_497_088)),
    ("mobilenet_v1", {"width": 0.5}, 32, 10, (823_722, 3_045_632)),
    ("mobilenet_v1", {"width": 0.25}, 128, 1000, (470_072, 13_570_048)),
    ("mobilenet_v1", {"width": 0.25}, 32, 10, (215_642, 834_688)),
    ("mobilenet_v1", {"stem_stride": 1}, 32, 10, (3_217_226, 46_354_432)),
    ("mobilenet_v1", {"shallow": True}, 224, 1000, (2_887_976, 307_323_392)),
    ("conv_mobilenet_v1", {"separable": False}, 224, 1000, (29_294_088, 4_867_293_184)),
    ("mobilenet_v1_cifar", {}, 32, 10, (3_217_226, 175_556_608)),
    ("mobilenet_v1_cifar", {"stage2_stride": 2}, 32, 10, (3_217_226, 46_354_432)),
    ("mobilenet_v2", {"width": 1.4}, 224, 1000, (6_108_776, 582_195_824)),
    ("mobilenet_v2", {"width": 1.4}, 32, 10, (4_333_706, 11_862_896)),
    ("mobilenet_v2", {}, 224, 1000, (3_504_872, 300_774_272)),
    ("mobilenet_v2", {}, 32, 10, (2_236_682, 6_124_928)),
    ("mobilenet_v2", {"width": 0.75}, 224, 1000, (2_636_424, 209_069_792)),
    ("mobilenet_v2", {"width": 0.5}, 224, 1000, (1_968_680, 97_131_840)),
    ("mobilenet_v2", {"width": 0.35}, 224, 1000, (1_677_128, 59_285_808)),
    ("mobilenet_v2", {"width": 0.35}, 32, 10, (408_938, 1_196_592)),
    ("mobilenet_v2", {"stem_stride": 1, "stage2_stride": 1}, 32, 10, (2_236_682, 87_976_448)),
    ("mobilenet_v2_cifar", {}, 32, 10, (2_236_682, 87_976_448)),
    ("mobilenet_v3_large", {}, 224, 1000, (5_483_032, 216_589_760)),
    ("mobilenet_v3_large", {}, 32, 10, (4_214_842, 7_087_040)),
    ("mobilenet_v3_large", V3, 224, 1000, (3_993_528, 154_560_624)),
    ("mobilenet_v3_large_cifar", {}, 32, 10, (4_214_842, 66_459_008)),
    ("mobilenet_v3_small", {}, 224, 1000, (2_542_856, 56_510_400)),
    ("mobilenet_v3_small", {}, 32, 10, (1_528_106, 2_169_792)),
    ("mobilenet_v3_small", V3, 224, 10, (1_027_122, 42_385_584)),
    ("mobilenet_v3_small_cifar", {}, 32, 10, (1_528_106, 17_507_328)),
    ("mobilenet_v4_conv_small", {}, 224, 1000, (3_774_024, 186_005_568)),
    ("mobilenet_v4_conv_small", {}, 224, 10, (2_505_834, 184_738_368)),
    ("mobilenet_v4_conv_small", {"width": 0.5}, 224, 1000, (2_238_952, 64_741_408)),
    ("mobilenet_v4_conv_small", {"width": 0.5}, 224, 10, (970_762, 63_474_208)),
    ("mobilenet_v4_conv_small_cifar", {}, 32, 10, (2_505_834, 58_504_704)),
    ("mobilenet_v4_conv_medium", {}, 224, 1000, (9_715_512, 827_649_984)),
    ("efficientnet_b0", {}, 224, 1000, (5_288_548, 385_814_752)),
    ("efficientnet_b0", {}, 224, 10, (4_020_358, 384_547_552)),
    ("efficientnet_b0_cifar", {}, 32, 10, (4_020_358, 116_167_168)),
]


@pytest.mark.parametrize("name, options, side, classes, expected", COUNTS)
def test_counts_equal_the_published_ones(name, options, side, classes, expected):
    check_count(name, options, side, classes, expected)


MAPS = {
    "mobilenet_v1_cifar": [32, 32, 32, 16, 8, 4],
    "mobilenet_v2_cifar": [32, 32, 32, 16, 8, 8, 4, 4],
    "mobilenet_v3_large_cifar": [32, 32, 32, 16, 8, 8, 4],
    "mobilenet_v3_small_cifar": [32, 32, 16, 8, 8, 4],
    "mobilenet_v4_conv_small_cifar": [32, 32, 16, 8, 4],
    "efficientnet_b0_cifar": [32, 32, 32, 16, 8, 8, 4, 4],
}
TINY = {"width": 0.1, "num_classes": 7, "dropout": 0.0}


def tiny(name):
    return models.create(name, **TINY, **({"drop_path": 0.0} if name.startswith("efficientnet") else {}))


@pytest.mark.parametrize("name", MAPS)
def test_the_cifar_forms_keep_resolution_and_have_batch_norms_of_small_images(name):
    with nn.without_weights():
        model = models.create(name)
        model.eval()(np.zeros((0, 32, 32, 3), np.float32))
    assert [part.output_shape[0] for part in (model.stem, *model.stages)] == MAPS[name]
    assert {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {(1e-5, 0.1)}


@pytest.mark.parametrize(
    "name, numbers",
    [
        ("mobilenet_v1", (1e-3, 3e-4)),
        ("mobilenet_v2", (1e-5, 0.1)),
        ("mobilenet_v3_small", (1e-3, 0.01)),
        ("efficientnet_b0", (1e-5, 0.1)),
    ],
)
def test_batch_norms_are_the_authors(name, numbers):
    norms = [m for m in models.create(name, width=0.1).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {numbers}


def test_initial_weights_are_the_authors():
    v1 = models.create("mobilenet_v1", num_classes=100)
    for weight in (v1.stages[4][1].pointwise.conv.weight.data, v1.classifier.weight.data):
        assert np.abs(weight).max() <= 0.18 and abs(weight.std() - 0.88 * 0.09) < 1e-3  # cut off at two deviations
    v3 = models.create("mobilenet_v3_large", num_classes=100)
    assert abs(v3.head.weight.data.std() - 0.01) < 1e-3 and abs(v3.classifier.weight.data.std() - 0.01) < 1e-3
    assert abs(v3.stages[5][0].se.reduce.weight.data.std() - (2 / 168) ** 0.5) < 1e-2


def test_the_classifier_of_efficientnet_and_mobilenet_v4_begins_with_the_spread_of_its_classes():
    for name in ("efficientnet_b0", "mobilenet_v4_conv_small"):
        weight = models.create(name, num_classes=100).classifier.weight.data
        assert 0.099 < np.abs(weight).max() <= 0.1


def test_squeezes_gates_and_activations_are_those_of_the_table():
    model = models.create("mobilenet_v3_large")
    blocks = [block for stage in model.stages for block in stage]
    assert [b.se.reduce.weight.shape[1] for b in blocks if b.se] == [24, 32, 32, 120, 168, 168, 240, 240]
    assert [b.depthwise.bn.relu for b in blocks] == [True] * 6 + [False] * 9
    assert [b.residual for b in blocks] == [k in (0, 2, 4, 5, 7, 8, 9, 11, 13, 14) for k in range(15)]
    assert blocks[0].expand is None and all(b.expand for b in blocks[1:])


def test_efficientnet_squeezes_to_a_quarter_of_the_blocks_input_and_drops_later_blocks_more_often():
    model = models.create("efficientnet_b0", drop_path=0.32)
    blocks = [block for stage in model.stages for block in stage]
    hidden = [b.se.reduce.weight.shape[1] for b in blocks]
    assert hidden == [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]
    assert all(isinstance(b.se.act, nn.SiLU) and isinstance(b.se.gate, nn.Sigmoid) for b in blocks)
    drops = {k: b.drop.p for k, b in enumerate(blocks) if b.drop}
    assert drops == {k: pytest.approx(0.02 * k) for k in (2, 4, 6, 7, 9, 10, 12, 13, 14)}


def test_compound_scaling_spends_twice_the_work_on_three_multipliers():
    b0, b1 = models.compound_scaling(0), models.compound_scaling(1)
    assert b0 == (1, 1, 1) and b1 == pytest.approx((1.1, 1.2, 1.15))
    assert 2**0.9 < b1.depth * b1.width**2 * b1.resolution**2 < 2
    deeper = models.create("efficientnet_b0", width=0.1, depth=b1.depth)
    assert [len(stage) for stage in deeper.stages] == [2, 3, 3, 4, 4, 5, 2]
    with pytest.raises(ValueError, match="compound_scaling: phi must be finite and >= 0, got -1"):
        models.compound_scaling(-1)


def test_small_mobilenet_v4_keeps_its_stem_and_its_features():
    half, full = (models.create("mobilenet_v4_conv_small", width=w) for w in (0.5, 1.0))
    assert [m.stem.conv.weight.shape[3] for m in (half, full)] == [32, 32]
    assert [m.head.weight.shape for m in (half, full)] == [(480, 1280), (960, 1280)]
    assert half.head.bias is None and half.bn.relu


def test_the_dense_control_has_one_convolution_for_each_unit():
    dense, separable = (models.create(name, width=0.25) for name in ("conv_mobilenet_v1", "mobilenet_v1"))
    count = lambda model: sum(isinstance(m, nn.Conv2d) for m in model.modules())  # noqa: E731
    assert (count(dense), count(separable)) == (14, 27)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.long
def test_the_gradient_of_the_whole_network(name):
    check_gradients(tiny(name), (4, 16, 16, 3))


@pytest.mark.parametrize("name", MAPS)
def test_fused_and_folded_it_is_its_layers(name):
    check_fuses(tiny(name), (4, 16, 16, 3))
    check_folds(tiny(name), (3, 16, 16, 3))
    became = nn.fold(tiny(name)).explain()
    assert not [path for path, text in became.items() if " of its own" in text or text.startswith("called")]


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.long
def test_twenty_steps_lower_the_loss(name):
    # v3 ends in two layers of small weights, and at a larger rate the last bits decide where it is after a few steps.
    slow = {"lr": 0.05, "steps": 40} if "v3" in name else {}
    check_learns(models.create(name, width=0.25, dropout=0.0), **slow)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("mobilenet_v1", {"width": 0}, "MobileNetV1: width must be finite and > 0, got 0"),
        ("mobilenet_v1", {"act": "swish"}, "ConvBNAct: act='swish' is unknown; choose from 'relu', 'relu6'"),
        ("mobilenet_v1", {"stem_stride": 0}, "Conv2d: stride=0 must be"),
        ("mobilenet_v2", {"num_classes": 0}, "MobileNetV2: num_classes=0 must be a whole number of at least 1"),
        ("mobilenet_v3_large", {"expand": "ratio"}, "expand='ratio' is unknown; choose from 'scaled width', 'ratio x"),
        ("mobilenet_v4_conv_small", {"width": 0}, "MobileNetV4: width must be finite and > 0, got 0"),
        ("efficientnet_b0", {"drop_path": 1}, "EfficientNet: drop_path must be >= 0 and < 1, got 1"),
        ("efficientnet_b0", {"depth": 0}, "EfficientNet: depth must be finite and > 0, got 0"),
        ("mobilenet_v3_small", {"width": -1}, "MobileNetV3: width must be finite and > 0, got -1"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        models.create(name, **options)
