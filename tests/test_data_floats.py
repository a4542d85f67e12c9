"""Images that are floats: checked, augmented and looked at as bytes are."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minighost.data import Augment, Dataset
from minighost.data.floats import FloatAugment, FloatDataset

LABELS = np.array([0, 1, 1])


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_floats_can_be_looked_at(rng, channels):
    x = rng.normal(size=(3, 6, 4, channels))
    images = FloatDataset(x, LABELS, ("a", "b"), "mine")
    seen = images.visible()
    assert type(seen) is Dataset and seen.channels == (3 if channels == 3 else 1) and images.size == (6, 4)
    assert seen.images.min() == 0 and seen.images.max() == 255
    grey = x if channels == 3 else x.mean(axis=3, keepdims=True)
    assert seen.images.argmax() == grey.argmax() and images.first(2).images.dtype == np.float32
    assert (FloatDataset(np.ones((3, 2, 2, channels)), LABELS, ("a", "b"), "even").visible().images == 0).all()


def test_floats_are_augmented_as_bytes_are(rng):
    images = rng.integers(0, 256, (3, 8, 8, 3), np.uint8)
    options = {"flip": True, "crop_padding": 2}
    bytes_ = Augment(**options)(images, np.random.default_rng(4))
    assert_array_equal(FloatAugment(**options)(images.astype(np.float32), np.random.default_rng(4)), bytes_)
    x = rng.normal(size=(1, 4, 4, 2)).astype(np.float32)
    assert_array_equal(FloatAugment(False, 0, 20)(x, rng), np.broadcast_to(x.mean(axis=(1, 2)), (1, 4, 4, 2)))


@pytest.mark.parametrize(
    "images, message",
    [
        (np.zeros((3, 2, 2, 3), np.uint8), "mine: images must be floats, got uint8"),
        (np.zeros((3, 4)), r"mine: images must have shape \(N, H, W, C\), got \(3, 4\)"),
        (np.full((3, 1, 1, 1), np.inf), r"mine: the number at \(0, 0, 0, 0\) is inf; all numbers must be finite"),
    ],
)
def test_what_are_no_such_floats_is_refused(images, message):
    with pytest.raises((TypeError, ValueError), match=message):
        FloatDataset(images, LABELS, ("a", "b"), "mine")
    if images.dtype == np.uint8:
        with pytest.raises(TypeError, match="FloatAugment: images must be floats"):
            FloatAugment()(images, np.random.default_rng(0))
