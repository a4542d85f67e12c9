"""Weights go out and come back under any names there is a table for, and whose names they are is seen from them."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minighost import interop, models, nn
from minighost.interop.tables import Table, named_by


class Flat(nn.Sequential):
    """A network whose last layer sees a flattened plane of 3 channels."""

    def __init__(self, rng=0):
        super().__init__(nn.Conv2d(2, 3, 3, rng=rng), nn.Linear(12, 4, rng=rng), nn.Linear(4, 2, rng=rng))


@pytest.fixture(scope="module", autouse=True)
def names_of_flat():
    @named_by("timm", Flat)
    def flat(model):
        return Table(((r"^0\.", "features."), (r"^1\.", "fc.")), r"^2\.", {"1": 3}, r"^aux\.")


def network(rng=0):
    return models.create("ghostnet", width=0.1, num_classes=10, rng=rng)


def assert_same(one, two):
    for (path, mine), (_, other) in zip(one.state_dict().items(), two.state_dict().items(), strict=True):
        assert_array_equal(mine, other, err_msg=path)


@pytest.mark.parametrize("names", ["timm", "pytorch", "minighost"])
def test_a_saved_file_loads_by_itself_under_any_names(tmp_path, names):
    interop.save(network(1), tmp_path / "weights.safetensors", names)
    assert_same(interop.load(network(2), tmp_path / "weights.safetensors"), network(1))
    assert_same(interop.load(network(2), tmp_path / "weights.safetensors", names), network(1))


def test_after_a_flattened_plane_the_rows_are_put_in_our_order():
    theirs = interop.state_dict(Flat(), "timm")
    assert theirs["fc.weight"].shape == (4, 12) and theirs["2.weight"].shape == (2, 4, 1, 1)
    plane = np.arange(12.0).reshape(2, 2, 3)  # ours: (H, W, C)
    ours = plane.reshape(-1) @ Flat()[1].weight.data
    assert np.allclose(theirs["fc.weight"] @ plane.transpose(2, 0, 1).reshape(-1), ours)
    assert_same(interop.load(Flat(1), theirs), Flat())


def test_what_a_table_calls_absent_is_passed_over_and_nothing_else():
    theirs = interop.state_dict(Flat(), "timm")
    assert_same(interop.load(Flat(1), {**theirs, "aux.weight": np.ones(3)}), Flat())
    with pytest.raises(ValueError, match=r"1 differences:\n  unknown: other.weight \(3,\)"):
        interop.load(Flat(1), {**theirs, "other.weight": np.ones(3)})


def test_gradients_have_the_names_and_layouts_of_the_weights(rng):
    model = Flat()
    for p in model.parameters():
        p.grad = rng.normal(size=p.shape).astype(np.float32)
    grads, weights = interop.gradients(model, "timm"), interop.state_dict(model, "timm")
    assert {name: g.shape for name, g in grads.items()} == {name: w.shape for name, w in weights.items()}
    assert_array_equal(grads["features.weight"], model[0].weight.grad.transpose(3, 2, 0, 1))


def test_names_without_a_table_are_refused_with_those_that_there_are():
    expected = "no table of names 'torchvision' for GhostNet; available: 'pytorch', 'timm', 'minighost'"
    with pytest.raises(ValueError, match=f"^load: {expected}"):
        interop.load(network(), {}, "torchvision")
    with pytest.raises(
        ValueError, match="^interop: no table of names 'timm' for Linear; available: 'pytorch', 'minighost'"
    ):
        interop.state_dict(nn.Linear(2, 3), "timm")


def test_weights_of_another_network_are_refused_and_nothing_is_loaded():
    model = network(1)
    with pytest.raises(ValueError, match="load: these weights do not fit this GhostNet; nothing was loaded"):
        interop.load(model, interop.state_dict(Flat(), "timm"))
    assert_same(model, network(1))
