"""Augmentation, statistics and the loader: pure functions of their seeds, and a thread that goes when it should."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import data
from minighost.data import Augment, Loader

SET = data.shapes10(250, seed=5)
seeds = st.integers(0, 2**32)
augments = st.builds(
    Augment, flip=st.sampled_from([True, False, "alternate"]), crop_padding=st.integers(0, 6), cutout=st.integers(0, 40)
)


def images_of(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


image_batches = st.builds(
    images_of, seeds, st.tuples(st.integers(0, 5), st.integers(7, 12), st.integers(7, 12), st.just(3))
)


# Augment -------------------------------------------------------------------------------------------------------------


@given(augments, image_batches, seeds)
def test_augment_keeps_shape_dtype_and_its_input_and_depends_on_the_generator_only(augment, images, seed):
    before = images.copy()
    out = augment(images, np.random.default_rng(seed))
    assert (out.shape, out.dtype, out.flags.c_contiguous) == (images.shape, np.uint8, True)
    assert not np.shares_memory(out, images)
    assert_array_equal(images, before)
    assert_array_equal(out, augment(images, np.random.default_rng(seed)))


@given(image_batches, seeds)
def test_without_options_augment_is_the_identity(images, seed):
    assert_array_equal(Augment(flip=False, crop_padding=0)(images, np.random.default_rng(seed)), images)


@given(image_batches, seeds, st.integers(0, 6))
def test_every_crop_is_a_window_of_the_reflected_image(images, seed, padding):
    out = Augment(flip=False, crop_padding=padding)(images, np.random.default_rng(seed))
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="reflect")
    N, H, W, _ = images.shape
    for n in range(N):
        assert any(
            np.array_equal(out[n], padded[n, i : i + H, j : j + W])
            for i in range(2 * padding + 1)
            for j in range(2 * padding + 1)
        )


def test_all_shifts_and_both_sides_occur_about_equally_often():
    ramp = np.zeros((9000, 9, 9, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(9)[:, None], np.arange(9)
    out = Augment(flip=True, crop_padding=1)(ramp, np.random.default_rng(0)).astype(int)
    flipped = out[:, 4, 4, 1] > out[:, 4, 5, 1]
    counts = np.unique(np.stack([out[:, 4, 4, 0], out[:, 4, 4, 1], flipped]), axis=1, return_counts=True)[1]
    assert len(counts) == 18 and abs(counts - 500).max() < 110  # five standard deviations


@given(image_batches)
def test_flip_twice_is_the_identity(images):
    once = data.flip_horizontal(images)
    assert_array_equal(once, np.flip(images, axis=2))
    assert_array_equal(data.flip_horizontal(once), images)
    everyone = np.ones(len(images), bool)
    assert_array_equal(Augment(crop_padding=0)(images, np.random.default_rng(0), flips=everyone), once)


@given(seeds, st.integers(1, 20))
def test_cutout_paints_one_clipped_square_in_the_mean_colour(seed, side):
    images = images_of(seed, (4, 12, 10, 3))
    out = Augment(flip=False, crop_padding=0, cutout=side)(images, np.random.default_rng(seed))
    for image, cut in zip(images, out, strict=True):
        rows, columns = np.nonzero((image != cut).any(axis=2))
        hole = cut[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert max(hole.shape[:2]) <= side
        assert (hole == image.reshape(-1, 3).mean(axis=0).astype(np.uint8)).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Augment(flip="sometimes"), "flip = 'sometimes'; must be True, False or 'alternate'"),
        (lambda: Augment(crop_padding=-1), "crop_padding = -1; must be an integer >= 0"),
        (lambda: Augment(cutout=1.5), "cutout = 1.5; must be an integer >= 0"),
        (lambda: Augment(crop_padding=8)(np.zeros((1, 8, 9, 3), np.uint8), None), "crop_padding = 8 must be smaller"),
        (lambda: Augment()(np.zeros((8, 9, 3), np.uint8), None), r"or \(N, H, W, 3\), got \(8, 9, 3\)"),
        (lambda: Augment()(np.zeros((1, 8, 9, 3)), None), "uint8 .* got float64; augment before normalize"),
    ],
)
def test_bad_augmentations_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


# Statistics ----------------------------------------------------------------------------------------------------------


@given(st.builds(images_of, seeds, st.tuples(st.integers(1, 600), st.just(3), st.just(2), st.just(3))))
def test_statistics_are_those_of_numpy_in_double_precision(images):
    mean, std = data.channel_statistics(images)
    assert mean.dtype == std.dtype == np.float32
    assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), rtol=1e-6)
    assert_allclose(std, (images / 255).std(axis=(0, 1, 2)), rtol=1e-6)


def test_normalized_data_have_mean_0_and_standard_deviation_1():
    before = SET.images.copy()
    mean, std = data.channel_statistics(SET.images)
    x = data.normalize(SET.images, mean, std)
    assert (x.dtype, x.flags.c_contiguous, x.shape) == (np.float32, True, SET.images.shape)
    assert_allclose(x.mean(axis=(0, 1, 2), dtype=np.float64), 0, atol=1e-5)
    assert_allclose(x.std(axis=(0, 1, 2), dtype=np.float64), 1, atol=1e-5)
    assert_allclose(x, (SET.images / 255 - mean) / std, atol=1e-5)
    assert_array_equal(SET.images, before)


def test_the_deviation_of_images_that_are_nearly_all_alike_is_right():
    images = np.full((300, 16, 16, 3), 200, np.uint8)
    images[7, 3, 4] = 201
    pixels = 300 * 16 * 16
    assert_allclose(data.channel_statistics(images)[1], np.sqrt((1 - 1 / pixels) / pixels) / 255, rtol=1e-7)


def test_constant_images_have_no_spread_and_cannot_be_normalized():
    images = np.full((300, 4, 4, 3), 200, np.uint8)
    mean, std = data.channel_statistics(images)
    assert_array_equal(std, 0)
    with pytest.raises(ValueError, match="every std positive"):
        data.normalize(images, mean, std)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: data.channel_statistics(np.zeros((0, 2, 2, 3), np.uint8)), "no pixels"),
        (lambda: data.channel_statistics(np.zeros((1, 2, 2, 3))), "channel_statistics: images must be uint8"),
        (
            lambda: data.normalize(SET.images[0], [0] * 3, [1] * 3),
            r"normalize: images must have shape \(N, H, W, 1\) or",
        ),
        (lambda: data.normalize(SET.images, 0, 1), r"need shape \(3,\), got \(\) and \(\)"),
        (lambda: data.normalize(SET.images, [0, 0, np.nan], [1] * 3), "must be finite"),
    ],
)
def test_bad_statistics_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


# Loader --------------------------------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 250), st.booleans(), augments, st.integers(1, 4), st.data())
def test_an_epoch_resumed_anywhere_gives_the_same_bits(seed, batch, drop_last, augment, prefetch, draw):
    small = SET.first(draw.draw(st.integers(batch, 250)))
    settings = dict(seed=seed, augment=augment, drop_last=drop_last)
    loader = Loader(small, batch, prefetch=prefetch, **settings)
    epoch, start = draw.draw(st.integers(0, 9)), draw.draw(st.integers(0, len(loader)))
    whole, rest = list(loader.epoch(epoch)), list(Loader(small, batch, **settings).epoch(epoch, start))
    assert len(whole) == len(loader) and len(rest) == len(loader) - start
    for (x, labels), (x2, labels2) in zip(whole[start:], rest, strict=True):
        assert_array_equal(x, x2)
        assert_array_equal(labels, labels2)


@given(seeds, st.integers(1, 250), st.integers(0, 100), st.booleans())
def test_an_epoch_is_a_permutation_and_labels_stay_with_their_images(seed, batch, epoch, drop_last):
    loader = Loader(SET, batch, seed=seed, drop_last=drop_last)
    order = loader.order(epoch)
    assert_array_equal(np.sort(order), np.arange(250))
    batches = list(loader.epoch(epoch))
    kept = 250 // batch * batch if drop_last else 250
    assert sum(len(labels) for _, labels in batches) == kept
    assert {len(labels) for _, labels in batches[:-1]} <= {batch}
    assert_array_equal(np.concatenate([labels for _, labels in batches]), SET.labels[order[:kept]])
    images = data.normalize(SET.images[order[:kept]], loader.mean, loader.std)
    assert_array_equal(np.concatenate([x for x, _ in batches]), images)


def test_epochs_seeds_and_batches_draw_differently():
    loader = Loader(SET, 50, augment=Augment())
    assert (loader.order(0) != loader.order(1)).any()
    assert (loader.order(0) != Loader(SET, 50, seed=1).order(0)).any()
    fixed = Loader(SET, 50, augment=Augment(), shuffle=False)
    assert_array_equal(fixed.order(3), np.arange(250))
    first, second = (next(fixed.epoch(epoch))[0] for epoch in (0, 1))
    assert (first != second).any()
    twins = data.Dataset(np.repeat(SET.images[:1], 100, axis=0), np.zeros(100, int), ("a",), "twins")
    (a, _), (b, _) = Loader(twins, 50, augment=Augment(), mean=[0] * 3, std=[1] * 3).epoch(0)
    assert (a != b).any()


def test_alternate_flips_show_each_side_in_every_second_epoch():
    loader = Loader(SET, 100, augment=Augment(flip="alternate", crop_padding=0))
    seen = []
    for epoch in range(3):
        x = np.concatenate([x for x, _ in loader.epoch(epoch)])
        back = np.empty_like(x)
        back[loader.order(epoch)] = x
        seen.append(back)
    assert_array_equal(seen[0], seen[2])
    assert_array_equal(seen[0], data.flip_horizontal(seen[1]))
    mirrored = (seen[0] != data.normalize(SET.images, loader.mean, loader.std)).any(axis=(1, 2, 3))
    assert 80 < mirrored.sum() < 170


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("minighost-loader")]


def test_one_thread_works_ahead_and_ends_with_the_iterator():
    for leave in ("exhaust", "close", "forget", "raise"):
        batches = Loader(SET, 10, prefetch=3).epoch(0)
        assert loader_threads() == []
        next(batches)
        assert len(loader_threads()) == 1
        if leave == "exhaust":
            assert len(list(batches)) == 24
        elif leave == "close":
            batches.close()
        elif leave == "forget":
            del batches
        else:
            with pytest.raises(ZeroDivisionError):
                batches.throw(ZeroDivisionError)
        assert loader_threads() == []


def test_no_more_than_prefetch_batches_are_ahead():
    made = []

    def count(images, rng):
        made.append(len(images))
        return images

    batches = Loader(SET, 10, augment=count, prefetch=2).epoch(0)
    for taken in range(1, 6):
        next(batches)
        time.sleep(0.02)  # time enough for a thread without bounds to run ahead
        assert len(made) <= taken + 2
    batches.close()


def test_what_the_thread_raises_is_raised_in_the_consumer():
    def fail_later(images, rng):
        if len(images) < 100:
            raise LookupError("bad augmentation")
        return images

    batches = Loader(SET, 100, augment=fail_later).epoch(0)
    assert len(next(batches)[0]) == len(next(batches)[0]) == 100
    with pytest.raises(LookupError, match="bad augmentation"):
        next(batches)
    assert loader_threads() == []


def test_batches_are_the_consumers_own():
    before = SET.images.copy()
    loader = Loader(SET, 50, shuffle=False)
    for x, labels in loader.epoch(0):
        x[:], labels[:] = 7, 7
    assert_array_equal(SET.images, before)
    assert SET.labels.max() > 7


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: Loader(SET, 251),
            "batch_size = 251 is larger than the data set 'shapes10' with 250 images; use at most 250",
        ),
        (lambda: Loader(SET, 0), "batch_size = 0; must be an integer >= 1"),
        (lambda: Loader(SET, 2.5), "batch_size = 2.5"),
        (lambda: Loader(SET, 10, prefetch=0), "prefetch = 0"),
        (lambda: Loader(SET, 10, seed=-1), "seed = -1"),
        (lambda: Loader(SET, 10, mean=[0] * 3), "both mean and std, or neither"),
        (lambda: Loader(SET, 100).epoch(-1), "epochs count from 0"),
        (lambda: Loader(SET, 100).epoch(0, start=4), r"start 4; .*start must be in 0\.\.3"),
        (lambda: Loader(data.Dataset(SET.images[:0], SET.labels[:0], SET.classes, "none"), 1), "'none' is empty"),
    ],
)
def test_bad_loaders_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
