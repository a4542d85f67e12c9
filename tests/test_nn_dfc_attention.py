"""A plane of gates, and the attention that makes one."""

import numpy as np
import pytest
from folds import assert_folds, nodes_of, perturbed
from gradients import assert_gradients, assert_module_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn, ops
from minighost.nn import functional
from minighost.nn.fold_nodes import Plain

pytestmark = pytest.mark.small
SIDE = st.integers(1, 5)


@given(st.tuples(st.integers(0, 2), SIDE, SIDE, SIDE), SIDE, SIDE)
def test_twins_agree_and_equal_resize_and_product(shape, GH, GW):
    rng = np.random.default_rng(0)
    x, gate, dout = (rng.normal(size=s) for s in (shape, (shape[0], GH, GW, shape[3]), shape))
    out, cache = ops.scale_map_forward(x, gate)
    expected, kept = ops.scale_map_forward_reference(x, gate)
    assert_array_equal(out, expected)
    assert_array_equal(out, x * ops.resize_nearest_forward(gate, shape[1:3])[0])
    grads = zip(ops.scale_map_backward(dout, cache), ops.scale_map_backward_reference(dout, kept), strict=True)
    for mine, its in grads:
        assert_allclose(mine, its, atol=1e-13)


def test_gradients_hold(rng):
    for plane in ((2, 2), (5, 1), (1, 7)):
        x, gate = rng.normal(size=(2, 5, 3, 2)), rng.normal(size=(2, *plane, 2))
        assert_gradients(ops.scale_map_forward, ops.scale_map_backward, x, gate)


def test_a_plane_of_one_gate_is_scale(rng):
    x, gate = rng.normal(size=(2, 5, 3, 4)), rng.normal(size=(2, 4))
    assert_array_equal(ops.scale_map_forward(x, gate[:, None, None])[0], ops.scale_forward(x, gate)[0])


def test_gates_that_do_not_fit_are_refused():
    x = np.zeros((2, 4, 4, 3))
    with pytest.raises(ValueError, match=r"scale_map: gate must have shape \(2, 2, 2, 3\), got \(2, 2, 2, 4\)"):
        ops.scale_map_forward(x, np.zeros((2, 2, 2, 4)))
    with pytest.raises(ValueError, match="at least one pixel to copy, got a plane of 0x2"):
        ops.scale_map_forward(x, np.zeros((2, 0, 2, 3)))


class Attended(nn.Module):
    """A convolution that is multiplied by the attention of its input."""

    def __init__(self, rng=0):
        self.conv, self.attention = nn.ConvBNAct(3, 4, 3, rng=rng), nn.DFCAttention(3, 4, rng=rng)

    def forward(self, x):
        out, self._cache = functional.scale_map_forward(self.conv(x), self.attention(x))
        return out

    def backward(self, dout):
        dy, dgates = functional.scale_map_backward(dout, self._take_cache(dout))
        return functional.add(self.conv.backward(dy), self.attention.backward(dgates))


def test_it_is_the_chain_of_the_paper(rng):
    attention, x = perturbed(nn.DFCAttention(3, 4, rng=0)).eval(), rng.normal(size=(2, 7, 6, 3))
    y = ops.avg_pool_forward(x, 2)[0]
    for unit, padding in ((attention.reduce, 0), (attention.horizontal, (0, 2)), (attention.vertical, (2, 0))):
        w = unit.conv.weight.data
        y = ops.conv2d_forward(y, w, None, 1, padding, 1, 4 if w.shape[2] == 1 else 1)[0]
        y = unit.bn(y)
    with nn.fusing(False):
        out = attention(x)
    assert out.shape == (2, 3, 3, 4)
    assert_allclose(out, 1 / (1 + np.exp(-y)), atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_attention_has_the_gradient_of_both_paths(rng, training):
    assert_module_gradients(perturbed(Attended()).train(training), rng.normal(size=(2, 5, 4, 3)))


def test_attention_folds_into_the_machine(rng):
    for plane in ((5, 4), (2, 9)):
        f = assert_folds(perturbed(Attended()), rng.normal(size=(3, *plane, 3)))
        assert not any(isinstance(node, Plain) for node in nodes_of(f))


def test_a_plane_of_one_pixel_is_refused_with_the_layers_name():
    with pytest.raises(ValueError, match=r"attention\.pool: .*1x1"):
        Attended()(np.zeros((2, 1, 1, 3), np.float32))
    with pytest.raises(ValueError, match="DFCAttention: kernel_size=4 must be odd"):
        nn.DFCAttention(3, 4, 4)
