"""Batch normalisation: twins, gradients, statistics."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import ops

pytestmark = pytest.mark.small


def _vectors(C, seed=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=C), rng.normal(size=C), rng.normal(size=C), rng.uniform(0.5, 2, C)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 5), st.integers(1, 6)),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.booleans(),
)
def test_twins_agree(shape, seed, training, relu):
    x = np.random.default_rng(seed).normal(1, 2, size=shape)
    gamma, beta, mean, var = _vectors(shape[3])
    mean2, var2 = mean.copy(), var.copy()
    out, cache = ops.batch_norm_forward(x, gamma, beta, mean, var, training, relu=relu)
    expected, reference = ops.batch_norm_forward_reference(x, gamma, beta, mean2, var2, training, relu=relu)
    for a, b in ((out, expected), (mean, mean2), (var, var2)):
        assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    dout = np.random.default_rng(1).normal(size=shape)
    for a, b in zip(
        ops.batch_norm_backward(dout, cache), ops.batch_norm_backward_reference(dout, reference), strict=True
    ):
        assert_allclose(a, b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relu", [False, True])
def test_gradients_at_every_index(rng, training, relu):
    _, _, mean, var = _vectors(3)

    def forward(x, gamma, beta):
        return ops.batch_norm_forward(x, gamma, beta, mean.copy(), var.copy(), training, relu=relu)

    assert_gradients(
        forward, ops.batch_norm_backward, rng.normal(size=(2, 3, 3, 3)), rng.normal(size=3), rng.normal(size=3)
    )


def test_relu_in_passing_equals_relu_behind(rng):
    x, (gamma, beta, mean, var) = rng.normal(size=(4, 5, 3, 6)), _vectors(6)
    fused, fused_cache = ops.batch_norm_forward(x, gamma, beta, mean.copy(), var.copy(), True, relu=True)
    plain, cache = ops.batch_norm_forward(x, gamma, beta, mean.copy(), var.copy(), True)
    out, relu_cache = ops.relu_forward(plain)
    assert_array_equal(fused, out)
    dout = rng.normal(size=x.shape)
    behind = ops.batch_norm_backward(ops.relu_backward(dout, relu_cache), cache)
    for a, b in zip(ops.batch_norm_backward(dout, fused_cache), behind, strict=True):
        assert_allclose(a, b, atol=1e-12)


def test_output_has_mean_beta_and_deviation_gamma(rng):
    x = rng.normal(5, 3, size=(8, 9, 9, 4))
    gamma, beta, mean, var = _vectors(4)
    out, _ = ops.batch_norm_forward(x, gamma, beta, mean, var, True, eps=0)
    assert_allclose(out.mean((0, 1, 2)), beta, atol=1e-10)
    assert_allclose(out.std((0, 1, 2)), np.abs(gamma), rtol=1e-10)


def test_running_variance_is_unbiased_and_the_normaliser_biased():
    x = np.array([0.0, 1.0, 2.0]).reshape(3, 1, 1, 1)  # mean 1, biased variance 2/3, unbiased 1
    mean, var = np.zeros(1), np.zeros(1)
    out, _ = ops.batch_norm_forward(x, np.ones(1), np.zeros(1), mean, var, True, momentum=0.1, eps=0)
    assert_allclose([mean[0], var[0]], [0.1, 0.1])
    assert_allclose(out[2, 0, 0, 0], 1 / np.sqrt(2 / 3))


@pytest.mark.parametrize(
    "dtype, mean, rtol", [(np.float32, 1e4, 1e-6), (np.float64, 1e7, 1e-9), (np.float64, 1e9, 1e-7)]
)
@pytest.mark.parametrize("shape", [(16, 16, 16, 3), (70, 1, 1, 600)])
def test_a_large_mean_does_not_swamp_the_variance(rng, dtype, mean, rtol, shape):
    x, C = (mean + rng.normal(size=shape)).astype(dtype), shape[3]
    vectors, twins = ([np.full(C, v, dtype) for v in (1, 0, 0, 1)] for _ in range(2))
    out, cache = ops.batch_norm_forward(x, *vectors, True, momentum=1.0, eps=0)
    assert_allclose(vectors[3], x.astype(np.float64).var((0, 1, 2), ddof=1), rtol=rtol)
    expected, reference = ops.batch_norm_forward_reference(x, *twins, True, eps=0)
    atol = 8 * mean * np.finfo(dtype).eps  # the rounding of scale*x + shift
    assert_allclose(out, expected, atol=atol)
    dout = rng.normal(size=shape).astype(dtype)
    back = ops.batch_norm_backward(dout, cache), ops.batch_norm_backward_reference(dout, reference)
    for found, wanted in zip(*back, strict=True):
        assert_allclose(found, wanted, atol=40 * atol, rtol=1e-4)


def test_a_channel_that_never_changes_has_no_variance():
    x = np.full((3, 5, 7, 2), 1e7 / 3)
    mean, var = np.zeros(2), np.ones(2)
    out, _ = ops.batch_norm_forward(x, np.ones(2), np.full(2, 0.5), mean, var, True, momentum=1.0)
    assert_array_equal(var, 0)
    assert_allclose(out, 0.5, atol=1e-4)


@pytest.mark.parametrize("twin", [ops.batch_norm_forward, ops.batch_norm_forward_reference])
def test_with_momentum_one_the_running_statistics_are_the_batchs(twin):
    """``r + (batch - r)`` would be 0."""
    x = np.array([2, 4], np.float32).reshape(2, 1, 1, 1) * 1e-3
    mean, var = np.full(1, 1e8, np.float32), np.full(1, 1e8, np.float32)
    twin(x, np.ones(1, np.float32), np.zeros(1, np.float32), mean, var, True, momentum=1.0)
    assert_allclose([mean[0], var[0]], [3e-3, 2e-6], rtol=1e-6)


def test_reads_and_writes_channel_slices_in_place(rng):
    x, whole, dwhole = rng.normal(size=(2, 4, 3, 5)), np.full((2, 4, 3, 9), 7.0), rng.normal(size=(2, 4, 3, 9))
    gamma, beta, mean, var = _vectors(5)
    out, cache = ops.batch_norm_forward(x, gamma, beta, mean.copy(), var.copy(), True, out=whole[..., 3:8])
    plain, plain_cache = ops.batch_norm_forward(x, gamma, beta, mean.copy(), var.copy(), True)
    assert np.shares_memory(out, whole)
    assert_array_equal(whole[..., 3:8], plain)
    assert_array_equal(whole[..., [0, 1, 2, 8]], 7.0)
    sliced, copied = (
        ops.batch_norm_backward(d, c) for d, c in ((dwhole[..., 3:8], cache), (dwhole[..., 3:8].copy(), plain_cache))
    )
    for a, b in zip(sliced, copied, strict=True):
        assert_allclose(a, b, atol=1e-12)


def _unwritable():
    yield np.zeros((2, 4, 3, 5), order="F"), ValueError, "contiguous, or a channel slice"
    yield np.zeros((2, 8, 3, 5))[:, ::2], ValueError, "contiguous, or a channel slice"
    yield np.zeros((2, 4, 3, 5), np.float32), TypeError, "out must be a float64 array like its input, got float32"
    yield np.zeros((2, 4, 3, 6)), ValueError, r"out must have shape \(2, 4, 3, 5\), got \(2, 4, 3, 6\)"
    locked = np.zeros((2, 4, 3, 5))
    locked.flags.writeable = False
    yield locked, ValueError, "out must be writable"


@pytest.mark.parametrize("out, error, message", list(_unwritable()))
def test_an_out_that_cannot_be_written_in_place_is_refused(rng, out, error, message):
    x, before = rng.normal(size=(2, 4, 3, 5)), out.copy()
    with pytest.raises(error, match=message):
        ops.batch_norm_forward(x, *_vectors(5), True, out=out)
    with pytest.raises(error, match=message):
        ops.add_forward(x, x, out=out)
    assert_array_equal(out, before)


def test_nan_passes_through_the_relu():
    x = np.full((2, 1, 1, 1), np.nan)
    out, _ = ops.batch_norm_forward(x, np.ones(1), np.zeros(1), np.zeros(1), np.ones(1), False, relu=True)
    assert np.isnan(out).all()


def test_one_value_per_channel_cannot_be_normalised():
    with pytest.raises(ValueError, match=r"more than one value per channel, got x of shape \(1, 1, 1, 2\)"):
        ops.batch_norm_forward(np.zeros((1, 1, 1, 2)), *(np.zeros(2) for _ in range(4)), True)


@pytest.mark.parametrize("eps", [-1e-5, np.nan])
def test_a_negative_eps_is_refused(eps):
    with pytest.raises(ValueError, match=f"batch_norm: eps must be >= 0, got {eps}"):
        ops.batch_norm_forward(np.zeros((2, 1, 1, 2)), *(np.zeros(2) for _ in range(4)), True, eps=eps)


def test_vectors_must_have_one_number_per_channel():
    with pytest.raises(ValueError, match=r"gamma must have shape \(3,\), got \(2,\)"):
        ops.batch_norm_forward(np.zeros((2, 2, 2, 3)), np.zeros(2), *(np.zeros(3) for _ in range(3)), True)


def test_an_empty_batch_leaves_the_statistics_alone():
    mean, var = np.zeros(3), np.ones(3)
    out, cache = ops.batch_norm_forward(np.zeros((0, 2, 2, 3)), np.ones(3), np.zeros(3), mean, var, True)
    assert out.shape == (0, 2, 2, 3)
    assert_array_equal([mean, var], [np.zeros(3), np.ones(3)])
    assert ops.batch_norm_backward(out, cache)[0].shape == (0, 2, 2, 3)
