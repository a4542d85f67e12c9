"""RepVGG and MobileOne: published counts in both forms, merging, and the laws of all networks."""

import numpy as np
import pytest
from folds import nodes_of, perturbed
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns
from numpy.testing import assert_allclose

from minighost import models, nn
from minighost.nn.fold_nodes import Convolution, GlobalMean

COUNTS = [
    # network, variant, form, parameters and MACs
    ("mobileone", "s0", "training", (5_293_272, 1_051_935_232)),
    ("mobileone", "s0", "fused", (2_078_504, 275_110_400)),
    ("mobileone", "s1", "training", (4_825_192, 830_062_080)),
    ("mobileone", "s1", "fused", (4_764_840, 825_057_024)),
    ("mobileone", "s2", "training", (7_884_648, 1_304_027_392)),
    ("mobileone", "s2", "fused", (7_808_168, 1_298_426_496)),
    ("mobileone", "s3", "training", (10_170_600, 1_902_112_768)),
    ("mobileone", "s3", "fused", (10_078_312, 1_895_790_592)),
    ("mobileone", "s4", "training", (14_951_248, 2_986_802_432)),
    ("mobileone", "s4", "fused", (14_838_352, 2_979_269_760)),
    ("repvgg", "A0", "training", (9_108_968, 1_512_581_120)),
    ("repvgg", "A0", "fused", (8_309_384, 1_361_451_008)),
    ("repvgg", "A1", "training", (14_092_264, 2_626_488_320)),
    ("repvgg", "A1", "fused", (12_789_864, 2_363_967_488)),
    ("repvgg", "A2", "training", (28_210_600, 5_685_345_280)),
    ("repvgg", "A2", "fused", (25_499_944, 5_116_951_552)),
    ("repvgg", "B0", "training", (15_817_960, 3_397_191_680)),
    ("repvgg", "B0", "fused", (14_339_048, 3_057_600_512)),
]


@pytest.mark.parametrize("name, variant, form, expected", COUNTS)
def test_published_counts(name, variant, form, expected):
    check_count(name, {"variant": variant, "form": form}, 224, 1000, expected)


NAMES = {"repvgg_cifar": "A0", "mobileone_cifar": "s4"}  # s4 has squeeze-and-excitation


def tiny(name, form="training", **options):
    return models.create(name, width=0.05, num_classes=5, form=form, **options)


@pytest.mark.parametrize("name", NAMES)
def test_the_cifar_forms_keep_resolution(name):
    with nn.without_weights():
        model = models.create(name, form="fused", width=0.1)
    model.eval()(np.zeros((0, 32, 32, 3), np.float32))
    assert [m.output_shape[0] for m in (model.stem, *model.stages)] == [32, 32, 16, 8, 4]


@pytest.mark.parametrize("name, variant", NAMES.items())
def test_merged_it_computes_the_same_and_fits_the_fused_form(rng, name, variant):
    model, x = perturbed(tiny(name, variant=variant)).eval(), rng.normal(size=(2, 8, 8, 3))
    merged = nn.merge_branches(model)
    assert not any(isinstance(m, nn.ConvBranches) for m in merged.modules())
    fused = tiny(name, "fused", variant=variant, rng=1).astype(np.float64).eval()
    fused.load_state_dict(merged.state_dict())
    with nn.fusing(False):
        expected = model(x)
        for other in (merged, fused):
            assert_allclose(other(x), expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", NAMES)
def test_a_fold_merges_every_unit(name):
    model = perturbed(tiny(name))
    units = sum(isinstance(m, nn.ConvBranches) for m in model.modules())
    kinds = [type(node) for node in nodes_of(nn.fold(model))]
    assert kinds == [Convolution] * units + [GlobalMean, Convolution]


@pytest.mark.parametrize("name, variant", NAMES.items())
@pytest.mark.long
def test_gradients(name, variant):
    check_gradients(tiny(name, variant=variant), (4, 16, 16, 3))  # smaller planes are too steep


@pytest.mark.parametrize("name", NAMES)
def test_a_fused_step_is_a_step_layer_by_layer(name):
    check_fuses(tiny(name), (3, 8, 8, 3))


@pytest.mark.parametrize("form", ["training", "fused"])
@pytest.mark.parametrize("name, variant", NAMES.items())
def test_they_fold(name, variant, form):
    check_folds(tiny(name, form, variant=variant), (3, 9, 8, 3))


@pytest.mark.long
def test_they_learn():
    check_learns(models.create("repvgg_cifar", width=0.1))
    check_learns(models.create("mobileone_cifar", variant="s1", width=0.25), images=10, every=1)


@pytest.mark.parametrize("name", ["repvgg", "mobileone"])
@pytest.mark.parametrize(
    "options, message",
    [
        ({"variant": "Z9"}, "variant='Z9' is unknown; choose from '[As]0'"),
        ({"form": "both"}, "form='both' is unknown; choose from 'training', 'fused'"),
        ({"width": 0.01}, "width=0.01 leaves the stem 0 channels; take at least 1/48"),
        ({"strides": (2, 2)}, r"strides=\(2, 2\) must be 5 numbers, of the stem and of four stages"),
        ({"num_classes": 0}, "num_classes=0 must be a whole number of at least 1"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=f"^(RepVGG|MobileOne): {message}"):
        models.create(name, **options)
