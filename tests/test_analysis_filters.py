"""What is looked for inside networks: opposite filters, similar maps, blocks of channels, effective fields."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minighost import analysis, models, nn

# Means of random filters' smallest cosines for (n filters, d weights).
RANDOM = {(64, 27): -0.439, (96, 363): -0.130, (64, 576): -0.098, (128, 576): -0.108}


@pytest.mark.parametrize("n, d", RANDOM)
def test_random_filters_pair_as_chance_has_it(n, d):
    layer = nn.Conv2d(d, n, 1, rng=1)
    (found,) = analysis.pairing(layer, draws=5)
    assert found.weights == d and found.random.shape == (5, n)
    assert found.random.mean() == pytest.approx(RANDOM[n, d], abs=0.02)
    assert abs(found.excess) < 0.03


@given(st.integers(0, 99))
def test_opposite_filters_are_found_whatever_their_length(seed):
    rng = np.random.default_rng(seed)
    layer = nn.Conv2d(2, 6, 3, rng=seed)
    layer.weight.data[..., 3:] = -layer.weight.data[..., :3] * rng.uniform(0.1, 9, 3).astype(np.float32)
    assert np.allclose(analysis.pairing(layer, draws=1)[0].cosines, -1)


def test_filters_that_share_one_direction_are_as_alike_as_they_are_opposite():
    layer = nn.Conv2d(1, 4, 3, rng=0)
    layer.weight.data[...] = layer.weight.data[..., :1] * np.array([1, -2, 3, -4], np.float32)
    (found,) = analysis.pairing(layer, draws=1)
    assert np.allclose(found.cosines, -1) and np.allclose(found.largest, 1)
    layer.weight.data[..., 2:] = 0
    assert np.allclose(analysis.pairing(layer, draws=1)[0].largest, -1)  # with itself does not count


def test_zero_filters_and_grouped_layers_are_left_out_of_the_pairing():
    layer = nn.Conv2d(2, 4, 3, rng=0)
    layer.weight.data[..., 1] = 0
    model = nn.Sequential(layer, nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 1, 1))
    assert [(one.path, len(one.cosines)) for one in analysis.pairing(model, draws=1)] == [("0", 3)]


def test_similar_pairs_are_the_most_correlated_of_either_sign_and_share_no_channel():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 5, 5, 6))
    maps[..., 4] = -2 * maps[..., 1] + 7
    maps[..., 5] = maps[..., 0] + 0.1 * rng.normal(size=(3, 5, 5))
    maps[..., 2] = 3  # constant
    pairs = analysis.similar_pairs(maps, 9)
    assert [(one.first, one.second) for one in pairs[:2]] == [(1, 4), (0, 5)]
    assert pairs[0].correlation == pytest.approx(-1)
    channels = [channel for one in pairs for channel in (one.first, one.second)]
    assert len(set(channels)) == len(channels) and 2 not in channels


@given(st.integers(0, 99), st.sampled_from([1, 3, 5]))
def test_a_map_made_by_a_depthwise_kernel_is_predicted_without_error_by_one_as_large(seed, size):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(2, 7, 6, 1))
    layer = nn.Conv2d(1, 1, size, padding=size // 2, rng=seed)
    layer.astype(np.float64)
    layer.bias.data = rng.normal(size=1)
    target = layer(source)
    errors = analysis.prediction_error(source[..., 0], target[..., 0], (1, 3, 5))
    assert all(larger <= smaller + 1e-12 for smaller, larger in zip(errors, errors[1:], strict=False))
    assert all(error < 1e-9 for error, d in zip(errors, (1, 3, 5), strict=True) if d >= size)


def test_an_even_kernel_and_maps_of_two_sizes_are_refused():
    plane = np.zeros((1, 4, 4))
    with pytest.raises(ValueError, match="size 2 must be odd"):
        analysis.prediction_error(plane, plane, (2,))
    with pytest.raises(ValueError, match=r"one shape \(N, H, W\), got \(1, 4, 4\) and \(1, 4, 5\)"):
        analysis.prediction_error(plane, np.zeros((1, 4, 5)))


def test_ghost_maps_are_what_the_module_joins():
    module = nn.GhostModule(3, 7, 3, ratio=3, rng=0)
    x = np.random.default_rng(0).normal(size=(6, 6, 3)).astype(np.float32)
    (found,) = analysis.ghost_maps(module, x)
    assert found.intrinsic.shape == (6, 6, 3) and found.ghosts.shape == (6, 6, 6)
    joined = np.concatenate([found.intrinsic, found.ghosts], axis=2)[..., :7]
    assert np.allclose(joined, module.eval()(x[None])[0], atol=1e-6)


def test_an_unknown_layer_is_named_with_the_nearest():
    model = models.create("ghostnet_cifar_fast", width=0.5, rng=0)
    with pytest.raises(ValueError, match=r"unknown layer 'stm' \(did you mean 'stem'"):
        analysis.layer_maps(model, np.zeros((1, 16, 16, 3), np.float32), ["stm"])


def test_channels_of_a_grouped_convolution_are_correlated_in_blocks_and_shuffled_ones_are_not():
    x = np.random.default_rng(0).normal(size=(64, 6, 6, 8)).astype(np.float32)
    grouped = nn.Sequential(nn.Conv2d(8, 8, 1, groups=8, rng=1), nn.Conv2d(8, 8, 1, groups=4, rng=2))
    shuffled = nn.Sequential(grouped[0], nn.ChannelShuffle(4), grouped[1])
    ordered, other = (
        analysis.filter_correlation(model, x, "0", last) for model, last in ((grouped, "1"), (shuffled, "2"))
    )
    assert ordered.matrix.shape == (8, 8) and ordered.diagonal(4) > 5
    assert other.diagonal(4) < 2
    with pytest.raises(ValueError, match="groups=3 must be at least 2 and divide 8 and 8 channels"):
        ordered.diagonal(3)


@pytest.mark.long
def test_the_effective_field_lies_within_the_formula_and_in_the_middle():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, rng=0), nn.ReLU(), nn.Conv2d(4, 4, 5, padding=2, rng=1))
    field = analysis.effective_field(model, "2", (21, 21, 3))
    assert field.reach == 7 == analysis.receptive_field(model).size[0]
    assert field.influence.sum() == pytest.approx(1)
    rows, columns = np.nonzero(field.influence)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 13, 7, 13)
    assert 0 < field.side < 7
    assert analysis.effective_field(model, "0", (21, 21, 3)).reach == 3


def test_rounding_in_winograds_transforms_reaches_no_further_than_the_filters():
    layers = [nn.Conv2d(C, 16, 3, padding=1, rng=C) for C in (3, 16, 16)]
    field = analysis.effective_field(nn.Sequential(*layers), "2", (19, 19, 3))
    rows, columns = np.nonzero(field.influence)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 12, 6, 12) and field.reach == 7


def test_the_square_of_the_formula_lies_around_the_field_even_where_the_image_cuts_it_off():
    from minighost.plots.analysis import _start

    used = np.zeros(10, bool)
    used[2:7] = True
    assert _start(used, 5) == 2
    used[:3] = True
    assert _start(used, 9) == -2
    assert _start(used[::-1], 9) == 3


def test_the_effective_field_leaves_mode_gradients_and_statistics_alone():
    model = models.create("resnet20", width=0.25, rng=0)
    before = model.state_dict()
    analysis.effective_field(model, "stages.0", (16, 16, 3), images=2)
    assert model.training and not any(p.grad is not None and p.grad.any() for p in model.parameters())
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_layer_inside_a_block_that_is_no_chain_has_no_up_to():
    model = models.create("resnet20", width=0.25, rng=0)
    inside = next(path for path, one in model.named_modules() if isinstance(one, nn.Conv2d) and path.count(".") > 2)
    with pytest.raises(ValueError, match="not a chain of layers; name stages"):
        analysis.effective_field(model, inside, (16, 16, 3))
