"""Layers that make a plane larger."""

import numpy as np
import pytest
from gradients import assert_module_gradients
from numpy.testing import assert_array_equal

from minighost import analysis, nn, ops


@pytest.mark.parametrize("method", ["depth_to_space", "scatter", "zero_insertion", None])
def test_transposed_convolution_hands_everything_to_its_operation(rng, method):
    layer = nn.ConvTranspose2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 0), (1, 2), 2, method=method, rng=0)
    layer.bias.data = rng.normal(size=6).astype(np.float32)
    x = rng.normal(size=(2, 3, 4, 4)).astype(np.float32)
    expected, _ = ops.conv_transpose2d_forward(
        x, layer.weight.data, layer.bias.data, (2, 1), (1, 0), (1, 0), (1, 2), 2, method
    )
    assert_array_equal(layer(x), expected)
    assert_module_gradients(layer, x)


def test_a_strided_convolution_and_its_transpose_have_the_same_multiply_adds_and_shapes():
    for K, S, P, D, more in [(4, 2, 1, 1, 0), (3, 2, 1, 1, 1), (3, 3, 0, 2, 1)]:
        down, up = nn.Conv2d(6, 8, K, S, P, D, 2), nn.ConvTranspose2d(8, 6, K, S, P, more, D, 2)
        model = nn.Sequential(down, up)
        rows = analysis.count(model, (12, 15, 6) if S == 3 else (8, 12, 6))
        assert [row.macs for row in rows] == [down.macs] * 2
        assert rows[1].output_shape == ((12, 15, 6) if S == 3 else (8, 12, 6))
        assert up.weight.size == down.weight.size


@pytest.mark.parametrize(
    "layer, x, out",
    [
        (nn.Resize((5, 2)), (3, 4, 2), (5, 2, 2)),
        (nn.Resize(factor=(2, 3)), (3, 4, 2), (6, 12, 2)),
        (nn.Resize(factor=2, mode="bilinear"), (3, 4, 2), (6, 8, 2)),
        (nn.DepthToSpace((2, 3)), (3, 4, 12), (6, 12, 2)),
        (nn.DepthToSpace(2, "CRD"), (3, 4, 8), (6, 8, 2)),
        (nn.SpaceToDepth(2), (4, 6, 3), (2, 3, 12)),
    ],
)
def test_planes_and_gradients(rng, layer, x, out):
    assert layer(rng.normal(size=(2, *x))).shape == (2, *out)
    assert_module_gradients(layer, rng.normal(size=(2, *x)))


BAD = [
    (lambda: nn.Resize(), "Resize: give either size or factor, got size=None, factor=None"),
    (lambda: nn.Resize(2, factor=2), "Resize: give either size or factor, got size=2, factor=2"),
    (lambda: nn.Resize(2, mode="cubic"), "Resize: mode='cubic' must be 'nearest' or 'bilinear'"),
    (lambda: nn.Resize(0), "Resize: size=0 must be at least 1"),
    (lambda: nn.DepthToSpace(2, "RGB"), "DepthToSpace: order='RGB' must be"),
    (
        lambda: nn.ConvTranspose2d(4, 6, 3, groups=4),
        r"ConvTranspose2d: groups=4 must divide out_channels=6 \(6 % 4 = 2\)",
    ),
    (
        lambda: nn.ConvTranspose2d(4, 4, 3, 2, output_padding=2),
        "ConvTranspose2d: output_padding=2 must be less than the",
    ),
    (lambda: nn.ConvTranspose2d(4, 4, 3, method="x"), "ConvTranspose2d: method='x' must be one of 'depth_to_space', "),
]


@pytest.mark.parametrize("make, message", BAD)
def test_what_cannot_be_is_refused_when_the_layer_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()
