"""Folded networks: they compute what the model computes in evaluation, on any batch, and leave the model alone."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minighost as mg
from minighost import nn
from minighost.engine.inference.step import CONV, WINOGRAD, Step
from minighost.engine.memory import pool_bytes
from minighost.nn import fold_nodes, folded

SEEDS = st.integers(0, 2**32 - 1)
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-10}
SMALL = {"ghostnet": {"stem_stride": 1}}


def perturbed(model, dtype=np.float64, seed=0):
    """Statistics and parameters as after some training, so that no batch norm is the identity."""
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        if p.data.ndim == 1:
            p.data += 0.3 * rng.normal(size=p.shape)
    for path, b in model.named_buffers():
        b.data[...] = rng.uniform(0.5, 2, b.data.shape) if path.endswith("var") else 0.3 * rng.normal(size=b.data.shape)
    return model.astype(dtype)


def assert_folds(model, x):
    """Folding changes nothing but the rounding."""
    f = nn.fold(model)
    out, expected = f(x), model.eval()(x)
    assert out.shape == expected.shape and out.dtype == expected.dtype
    scale = np.abs(expected).max() if expected.size else 1
    assert_allclose(out, expected, rtol=0, atol=TOLERANCE[x.dtype.type] * max(scale, 1e-3))
    return f


def nodes_of(f):
    """What it consists of, in order."""
    return [op.node for segment in f.segments for op in segment.ops]


def steps_of(f):
    """The steps of the last plan's only stage."""
    *_, (stages,) = f._plans.values()
    ((_, _, steps, *_),) = stages.written[1]
    return [Step(*step) for step in steps]


def network(name, dtype=np.float64):
    return perturbed(mg.models.create(name, width=0.25, num_classes=7, rng=0, **SMALL.get(name, {})), dtype)


def calibrated(model, x):
    """With the statistics of these images: activations keep their size, so that rounding errors do not grow."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()(x)
    return model


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", mg.models.names())
def test_every_network_computes_the_same_when_folded(rng, name, dtype):
    model = network(name, dtype)
    for N in (1, 3, 40):
        x = rng.normal(size=(N, 32, 32, 3)).astype(dtype)
        if dtype == np.float32 and N == 40:  # random statistics cost the layers themselves up to 1e-3 of it
            model = calibrated(model, x)
        assert_folds(model, x)


@pytest.mark.parametrize("name", mg.models.names())
def test_no_layer_of_a_network_is_left_unfolded(name):
    assert not any(isinstance(node, fold_nodes.Plain) for node in nodes_of(nn.fold(network(name))))


@pytest.mark.parametrize("options", [{"ratio": 1}, {"ratio": 3}, {"gate": "clip"}, {"width": 0.3}])
def test_ghostnets_of_other_kinds_fold(rng, options):
    model = perturbed(mg.models.create("ghostnet_short", **{"width": 0.2, **options}))
    assert_folds(model, rng.normal(size=(3, 16, 16, 3)))


GEOMETRY = {"K": st.integers(1, 5), "stride": st.integers(1, 3), "padding": st.integers(0, 3)}
ACTS = st.sampled_from([None, "relu", "relu6", "hard_swish", "hard_sigmoid"])


@pytest.mark.small
@given(
    seed=SEEDS,
    N=st.sampled_from([1, 2, 9]),
    act=ACTS,
    kind=st.sampled_from(["dense", "grouped", "depthwise", "doubled"]),
    dilation=st.integers(1, 2),
    pool=st.sampled_from([1, 2]),
    **GEOMETRY,
)
def test_convolution_pooling_batch_norm_and_activation_fold(seed, N, act, kind, K, stride, padding, dilation, pool):
    rng = np.random.default_rng(seed)
    C, OC = rng.integers(1, 9, 2).tolist()
    C, OC, groups = {"dense": (C, OC, 1), "grouped": (2 * C, 2 * OC, 2), "depthwise": (C, C, C)}.get(
        kind, (C, 2 * C, C)
    )
    H, W = (dilation * (K - 1) + 1 + (pool - 1) * stride + rng.integers(0, 6, 2)).tolist()
    layer = nn.ConvBNAct(C, OC, K, stride, padding, dilation, groups, act, pool=pool, rng=0)
    perturbed(layer, seed=seed).bn.weight.data *= rng.choice([-1, 1], OC)  # a negative scale turns maxima into minima
    assert_folds(layer, rng.normal(size=(N, H, W, C)))


@pytest.mark.small
@pytest.mark.parametrize("W", [1, 2, 31, 32])
@pytest.mark.parametrize("C", [1, 3, 300])
def test_depthwise_lines_of_any_length_fold(rng, W, C):
    for stride in (1, 2):
        layer = perturbed(nn.ConvBNAct(C, C, 3, stride, groups=C, rng=0))
        assert_folds(layer, rng.normal(size=(2, 5, W, C)))


@pytest.mark.small
@pytest.mark.parametrize("act", [None, "relu", "relu6", "hard_swish", "hard_sigmoid"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("K", [3, 5])
def test_depthwise_folds_with_any_activation(rng, act, stride, K):
    layer = perturbed(nn.ConvBNAct(6, 6, K, stride, groups=6, act=act, rng=0))
    assert_folds(layer, 5 * rng.normal(size=(2, 7, 6, 6)))


@pytest.mark.small
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize("plane", [(3, 3), (3, 6), (8, 9)])
def test_wide_3x3_convolutions_fold_into_winograds(rng, plane, padding):
    layer = perturbed(nn.ConvBNAct(16, 17, 3, padding=padding, rng=0))
    for N in (1, 5):
        assert [step.op for step in steps_of(assert_folds(layer, rng.normal(size=(N, *plane, 16))))] == [WINOGRAD]


@pytest.mark.small
@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}, {"groups": 2}])
def test_other_wide_3x3_convolutions_fold_into_windows(rng, options):
    layer = perturbed(nn.ConvBNAct(32, 32, 3, **options, rng=0))
    assert [step.op for step in steps_of(assert_folds(layer, rng.normal(size=(2, 5, 6, 32))))] == [CONV]


def test_winograds_products_have_rows_enough_for_their_weights(rng):
    f = nn.fold(nn.ConvBNAct(160, 160, 3, rng=0))
    f(rng.normal(size=(400, 8, 8, 160)).astype(np.float32))
    (stages,) = f._plans.values()
    assert stages[0].written[1][0][0] * 4 == 256  # images at a time, of four tiles each


@pytest.mark.small
@given(seed=SEEDS, maximum=st.booleans(), N=st.sampled_from([1, 5]), **GEOMETRY)
def test_pooling_folds(seed, maximum, N, K, stride, padding):
    rng = np.random.default_rng(seed)
    layer = (nn.MaxPool2d if maximum else nn.AvgPool2d)(K, stride, min(padding, K // 2))
    x = rng.normal(size=(N, *(K + rng.integers(0, 5, 2)), int(rng.integers(1, 6)))) - 5
    assert_folds(layer, x)


@pytest.mark.small
@given(SEEDS, st.integers(1, 4), st.integers(1, 11), st.sampled_from([3, 5]), st.booleans(), st.integers(1, 2))
def test_ghost_modules_fold_whatever_the_ratio(seed, ratio, OC, dw_size, act, pool):
    rng = np.random.default_rng(seed)
    K = int(rng.choice([1, 3]))
    module = perturbed(nn.GhostModule(5, OC, K, ratio, dw_size, act=act, pool=pool, rng=0), seed=seed)
    assert_folds(module, rng.normal(size=(3, 5, 4, 5)))


@pytest.mark.small
def test_ghosts_that_are_cut_off_leave_the_others_with_their_channel(rng):
    """Of 2 maps with 2 ghosts each the first 2 are kept: both are ghosts of the first map."""
    assert_folds(perturbed(nn.GhostModule(5, 4, 1, ratio=3, rng=0)), rng.normal(size=(3, 5, 4, 5)))


@pytest.mark.small
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"se_hidden": 4}, {"stride": 2, "se_hidden": 4, "dw_size": 5}])
def test_ghost_bottlenecks_fold(rng, options):
    for in_channels in (6, 8):
        block = perturbed(nn.GhostBottleneck(in_channels, 10, 6, **options, rng=0))
        assert_folds(block, rng.normal(size=(5, 7, 6, in_channels)))


@pytest.mark.small
@pytest.mark.parametrize("out_channels, stride", [(6, 1), (8, 1), (6, 2)])
def test_residual_blocks_fold(rng, out_channels, stride):
    block = perturbed(nn.ResidualBlock(6, out_channels, stride, rng=0))
    assert_folds(block, rng.normal(size=(5, 7, 6, 6)))
    assert_folds(nn.Sequential(block, nn.ReLU6()), rng.normal(size=(2, 7, 6, 6)))


CHAINS = {
    "batch norm first": lambda: [nn.BatchNorm2d(6), nn.ReLU6(), nn.Conv2d(6, 4, 1)],
    "batch norm twice": lambda: [nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4, relu=True)],
    "activation between": lambda: [nn.Conv2d(6, 4, 1), nn.HardSwish(), nn.BatchNorm2d(4), nn.HardSigmoid()],
    "two activations": lambda: [nn.ReLU(), nn.ClipGate(), nn.HardSwish()],
    "crelu": lambda: [nn.Conv2d(6, 4, 3, padding=1), nn.CReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 5, 3)],
    "crelu last": lambda: [nn.CReLU(), nn.CReLU()],
    "crelu before a product": lambda: [nn.CReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 3, 1, bias=False)],
    "gate": lambda: [nn.CReLU(), nn.SqueezeExcite(12, 3), nn.Identity()],
    "classifier": lambda: [
        nn.CReLU(),
        nn.GlobalAvgPool(),
        nn.Dropout(0.5),
        nn.Linear(12, 9),
        nn.ReLU6(),
        nn.Linear(9, 3, bias=False),
    ],
    "chain in a chain": lambda: [nn.Sequential(nn.Conv2d(6, 4, 1)), nn.Sequential(nn.BatchNorm2d(4, relu=True))],
    "nothing": lambda: [nn.Identity(), nn.Dropout(0.5)],
}


@pytest.mark.small
@pytest.mark.parametrize("name", CHAINS)
def test_chains_fold(rng, name):
    model = perturbed(nn.Sequential(*CHAINS[name]()))
    for N in (1, 7):
        assert_folds(model, rng.normal(size=(N, 4, 5, 6)))


@pytest.mark.small
@pytest.mark.parametrize("shape", [(), (5,), (5, 3), (2, 3, 4), (2, 3, 4, 5), (2, 1, 3, 2, 2)])
def test_activations_fold_for_arrays_of_any_shape(rng, shape):
    assert_folds(nn.Sequential(nn.ReLU(), nn.HardSwish()), np.array(rng.normal(size=shape)))


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


@pytest.mark.small
def test_nan_passes_through_as_it_does_in_the_layers(rng):
    model = perturbed(nn.Sequential(*(nn.ConvBNAct(3, 3, 3, groups=g, act="relu6", rng=0) for g in (1, 3)), nn.ReLU()))
    x = rng.normal(size=(1, 9, 9, 3))
    x[0, 0, 0] = np.nan
    for layers in (model, nn.MaxPool2d(3), nn.AvgPool2d(3, 1, 1), nn.HardSwish(), nn.ClipGate(), nn.CReLU()):
        assert_array_equal(np.isnan(nn.fold(layers)(x)), np.isnan(layers.eval()(x)))


@pytest.mark.small
def test_a_batch_norm_is_folded_into_its_convolution():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(), nn.ConvBNAct(4, 4, 3, groups=4))
    assert [type(node) for node in nodes_of(nn.fold(model))] == [fold_nodes.Convolution] * 2


class Doubled(nn.Module):
    """A layer that nobody has a rule for; it remembers its last input, like any layer."""

    def __init__(self, C):
        self.norm = nn.BatchNorm2d(C)

    def forward(self, x):
        self._cache = x
        return 2 * self.norm(x)


class Reversed(nn.Sequential):
    """A sequence that runs the other way round."""

    def forward(self, x):
        for layer in self._layers[::-1]:
            x = layer(x)
        return x


class Shifted(nn.Module):
    """Another one, for logits."""

    def __init__(self):
        self.by = nn.module.Parameter(np.ones(1, np.float32))

    def forward(self, x):
        return x + self.by.data


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
def test_deep_networks_fold(rng):
    layers = [layer for _ in range(300) for layer in (nn.MaxPool2d(1), nn.ReLU())]
    assert_folds(nn.Sequential(*layers), rng.normal(size=(1, 2, 2, 1)))


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


@pytest.mark.small
@pytest.mark.parametrize("n", [3, 4, 6, 8, 9])
def test_the_first_channels_of_anything_fold(rng, n):
    """Of two values side by side: within the first, at its end, within the second, and all of them."""

    class First(nn.Module):
        def __init__(self, second):
            self.first, self.second = nn.ConvBNAct(6, 4, 3), second

        def forward(self, x):
            y = self.first(x)
            y, _ = nn.functional.concat_forward(y, self.second(y))
            return nn.functional.first_channels_forward(y, n)[0]

    for second in (nn.ConvBNAct(4, 4, 3), nn.ConvBNAct(4, 4, 3, groups=2), nn.ReLU6(), Doubled(4)):
        assert_folds(perturbed(First(second)), rng.normal(size=(3, 5, 4, 6)))


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
