"""Transposed convolution: twins, three constructions, and what it is the adjoint of."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from views import few

from minighost import ops

pytestmark = pytest.mark.small
METHODS = ["depth_to_space", "scatter", "zero_insertion", None]


@st.composite
def cases(draw):
    """Stride > kernel, kernel > stride, padding that cuts whole blocks off, output_padding beyond a stride."""
    pairs = {
        k: st.tuples(st.integers(low, high), st.integers(low, high))
        for k, low, high in (("K", 1, 4), ("S", 1, 3), ("P", 0, 3), ("D", 1, 3))
    }
    (K, S, P), D = (draw(pairs[k]) for k in "KSP"), draw(st.just((1, 1)) | pairs["D"])
    op = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(S, D, strict=True))
    least = [(2 * p - d * (k - 1) - o) // s + 1 for k, s, p, d, o in zip(K, S, P, D, op, strict=True)]
    H, W = (draw(st.integers(max(1, n), max(1, n) + 3)) for n in least)
    H, W = (
        n + 1 if (n - 1) * s - 2 * p + d * (k - 1) + 1 + o < 1 else n
        for n, k, s, p, d, o in zip((H, W), K, S, P, D, op, strict=True)
    )
    G = draw(st.integers(1, 3))
    N, C, OC = draw(st.integers(1, 2)), G * draw(st.integers(1, 2)), G * draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, w, b = rng.normal(size=(N, H, W, C)), rng.normal(size=(*K, OC // G, C)), rng.normal(size=OC)
    return x, w, b, {"stride": S, "padding": P, "output_padding": op, "dilation": D, "groups": G}


@given(cases())
def test_three_constructions_are_equal_and_so_are_the_twins(case):
    x, w, b, options = case
    expected, reference = ops.conv_transpose2d_forward_reference(x, w, b, **options)
    dout = np.random.default_rng(1).normal(size=expected.shape)
    for method in METHODS:
        out, cache = ops.conv_transpose2d_forward(x, w, b, **options, method=method)
        assert_allclose(out, expected, atol=1e-12, strict=True, err_msg=str(method))
    back = ops.conv_transpose2d_backward(dout, cache), ops.conv_transpose2d_backward_reference(dout, reference)
    for found, wanted, name in zip(*back, ("dx", "dw", "db"), strict=True):
        assert_allclose(found, wanted, atol=1e-11, strict=True, err_msg=name)


@given(cases())
def test_taps_that_were_sorted_once_serve_every_plane(case):
    x, w, b, options = case
    taps = ops.regroup_taps(w, **options)
    for image in (x, np.concatenate([x, x[:, ::-1]], axis=1)):
        expected, _ = ops.conv_transpose2d_forward(image, w, b, **options)
        assert_allclose(ops.conv_transpose2d_regrouped(image, taps, b), expected, atol=1e-12)


@few
@given(cases())
def test_it_is_the_adjoint_of_the_convolution_with_the_same_weights(case):
    x, w, _, options = case
    out, _ = ops.conv_transpose2d_forward(x, w, **options)
    del options["output_padding"]
    y = np.random.default_rng(1).normal(size=out.shape)
    convolved, _ = ops.conv2d_forward(y, w, **options)
    windows = convolved[:, : x.shape[1], : x.shape[2]]  # output_padding beyond a stride makes room for more of them
    assert_allclose((windows * x).sum(), (y * out).sum(), rtol=1e-9, atol=1e-9)


@few
@given(cases())
def test_float32_follows_float64(case):
    x, w, b, options = case
    exact, _ = ops.conv_transpose2d_forward(x, w, b, **options)
    for method in METHODS:
        out, cache = ops.conv_transpose2d_forward(*(a.astype(np.float32) for a in (x, w, b)), **options, method=method)
        assert out.dtype == np.float32
        assert_allclose(out, exact, rtol=1e-4, atol=1e-4)
    assert all(grad.dtype == np.float32 for grad in ops.conv_transpose2d_backward(out, cache))


@pytest.mark.parametrize("method", METHODS)
def test_gradients_at_every_index(rng, method):
    x, w, b = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(3, 2, 2, 4)), rng.normal(size=4)
    for options in [(2, 1, 1, 1), ((3, 1), (0, 1), (1, 0), (1, 2)), (1, 0, (1, 0), (3, 1))]:
        assert_gradients(
            lambda x, w, b, o=options: ops.conv_transpose2d_forward(x, w, b, *o, 2, method),
            ops.conv_transpose2d_backward,
            x,
            w,
            b,
        )


def test_sorted_taps_are_zero_only_where_the_stride_does_not_divide_the_kernel(rng):
    for K, S, taps in [(2, 2, 1), (4, 2, 2), (3, 2, 2), (5, 3, 2), (16, 8, 2), (1, 3, 1)]:
        w = ops.regroup_taps(rng.normal(size=(K, K, 3, 2)), S).w
        assert w.shape == (taps, taps, 2, S * S * 3)
        assert np.count_nonzero(w) == K * K * 6


def test_one_pixel_prints_the_kernel(rng):
    w = rng.normal(size=(3, 4, 2, 1))
    for method in METHODS:
        out, _ = ops.conv_transpose2d_forward(np.ones((1, 1, 1, 1)), w, stride=2, method=method)
        assert_allclose(out[0], w[..., 0], atol=1e-15)


@few
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_bilinear_resize_is_a_transposed_convolution_of_the_edge_padded_plane(factor, H, W):
    x, C = np.random.default_rng(5).normal(size=(2, H, W, 3)), 3
    w = ops.bilinear_kernel(factor, C, np.float64)
    options = {"stride": factor, "padding": factor // 2, "groups": C}
    expected, _ = ops.resize_bilinear_forward(x, (factor * H, factor * W))
    edged = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    mended = ops.conv_transpose2d_forward(edged, w, **options)[0][:, factor:-factor, factor:-factor]
    assert_allclose(mended, expected, atol=1e-13, strict=True)
    spoilt, border = ops.conv_transpose2d_forward(x, w, **options)[0], factor // 2
    inside = (slice(None), slice(border, factor * H - border), slice(border, factor * W - border))
    assert_allclose(spoilt[inside], expected[inside], atol=1e-13)
    if border:
        assert not np.isclose(spoilt[:, 0], expected[:, 0]).any()


def test_nearest_resize_is_a_transposed_convolution_with_ones(rng):
    x = rng.normal(size=(2, 3, 4, 3))
    out, _ = ops.conv_transpose2d_forward(x, np.ones((3, 3, 1, 3)), stride=3, groups=3)
    assert_array_equal(out, ops.resize_nearest_forward(x, (9, 12))[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("where", ["x", "w"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_reaches_what_the_definition_says(rng, method, where):
    for bad in (np.nan, np.inf):
        x, w = rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(3, 3, 2, 4))
        (x if where == "x" else w)[0, 1, 0, 1] = bad
        out, _ = ops.conv_transpose2d_forward(x, w, None, 2, 1, 1, groups=2, method=method)
        expected, _ = ops.conv_transpose2d_forward_reference(x, w, None, 2, 1, 1, groups=2)
        assert_array_equal(np.isfinite(out), np.isfinite(expected))
        assert not np.isfinite(expected).all()


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_an_empty_batch_keeps_its_shape(groups):
    x, w = np.zeros((0, 3, 3, 4)), np.zeros((3, 3, 4 // groups, 4))
    for method in METHODS:
        out, cache = ops.conv_transpose2d_forward(x, w, stride=2, groups=groups, method=method)
        assert out.shape == (0, 7, 7, 4)
        dx, dw, _ = ops.conv_transpose2d_backward(out, cache)
        assert dx.shape == x.shape
        assert_array_equal(dw, np.zeros_like(w))


BAD = [
    ({"groups": 3}, ValueError, r"groups=3 must divide in_channels=4 \(4 % 3 = 1\)"),
    (
        {"stride": 2, "output_padding": 2},
        ValueError,
        r"output_padding=2 must be less than the stride .* 2 < max\(2, 1\)",
    ),
    ({"padding": 3}, ValueError, r"a plane of 3x3 pixels becomes one of -1x-1 \(kernel 3x3, .* padding 3x3"),
    (
        {"x": np.zeros((1, 3, 3, 5))},
        ValueError,
        r"x has 5 channels, but w has shape \(3, 3, 2, 4\) \(KH, KW, OC/groups",
    ),
    ({"b": np.zeros(4)}, ValueError, r"b must have shape \(2,\), got \(4,\)"),
    ({"method": "fft"}, ValueError, "method='fft' must be one of 'depth_to_space', 'scatter', 'zero_insertion'"),
    ({"stride": 0}, ValueError, "stride=0 must be at least 1"),
    ({"x": np.zeros((1, 3, 3, 4), np.float32)}, TypeError, "one dtype, got x float32, w float64"),
]


@pytest.mark.parametrize("change, error, message", BAD)
def test_bad_arguments_are_named_with_rule_and_numbers(change, error, message):
    with pytest.raises(error, match=f"conv_transpose2d: .*{message}"):
        ops.conv_transpose2d_forward(**{"x": np.zeros((1, 3, 3, 4)), "w": np.zeros((3, 3, 2, 4)), **change})


def test_a_gradient_of_the_wrong_shape_is_refused():
    _, cache = ops.conv_transpose2d_forward(np.zeros((1, 3, 3, 2)), np.zeros((3, 3, 4, 2)), stride=2)
    with pytest.raises(ValueError, match=r"conv_transpose2d backward: dout must have shape \(1, 7, 7, 4\), got"):
        ops.conv_transpose2d_backward(np.zeros((1, 6, 7, 4)), cache)
