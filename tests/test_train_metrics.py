"""Evaluation: which views of an image the network is asked about, and that it is left as it was."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from training import TinyNet

from minighost import data
from minighost.train import evaluate


@pytest.fixture
def looks():
    """A model in training, and the logits that each way of looking at a test set gives."""
    test_set, model = data.load("shapes10", "test", n=30), TinyNet().train()
    mean, std = data.channel_statistics(test_set.images)

    def logits(views, change=lambda images: images):
        changed = data.Dataset(change(test_set.images), test_set.labels, test_set.classes, "changed")
        return evaluate(model, data.Loader(changed, 12, shuffle=False, mean=mean, std=std), views=views).logits

    return model, logits


def test_evaluation_averages_the_logits_of_both_sides_and_restores_the_mode(looks):
    model, logits = looks
    one, other = logits("image"), logits("image", lambda images: images[:, :, ::-1])
    assert_allclose(logits("mirror"), 0.5 * (one + other), rtol=1e-5, atol=1e-6)
    assert model.training and not np.allclose(one, other)


def test_evaluation_looks_at_shifted_images(looks):
    _, logits = looks

    def shifted(step):
        def change(images):
            padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
            return padded[:, 1 + step : 33 + step, 1 + step : 33 + step]

        return logits("mirror", change)

    expected = 0.5 * shifted(0) + 0.25 * (shifted(1) + shifted(-1))
    assert_allclose(logits("shift"), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="evaluate: views='crop' is unknown; choose from 'image', 'mirror', 'shift'"):
        logits("crop")
