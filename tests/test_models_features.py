"""Networks without their heads: maps at several strides, and gradients that reach them from several places."""

import re

import numpy as np
import pytest
from networks import check_gradients
from numpy.testing import assert_allclose

from minighost import models, nn


@pytest.mark.parametrize("name", models.names())
def test_every_network_has_maps_of_what_channels_and_strides_it_says(name):
    with nn.without_weights():
        features = models.create(name, features_only=True)
    maps = features(np.empty((0, 256, 256, 3), np.float32))
    assert len(maps) == len(features.channels) == len(features.strides) <= 4
    assert list(features.strides) == sorted(set(features.strides)) and features.strides[-1] >= 4
    for one, stride, channels in zip(maps, features.strides, features.channels, strict=True):
        assert one.shape[3] == channels and abs(one.shape[1] - 256 / stride) <= 4, "a valid convolution loses a few"


@pytest.mark.parametrize(
    "name, strides, channels",
    [
        ("ghostnet", (4, 8, 16, 32), (24, 40, 112, 160)),
        ("ghostnet_cifar", (1, 2, 4, 8), (24, 40, 112, 160)),
        ("resnet20", (1, 2, 4), (16, 32, 64)),
        ("xception", (4, 8, 16, 32), (128, 256, 728, 2048)),
    ],
)
def test_maps_are_the_last_ones_before_the_next_reduction(name, strides, channels):
    with nn.without_weights():
        features = models.create(name, features_only=True)
    assert (features.strides, features.channels) == (strides, channels)


def small(strides=True, seed=0):
    return models.create("ghostnet_short", width=0.25, num_classes=3, rng=seed, features_only=strides)


def test_maps_are_those_on_the_way_to_the_logits():
    network = models.create("resnet20", width=0.25, rng=0).astype(np.float64)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3))
    for mode in (True, False):
        network.train(mode)
        state = network.state_dict()
        on_the_way = [network.stem(x)]
        for stage in network.stages:
            on_the_way.append(stage(on_the_way[-1]))
        network.load_state_dict(state)
        maps = models.Features(network)(x)
        for one, expected in zip(maps, on_the_way[1:], strict=True):
            assert_allclose(one, expected, rtol=1e-10, atol=1e-10)


def test_only_what_the_maps_need_is_kept():
    whole, features = models.create("ghostnet_short", width=0.25, rng=0), small((2, 4))
    paths = [path for path, _ in whole.named_parameters()]
    kept = sum(path.startswith(("stem", "stages.0", "stages.1", "stages.2", "stages.3")) for path in paths)
    assert len(list(features.parameters())) == kept
    assert features.strides == (2, 4) and len(features(np.zeros((1, 16, 16, 3), np.float32))) == 2
    maps = features(np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32))
    features.backward([np.ones_like(one) for one in maps])
    assert all(parameter.grad is not None for parameter in features.parameters())


def test_strides_come_ascending_and_once():
    assert small((4, 1, 4)).strides == (1, 4)
    assert small([2]).strides == (2,)


class Joined(nn.Module):
    """All maps as one row per image."""

    def __init__(self, features):
        self.features = features

    def forward(self, x):
        maps = self.features(x)
        self._cache = [one.shape for one in maps]
        return np.concatenate([one.reshape(len(x), -1) for one in maps], axis=1)

    def backward(self, dout):
        shapes = self._take_cache(dout)
        ends = np.cumsum([0, *(np.prod(shape[1:]) for shape in shapes)])
        parts = zip(ends, ends[1:], shapes, strict=False)
        return self.features.backward([dout[:, a:b].reshape(shape) for a, b, shape in parts])


def test_gradients_of_all_maps_meet():
    check_gradients(Joined(small((2, 4, 8), seed=1)), (2, 16, 16, 3))


@pytest.mark.parametrize("training", [True, False])
def test_none_is_a_gradient_of_zeros(training):
    features, x = small().astype(np.float64).train(training), np.random.default_rng(0).normal(size=(2, 16, 16, 3))
    rng, gradients = np.random.default_rng(1), []
    maps = features(x)
    state = features.state_dict()
    some = [rng.normal(size=one.shape) if k % 2 else None for k, one in enumerate(maps)][:3] + [None]
    for dout in (some, [np.zeros_like(one) if d is None else d for one, d in zip(maps, some, strict=True)]):
        features.load_state_dict(state).zero_grad()
        features(x)
        dx = features.backward(dout)
        gradients.append({"x": dx, **{path: p.grad for path, p in features.named_parameters()}})
    for path, expected in gradients[1].items():
        if gradients[0][path] is None:
            assert not expected.any(), f"{path}: only the last stage has no gradient"
        else:
            assert_allclose(gradients[0][path], expected, rtol=1e-9, atol=1e-9)


def test_frozen_stages_that_nobody_waits_for_have_no_backward():
    features, x = small().astype(np.float64), np.random.default_rng(0).normal(size=(2, 16, 16, 3))
    nn.freeze(features, "stages.1")
    gradients = []
    for spared in (False, True):
        if spared:
            features.skip_input_gradient()
            for stage in features.stages[:2]:
                stage.backward = None  # not to be called
        features.zero_grad()
        maps = features(x)
        dx = features.backward([np.random.default_rng(1).normal(size=one.shape) for one in maps])
        assert (dx is None) == spared
        gradients.append([p.grad for p in features.parameters()])
    for whole, stopped in zip(*gradients, strict=True):
        assert (whole is None) == (stopped is None)
        if whole is not None:
            assert_allclose(stopped, whole, rtol=1e-8, atol=1e-9)
    assert sum(grad is None for grad in gradients[0]) > 0


@pytest.mark.parametrize(
    "strides, message",
    [
        ((8, 3), "features_only=(8, 3): GhostNet has maps of the strides 1, 2, 4, 8; give some of these, or True for "),
        ((), "features_only=(): GhostNet has maps of the strides 1, 2, 4, 8"),
        (16, "features_only=16: GhostNet has maps of the strides 1, 2, 4, 8"),
    ],
)
def test_an_unknown_stride_lists_the_known_ones(strides, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        small(strides)


def test_what_is_no_chain_has_no_maps_to_take():
    class Other(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(3, 3, 3)

    with pytest.raises(TypeError, match="features_only: Other must be a Chain"):
        models.Features(Other())


def test_gradients_that_do_not_fit_are_refused():
    features, x = small(), np.zeros((1, 16, 16, 3), np.float32)
    maps = features(x)
    with pytest.raises(ValueError, match=r"dout must be a list of 4 gradients.*got 3 with 3 arrays"):
        features.backward(maps[:3])
    with pytest.raises(ValueError, match=r"not all None; got 4 with 0 arrays"):
        features.backward([None] * 4)
    with pytest.raises(ValueError, match=r"dout must have shape \(1, 2, 2, 32\), got \(1, 4, 4, 16\)"):
        features.backward([None, None, None, maps[2]])
    features(x)
    features.backward(maps)
    with pytest.raises(RuntimeError, match="backward\\(\\) needs a forward\\(\\) before it"):
        features.backward(maps)


def test_an_error_names_the_layer():
    with pytest.raises(ValueError, match=r"^stages\.0\.0\.conv: "):
        small()(np.zeros((1, 16, 16, 4), np.float32))
