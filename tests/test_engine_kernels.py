"""The fused kernels equal the plain operations that they stand for: values, gradients and running statistics."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit
from numpy.testing import assert_allclose

from minighost import ops
from minighost.engine import kernels
from minighost.engine.activations import IDENTITY, RELU
from minighost.engine.gemm import gemm, transposed
from minighost.engine.geometry import geometry
from minighost.engine.kernels import winograd

pytestmark = pytest.mark.small
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


class Part:
    """A raw activation with the batch norm, ReLU and gate that wait for it - once deferred, once done at once."""

    def __init__(self, rng, shape, kind):
        N, _, _, C = shape
        self.raw, self.kind = rng.normal(size=shape), kind
        if kind == "plain":
            self.value, self.deferred = self.raw, kernels.plain(self.raw)
            return
        gamma, beta = rng.normal(size=C) + 1, rng.normal(size=C)
        self.value, self.cache = ops.batch_norm_forward(
            self.raw, gamma, beta, np.zeros(C), np.ones(C), True, relu=kind != "norm"
        )
        statistics = np.array([self.raw.mean((0, 1, 2)), self.raw.var((0, 1, 2))])
        self.deferred, self.norm = kernels.finalize_stats(
            self.raw, statistics, gamma, beta, np.zeros(C), np.ones(C), act=IDENTITY if kind == "norm" else RELU
        )
        if kind == "gated":
            gate = rng.uniform(size=(N, C))
            self.deferred = self.deferred._replace(gate=gate)
            self.value, self.scale_cache = ops.scale_forward(self.value, gate)

    def backward(self, dvalue):
        """From the gradient of `value` to that of `raw`, of gamma and beta, and of the gate."""
        dgate = None
        if self.kind == "gated":
            dvalue, dgate = ops.scale_backward(dvalue, self.scale_cache)
        if self.kind == "plain":
            return dvalue, None, None, None
        return *ops.batch_norm_backward(dvalue, self.cache), dgate

    def skip_grad(self, rng, wanted):
        """A gradient that reaches the value on another way, and what a kernel is given of it; else 0 and None."""
        d = rng.normal(size=self.raw.shape)
        return (d, d * (self.value > 0) if self.kind == "relu" else d.copy()) if wanted else (0, None)

    def assert_backward(self, dvalue, dy, sums, dgate=None):
        """The fused gradients of this part equal the plain ones."""
        draw, dgamma, dbeta, gate_gradient = self.backward(dvalue)
        if self.kind == "plain":
            assert_allclose(dy, draw, **CLOSE)
            return
        if self.kind == "gated":
            assert_allclose(dgate, gate_gradient, **CLOSE)
            dy, sums = kernels.gate_backward(dy, np.zeros_like(dgate), self.deferred)
        waiting, *others = kernels.batch_norm_backward(dy, sums, self.norm)
        scale, slope, constant = waiting.coefficients
        assert_allclose(scale * waiting.dy + slope * waiting.raw + constant, draw, **CLOSE)
        for mine, plain in zip(others, (dgamma, dbeta), strict=True):
            assert_allclose(mine, plain, **CLOSE)


def as_gradient(dout):
    """A gradient that no batch norm stands before."""
    affine = np.zeros((3, dout.shape[3]))
    affine[0] = 1
    return kernels.DeferredGradient(dout, np.zeros_like(dout), affine)


def assert_statistics(raw, statistics):
    """The kernel's statistics are those of its result."""
    assert_allclose(statistics, [raw.mean((0, 1, 2)), raw.var((0, 1, 2))], **CLOSE)


@pytest.mark.parametrize("dtype, mean, rtol", [(np.float32, 1e4, 1e-5), (np.float64, 1e7, 1e-10)])
@pytest.mark.parametrize(
    "kernel, w_shape",
    [
        ("pointwise", (4, 5)),
        ("depthwise", (3, 3, 4)),
        ("conv", (3, 3, 4, 5)),
        ("conv", (3, 3, 16, 16)),
    ],
)
def test_the_variance_of_a_result_far_from_zero_is_right(rng, kernel, w_shape, dtype, mean, rtol):
    """The last one is Winograd's."""
    C, OC = w_shape[-2], w_shape[-1]
    x, w = rng.normal(size=(40, 5, 4, OC if kernel == "depthwise" else C)), rng.normal(size=w_shape) / np.sqrt(C)
    x, w, b = x.astype(dtype), w.astype(dtype), np.full(OC, mean, dtype)
    if kernel == "pointwise":
        raw, statistics = kernels.pointwise_forward([kernels.plain(x)], w, b)
    else:
        g = geometry("", (5, 4), (3, 3), padding=1)
        raw, statistics = getattr(kernels, f"{kernel}_forward")(kernels.plain(x), w, g, b=b)
    vectors = [np.full(OC, v, dtype) for v in (1, 0, 0, 1)]
    kernels.finalize_stats(raw, statistics, *vectors, momentum=1.0)
    assert_allclose(vectors[3], raw.astype(np.float64).var((0, 1, 2), ddof=1), rtol=rtol)


def test_single_precision_gradients_far_from_zero_are_those_of_double_precision(rng):
    """The mean is rounded by 5e-4 of a deviation there; times the sum of all gradients that would be a lot."""
    x, dout = (rng.normal(mean, size=(40, 5, 4, 16)).astype(np.float32) for mean in (1e4, 1))
    single, double = ([np.full(16, v, dtype) for v in (1, 0, 0, 1)] for dtype in (np.float32, np.float64))
    raw, statistics = kernels.pointwise_forward([kernels.plain(x)], np.eye(16, dtype=np.float32))
    deferred, norm = kernels.finalize_stats(raw, statistics, *single)
    gradient, dgamma, dbeta = kernels.batch_norm_backward(*kernels.activation_backward(dout, deferred), norm)
    _, cache = ops.batch_norm_forward(x.astype(np.float64), *double, True)
    dx, expected, dexpected = ops.batch_norm_backward(dout.astype(np.float64), cache)
    assert_allclose(dgamma, expected, atol=2e-3)
    assert_allclose(dbeta, dexpected, rtol=1e-5)
    scale, slope, constant = gradient.coefficients
    assert_allclose(scale * gradient.dy + slope * raw + constant, dx, atol=2e-4)


KINDS = st.sampled_from(["plain", "norm", "relu", "gated"])
SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.lists(KINDS, min_size=1, max_size=2), st.sampled_from([1, 3, 40]), st.integers(1, 5))
def test_pointwise_equals_the_plain_operations(seed, kinds, N, H):
    rng = np.random.default_rng(seed)
    widths, OC = rng.integers(1, 9, len(kinds)), int(rng.integers(1, 9))
    parts = [Part(rng, (N, H, 2, C), kind) for C, kind in zip(widths, kinds, strict=True)]
    w = rng.normal(size=(sum(widths), OC))
    raw, statistics = kernels.pointwise_forward([p.deferred for p in parts], w)
    expected, cache = ops.pointwise_forward(np.concatenate([p.value for p in parts], axis=3), w)
    assert_allclose(raw, expected, **CLOSE)
    assert_statistics(expected, statistics)

    dout = rng.normal(size=raw.shape)
    branches, dw = kernels.pointwise_backward(as_gradient(dout), [p.deferred for p in parts], w)
    dx, expected_dw, _ = ops.pointwise_backward(dout, cache)
    assert_allclose(dw, expected_dw, **CLOSE)
    shares = np.split(dx, np.cumsum(widths)[:-1], axis=3)
    for part, share, branch in zip(parts, shares, branches, strict=True):
        part.assert_backward(share, *branch)


DEFERRED = st.sampled_from(["plain", "norm", "relu"])
GEOMETRY = {"padding": st.integers(0, 3), "dilation": st.integers(1, 2), "stride": st.integers(1, 3)}


@example(seed=0, kind="relu", K=3, same=True, long=True, twice=False, stride=1, padding=1, dilation=1)
@example(seed=0, kind="relu", K=5, same=True, long=True, twice=False, stride=1, padding=1, dilation=1)
@given(
    seed=SEEDS,
    kind=DEFERRED,
    K=st.integers(1, 5),
    same=st.booleans(),
    long=st.booleans(),
    twice=st.booleans(),
    **GEOMETRY,
)
def test_depthwise_equals_the_plain_operations(seed, kind, K, same, long, twice, stride, padding, dilation):
    """`long`: lines of several stretches."""
    rng = np.random.default_rng(seed)
    if same:
        K, stride, padding = 2 * (K // 2) + 1, 1, K // 2 * dilation
    reach = dilation * (K - 1) + 1
    N, (H, W), C = int(rng.choice([1, 2, 40])), (reach + rng.integers(0, 5, 2)).tolist(), int(rng.integers(1, 6))
    N, C = (min(N, 2), 300) if long else (N, C)
    part, w = Part(rng, (N, H, W, C), kind), rng.normal(size=(K, K, C))
    g = geometry("test", (H, W), (K, K), stride, padding, dilation)
    raw, statistics = kernels.depthwise_forward(part.deferred, w, g)
    expected, cache = ops.depthwise_forward_reference(part.value, w[..., None], None, stride, padding, dilation)
    assert_allclose(raw, expected, **CLOSE)
    assert_statistics(expected, statistics)

    dout, (more, there) = rng.normal(size=raw.shape), part.skip_grad(rng, twice)
    dx, dw, _ = ops.depthwise_backward_reference(dout, cache)
    dy, sums, mine = kernels.depthwise_backward(as_gradient(dout), part.deferred, w, g, there)
    assert_allclose(mine, dw[..., 0], **CLOSE)
    part.assert_backward(dx + more, dy, sums)


@given(
    seed=SEEDS,
    kind=DEFERRED,
    K=st.integers(1, 4),
    groups=st.integers(1, 3),
    wide=st.booleans(),
    twice=st.booleans(),
    **GEOMETRY,
)
def test_dense_convolution_equals_the_plain_operations(seed, kind, K, groups, wide, twice, stride, padding, dilation):
    """`wide`: so many channels on so small a plane that rows are copied together."""
    rng = np.random.default_rng(seed)
    reach = dilation * (K - 1) + 1
    N, (H, W) = int(rng.choice([1, 2, 40])), (reach + rng.integers(0, 3 if wide else 5, 2)).tolist()
    C, OC = (128 if wide else int(rng.integers(1, 5))), int(rng.choice([1, 2, 3, 4, 17]))
    if wide:
        N, groups = min(N, 5), 1
    part, w = Part(rng, (N, H, W, C * groups), kind), rng.normal(size=(K, K, C, OC * groups))
    g = geometry("test", (H, W), (K, K), stride, padding, dilation)
    raw, statistics = kernels.conv_forward(part.deferred, w, g, groups)
    expected, cache = ops.conv2d_forward_reference(part.value, w, None, stride, padding, dilation, groups)
    assert_allclose(raw, expected, **CLOSE)
    assert_statistics(expected, statistics)

    dout, (more, there) = rng.normal(size=raw.shape), part.skip_grad(rng, twice)
    dx, dw, _ = ops.conv2d_backward_reference(dout, cache)
    dy, sums, mine = kernels.conv_backward(as_gradient(dout), part.deferred, w, g, groups, skip_grad=there)
    assert_allclose(mine, dw, **CLOSE)
    part.assert_backward(dx + more, dy, sums)


@given(SEEDS, DEFERRED, st.integers(0, 2), st.booleans())
def test_winograds_convolution_equals_the_definition(seed, kind, padding, twice):
    rng = np.random.default_rng(seed)
    N, (H, W), (C, OC) = int(rng.choice([1, 2, 40])), rng.integers(3, 10, 2).tolist(), rng.integers(1, 6, 2).tolist()
    part, w = Part(rng, (N, H, W, C), kind), rng.normal(size=(3, 3, C, OC))
    b, g = rng.normal(size=OC), geometry("test", (H, W), (3, 3), 1, padding)
    raw, statistics = winograd.winograd_forward(part.deferred, w, g, b)
    expected, cache = ops.conv2d_forward_reference(part.value, w, b, 1, padding)
    assert_allclose(raw, expected, **CLOSE)
    assert_allclose(winograd.winograd_forward_reference(part.value, w, padding) + b, expected, **CLOSE)
    assert_statistics(expected, statistics)

    dout, (more, there) = rng.normal(size=raw.shape), part.skip_grad(rng, twice)
    dx, dw, _ = ops.conv2d_backward_reference(dout, cache)
    dy, sums, mine = winograd.winograd_backward(as_gradient(dout), part.deferred, w, g, there)
    assert_allclose(mine, dw, **CLOSE)
    part.assert_backward(dx + more, dy, sums)
    nothing, _, alone = winograd.winograd_backward(as_gradient(dout), part.deferred, w, g, wanted=False)
    assert nothing is None and alone.tobytes() == mine.tobytes()


def test_winograd_is_for_3x3_kernels_between_many_channels(rng):
    def suits(shape, *numbers, groups=1):
        return winograd.suits(shape, geometry("test", (8, 8), shape[:2], *numbers), groups)

    assert suits((3, 3, 16, 32), 1, 1)
    assert not suits((3, 3, 32, 32), 2, 1) and not suits((3, 3, 32, 32), 1, 1, 2)
    assert not suits((3, 3, 12, 64), 1, 1) and not suits((5, 5, 64, 64), 1, 2) and not suits((1, 1, 64, 64))
    assert not suits((3, 3, 32, 64), 1, 1, groups=2)
    x, w = rng.normal(size=(2, 6, 5, 32)), rng.normal(size=(3, 3, 32, 32))
    out, cache = ops.conv2d_forward(x, w, padding=1)
    expected, reference = ops.conv2d_forward_reference(x, w, None, 1, 1)
    assert_allclose(out, expected, **CLOSE)
    both = ops.conv2d_backward(out, cache), ops.conv2d_backward_reference(out, reference)
    for mine, plain in list(zip(*both, strict=True))[:2]:
        assert_allclose(mine, plain, **CLOSE)


@given(SEEDS, st.sampled_from(["plain", "norm"]))
def test_residual_equals_the_plain_operations(seed, kind):
    rng = np.random.default_rng(seed)
    N, H, (Ca, Cb) = int(rng.choice([1, 3, 40])), int(rng.integers(1, 4)), rng.integers(1, 6, 2)
    a, b, short = (Part(rng, (N, H, 3, C), k) for C, k in ((Ca, "norm"), (Cb, "norm"), (Ca + Cb, kind)))
    out = kernels.concat_add_forward([a.deferred, b.deferred], short.deferred)
    assert_allclose(out, np.concatenate([a.value, b.value], axis=3) + short.value, **CLOSE)
    dout = rng.normal(size=out.shape)
    branches, sums = kernels.concat_add_backward(dout, [a.deferred, b.deferred], short.deferred)
    for part, share, (dy, part_sums) in zip((a, b), np.split(dout, [Ca], axis=3), branches, strict=True):
        assert_allclose(dy, share)
        part.assert_backward(share, dy, part_sums)
    short.assert_backward(dout, dout, sums)


@given(SEEDS, st.lists(st.sampled_from(["plain", "norm"]), min_size=2, max_size=2))
def test_permuted_parts_in_one_piece_or_two_equal_the_plain_operations(seed, kinds):
    rng = np.random.default_rng(seed)
    N, H, widths = int(rng.choice([1, 3, 40])), int(rng.integers(1, 4)), rng.integers(1, 6, 2)
    parts = [Part(rng, (N, H, 3, C), kind) for C, kind in zip(widths, kinds, strict=True)]
    deferred, order, n = (
        [p.deferred for p in parts],
        rng.permutation(widths.sum()),
        int(rng.integers(0, widths.sum() + 1)),
    )
    expected = np.concatenate([p.value for p in parts], axis=3)[..., order]
    pieces = kernels.permute_forward(deferred, order, n)
    assert pieces[0].shape[3] == n
    assert_allclose(np.concatenate(pieces, axis=3), expected, **CLOSE)
    dout = rng.normal(size=expected.shape)
    dpieces = [np.ascontiguousarray(piece) for piece in np.split(dout, [n], axis=3)]
    shares = np.split(dout[..., np.argsort(order)], widths[:1], axis=3)
    for part, share, (dy, sums) in zip(parts, shares, kernels.permute_backward(dpieces, deferred, order), strict=True):
        part.assert_backward(share, dy, sums)


@given(SEEDS, st.sampled_from(["plain", "norm"]))
def test_rectified_sum_equals_batch_norm_sum_and_relu(seed, kind):
    rng = np.random.default_rng(seed)
    shape = int(rng.choice([1, 3, 40])), int(rng.integers(1, 4)), 3, int(rng.integers(1, 6))
    branch, short = Part(rng, shape, "norm"), Part(rng, shape, kind)
    out = kernels.add_relu_forward(branch.deferred, short.deferred)
    total = branch.value + short.value
    assert_allclose(out, np.maximum(total, 0), **CLOSE)
    dout = rng.normal(size=shape)
    dy, sums, short_sums = kernels.add_relu_backward(dout, out, branch.deferred, short.deferred)
    expected = np.where(total > 0, dout, 0)
    assert_allclose(dy, expected)
    branch.assert_backward(expected, dy, sums)
    short.assert_backward(expected, dy, short_sums)


@given(SEEDS)
def test_plane_mean_and_its_share_of_the_gradient(seed):
    rng = np.random.default_rng(seed)
    part = Part(rng, (int(rng.choice([1, 3, 40])), 3, 2, 5), "gated")
    value = part.value / part.deferred.gate[:, None, None]
    assert_allclose(kernels.plane_mean(part.deferred), value.mean((1, 2)), **CLOSE)
    dmean = rng.normal(size=part.deferred.gate.shape)
    dy, _ = kernels.gate_backward(np.zeros_like(value), dmean, part.deferred)
    assert_allclose(dy, np.where(value > 0, dmean[:, None, None] / 6, 0), **CLOSE)


_multiply = njit(lambda *arguments: gemm(*arguments))
SIZES = st.integers(1, 21) | st.sampled_from([31, 32, 33, 48, 71])  # all blocks of rows, all ends of rows of registers


@given(SEEDS, SIZES, st.integers(0, 20) | st.just(1100), SIZES, st.booleans(), st.booleans(), st.booleans())
def test_a_product_in_registers_is_the_product(seed, R, K, OC, transpose_a, add, single):
    rng, dtype = np.random.default_rng(seed), np.float32 if single else np.float64
    a = rng.normal(size=(K, R + 3) if transpose_a else (R, K + 3)).astype(dtype)
    a = a[:, 1 : R + 1] if transpose_a else a[:, 2 : K + 2]
    b, out = rng.normal(size=(K, OC + 7)).astype(dtype)[:, 3 : OC + 3], rng.normal(size=(R + 1, OC + 5)).astype(dtype)
    expected = out.copy()
    expected[:R, 2 : OC + 2] = (a.T if transpose_a else a) @ b + (out[:R, 2 : OC + 2] if add else 0)
    _multiply(a, transpose_a, b, add, out[:R, 2 : OC + 2])
    tolerance = 1e-4 if single else 1e-11
    assert_allclose(out, expected, rtol=tolerance, atol=tolerance)  # and nothing beside the result has changed


def test_a_product_keeps_its_nans_to_their_rows_and_columns():
    a, b, out = np.ones((9, 4)), np.ones((4, 35)), np.empty((9, 35))
    a[3, 1], b[2, 34] = np.nan, np.inf
    _multiply(a, False, b, False, out)
    assert np.isnan(out[3]).all() and np.isfinite(np.delete(out, 3, 0)[:, :34]).all()
    assert (np.delete(out, 3, 0)[:, 34] == np.inf).all()


def test_transposed_weights_are_a_copy_even_of_one_row(rng):
    for shape in ((5, 7), (3, 1, 7), (1, 7), (7, 1)):
        w = rng.normal(size=shape)
        back = transposed(w)
        assert back.flags.c_contiguous and not np.shares_memory(back, w)
        assert_allclose(back, np.swapaxes(w, -1, -2))
