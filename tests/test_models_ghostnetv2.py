"""GhostNetV2 and GhostNetV3: published counts, where the attention is, merging, and the laws of all networks."""

import numpy as np
import pytest
from folds import perturbed
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns
from numpy.testing import assert_allclose

from minighost import models, nn

COUNTS = [
    # network, options, classes, parameters and MACs
    ("ghostnetv2", {"width": 0.5}, 1000, (2_857_836, 49_640_656)),
    ("ghostnetv2", {"width": 0.5}, 10, (1_589_646, 48_373_456)),
    ("ghostnetv3", {"width": 0.5, "form": "training"}, 1000, (3_395_384, 117_528_000)),
    ("ghostnetv3", {"width": 0.5, "form": "fused"}, 1000, (2_853_176, 49_640_656)),
    ("ghostnetv3", {"width": 0.5, "form": "training"}, 10, (2_127_194, 116_260_800)),
    ("ghostnetv3", {"width": 0.5, "form": "fused"}, 10, (1_584_986, 48_373_456)),
    ("ghostnetv2", {"width": 1.0}, 1000, (6_156_908, 167_048_288)),
    ("ghostnetv2", {"width": 1.0}, 10, (4_888_718, 165_781_088)),
    ("ghostnetv3", {"width": 1.0, "form": "training"}, 1000, (8_129_028, 404_128_320)),
    ("ghostnetv3", {"width": 1.0, "form": "fused"}, 1000, (6_147_588, 167_048_288)),
    ("ghostnetv3", {"width": 1.0, "form": "training"}, 10, (6_860_838, 402_861_120)),
    ("ghostnetv3", {"width": 1.0, "form": "fused"}, 10, (4_879_398, 165_781_088)),
    ("ghostnetv2", {"width": 1.3}, 1000, (8_960_404, 269_322_976)),
    ("ghostnetv2", {"width": 1.3}, 10, (7_692_214, 268_055_776)),
    ("ghostnetv3", {"width": 1.3, "form": "training"}, 1000, (12_217_720, 654_842_824)),
    ("ghostnetv3", {"width": 1.3, "form": "fused"}, 1000, (8_948_296, 269_322_976)),
    ("ghostnetv3", {"width": 1.3, "form": "training"}, 10, (10_949_530, 653_575_624)),
    ("ghostnetv3", {"width": 1.3, "form": "fused"}, 10, (7_680_106, 268_055_776)),
    ("ghostnetv2", {"width": 1.6}, 1000, (12_392_698, 398_607_224)),
    ("ghostnetv2", {"width": 1.6}, 10, (11_124_508, 397_340_024)),
    ("ghostnetv3", {"width": 1.6, "form": "training"}, 1000, (17_275_700, 971_574_612)),
    ("ghostnetv3", {"width": 1.6, "form": "fused"}, 1000, (12_377_778, 398_607_224)),
    ("ghostnetv3", {"width": 1.6, "form": "training"}, 10, (16_007_510, 970_307_412)),
    ("ghostnetv3", {"width": 1.6, "form": "fused"}, 10, (11_109_588, 397_340_024)),
]


@pytest.mark.parametrize("name, options, classes, expected", COUNTS)
def test_published_counts(name, options, classes, expected):
    check_count(name, options, 224, classes, expected)


def tiny(name="ghostnetv2_cifar", **options):
    return models.create(name, width=0.05, num_classes=5, dropout=0.0, **options)


def test_attention_is_in_the_first_ghost_module_of_all_bottlenecks_but_two():
    blocks = [block for stage in tiny().stages for block in stage]
    assert [type(block.ghost1) is nn.AttentiveGhostModule for block in blocks] == [False] * 2 + [True] * 14
    assert all(type(block.ghost2) is nn.GhostModule for block in blocks)


@pytest.mark.parametrize("name", ["ghostnetv2_cifar", "ghostnetv3_cifar"])
def test_the_cifar_forms_keep_resolution(name):
    model = tiny(name)
    model.eval()(np.zeros((0, 32, 32, 3), np.float32))
    assert [m.output_shape[0] for m in (model.stem, *model.stages)] == [32, 32, 32, 32, 16, 16, 8, 8, 4, 4]


def test_merged_it_computes_the_same_and_fits_the_fused_form(rng):
    model, x = perturbed(tiny("ghostnetv3_cifar")).eval(), rng.normal(size=(2, 16, 16, 3))
    merged = nn.merge_branches(model)
    fused = tiny("ghostnetv3_cifar", form="fused", rng=1).astype(np.float64).eval()
    fused.load_state_dict(merged.state_dict())
    with nn.fusing(False):
        expected = model(x)
        for other in (merged, fused):
            assert_allclose(other(x), expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


@pytest.mark.long
def test_gradients_of_version_2():
    check_gradients(tiny(), (4, 16, 16, 3))


@pytest.mark.long
def test_gradients_of_version_3():
    check_gradients(tiny("ghostnetv3_cifar"), (4, 16, 16, 3))


def test_a_fused_step_is_a_step_layer_by_layer():
    check_fuses(tiny("ghostnetv3_cifar"), (3, 16, 16, 3))


@pytest.mark.parametrize(
    "name, options", [("ghostnetv2_cifar", {})] + [("ghostnetv3_cifar", {"form": f}) for f in ("training", "fused")]
)
def test_they_fold(name, options):
    check_folds(tiny(name, **options), (3, 17, 16, 3))


@pytest.mark.long
def test_they_learn():
    check_learns(models.create("ghostnetv2_cifar", width=0.2))
    check_learns(models.create("ghostnetv3_cifar", width=0.2))


def test_a_plane_without_two_pixels_is_refused_by_the_layer_that_needs_them():
    with pytest.raises(ValueError, match=r"^stages\..*attention\.pool: avg_pool"):
        models.create("ghostnetv2", width=0.1)(np.zeros((2, 32, 32, 3), np.float32))


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("ghostnetv2", {"width": 0}, "GhostNetV2: width must be finite and > 0, got 0"),
        ("ghostnetv3", {"form": "merged"}, "GhostNetV3: form='merged' is unknown; choose from 'training', 'fused'"),
        ("ghostnetv3", {"stage_strides": (1,)}, r"GhostNetV3: stage_strides=\(1,\) must have 9 numbers"),
        ("ghostnetv2", {"num_classes": 0}, "GhostNetV2: num_classes=0 must be a whole number of at least 1"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, **options)
