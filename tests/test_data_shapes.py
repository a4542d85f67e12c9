"""shapes10: a function of its seed, balanced, hard for a line and easy for an eye."""

import sys
from subprocess import run

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_limits

from minighost import data
from minighost.data import records, shapes


@given(st.integers(0, 2**40), st.integers(1, 110), st.sampled_from(["train", "test"]))
def test_the_same_seed_draws_the_same_bits(seed, n, split):
    a, b = shapes10(n, seed, split), shapes10(n, seed, split)
    assert_array_equal(a.images, b.images)
    assert_array_equal(a.labels, b.labels)


def shapes10(n, seed=0, split="train"):
    return data.shapes10(n, seed, split)


@given(st.integers(1, 250), st.integers(1, 250))
def test_a_longer_set_begins_with_the_shorter_one(n, m):
    n, m = min(n, m), max(n, m)
    assert_array_equal(shapes10(n).images, shapes10(m).images[:n])
    assert_array_equal(shapes10(n).labels, shapes10(m).labels[:n])


def test_no_image_is_drawn_twice_over_splits_and_seeds():
    drawn = [shapes10(1000, seed, split).images for seed in (0, 1) for split in ("train", "test")]
    assert len({image.tobytes() for images in drawn for image in images}) == 4000


def test_default_sizes_and_types(monkeypatch):
    monkeypatch.setattr(shapes, "SIZES", {"train": 300, "test": 200})
    for split, n in (("train", 300), ("test", 200)):
        d = data.load("shapes10", split)
        assert (d.images.shape, d.images.dtype, d.labels.dtype) == ((n, 32, 32, 3), np.uint8, np.int64)
        assert d.images.flags.c_contiguous
        assert len(d.classes) == 10 and d.name == "shapes10"


def test_every_hundred_images_hold_ten_of_each_class_in_mixed_order():
    labels = shapes10(300).labels.reshape(3, 100)
    assert_array_equal(np.sort(labels, axis=1), np.tile(np.repeat(np.arange(10), 10), (3, 1)))
    assert len({row.tobytes() for row in labels}) == 3


@pytest.mark.parametrize("shape", shapes._SHAPES, ids=shapes.CLASSES)
def test_a_shape_is_signed_stays_in_reach_and_is_no_steeper_than_a_distance(shape):
    axis = np.linspace(-1.5, 1.5, 301)
    x, y = np.meshgrid(axis, axis)
    d = shape(x, y)
    assert d.min() < -0.15
    assert (d[np.hypot(x, y) > shapes.REACH] > 0).all()  # so the frame never cuts it
    assert 0.5 < (d < 0).sum() / 1e4 < 2.5  # area, in units of the radius squared
    down, right = (abs(np.diff(d, axis=axis)) / 0.01 for axis in (0, 1))
    falling, rising = (abs(e[1:, 1:] - e[:-1, :-1]) / np.hypot(0.01, 0.01) for e in (d, d[:, ::-1]))
    assert max(slope.max() for slope in (down, right, falling, rising)) < 1 + 1e-9
    assert np.median(np.hypot(down[:, 1:], right[1:])) > 0.9
    assert d.dtype == np.float64 and shape(x.astype("f"), y.astype("f")).dtype == np.float32


def test_every_shape_lies_inside_the_frame_and_stands_out():
    rng = np.random.default_rng(3)
    cover = shapes._coverage(rng, np.arange(shapes.BLOCK) % 10)
    for edge in (cover[:, 0], cover[:, -1], cover[:, :, 0], cover[:, :, -1]):
        assert edge.max() < 0.01
    assert (cover.sum(axis=(1, 2)) > 25).all()
    ground, shape = shapes._lights(rng)
    assert (abs(ground - shape) >= 0.25 - 1e-9).all()
    assert ((ground >= 0.12) & (ground <= 0.88) & (shape >= 0.12) & (shape <= 0.88)).all()


@threadpool_limits.wrap(limits=1)  # small products: a second thread only waits
def test_a_linear_softmax_stays_under_half_but_above_chance():
    train, test = shapes10(3000), shapes10(1000, split="test")
    mean, std = data.channel_statistics(train.images)
    x, t = (data.normalize(d.images, mean, std).reshape(len(d), -1) for d in (train, test))
    w, velocity, rng = np.zeros((x.shape[1], 10), np.float32), 0, np.random.default_rng(0)
    for step in range(300):
        batch = rng.integers(0, len(x), 100)
        p = np.exp(x[batch] @ w)
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(100), train.labels[batch]] -= 1
        velocity = 0.9 * velocity - 2e-3 * (1 - step / 300) * (x[batch].T @ p / 100 + 0.1 * w)
        w += velocity
    accuracy = ((t @ w).argmax(axis=1) == test.labels).mean()
    assert 0.13 < accuracy < 0.5


@pytest.mark.parametrize(
    "arguments, message",
    [((0,), "n = 0"), ((10, -1), "seed = -1"), ((10, 0, "valid"), "unknown split 'valid'; available: 'train', 'test'")],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.shapes10(*arguments)


def test_load_knows_its_names_and_says_which():
    assert data.names() == ("shapes10", "cifar10", "cifar100", "shapes-detect")
    hint = r" \(did you mean 'cifar100'\?\); available: shapes10, cifar10, cifar100, shapes-detect"
    with pytest.raises(ValueError, match=f"unknown data set 'cifar1000'{hint}"):
        data.load("cifar1000", "train")
    with pytest.raises(ValueError, match="reads no files, but got /some/where; did you mean --data cifar10"):
        data.load("shapes10", "train", directory="/some/where")
    assert_array_equal(data.load("shapes10", "test", n=7, seed=2).images, shapes10(7, 2, "test").images)


@pytest.mark.parametrize("name", data.names())
def test_a_description_is_that_of_the_images(name):
    about = data.describe(name)
    if about.reads_files:
        side = records.SIDE
    else:
        side, width = data.load(name, "test", n=1).images.shape[1:3]
        assert side == width
    assert about.side == side and callable(getattr(data, name.replace("-", "_")))


def test_data_needs_numpy_only():
    code = (
        "import sys, minighost.data as d; d.shapes10(1); "
        "print(*{'numba', 'matplotlib', 'pooch', 'scipy', 'tqdm', 'requests'} & set(sys.modules))"
    )
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
    code = "import sys, minighost.data as d; d.names(); print('numpy' in sys.modules)"
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_a_dataset_checks_what_it_is_given():
    images, labels = np.zeros((3, 2, 2, 3), np.uint8), np.array([0, 1, 0])
    for i, y, error, message in [
        (images / 255, labels, TypeError, "images must be uint8"),
        (images[..., :2], labels, ValueError, r"must have shape \(N, H, W, 1\) or \(N, H, W, 3\), got \(3, 2, 2, 2\)"),
        (images, labels[:2], ValueError, r"3 images need labels of shape \(3,\), got \(2,\)"),
        (images, labels / 1, TypeError, "labels must be integers, got float64"),
        (images, labels + [0, 1, 0], ValueError, r"label 2 of image 1 is outside 0\.\.1"),
        (images, labels - [0, 0, 1], ValueError, r"label -1 of image 2 is outside 0\.\.1"),
    ]:
        with pytest.raises(error, match=message):
            data.Dataset(i, y, ("a", "b"), "mine")
    mine = data.Dataset(images[:, :, ::-1], labels.astype(np.uint8), ["a", "b"], "mine")
    assert mine.images.flags.c_contiguous and mine.labels.dtype == np.int64 and mine.classes == ("a", "b")
    assert len(mine.first(2)) == 2
    for n in (0, 4):
        with pytest.raises(ValueError, match=f"cannot take {n} images; this split has 3"):
            mine.first(n)
