"""The network whose convolutions may be of any kind."""

import numpy as np
import pytest

from minighost import models
from minighost.models.separable_net import KINDS
from minighost.nn.counts import count

SMALL = {"width": 0.25, "num_classes": 3, "rng": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_every_kind_is_the_slope_along_a_random_direction(rng, kind):
    model, x = models.create("separable_cifar", conv=kind, **SMALL).astype(np.float64), rng.normal(size=(3, 8, 8, 3))
    dout, step = rng.normal(size=(3, 3)), 1e-8  # so small that hardly a ReLU is at its corner
    model(x)
    dx = model.backward(dout)
    pieces = [(x, dx), *((p.data, p.grad) for p in model.parameters())]
    along = [rng.normal(size=one.shape) for one, _ in pieces]
    values = []
    for sign in (1, -2):
        for (one, _), direction in zip(pieces, along, strict=True):
            one += sign * step * direction
        values.append((model(x) * dout).sum())
    slope = sum((gradient * direction).sum() for (_, gradient), direction in zip(pieces, along, strict=True))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-5)


def weights_of_a_unit(kind, **options):
    """Of the last unit, in whose kernels nothing changes size."""
    model = models.create("separable_cifar", conv=kind, **options)
    return sum(p.size for p in model.stages[2][1].parameters() if p.data.ndim == 4)


def test_every_kind_has_the_weights_of_its_formula():
    C = 128
    expected = {
        "dense": 9 * C * C,
        "grouped": 9 * C * C // 8,
        "dilated": 9 * C * C,
        "spatial": 6 * C * C,
        "separable": 9 * C + C * C,
        "separable_relu": 9 * C + C * C,
        "separable_bn_relu": 9 * C + C * C,
        "inverted_residual": 2 * C * 4 * C + 9 * 4 * C,
        "bottleneck": 2 * C * C // 4 + 9 * (C // 4) ** 2,
    }
    assert {kind: weights_of_a_unit(kind, groups=8) for kind in KINDS} == expected


def test_one_group_is_dense(rng):
    x = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    one, dense = (models.create("separable_cifar", conv=kind, groups=1, **SMALL) for kind in ("grouped", "dense"))
    np.testing.assert_array_equal(one(x), dense(x))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_halves_the_maps_twice(kind):
    shapes = [row.output_shape for row in count(models.create("separable_cifar", conv=kind, **SMALL), (32, 32, 3))]
    assert {shape[0] for shape in shapes if len(shape) == 3} == {32, 16, 8} | ({1} & {s[0] for s in shapes})


def test_widths_are_multiples_of_the_groups():
    model = models.create("separable_cifar", conv="grouped", groups=6, width=0.3)
    assert model.stages[0][0].conv.weight.shape == (3, 3, 2, 12)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"conv": "deformable"}, "SeparableNet: conv='deformable' is unknown; choose from 'dense', 'grouped', "),
        ({"conv": "grouped", "groups": 0}, "SeparableNet: groups=0 must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError) as error:
        models.create("separable_cifar", **options)
    assert str(error.value).startswith(message)
