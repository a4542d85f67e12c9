"""Separable in depth, separable in space: each equals the dense convolution that it is a product of."""

import numpy as np
import pytest
from folds import assert_folds, perturbed
from gradients import assert_module_gradients
from numpy.testing import assert_allclose

from minighost import nn, ops

pytestmark = pytest.mark.small


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dilation": 2, "padding": 1}])
def test_separable_in_depth_is_dense_with_outer_product_kernels(rng, options):
    layer = nn.SeparableConv2d(3, 4, 3, **options, rng=0).astype(np.float64)
    x = rng.normal(size=(2, 6, 7, 3))
    w = layer.depthwise.weight.data[:, :, 0, :, None] * layer.pointwise.weight.data[0, 0]  # (KH, KW, C, OC)
    geometry = layer.depthwise.stride, layer.depthwise.padding, layer.depthwise.dilation
    assert_allclose(layer(x), ops.conv2d_forward(x, w, None, *geometry)[0], atol=1e-12)


def test_it_has_the_papers_numbers():
    """3 to 4 channels, 3x3: 39 weights for 108."""
    layer, dense = nn.SeparableConv2d(3, 4, 3), nn.Conv2d(3, 4, 3, bias=False)
    assert (sum(p.size for p in layer.parameters()), dense.weight.size) == (39, 108)


KERNELS = {
    "a column times a row": lambda rng: np.outer(rng.normal(size=5), rng.normal(size=3)),
    "sobel": lambda rng: np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "a single row": lambda rng: rng.normal(size=(1, 4)),
    "in float32": lambda rng: np.outer(rng.normal(size=3), rng.normal(size=3)).astype(np.float32),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_of_rank_one_is_its_column_times_its_row(rng, name):
    kernel = KERNELS[name](rng)
    column, row, rank, error = nn.separate(kernel)
    assert (rank, error) == (1, 0)
    assert_allclose(np.outer(column, row), kernel, atol=20 * np.finfo(kernel.dtype).eps)
    assert column[np.argmax(abs(column))] > 0 and np.isclose(np.linalg.norm(column), np.linalg.norm(row))


def test_sobels_factors():
    column, row, *_ = nn.separate(KERNELS["sobel"](None))
    assert_allclose(column / column[0], [1, 2, 1])
    assert_allclose(row / row[2], [-1, 0, 1], atol=1e-15)


def test_no_other_column_and_row_come_nearer(rng):
    kernel = rng.normal(size=(5, 4))
    column, row, rank, error = nn.separate(kernel)
    assert rank == 4
    assert_allclose(np.linalg.norm(kernel - np.outer(column, row)), error * np.linalg.norm(kernel))
    for _ in range(100):
        other = np.outer(column + 0.1 * rng.normal(size=5), row + 0.1 * rng.normal(size=4))
        assert np.linalg.norm(kernel - other) > error * np.linalg.norm(kernel)


def test_nothing_has_rank_zero():
    column, row, rank, error = nn.separate(np.zeros((3, 2)))
    assert rank == error == 0 and not column.any() and not row.any()


@pytest.mark.parametrize("kernel", [np.ones(3), np.ones((3, 3, 1)), np.full((2, 2), np.nan), np.ones((0, 3))])
def test_what_is_no_kernel_is_refused(kernel):
    with pytest.raises(ValueError, match=r"separate: kernel must be finite, of shape \(KH, KW\), got shape"):
        nn.separate(kernel)


@pytest.mark.parametrize("options", [{}, {"stride": (2, 1)}, {"padding": (0, 3), "bias": True}])
def test_separable_in_space_is_depthwise_with_outer_product_kernels(rng, options):
    layer = perturbed(nn.SpatiallySeparableConv2d(3, (3, 5), **options, rng=0))
    x = rng.normal(size=(2, 7, 8, 3))
    w = layer.column.weight.data[:, :, 0] * layer.row.weight.data[:, :, 0]  # (KH, 1, C) * (1, KW, C)
    b = None if layer.row.bias is None else layer.row.bias.data
    stride, padding = options.get("stride", 1), options.get("padding", (1, 2))
    assert_allclose(layer(x), ops.depthwise_forward(x, w[..., None], b, stride, padding)[0], atol=1e-12)


def test_kernels_of_rank_one_are_taken_over_exactly(rng):
    w = np.stack([np.outer(rng.normal(size=3), rng.normal(size=3)) for _ in range(2)], axis=2)
    layer, x = nn.SpatiallySeparableConv2d(2, 3).astype(np.float64).set_kernels(w), rng.normal(size=(1, 5, 4, 2))
    assert_allclose(layer(x), ops.depthwise_forward(x, w[..., None], padding=1)[0], atol=1e-12)
    with pytest.raises(ValueError, match=r"kernels must have shape \(3, 3, 2\), got \(3, 2, 2\)"):
        layer.set_kernels(w[:, :2])


LAYERS = [lambda: nn.SeparableConv2d(3, 4, 3, stride=2, rng=0), lambda: nn.SpatiallySeparableConv2d(3, (3, 5), rng=0)]


@pytest.mark.parametrize("build", LAYERS)
def test_gradients_hold_and_layers_fold(rng, build):
    x = rng.normal(size=(2, 5, 6, 3))
    assert_module_gradients(build(), x)
    assert_folds(perturbed(build()), x)
