"""A folded network: it leaves the model alone, takes any batch, and calls the layers that it does not know."""

import hashlib

import numpy as np
import pytest
from folds import Doubled, assert_folds, network, nodes_of, perturbed
from numpy.testing import assert_allclose, assert_array_equal

import minighost as mg
from minighost import nn
from minighost.engine.memory import pool_bytes
from minighost.nn import fold_nodes, folded


class Shifted(nn.Module):
    """Another one, for logits."""

    def __init__(self):
        self.by = nn.module.Parameter(np.ones(1, np.float32))

    def forward(self, x):
        return x + self.by.data


def digest(model):
    return hashlib.sha256(b"".join(v.tobytes() for v in model.state_dict().values())).hexdigest()


def test_the_model_is_left_as_it_is_and_its_weights_are_copied(rng):
    model = nn.Sequential(network("ghostnet_short", np.float32), Shifted()).train()
    x = rng.normal(size=(2, 16, 16, 3)).astype(np.float32)
    model[0](x)
    grads, caches, before = [p.grad for p in model.parameters()], [m._cache for m in model.modules()], digest(model)
    f = nn.fold(model)
    first = f(x)
    assert digest(model) == before and all(m.training for m in model.modules())
    assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))
    assert all(m._cache is c for m, c in zip(model.modules(), caches, strict=True))
    for p in model.parameters():
        p.data += 1
    assert_array_equal(f(x), first)


@pytest.mark.small
def test_the_input_is_not_written_to_and_may_have_any_layout(rng):
    model = perturbed(nn.Sequential(nn.ReLU(), nn.ConvBNAct(4, 4, 3, groups=4), nn.Identity()))
    wide = rng.normal(size=(3, 5, 4, 8))
    wide.flags.writeable = False
    f, before = nn.fold(model), wide.copy()
    assert_array_equal(f(wide[..., ::2]), f(np.ascontiguousarray(wide[..., ::2])))
    assert_array_equal(wide, before)
    same = nn.fold(nn.Identity())
    x = rng.normal(size=(3, 4))
    out = same(x)
    out += 1
    assert not np.shares_memory(out, x)


def test_results_that_are_kept_are_not_overwritten(rng):
    f = nn.fold(perturbed(nn.ConvBNAct(3, 64, 3)))
    x = rng.normal(size=(9, 16, 16, 3))
    first = f(x)
    kept = first.copy()
    f(x + 1)
    assert_array_equal(first, kept)


def test_the_bits_do_not_depend_on_the_threads(rng):
    f = nn.fold(network("ghostnet_short", np.float32))
    for N in (1, 2, 33):
        x = rng.normal(size=(N, 32, 32, 3)).astype(np.float32)
        results = []
        for count in {1, mg.threads().count}:
            with mg.threads(count):
                results.append(f(x))
        assert_array_equal(results[0], results[-1])


def test_inference_allocates_nothing_after_the_first_call(rng):
    f, x = nn.fold(network("ghostnet_short", np.float32)), rng.normal(size=(33, 32, 32, 3)).astype(np.float32)
    f(x)
    held = pool_bytes()
    for _ in range(3):
        f(x)
    assert pool_bytes() == held


@pytest.mark.small
def test_plans_are_not_kept_for_ever(rng):
    f = nn.fold(nn.ReLU())
    for N in range(2 * folded._PLANS):
        f(np.zeros((N + 1, 1, 1, 1)))
    assert len(f._plans) == folded._PLANS


BAD = {
    "a list": [1.0],
    "integers": np.zeros((2, 8, 8, 3), int),
    "another dtype": np.zeros((2, 8, 8, 3), np.float64),
    "three axes": np.zeros((8, 8, 3), np.float32),
    "other channels": np.zeros((2, 8, 8, 4), np.float32),
    "no axes": np.zeros((), np.float32),
    "a plane too small": np.zeros((2, 2, 8, 3), np.float32),
}


@pytest.mark.small
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_as_by_the_layers(what):
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.ReLU())
    with pytest.raises((TypeError, ValueError)) as expected:
        model(BAD[what])
    f = nn.fold(model)
    for _ in range(2):
        with pytest.raises(type(expected.value)) as found:
            f(BAD[what])
        assert str(found.value) == str(expected.value)


@pytest.mark.small
def test_an_empty_batch_gives_an_empty_result():
    f = nn.fold(nn.Sequential(nn.ConvBNAct(3, 4, 3), nn.GlobalAvgPool()))
    assert f(np.zeros((0, 8, 8, 3), np.float32)).shape == (0, 4)


@pytest.mark.small
def test_only_a_module_can_be_folded():
    with pytest.raises(TypeError, match="fold: model must be a Module, got function"):
        nn.fold(lambda x: x)


# Layers that are not known --------------------------------------------------------------------------------------


class Reversed(nn.Sequential):
    """A sequence that runs the other way round."""

    def forward(self, x):
        for layer in self._layers[::-1]:
            x = layer(x)
        return x


@pytest.mark.small
@pytest.mark.parametrize("make", [nn.ReLU, lambda: nn.Sequential(nn.ReLU())])
def test_a_layer_whose_forward_was_replaced_is_unknown(rng, make):
    layer = make()
    layer.forward = lambda x: x - 1
    assert_folds(layer, rng.normal(size=(2, 3, 3, 2)))


@pytest.mark.small
def test_an_unknown_layer_takes_part_as_it_is(rng):
    model = perturbed(nn.Sequential(nn.ConvBNAct(6, 4, 3), Doubled(4), nn.ConvBNAct(4, 3, 1)))
    f = assert_folds(model, rng.normal(size=(5, 4, 4, 6)))
    assert [isinstance(node, fold_nodes.Plain) for node in nodes_of(f)] == [False, True, False]
    assert all(m._cache is None for m in nodes_of(f)[1].layer.modules())


class Around(nn.Module):
    """An unknown layer, with one of ours inside."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return self.layer(x) * x.mean()


@pytest.mark.small
def test_what_is_known_inside_an_unknown_layer_keeps_no_images(rng):
    f = assert_folds(perturbed(Around(nn.ConvBNAct(6, 4, 3))), rng.normal(size=(5, 4, 4, 6)))
    ((node,),) = [nodes_of(f)]
    assert node.layer.layer._kept_fold is not None and node.layer.layer._kept_fold.x is None


@pytest.mark.small
def test_whatever_a_forward_does_with_known_layers_folds(rng):
    model = perturbed(nn.Sequential(nn.Conv2d(6, 4, 3), Reversed(nn.ReLU(), nn.BatchNorm2d(4)), nn.Conv2d(4, 3, 1)))
    f = assert_folds(model, rng.normal(size=(5, 4, 4, 6)))
    assert [type(node) for node in nodes_of(f)] == [fold_nodes.Convolution] * 2


class Shaped(nn.Module):
    """A layer that asks for its input's shape."""

    def forward(self, x):
        return x.reshape(len(x), -1)


@pytest.mark.small
def test_a_layer_that_asks_for_shapes_is_called(rng):
    model = perturbed(nn.Sequential(nn.ConvBNAct(6, 4, 3), Shaped(), nn.Linear(64, 3)))
    f = assert_folds(model, rng.normal(size=(5, 4, 4, 6)))
    assert [getattr(node, "reason", "") for node in nodes_of(f)] == ["", "it reads the numbers", ""]


@pytest.mark.small
def test_a_method_that_a_class_was_given_later_is_respected(rng, monkeypatch):
    model, x = perturbed(nn.Sequential(nn.Conv2d(6, 4, 3), nn.ReLU())), rng.normal(size=(2, 4, 4, 6))
    forward = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: 2 * forward(self, x))
    f = assert_folds(model, x)
    assert isinstance(nodes_of(f)[0], fold_nodes.Plain)


@pytest.mark.small
@pytest.mark.parametrize("where", ["se", "shortcut", "ghost1.cheap", "ghost2.cheap.bn"])
def test_an_unknown_layer_inside_a_block_is_called_and_the_others_fold(rng, where):
    block = nn.GhostBottleneck(6, 10, 8, stride=2, se_hidden=2, rng=0)
    *path, name = where.split(".")
    owner = block
    for step in path:
        owner = getattr(owner, step)
    unknown = {
        "se": lambda: Doubled(10),
        "shortcut": lambda: nn.Sequential(nn.ConvBNAct(6, 8, 1, 2), Doubled(8)),
        "ghost1.cheap": lambda: Doubled(5),
        "ghost2.cheap.bn": lambda: Doubled(4),
    }
    setattr(owner, name, unknown[where]())
    f = assert_folds(perturbed(block), rng.normal(size=(2, 4, 4, 6)))
    kinds = [type(node) for node in nodes_of(f)]
    assert kinds.count(fold_nodes.Plain) == 1 and fold_nodes.Affine not in kinds


class Cropped(nn.Module):
    """Nobody's layer either: what it returns has a shape that depends on the numbers."""

    def forward(self, x):
        return x[:, : 1 + int(x[0, 0, 0, 0] > 0)]


@pytest.mark.small
def test_what_an_unknown_layer_returns_may_differ_from_call_to_call(rng):
    model, x = perturbed(nn.Sequential(Cropped(), nn.ConvBNAct(3, 4, 3))), np.abs(rng.normal(size=(3, 2, 2, 3)))
    f = nn.fold(model)
    for sign in (1, -1):
        assert_allclose(f(sign * x), model.eval()(sign * x), rtol=1e-10)


class Biased(nn.Module):
    """A constant joins the input."""

    def forward(self, x):
        return nn.functional.add_forward(x, np.ones((5, 2, 2, 4)))[0]


@pytest.mark.small
def test_a_layer_that_joins_its_input_with_a_constant_is_called(rng):
    model = perturbed(nn.Sequential(nn.ConvBNAct(6, 4, 3), Biased(), nn.Conv2d(4, 3, 1)))
    f = assert_folds(model, rng.normal(size=(5, 2, 2, 6)))
    reasons = [getattr(node, "reason", "") for node in nodes_of(f)]
    assert reasons == ["", "it joins its input with numbers of its own", ""]
