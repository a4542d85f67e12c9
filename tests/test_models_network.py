"""Images that a network cannot take: the layer, the rule, the numbers, and the size that would do."""

import numpy as np
import pytest

from minighost import models, nn
from minighost.errors import PlaneTooSmall


class Pools(models.Network):
    """(H - 3) // 2 + 1 pixels, then a half of them, rounded down; with Flatten exactly 3x3 of them."""

    def __init__(self, flat=False):
        self.stem = nn.Conv2d(3, 2, 3, stride=2, rng=0)
        self.pool = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
        if flat:
            self.flat = nn.Flatten()
        else:
            self.mean = nn.GlobalAvgPool()
        self.classifier = nn.Linear(18 if flat else 2, 4, rng=0)


def images(*plane, channels=3, N=1):
    return np.zeros((N, *plane, channels), np.float32)


@pytest.mark.small
@pytest.mark.parametrize("training", [True, False])
def test_a_plane_that_is_too_small_names_layer_rule_numbers_and_what_would_do(training):
    model = Pools().train(training)
    with pytest.raises(PlaneTooSmall) as caught:
        model(images(3, 4))
    assert str(caught.value) == (
        "pool.1: max_pool: the kernel reaches over 2x2 pixels (size 2x2, dilation 1x1), more than the padded input "
        "has: 1x1 (input 1x1, padding 0x0); pad more or use a smaller kernel; Pools needs images of at least 5x5 "
        "pixels, got 3x4"
    )
    assert model(images(5, 5)).shape == (1, 4) and model.training is training


@pytest.mark.small
@pytest.mark.parametrize("side", [1, 4, 9, 30])
def test_a_network_of_one_size_says_which(side):
    with pytest.raises(ValueError, match=rf"; Pools needs images of 13x13 pixels, got {side}x{side}$"):
        Pools(flat=True)(images(side, side))
    for fits in (13, 14):
        assert Pools(flat=True)(images(fits, fits)).shape == (1, 4)


@pytest.mark.small
def test_the_size_stays_in_the_message_of_a_module_around_it():
    outer = nn.Sequential(nn.ReLU(), Pools())
    with pytest.raises(
        PlaneTooSmall, match=r"^1\.stem: conv2d: .*; Pools needs images of at least 5x5 pixels, got 2x9$"
    ):
        outer(images(2, 9))


@pytest.mark.small
@pytest.mark.parametrize("flat", [False, True])
def test_what_no_size_would_help_says_nothing_of_sizes(flat):
    with pytest.raises(ValueError, match=r"^stem: conv2d: x has 4 channels") as caught:
        Pools(flat)(images(13, 13, channels=4))
    assert "needs images" not in str(caught.value)


@pytest.mark.small
def test_looking_for_a_size_leaves_the_network_as_it_was():
    model = Pools()
    state = model.state_dict()
    out = model(images(9, 9))
    with pytest.raises(PlaneTooSmall):
        model(images(2, 2))
    assert model.training and all(np.array_equal(value, state[path]) for path, value in model.state_dict().items())
    model(images(9, 9))
    assert model.backward(np.ones_like(out)).shape == (1, 9, 9, 3)


@pytest.mark.parametrize("version, side", [("1.0", 21), ("1.1", 17)])
def test_squeezenet_needs_what_was_published(version, side):
    with nn.without_weights():
        model = models.create("squeezenet", version=version).eval()
    with pytest.raises(PlaneTooSmall, match=rf"needs images of at least {side}x{side} pixels, got {side - 1}x{side}$"):
        model(np.empty((0, side - 1, side, 3), np.float32))
    assert model(np.empty((0, side, side, 3), np.float32)).shape == (0, 1000)
