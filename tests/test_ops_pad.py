"""Padding side by side: twins, gradients, and convolutions and poolings that pad as TensorFlow's do."""

import numpy as np
import pytest
from folds import assert_folds, perturbed
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn, ops

pytestmark = pytest.mark.small

SIDES = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2)


@given(SIDES, st.sampled_from(["zero", "edge"]), st.tuples(*[st.integers(1, 3)] * 4))
def test_twins_agree(padding, mode, shape):
    rng = np.random.default_rng(sum(shape))
    x = rng.normal(size=shape)
    out, cache = ops.pad_forward(x, padding, mode)
    assert_array_equal(out, ops.pad_forward_reference(x, padding, mode)[0])
    dout = rng.normal(size=out.shape)
    assert_allclose(ops.pad_backward(dout, cache), ops.pad_backward_reference(dout, cache), atol=1e-14)


@pytest.mark.parametrize("mode", ["zero", "edge"])
def test_gradients_at_every_index(rng, mode):
    forward = lambda x: ops.pad_forward(x, ((2, 1), (0, 3)), mode)  # noqa: E731
    assert_gradients(forward, ops.pad_backward, rng.normal(size=(2, 2, 3, 2)))


def test_a_plane_without_pixels_has_no_edge():
    assert_array_equal(ops.pad_forward(np.ones((1, 0, 2, 1)), 1)[0], np.zeros((1, 2, 4, 1)))
    with pytest.raises(ValueError, match="pad: a plane of 0x2 pixels has no edge to repeat; pad with zeros"):
        ops.pad_forward(np.ones((1, 0, 2, 1)), 1, "edge")


@pytest.mark.parametrize(
    "size, kernel, stride, dilation, before, after",
    [
        (224, 3, 2, 1, 0, 1),
        (7, 3, 2, 1, 1, 1),
        (224, 7, 2, 1, 2, 3),
        (6, 3, 1, 1, 1, 1),
        (6, 4, 1, 1, 1, 2),
        (6, 2, 3, 1, 0, 0),
        (8, 3, 2, 2, 1, 2),
        (5, 1, 2, 1, 0, 0),
    ],
)
def test_same_pads_as_tensorflow_does(size, kernel, stride, dilation, before, after):
    """The output has ceil(size / stride) pixels, and each sees what it sees in a plane that was padded by hand."""
    conv = nn.Conv2d(1, 1, kernel, stride, "same", dilation, rng=0).astype(np.float64)
    by_hand = nn.Conv2d(1, 1, kernel, stride, 0, dilation, rng=0).astype(np.float64)
    x = np.random.default_rng(0).normal(size=(1, size, size, 1))
    out = conv(x)
    assert out.shape[1] == -(-size // stride)
    assert_allclose(out, by_hand(np.pad(x, [(0, 0), (before, after), (before, after), (0, 0)])), atol=1e-14)


CHAINS = {
    "same": lambda **o: [nn.ConvBNAct(3, 4, 3, 2, "same", **o), nn.ConvBNAct(4, 4, 4, 1, "same", groups=4, **o)],
    "side by side": lambda **o: [nn.ConvBNAct(3, 4, 1, **o), nn.ConvBNAct(4, 5, 3, 2, ((0, 1), (2, 0)), **o)],
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_of_padded_convolutions_fuse_and_fold_and_their_gradients_hold(rng, name):
    x, answers = rng.normal(size=(2, 6, 7, 3)), []
    for on in (True, False):
        chain = perturbed(nn.Sequential(*CHAINS[name](rng=0), nn.GlobalAvgPool(), nn.Flatten())).train()
        with nn.fusing(on):
            out = chain(x)
            dx = chain.backward(np.random.default_rng(2).normal(size=out.shape))
        answers.append([out, dx, *(p.grad for p in chain.parameters())])
    for fused, layer_by_layer in zip(*answers, strict=True):
        assert_allclose(fused, layer_by_layer, rtol=1e-9, atol=1e-11)
    assert_folds(chain, x)


def test_what_reaches_a_padded_convolution_another_way_is_added(rng):
    conv, x = nn.Conv2d(3, 4, 3, 2, "same", rng=0).astype(np.float64), rng.normal(size=(2, 4, 4, 3))
    dout, onto = rng.normal(size=conv(x).shape), rng.normal(size=x.shape)
    dx = conv.backward(dout, onto=onto)
    conv(x)
    assert_allclose(dx, conv.backward(dout) + onto, atol=1e-14)
    conv.skip_input_gradient()(x)
    assert conv.backward(dout) is None


def test_a_symmetric_padding_is_a_pair_however_it_is_written():
    assert nn.Conv2d(1, 1, 3, padding=((1, 1), (2, 2))).padding == (1, 2)
    assert nn.Conv2d(1, 1, 3, padding=[1, 2]).padding == (1, 2)
    assert nn.Conv2d(1, 1, 3, padding=((0, 1), (2, 2))).padding == ((0, 1), (2, 2))
