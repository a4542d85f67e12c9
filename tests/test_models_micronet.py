"""MicroNet: every published count, and the laws of its two new pieces."""

import numpy as np
import pytest
from folds import assert_folds, nodes_of, perturbed
from gradients import assert_gradients, assert_module_gradients
from hypothesis import given
from hypothesis import strategies as st
from networks import check_count, check_folds, check_fuses, check_gradients, check_learns
from numpy.testing import assert_allclose, assert_array_equal

from minighost import models, nn, ops
from minighost.nn.fold_nodes import Plain

COUNTS = [  # variant, classes, parameters, multiply-adds of convolutions and linear layers
    ("M0", 1000, 1_019_590, 3_448_880),
    ("M0", 10, 383_020, 2_815_280),
    ("M1", 1000, 1_777_587, 5_314_080),
    ("M1", 10, 824_217, 4_363_680),
    ("M2", 1000, 2_393_876, 10_338_128),
    ("M2", 10, 1_377_146, 9_324_368),
    ("M3", 1000, 2_622_960, 18_236_000),
    ("M3", 10, 1_606_230, 17_222_240),
]


@pytest.mark.parametrize("variant, classes, params, macs", COUNTS)
def test_the_published_counts(variant, classes, params, macs):
    check_count("micronet", {"variant": variant}, 224, classes, (params, macs))


def _narrow(variant="M0"):
    return models.create("micronet_cifar", variant=variant, width=0.25, num_classes=5, dropout=0, rng=0)


@pytest.mark.parametrize("variant", ["M0", "M3"])
def test_fused_layer_by_layer_and_folded_are_the_same(variant):
    check_fuses(_narrow(variant), (3, 8, 8, 3))
    check_folds(_narrow(variant), (3, 8, 8, 3))


@pytest.mark.long
def test_gradients_of_the_whole_network_hold():
    check_gradients(perturbed(_narrow()), (4, 8, 8, 3))


@pytest.mark.long
def test_it_learns():
    check_learns(models.create("micronet_cifar", dropout=0, rng=0), lr=0.1)


def test_a_cifar_form_keeps_resolution(rng):
    model = models.create("micronet_cifar", variant="M2", rng=0)
    model.eval()
    with nn.fusing(False):
        model(rng.normal(size=(1, 32, 32, 3)).astype(np.float32))
    assert [block.output_shape[0] for block in model.blocks] == [32, 16, 16, 8, 8, 8, 4, 4, 4]


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="MicroNet: variant='M4' is unknown; choose from 'M0', 'M1', 'M2', 'M3'"):
        models.create("micronet", variant="M4")


# Its pieces ----------------------------------------------------------------------------------------------------


SIDE = st.integers(1, 3)


@pytest.mark.small
@given(st.tuples(st.integers(0, 2), SIDE, SIDE), SIDE, SIDE, st.integers(1, 3))
def test_twins_of_shift_max_agree(plane, per_group, groups, terms):
    rng, C = np.random.default_rng(0), per_group * groups
    x, dout, a = (rng.normal(size=shape) for shape in ((*plane, C), (*plane, C), (plane[0], terms, 2, C)))
    a[:, -1] = a[:, 0] if plane[1] == 2 else a[:, -1]  # equal terms
    out, cache = ops.shift_max_forward(x, a, groups)
    expected, kept = ops.shift_max_forward_reference(x, a, groups)
    assert_allclose(out, expected, atol=1e-14)
    grads = zip(ops.shift_max_backward(dout, cache), ops.shift_max_backward_reference(dout, kept), strict=True)
    for mine, its in grads:
        assert_allclose(mine, its, atol=1e-13)


@pytest.mark.small
def test_gradients_of_shift_max_hold(rng):
    x, a = rng.normal(size=(2, 3, 2, 6)), rng.normal(size=(2, 2, 2, 6))
    assert_gradients(lambda x, a: ops.shift_max_forward(x, a, 3), ops.shift_max_backward, x, a)


@pytest.mark.small
def test_channels_meet_those_of_the_next_group():
    x = np.arange(6.0).reshape(1, 1, 1, 6)
    a = np.zeros((1, 1, 2, 6))
    a[:, :, 1] = 1  # out = next(x)
    assert ops.shift_max_forward(x, a, 2)[0].ravel().tolist() == [4, 5, 3, 1, 2, 0]


@pytest.mark.small
def test_with_coefficients_one_and_zero_it_is_relu(rng):
    """max(1*x, 0*x): the activations that it generalises are special cases."""
    x, a = rng.normal(size=(2, 3, 2, 4)), np.zeros((2, 2, 2, 4))
    a[:, 0, 0] = 1
    assert_array_equal(ops.shift_max_forward(x, a, 2)[0], ops.relu_forward(x)[0])


@pytest.mark.small
def test_a_nan_passes_through():
    x, a = np.array([np.nan, 1.0]).reshape(1, 1, 1, 2), np.ones((1, 2, 2, 2))
    for twin in (ops.shift_max_forward, ops.shift_max_forward_reference):
        assert np.isnan(twin(x, a, 1)[0]).all()


@pytest.mark.small
@pytest.mark.parametrize("groups, terms", [(0, 1), (4, 1), (2, 0)])
def test_what_does_not_fit_shift_max_is_refused(groups, terms):
    with pytest.raises(ValueError, match="groups=.* must divide" if terms else "coefficients must have shape"):
        ops.shift_max_forward(np.zeros((1, 1, 1, 6)), np.zeros((1, terms, 2, 6)), groups)


PIECES = {
    "shift-max": lambda: nn.DynamicShiftMax(6, 3, 4, rng=0),
    "mixture": lambda: nn.DynamicShiftMax(6, 2, 4, ((1.0, 0.0),), rng=0),
    "depthwise": lambda: nn.MicroDepthwise(6, 3, 2, 2, 2, rng=0),
    "block": lambda: nn.MicroBlock(6, nn.MicroRow(1, 6, 3, (2, 1), (3, 3), (2, 2), (0, 2, 1), 1), rng=0),
}


@pytest.mark.small
@pytest.mark.parametrize("name", PIECES)
def test_gradients_of_pieces_hold_and_they_fold(rng, name):
    def build():
        return perturbed(nn.Sequential(nn.ConvBNAct(2, 6, 1, act=None, rng=0), PIECES[name]()))

    x = rng.normal(size=(2, 3, 2, 2))
    assert_module_gradients(build(), x)
    f = assert_folds(build(), x)
    assert not any(isinstance(node, Plain) for node in nodes_of(f))


@pytest.mark.small
def test_a_micro_factorised_depthwise_convolution_is_one_of_rank_one(rng):
    layer, x = nn.MicroDepthwise(3, 3, rng=0).astype(np.float64), rng.normal(size=(2, 5, 4, 3))
    w = layer.column.conv.weight.data[:, :, 0] * layer.row.conv.weight.data[:, :, 0]
    out = ops.depthwise_forward(x, w[..., None], padding=1)[0]
    assert_allclose(layer.row.conv(layer.column.conv(x)), out, atol=1e-13)


@pytest.mark.parametrize("eighth, hidden", [(1, 4), (4, 4), (5, 8), (6, 8), (9, 12), (13, 12)])
def test_the_bottleneck_of_shift_max_never_loses_more_than_a_tenth(eighth, hidden):
    """5 of 40 channels become 8, not 4: the rule by which the authors round."""
    row = nn.MicroRow(1, 0, 3, (1, eighth), (4, 4), (0, 0), (2, 2, 1), 1)
    assert nn.MicroBlock(8, row, rng=0).layers[1].reduce.weight.shape == (8 * eighth, hidden)
