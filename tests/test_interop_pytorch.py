"""Our names in PyTorch's layouts: a layer computes there what it computes here."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minighost import interop, models
from minighost.nn import Flatten

FLATTENED = [("alexnet", "hidden1.1", 6), ("alexnet_torchvision", "hidden1.1", 6), ("vgg16", "hidden1.0", 7)]


def network(name, rng=0):
    return models.create(name, width=1 / 16, num_classes=3, rng=rng)


@pytest.mark.parametrize("name, path, side", FLATTENED)
def test_a_linear_layer_sees_the_pixels_of_a_plane_in_pytorchs_order(name, path, side):
    model, other = network(name), network(name, rng=1)
    weights, w = interop.state_dict(model, "pytorch"), model.state_dict()[f"{path}.weight"]
    plane = np.random.default_rng(1).normal(size=(2, side, side, len(w) // side**2)).astype(np.float32)
    there = plane.transpose(0, 3, 1, 2).reshape(2, -1) @ weights[f"{path}.weight"].T
    assert_allclose(there, plane.reshape(2, -1) @ w, rtol=1e-4, atol=1e-5)
    interop.load(other, weights, "pytorch")
    for key, value in model.state_dict().items():
        assert_array_equal(other.state_dict()[key], value)


def test_no_other_network_flattens_a_plane():
    """One that does needs a table in `interop.pytorch`."""
    flattening = [name for name in models.names() if any(isinstance(m, Flatten) for m in network(name).modules())]
    assert flattening == [name for name, _, _ in FLATTENED]
