"""Convolution: twins, gradients, and the laws that tie its special cases together."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import ops

pytestmark = pytest.mark.small
GROUPS = st.integers(1, 3)
pairs = {low: st.tuples(st.integers(low, 3), st.integers(low, 3)) for low in (0, 1)}


@st.composite
def cases(draw, groups=GROUPS):
    """A convolution that fits: H != W, KH != KW, stride > kernel, even kernels, P >= K, all of it."""
    G, (KH, KW), D = draw(groups), draw(pairs[1]), draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2)]))
    P, S = draw(pairs[0]), draw(pairs[1])
    H = draw(st.integers(max(1, D[0] * (KH - 1) + 1 - 2 * P[0]), 7))
    W = draw(st.integers(max(1, D[1] * (KW - 1) + 1 - 2 * P[1]), 8))
    N, C, OC = draw(st.integers(1, 3)), G * draw(st.integers(1, 3)), G * draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, w, b = rng.normal(size=(N, H, W, C)), rng.normal(size=(KH, KW, C // G, OC)), rng.normal(size=OC)
    return x, w, b, {"stride": S, "padding": P, "dilation": D, "groups": G}


@given(cases())
def test_conv2d_twins_agree(case):
    x, w, b, options = case
    out, cache = ops.conv2d_forward(x, w, b, **options)
    expected, reference_cache = ops.conv2d_forward_reference(x, w, b, **options)
    assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    dout = np.random.default_rng(1).normal(size=out.shape)
    for grad, reference in zip(
        ops.conv2d_backward(dout, cache), ops.conv2d_backward_reference(dout, reference_cache), strict=True
    ):
        assert_allclose(grad, reference, rtol=1e-12, atol=1e-12)


@given(cases())
def test_float32_twin_follows_float64(case):
    x, w, b, options = case
    exact, _ = ops.conv2d_forward(x, w, b, **options)
    out, _ = ops.conv2d_forward(*(a.astype(np.float32) for a in (x, w, b)), **options)
    assert out.dtype == np.float32
    assert_allclose(out, exact, rtol=1e-5, atol=1e-5 * np.sqrt(w[..., 0].size))


@pytest.mark.parametrize("stride, padding, dilation, groups", [(1, 1, 1, 1), ((2, 1), (0, 2), (1, 2), 2), (3, 1, 2, 4)])
def test_conv2d_gradients_at_every_index(rng, stride, padding, dilation, groups):
    x, w, b = rng.normal(size=(2, 6, 5, 4)), rng.normal(size=(3, 2, 4 // groups, 4)), rng.normal(size=4)
    assert_gradients(
        lambda x, w, b: ops.conv2d_forward(x, w, b, stride, padding, dilation, groups), ops.conv2d_backward, x, w, b
    )


@given(cases())
def test_backward_is_the_adjoint(case):
    x, w, b, options = case
    out, cache = ops.conv2d_forward(x, w, None, **options)
    dout = np.random.default_rng(1).normal(size=out.shape)
    dx, dw, db = ops.conv2d_backward(dout, cache)
    assert db is None
    assert_allclose((out * dout).sum(), (x * dx).sum(), rtol=1e-9, atol=1e-9)  # linear in x ...
    assert_allclose((out * dout).sum(), (w * dw).sum(), rtol=1e-9, atol=1e-9)  # ... and in w


@given(cases())
def test_convolution_is_linear(case):
    x, w, _, options = case
    y = np.random.default_rng(2).normal(size=x.shape)
    both, _ = ops.conv2d_forward(2 * x - y, w, **options)
    assert_allclose(
        both, 2 * ops.conv2d_forward(x, w, **options)[0] - ops.conv2d_forward(y, w, **options)[0], atol=1e-10
    )


@given(cases())
def test_grouped_equals_dense_with_a_block_diagonal_kernel(case):
    x, w, b, options = case
    G, (KH, KW, per_group, OC) = options["groups"], w.shape
    dense = np.zeros((KH, KW, per_group * G, OC))
    for k in range(G):
        outs = slice(k * OC // G, (k + 1) * OC // G)
        dense[:, :, k * per_group : (k + 1) * per_group, outs] = w[..., outs]
    assert_allclose(
        ops.conv2d_forward(x, w, b, **options)[0],
        ops.conv2d_forward(x, dense, b, **{**options, "groups": 1})[0],
        atol=1e-11,
    )


@given(cases())
def test_grouped_equals_convolutions_of_slices_side_by_side(case):
    x, w, b, options = case
    G, C, OC = options["groups"], x.shape[3], w.shape[3]
    slices = [(slice(k * C // G, (k + 1) * C // G), slice(k * OC // G, (k + 1) * OC // G)) for k in range(G)]
    parts = [ops.conv2d_forward(x[..., i], w[..., o], b[o], **{**options, "groups": 1})[0] for i, o in slices]
    assert_allclose(ops.conv2d_forward(x, w, b, **options)[0], np.concatenate(parts, -1), atol=1e-11)


@given(cases(groups=st.just(1)))
def test_convolution_is_im2col_and_one_product(case):
    x, w, b, options = case
    del options["groups"]
    cols = ops.im2col(x, w.shape[:2], **options)
    out, _ = ops.conv2d_forward(x, w, b, **options)
    assert_allclose(out.reshape(len(cols), -1), cols @ w.reshape(-1, w.shape[3]) + b, atol=1e-11)


@given(cases(groups=st.just(1)))
def test_im2col_twins_agree_and_col2im_is_the_adjoint(case):
    x, w, _, options = case
    del options["groups"]
    cols = ops.im2col(x, w.shape[:2], **options)
    assert_array_equal(cols, ops.im2col_reference(x, w.shape[:2], **options))
    values = np.random.default_rng(1).normal(size=cols.shape)
    back = ops.col2im(values, x.shape, w.shape[:2], **options)
    assert_allclose(back, ops.col2im_reference(values, x.shape, w.shape[:2], **options), atol=1e-12)
    assert_allclose((cols * values).sum(), (x * back).sum(), atol=1e-9)


def test_col2im_of_im2col_counts_visits():
    x = np.ones((1, 3, 3, 1))
    visits = ops.col2im(ops.im2col(x, 2), x.shape, 2)
    assert_array_equal(visits[0, :, :, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


@st.composite
def depthwise_cases(draw):
    x, w, _, options = draw(cases(groups=st.just(1)))
    del options["groups"]
    C, M = x.shape[3], draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return x, rng.normal(size=(*w.shape[:2], C, M)), rng.normal(size=C * M), options


@given(depthwise_cases())
def test_depthwise_twins_agree(case):
    x, w, b, options = case
    out, cache = ops.depthwise_forward(x, w, b, **options)
    expected, reference_cache = ops.depthwise_forward_reference(x, w, b, **options)
    assert_allclose(out, expected, atol=1e-12)
    dout = np.random.default_rng(1).normal(size=out.shape)
    for grad, reference in zip(
        ops.depthwise_backward(dout, cache), ops.depthwise_backward_reference(dout, reference_cache), strict=True
    ):
        assert_allclose(grad, reference, atol=1e-11)


@given(depthwise_cases())
def test_depthwise_is_grouped_with_one_channel_a_group(case):
    x, w, b, options = case
    KH, KW, C, M = w.shape
    grouped, _ = ops.conv2d_forward_reference(x, w.reshape(KH, KW, 1, C * M), b, **options, groups=C)
    assert_allclose(ops.depthwise_forward(x, w, b, **options)[0], grouped, atol=1e-12)


@pytest.mark.parametrize("stride, padding, dilation, M", [(1, 1, 1, 1), ((2, 3), (2, 0), (1, 2), 2)])
def test_depthwise_gradients_at_every_index(rng, stride, padding, dilation, M):
    x, w, b = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(3, 2, 3, M)), rng.normal(size=3 * M)
    assert_gradients(
        lambda x, w, b: ops.depthwise_forward(x, w, b, stride, padding, dilation), ops.depthwise_backward, x, w, b
    )


def test_depthwise_reads_a_channel_slice_in_place(rng):
    whole, w = rng.normal(size=(2, 5, 4, 7)), rng.normal(size=(3, 3, 3, 1))
    x = whole[..., 2:5]
    out, cache = ops.depthwise_forward(x, w, padding=1)
    assert cache[0] is x
    expected, reference = ops.depthwise_forward_reference(x.copy(), w, padding=1)
    assert_allclose(out, expected, atol=1e-13)
    dout = rng.normal(size=out.shape)
    assert_allclose(
        ops.depthwise_backward(dout, cache)[0], ops.depthwise_backward_reference(dout, reference)[0], atol=1e-13
    )


def test_pointwise_is_a_1x1_convolution_and_its_gradients_hold(rng):
    x, w, b = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(5, 3)), rng.normal(size=3)
    out, cache = ops.pointwise_forward(x, w, b)
    assert_allclose(out, ops.conv2d_forward_reference(x, w[None, None], b)[0], atol=1e-13)
    reference, reference_cache = ops.pointwise_forward_reference(x, w, b)
    assert_allclose(out, reference, atol=1e-13)
    dout = rng.normal(size=out.shape)
    for grad, expected in zip(
        ops.pointwise_backward(dout, cache), ops.pointwise_backward_reference(dout, reference_cache), strict=True
    ):
        assert_allclose(grad, expected, atol=1e-12)
    assert_gradients(ops.pointwise_forward, ops.pointwise_backward, x, w, b)


def test_an_unpadded_1x1_convolution_with_stride_subsamples_first(rng):
    x, w = rng.normal(size=(2, 5, 4, 3)), rng.normal(size=(1, 1, 3, 2))
    assert_allclose(ops.conv2d_forward(x, w, stride=2)[0], x[:, ::2, ::2] @ w[0, 0], atol=1e-13)


def test_pixels_that_the_stride_never_reaches_have_gradient_zero(rng):
    x, w = rng.normal(size=(1, 6, 6, 1)), rng.normal(size=(2, 2, 1, 1))
    out, cache = ops.conv2d_forward(x, w, stride=3)
    dx, _, _ = ops.conv2d_backward(rng.normal(size=out.shape), cache)
    assert_array_equal(dx[0, 2::3, :, 0], 0)
    assert_array_equal(dx[0, :, 2::3, 0], 0)


def test_more_rows_than_one_tile_and_more_images_than_one_chunk(rng):
    x, w = rng.normal(size=(37, 19, 17, 4)), rng.normal(size=(3, 3, 2, 6))
    out, cache = ops.conv2d_forward(x, w, padding=1, groups=2)
    expected, reference = ops.conv2d_forward_reference(x, w, padding=1, groups=2)
    assert_allclose(out, expected, atol=1e-11)
    dout = rng.normal(size=out.shape)
    for grad, want in zip(
        ops.conv2d_backward(dout, cache), ops.conv2d_backward_reference(dout, reference), strict=True
    ):
        assert_allclose(grad, want, atol=1e-9) if want is not None else None


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 3])
def test_an_empty_batch_keeps_its_shape(kernel, groups):
    x, w = np.zeros((0, 6, 6, 4)), np.zeros((kernel, kernel, 4 // groups, 8))
    out, cache = ops.conv2d_forward(x, w, padding=kernel // 2, groups=groups)
    assert out.shape == (0, 6, 6, 8)
    dx, dw, _ = ops.conv2d_backward(out, cache)
    assert dx.shape == x.shape
    assert_array_equal(dw, np.zeros_like(w))


BAD = [
    (
        {"x": np.zeros((1, 4, 4, 16)), "w": np.zeros((3, 3, 1, 12)), "groups": 12},
        ValueError,
        r"groups=12 must divide in_channels=16 \(16 % 12 = 4\)",
    ),
    (
        {"x": np.zeros((1, 4, 4, 12)), "w": np.zeros((3, 3, 1, 16)), "groups": 12},
        ValueError,
        r"groups=12 must divide out_channels=16 \(16 % 12 = 4\)",
    ),
    ({"groups": 0}, ValueError, "groups=0 must be at least 1"),
    ({"stride": 0}, ValueError, "stride=0 must be at least 1"),
    ({"padding": -1}, ValueError, "padding=-1 must be at least 0"),
    ({"dilation": (1, 0)}, ValueError, r"dilation=\(1, 0\) must be at least 1"),
    ({"stride": 1.5}, TypeError, "stride must be an int or a pair of ints, got 1.5"),
    ({"x": np.zeros((1, 4, 4))}, ValueError, r"x must have 4 axes \(N, H, W, C\), got shape \(1, 4, 4\)"),
    ({"w": np.zeros((3, 3, 4))}, ValueError, r"w must have 4 axes \(KH, KW, in, out\), got shape \(3, 3, 4\)"),
    ({"x": np.zeros((1, 4, 4, 5))}, ValueError, r"x has 5 channels, but w has shape \(3, 3, 2, 4\)"),
    (
        {"x": np.zeros((1, 3, 8, 8)), "w": np.zeros((3, 3, 3, 4))},
        ValueError,
        r"looks like \(N, C, H, W\): pass x.transpose\(0, 2, 3, 1\)",
    ),
    ({"x": np.zeros((1, 4, 4, 2), int)}, TypeError, r"x must be float32 or float64, got int64; convert it with x"),
    ({"x": np.zeros((1, 4, 4, 2), complex)}, TypeError, "x must be float32 or float64, got complex128"),
    ({"x": [[1.0]]}, TypeError, "x must be a NumPy array, got list"),
    ({"x": np.zeros((1, 4, 4, 2), np.float32)}, TypeError, "one dtype, got x float32, w float64"),
    ({"b": np.zeros(3)}, ValueError, r"b must have shape \(4,\), got \(3,\)"),
    ({"dilation": 2}, ValueError, r"reaches over 5x5 pixels .* more than the padded input has: 4x4"),
]


@pytest.mark.parametrize("change, error, message", BAD)
def test_bad_arguments_are_named_with_rule_and_numbers(change, error, message):
    arguments = {"x": np.zeros((1, 4, 4, 2)), "w": np.zeros((3, 3, 2, 4)), "b": None, **change}
    with pytest.raises(error, match=message):
        ops.conv2d_forward(**arguments)


def test_a_gradient_of_the_wrong_shape_is_refused():
    for groups in (1, 2):
        _, cache = ops.conv2d_forward(np.zeros((1, 4, 4, 2)), np.zeros((3, 3, 2 // groups, 2)), groups=groups)
        with pytest.raises(ValueError, match=r"dout must have shape \(1, 2, 2, 2\), got \(1, 4, 4, 2\)"):
            ops.conv2d_backward(np.zeros((1, 4, 4, 2)), cache)


def _variants(x):
    yield "Fortran order", np.asfortranarray(x)
    yield "strided", np.repeat(x, 2, axis=2)[:, :, ::2]
    yield "negative stride", x[:, ::-1].copy()[:, ::-1]
    yield "big-endian", x.astype(">f8")
    read_only = x.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    yield "subclass", x.view(type("Sub", (np.ndarray,), {}))
    yield "broadcast", np.broadcast_to(x[:1], x.shape)


@pytest.mark.parametrize("groups", [1, 4])
def test_any_layout_gives_the_same_result_and_stays_unharmed(rng, groups):
    x, w = np.tile(rng.normal(size=(1, 5, 6, 4)), (2, 1, 1, 1)), rng.normal(size=(3, 3, 4 // groups, 4))
    expected, _ = ops.conv2d_forward(x, w, padding=1, groups=groups)
    for name, variant in _variants(x):
        before = variant.copy()
        out, _ = ops.conv2d_forward(variant, w, padding=1, groups=groups)
        assert_array_equal(out, expected, err_msg=name)
        assert_array_equal(variant, before, err_msg=name)
