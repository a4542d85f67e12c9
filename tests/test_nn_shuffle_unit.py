"""ShuffleNet's units: which channels meet which, and their gradients."""

import numpy as np
import pytest
from folds import assert_folds, perturbed
from gradients import assert_module_gradients
from networks import check_fuses
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
UNITS = {
    "v1": lambda: nn.ShuffleUnit(12, 12, 3, rng=0),
    "v1 of one group": lambda: nn.ShuffleUnit(8, 8, 1, rng=0),
    "v1, strided": lambda: nn.ShuffleUnit(4, 16, 2, 2, 1, rng=0),
    "torchvision": lambda: nn.SplitShuffleUnit(6, 6, rng=0),
    "torchvision, strided": lambda: nn.SplitShuffleUnit(3, 8, 2, rng=0),
    "megvii": lambda: nn.SplitShuffleUnit(6, 6, variant="megvii", rng=0),
    "megvii, strided": lambda: nn.SplitShuffleUnit(3, 8, 2, "megvii", rng=0),
}
CHANNELS = dict(zip(UNITS, (12, 8, 4, 6, 3, 6, 3), strict=True))


@pytest.mark.parametrize("shuffle", [True, False])
def test_groups_of_the_first_meet_in_its_shuffle_and_nowhere_else(rng, shuffle):
    unit = nn.ShuffleUnit(24, 24, 3, rng=0, shuffle=shuffle).eval()
    x = rng.normal(size=(2, 4, 4, 24)).astype(np.float32)
    other = x.copy()
    other[..., :8] += 1  # the first of three groups
    changed = (unit(x) != unit(other)).any(axis=(0, 1, 2))
    assert changed[:8].all() and changed[8:].any() == shuffle


@pytest.mark.parametrize("name", UNITS)
def test_gradients(rng, name):
    unit = UNITS[name]()
    for p in unit.parameters():  # away from batch norm's symmetric beginning
        p.data += 0.1 * rng.normal(size=p.shape).astype(np.float32)
    assert_module_gradients(unit, rng.normal(size=(2, 4, 3, CHANNELS[name])))


@pytest.mark.small
@pytest.mark.parametrize("name", UNITS)
def test_units_fuse_and_fold(rng, name):
    check_fuses(UNITS[name](), (2, 5, 4, CHANNELS[name]))
    assert_folds(perturbed(UNITS[name]()), rng.normal(size=(3, 5, 4, CHANNELS[name])))


@pytest.mark.small
@pytest.mark.parametrize("variant", ["torchvision", "megvii"])
@pytest.mark.parametrize("reader", ["reads", "changes in place", "doubles the gradient"])
def test_who_stands_between_two_units_is_heard(rng, variant, reader):
    """A value that waits to be shuffled and split may be read and changed first, and so may its gradient."""

    class Between(nn.Module):
        def forward(self, x):
            self._cache = np.asarray(x).sum()
            if reader == "changes in place":
                x[..., 0] = 0.5
            return x

        def backward(self, dout):
            return dout * 2.0 if reader == "doubles the gradient" else dout

    units = [perturbed(nn.SplitShuffleUnit(6, 6, variant=variant, rng=k)) for k in (0, 1)]
    network = nn.Sequential(units[0], Between(), units[1]).astype(np.float64)
    x, results = rng.normal(size=(3, 4, 5, 6)), []
    for on in (True, False):
        network.zero_grad()
        with nn.fusing(on):
            out = np.array(network(x))
            dx = np.array(network.backward(np.cos(np.arange(out.size)).reshape(out.shape)))
        results.append([out, dx, *(p.grad.copy() for p in network.parameters())])
    for fused, plain in zip(*results, strict=True):
        assert_allclose(fused, plain, rtol=1e-9, atol=1e-9)


def test_the_first_units_shuffle_lets_each_group_see_all_others(rng):
    """A change in one group's input reaches the depthwise convolution's channels of every group."""
    unit, x = nn.ShuffleUnit(36, 36, 3, rng=0).astype(np.float64).eval(), rng.normal(size=(1, 3, 3, 36))
    changed = x.copy()
    changed[..., 0] += 1  # in the first group of twelve
    with nn.fusing(False):
        before, after = (unit.shuffle(unit.reduce.conv(each)) for each in (x, changed))
    moved = np.flatnonzero(np.any(before != after, axis=(0, 1, 2)))
    assert_array_equal(moved, [0, 3, 6])  # 9 channels in three groups: each has one of the group that changed


def test_megviis_order_is_the_same_function_with_other_weights(rng):
    """Shuffling after the depthwise convolution, if that is given its filters in the other order."""
    unit, other = (perturbed(nn.ShuffleUnit(24, 24, 2, rng=0)).eval() for _ in range(2))
    perm = unit.shuffle(np.arange(6.0)[None, None, None])[0, 0, 0].astype(int)
    assert_array_equal(perm, [0, 3, 1, 4, 2, 5])
    state = unit.depthwise.state_dict()
    for path, mine in state.items():
        state[path] = mine[..., np.argsort(perm)]
    other.depthwise.load_state_dict(state)
    y = rng.normal(size=(2, 5, 4, 6))
    assert_allclose(other.shuffle(other.depthwise(y)), unit.depthwise(unit.shuffle(y)), **CLOSE)


def test_a_strided_first_unit_has_the_means_of_x_first_and_counts_padded_zeros(rng):
    unit, x = UNITS["v1, strided"]().astype(np.float64).eval(), rng.normal(size=(1, 4, 4, 4))
    out = unit(x)
    assert_allclose(out[0, 0, 0, :4], x[0, :2, :2].sum((0, 1)) / 9, **CLOSE)
    assert out.shape == (1, 2, 2, 16) and out[..., 4:].min() >= 0


def test_torchvisions_unit_splits_in_halves_and_interleaves_at_the_end(rng):
    unit, x = UNITS["torchvision"]().astype(np.float64).eval(), rng.normal(size=(1, 4, 4, 6))
    out = unit(x)
    assert_array_equal(out[..., ::2], x[..., :3])
    assert_allclose(out[..., 1::2], unit.right(np.ascontiguousarray(x[..., 3:])), **CLOSE)


def test_megviis_unit_begins_with_even_channels_to_the_left_and_does_not_end_with_a_shuffle(rng):
    unit, x = UNITS["megvii"]().astype(np.float64).eval(), rng.normal(size=(1, 4, 4, 6))
    out = unit(x)
    assert_array_equal(out[..., :3], x[..., ::2])
    assert_allclose(out[..., 3:], unit.right(np.ascontiguousarray(x[..., 1::2])), **CLOSE)


@pytest.mark.parametrize("variant, left, right", [("torchvision", 4, 4), ("megvii", 3, 5)])
def test_a_strided_units_branches_are_as_wide_as_the_variant_says(variant, left, right):
    unit = nn.SplitShuffleUnit(3, 8, 2, variant)
    assert unit.left[1].conv.weight.shape[2:] == (3, left)
    assert unit.right[2].conv.weight.shape[2:] == (4, right)


@pytest.mark.parametrize(
    "kind, arguments, message",
    [
        (nn.ShuffleUnit, (12, 16, 2), "with stride=1 in_channels=12 and out_channels=16 must be equal"),
        (nn.ShuffleUnit, (12, 12, 2, 2), "with stride=2 out_channels=12 must be more than in_channels=12"),
        (nn.ShuffleUnit, (12, 18, 2, 2), r"out_channels=18 must be a multiple of 4 \(18 % 4 = 2\)"),
        (nn.ShuffleUnit, (12, 12, 2, 3), "ShuffleUnit: stride=3 must be 1 or 2"),
        (nn.ShuffleUnit, (8, 8, 3), r"groups=3 must divide in_channels=8 \(8 % 3 = 2\)"),
        (nn.SplitShuffleUnit, (5, 5), r"SplitShuffleUnit: out_channels=5 must be a multiple of 2 \(5 % 2 = 1\)"),
        (nn.SplitShuffleUnit, (4, 4, 1, "keras"), "variant='keras' is unknown; choose from 'torchvision', 'megvii'"),
    ],
)
def test_channels_that_do_not_fit_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(*arguments)
