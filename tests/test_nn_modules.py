"""Modules: what they contain, how they load, what they say when misused; gradients of the blocks."""

import contextlib

import numpy as np
import pytest
from gradients import assert_module_gradients
from numpy.testing import assert_allclose, assert_array_equal

from minighost import models, nn, ops


def _state(module):
    return {path: value.data.copy() for path, value in module.named_parameters()}


def _randomise(module, seed=1):
    """Non-trivial gammas, betas and statistics: with gamma 1 and beta 0 many mistakes cannot be seen."""
    rng = np.random.default_rng(seed)
    for parameter in module.parameters():
        if parameter.data.ndim == 1:
            parameter.data[...] = rng.uniform(0.5, 1.5, parameter.shape) * rng.choice([-1, 1], parameter.shape)
    for _, buffer in module.named_buffers():
        buffer.data[...] = rng.uniform(0.5, 1.5, buffer.data.shape)
    return module


BLOCKS = {
    "conv": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, rng=0),
    "batch norm of rows": lambda: nn.Sequential(nn.GlobalAvgPool(), nn.BatchNorm1d(4)),
    "conv, same": lambda: nn.Conv2d(4, 6, 4, stride=2, padding="same", groups=2, rng=0),
    "linear": lambda: nn.Sequential(nn.GlobalAvgPool(), nn.Linear(4, 3, rng=0)),
    "pools": lambda: nn.Sequential(nn.MaxPool2d(2, 1), nn.AvgPool2d(3, 2, 1)),
    "pools, ceil mode": lambda: nn.Sequential(
        nn.MaxPool2d(2, 2, ceil_mode=True), nn.AvgPool2d(3, 2, 1, True, False), nn.Flatten(), nn.Linear(16, 3, rng=0)
    ),
    "activations": lambda: nn.Sequential(nn.HardSwish(), nn.CReLU(), nn.Identity(), nn.ReLU6(), nn.ClipGate()),
    "unit, relu": lambda: nn.ConvBNAct(4, 5, (3, 1), rng=0),
    "unit, hard swish": lambda: nn.ConvBNAct(4, 6, 3, stride=2, groups=2, act="hard_swish", rng=0),
    "unit, pooled": lambda: nn.ConvBNAct(4, 5, 3, pool=2, rng=0),
    "squeeze and excite": lambda: nn.SqueezeExcite(4, 3, rng=0),
    "squeeze and excite, clip": lambda: nn.SqueezeExcite(4, 3, gate="clip", rng=0),
    "ghost": lambda: nn.GhostModule(4, 6, 1, rng=0),
    "ghost, 3x3, stride 2, no ReLU": lambda: nn.GhostModule(4, 6, 3, stride=2, act=False, rng=0),
    "ghost, odd, ratio 3, 5x5": lambda: nn.GhostModule(4, 7, 1, ratio=3, dw_size=5, rng=0),
    "ghost, more ratio than channels": lambda: nn.GhostModule(4, 3, 1, ratio=5, rng=0),
    "ghost, 3x3, pooled": lambda: nn.GhostModule(4, 6, 3, pool=2, rng=0),
    "ghost, ratio 1": lambda: nn.GhostModule(4, 5, 3, ratio=1, rng=0),
    "bottleneck, identity": lambda: nn.GhostBottleneck(4, 6, 4, rng=0),
    "bottleneck, stride 2, squeeze": lambda: nn.GhostBottleneck(4, 8, 6, dw_size=5, stride=2, se_hidden=4, rng=0),
    "bottleneck, wider": lambda: nn.GhostBottleneck(4, 7, 5, rng=0),
    "inverted residual": lambda: nn.InvertedResidual(4, 6, 4, act="hard_swish", rng=0),
    "inverted residual, squeeze": lambda: nn.InvertedResidual(
        4, 4, 4, 5, act="silu", se=nn.SqueezeExcite(4, 2, "sigmoid", "silu", rng=0), rng=0
    ),
    "inverted residual, stride 2": lambda: nn.InvertedResidual(4, 6, 4, stride=2, rng=1),
    "universal bottleneck": lambda: nn.UniversalBottleneck(4, 6, 4, 5, 3, rng=0),
    "universal bottleneck, stride at the start": lambda: nn.UniversalBottleneck(4, 6, 5, 3, 0, 2, rng=1),
    "residual, identity": lambda: nn.ResidualBlock(4, 4, rng=0),
    "residual, stride 2": lambda: nn.ResidualBlock(4, 5, 2, rng=0),
    "residual, shortcut A": lambda: nn.ResidualBlock(4, 7, 2, "A", rng=0),
    "fire": lambda: nn.Fire(4, 2, 3, rng=0),
    "bottleneck of convolutions": lambda: nn.Bottleneck(4, 3, 6, 2, rng=0),
}


@pytest.mark.small
@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_at_every_index(name, training):
    x = np.random.default_rng(5).normal(size=(2, 5, 4, 4))
    assert_module_gradients(_randomise(BLOCKS[name]()).train(training), x)


@pytest.mark.parametrize("act", ["relu", "hard_sigmoid", None])
def test_pooling_in_front_of_batch_norm_is_pooling_behind_the_activation_where_scales_are_positive(rng, act):
    early, late = (nn.ConvBNAct(3, 4, 3, act=act, pool=pool, rng=0).eval() for pool in (2, 1))
    x = rng.normal(size=(2, 6, 4, 3)).astype(np.float32)
    with nn.fusing(False):  # folded, each rounds in its own way
        assert_allclose(early(x), nn.MaxPool2d(2)(late(x)), rtol=1e-6)


def test_a_sequential_is_its_layers_in_order(rng):
    first, second = nn.Conv2d(2, 3, 1, rng=0), nn.ReLU()
    chain = nn.Sequential(first, second)
    x = rng.normal(size=(2, 3, 3, 2)).astype(np.float32)
    assert_array_equal(chain(x), second(first(x)))
    assert len(chain) == 2 and chain[0] is first
    assert [path for path, _ in chain.named_parameters()] == ["0.weight", "0.bias"]


def test_ratio_one_is_convolution_with_batch_norm_and_relu(rng):
    x = rng.normal(size=(2, 5, 5, 3)).astype(np.float32)
    ghost, plain = nn.GhostModule(3, 4, 3, ratio=1, rng=0), nn.ConvBNAct(3, 4, 3, rng=0)
    assert_array_equal(ghost(x), plain(x))


def test_a_ghost_is_the_plain_composition_of_its_layers(rng):
    ghost = _randomise(nn.GhostModule(4, 7, 1, rng=0)).eval()
    x = rng.normal(size=(2, 4, 5, 4)).astype(np.float32)
    intrinsic = ghost.primary(x)
    expected = np.concatenate([intrinsic, ghost.cheap(intrinsic)], -1)[..., :7]
    assert_allclose(ghost(x), expected, rtol=1e-6)


def test_a_residual_block_is_relu_of_path_plus_shortcut(rng):
    x = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
    block = _randomise(nn.ResidualBlock(3, 4, 2, rng=0)).eval()
    assert_allclose(block(x), np.maximum(block.second(block.first(x)) + block.shortcut(x), 0), rtol=1e-6)
    block = _randomise(nn.ResidualBlock(3, 3, rng=0)).eval()
    assert block.shortcut is None
    assert_allclose(block(x), np.maximum(block.second(block.first(x)) + x, 0), rtol=1e-6)


@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.ConvBNAct(4, 6, 1, rng=0),
        lambda: nn.GhostModule(4, 6, 1, rng=0),
        lambda: nn.GhostBottleneck(4, 8, 4, rng=0),
        lambda: nn.GhostBottleneck(4, 8, 6, stride=2, rng=0),
        lambda: nn.ResidualBlock(4, 4, rng=0),
        lambda: nn.ResidualBlock(4, 6, 2, rng=0),
    ],
)
def test_a_block_that_comes_first_need_not_hand_on_a_gradient(rng, build, on):
    x, grads = rng.normal(size=(2, 6, 5, 4)).astype(np.float32), []
    for wanted in (True, False):
        block = build()
        with nn.fusing(on):
            dout = block(x)
            dx = (block if wanted else block.skip_input_gradient()).backward(dout)
        assert (dx is not None) == wanted
        grads.append([p.grad for p in block.parameters()])
    for mine, theirs in zip(*grads, strict=True):
        assert_array_equal(mine, theirs)


def test_permuting_intrinsic_maps_permutes_the_ghosts(rng):
    ghost = _randomise(nn.GhostModule(3, 12, 1, ratio=3, rng=0)).eval()
    x, order = rng.normal(size=(1, 4, 4, 3)).astype(np.float32), np.array([2, 0, 3, 1])
    with nn.fusing(False):
        before = ghost(x)
    for path, value in [*ghost.named_parameters(), *ghost.named_buffers()]:
        kind, axis = path.split(".")[0], value.data.ndim - 1
        index = order if kind == "primary" else (2 * order[:, None] + [0, 1]).ravel()
        value.data = np.ascontiguousarray(value.data.take(index, axis))
    with nn.fusing(False):
        after = ghost(x)
    assert_array_equal(after[..., :4], before[..., :4][..., order])
    assert_array_equal(after[..., 4:].reshape(1, 4, 4, 4, 2), before[..., 4:].reshape(1, 4, 4, 4, 2)[..., order, :])


def test_parameters_of_a_ghost_module_follow_the_formula():
    for c, n, k, s, d in [(16, 16, 1, 2, 3), (5, 7, 3, 3, 5), (4, 4, 1, 1, 3)]:
        m = -(-n // s)
        expected = c * k * k * m + m * (s - 1) * d * d + 2 * m + 2 * m * (s - 1)
        assert sum(p.size for p in nn.GhostModule(c, n, k, s, d).parameters()) == expected


@pytest.mark.parametrize("c, k, d, s, speed_up", [(64, 3, 3, 2, 1.969), (512, 3, 3, 4, 3.977), (16, 1, 3, 2, 1.28)])
def test_the_speed_up_of_a_ghost_module_is_the_published_ratio(c, k, d, s, speed_up):
    x = np.zeros((0, 4, 4, c), np.float32)
    macs = {}
    for ratio in (1, s):
        module = nn.GhostModule(c, 8 * s, k, ratio, d)
        module.eval()(x)
        macs[ratio] = sum(m.macs for m in module.modules())
    assert macs[1] / macs[s] == pytest.approx(speed_up, abs=1e-3)


def test_cut_off_maps_still_update_their_statistics_but_learn_nothing(rng):
    ghost = nn.GhostModule(3, 5, 1, rng=0)
    out = ghost(rng.normal(size=(4, 3, 3, 3)).astype(np.float32))
    ghost.backward(rng.normal(size=out.shape).astype(np.float32))
    assert ghost.cheap.bn.running_mean.data[2] != 0
    assert_array_equal(ghost.cheap.conv.weight.grad[..., 2], 0)
    assert (ghost.cheap.conv.weight.grad[..., :2] != 0).all()


def test_batch_norm_learns_statistics_in_training_and_uses_them_in_evaluation(rng):
    bn = nn.BatchNorm2d(2, momentum=1.0)
    x = rng.normal(3, 2, size=(50, 10, 10, 2)).astype(np.float32)
    bn(x)
    assert_allclose(bn.running_mean.data, [3, 3], atol=0.1)
    out = bn.eval()(x)
    assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-5)
    before = bn.running_mean.data.copy()
    bn(x + 5)
    assert_array_equal(bn.running_mean.data, before)


def test_dropout_is_silent_in_evaluation():
    layer, x = nn.Dropout(0.5, rng=0), np.ones((4, 100), np.float32)
    assert_array_equal(layer.eval()(x), x)
    out = layer.train()(x)
    assert_array_equal(layer.backward(x), out)
    assert 0 < (out == 0).mean() < 1


def test_gradients_accumulate_until_zero_grad(rng):
    layer, x = nn.Linear(3, 2, rng=0), rng.normal(size=(4, 3)).astype(np.float32)
    for _ in range(2):
        layer.backward(layer(x))
    twice = layer.weight.grad.copy()
    layer.zero_grad()
    assert layer.weight.grad is None
    layer.backward(layer(x))
    assert_allclose(twice, 2 * layer.weight.grad, rtol=1e-6)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_second_backward_says_so(name, rng):
    module = BLOCKS[name]()
    out = module(rng.normal(size=(2, 5, 4, 4)).astype(np.float32))
    module.backward(out.copy())
    with pytest.raises(RuntimeError, match=r"backward\(\) needs a forward\(\) before it"):
        module.backward(out.copy())


def test_an_error_names_the_path_of_its_layer():
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.GhostModule(3, 4, 1), nn.GhostModule(5, 4, 1)))
    with pytest.raises(
        ValueError, match=r"^1\.1\.primary\.conv: conv2d: x has 4 channels, but w has shape \(1, 1, 5, 2\)"
    ):
        model(np.zeros((1, 2, 2, 3), np.float32))


def test_unknown_attributes_raise():
    with pytest.raises(AttributeError, match="wieght"):
        nn.Linear(2, 2).wieght  # noqa: B018


def test_a_module_without_forward_or_backward_says_so():
    class Half(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Half does not define forward\(x\)"):
        Half()(np.zeros(1))
    with pytest.raises(NotImplementedError, match=r"Half does not define backward\(dout\)"):
        Half().backward(np.zeros(1))


def test_state_round_trip_copies():
    a, b = (
        nn.GhostBottleneck(4, 6, 5, stride=2, se_hidden=4, rng=0),
        nn.GhostBottleneck(4, 6, 5, stride=2, se_hidden=4, rng=1),
    )
    state = a.state_dict()
    assert b.load_state_dict(state) is b
    for path, value in b.state_dict().items():
        assert_array_equal(value, state[path])
    state["ghost1.primary.conv.weight"][...] = 7
    assert not (a.ghost1.primary.conv.weight.data == 7).any()


def test_loading_reports_all_differences_and_loads_nothing():
    model = nn.Sequential(nn.Linear(3, 2, rng=0), nn.Linear(2, 2, rng=0))
    before, state = model.state_dict(), model.state_dict()
    state["0.weight"] = state["0.weight"].T.copy()
    state["1.weight"] = np.zeros((2, 2), np.int64)
    state["2.bias"] = state.pop("1.bias")
    state["0.bias"] += 1
    with pytest.raises(ValueError) as error:
        model.load_state_dict(state)
    message = str(error.value)
    assert "4 differences" in message and "nothing was loaded" in message
    for line in (
        "missing: 1.bias (2,)",
        "unknown: 2.bias (2,)",
        "shape of 0.weight: (2, 3), the model has (3, 2)",
        "dtype of 1.weight: int64, the model has float32",
    ):
        assert line in message
    for path, value in model.state_dict().items():
        assert_array_equal(value, before[path])
    del state["0.weight"], state["1.weight"]
    model.load_state_dict(state, strict=False)
    assert_array_equal(model.state_dict()["0.bias"], before["0.bias"] + 1)


def test_astype_converts_everything_in_place():
    model = nn.GhostModule(3, 4, 1)
    weight = model.primary.conv.weight
    assert model.astype(np.float64) is model
    assert {v.dtype for v in model.state_dict().values()} == {np.dtype(np.float64)}
    assert model.primary.conv.weight is weight and weight.grad is None


def test_one_seed_gives_one_initialisation():
    for a, b in zip(
        _state(nn.GhostModule(3, 4, 1, rng=3)).values(), _state(nn.GhostModule(3, 4, 1, rng=3)).values(), strict=True
    ):
        assert_array_equal(a, b)


def test_a_module_prints_as_a_tree():
    shared = nn.Linear(2, 2, rng=0)
    chain = nn.Sequential(nn.ConvBNAct(3, 8, 1, rng=0), shared, shared)
    assert repr(chain).splitlines() == [
        "Sequential",
        "  0: ConvBNAct",
        "    conv: Conv2d  weight (1, 1, 3, 8)",
        "    bn: BatchNorm2d  weight (8,), bias (8,)",
        "  1: Linear  weight (2, 2), bias (2,)",
        "  2: Linear, as above",
    ]


def test_repr_tells_shape_and_dtype():
    assert repr(nn.Parameter(np.zeros((2, 3), np.float32))) == "Parameter(shape=(2, 3), dtype=float32)"


BAD = [
    (lambda: nn.Conv2d(16, 12, 3, groups=8), "Conv2d: groups=8 must divide out_channels=12 (12 % 8 = 4)"),
    (lambda: nn.Conv2d(12, 16, 3, groups=8), "Conv2d: groups=8 must divide in_channels=12 (12 % 8 = 4)"),
    (lambda: nn.Conv2d(0, 4, 3), "Conv2d: in_channels=0 must be a whole number of at least 1"),
    (lambda: nn.Conv2d(2, 4, 3, stride=0), "Conv2d: stride=0 must be at least 1"),
    (lambda: nn.BatchNorm2d(-1), "BatchNorm2d: num_features=-1 must be a whole number of at least 1"),
    (lambda: nn.Linear(2, 2.5), "Linear: out_features=2.5 must be a whole number of at least 1"),
    (lambda: nn.Dropout(1.0), "Dropout: p must be >= 0 and < 1, got 1.0"),
    (lambda: nn.Dropout(np.nan), "Dropout: p must be >= 0 and < 1, got nan"),
    (lambda: nn.Dropout("0.5"), "Dropout: p must be a number, got '0.5'"),
    (lambda: nn.Conv2d(True, 4, 3), "Conv2d: in_channels=True must be a whole number of at least 1"),
    (lambda: nn.Linear(2, "3"), "Linear: out_features='3' must be a whole number of at least 1"),
    (lambda: nn.BatchNorm2d(3, eps=-1), "BatchNorm2d: eps must be finite and >= 0, got -1"),
    (lambda: nn.BatchNorm2d(3, eps=np.nan), "BatchNorm2d: eps must be finite and >= 0, got nan"),
    (lambda: nn.BatchNorm2d(3, eps="1e-5"), "BatchNorm2d: eps must be a number, got '1e-5'"),
    (lambda: nn.BatchNorm2d(3, momentum=None), "BatchNorm2d: momentum=None, PyTorch's mean over all batches, is not"),
    (lambda: nn.BatchNorm2d(3, momentum=1.5), "BatchNorm2d: momentum must be >= 0 and <= 1, got 1.5"),
    (lambda: nn.BatchNorm2d(3, momentum=np.nan), "BatchNorm2d: momentum must be >= 0 and <= 1, got nan"),
    (lambda: nn.ConvBNAct(3, 4, 3, momentum=-0.1), "BatchNorm2d: momentum must be >= 0 and <= 1, got -0.1"),
    (lambda: nn.ConvBNAct(3, 4, "3"), "ConvBNAct: kernel_size must be an int or a pair of ints, got '3'"),
    (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size=0 must be at least 1"),
    (lambda: nn.MaxPool2d(2.0), "MaxPool2d: kernel_size must be an int or a pair of ints, got 2.0"),
    (lambda: nn.MaxPool2d(3, padding=2), "MaxPool2d: padding=2 must be at most half of kernel_size=3"),
    (
        lambda: nn.MaxPool2d(3, padding=((0, 2), (1, 1))),
        "padding=((0, 2), (1, 1)) must be at most half of kernel_size=3",
    ),
    (lambda: nn.MaxPool2d(3, padding=((0, -1), (1, 1))), "MaxPool2d: padding=(0, -1) must be at least 0"),
    (lambda: nn.MaxPool2d(3, padding="SAME"), "MaxPool2d: padding='SAME' is unknown; give \"same\", a number"),
    (lambda: nn.MaxPool2d(3, padding=((0, 1),)), "padding=((0, 1),) must be ((above, below), (left, right))"),
    (lambda: nn.Conv2d(2, 4, 3, padding=((0, -1), (1, 1))), "Conv2d: padding=(0, -1) must be at least 0"),
    (lambda: nn.Conv2d(2, 4, 3, padding="valid"), "Conv2d: padding='valid' is unknown; give \"same\", a number"),
    (lambda: nn.Pad2d("same"), 'Pad2d: padding="same" needs a kernel'),
    (lambda: nn.Pad2d(1, "reflect"), "Pad2d: mode='reflect' is unknown; choose from 'zero', 'edge'"),
    (lambda: nn.Pad2d((1, 2, 3, 4)), "Pad2d: padding must be an int or a pair of ints, got (1, 2, 3, 4)"),
    (lambda: nn.AvgPool2d(2, stride=0), "AvgPool2d: stride=0 must be at least 1"),
    (lambda: nn.AvgPool2d(2, padding=-1), "AvgPool2d: padding=-1 must be at least 0"),
    (lambda: nn.PatchWhitening(3, 2.5), "PatchWhitening: kernel_size=2.5 must be a whole number of at least 1"),
    (lambda: nn.PatchWhitening(3, 2, padding="1"), "PatchWhitening: padding='1' is unknown; give \"same\", a number"),
    (lambda: nn.GhostModule(4, 4, 1, ratio=True), "GhostModule: ratio=True must be a whole number of at least 1"),
    (lambda: nn.GhostModule(4, 4, 1, dw_size="3"), "GhostModule: dw_size='3' must be a whole number of at least 1"),
    (lambda: nn.GhostModule(4, 4, 1, ratio=0), "GhostModule: ratio=0 must be a whole number of at least 1"),
    (lambda: nn.GhostModule(4, 4, 1, ratio=1.5), "GhostModule: ratio=1.5 must be a whole number"),
    (lambda: nn.GhostModule(4, 4, 1, dw_size=2), "GhostModule: dw_size=2 must be odd"),
    (lambda: nn.ConvBNAct(3, 4, 3, act="tanh"), "ConvBNAct: act='tanh' is unknown"),
    (
        lambda: nn.SqueezeExcite(4, 2, gate="tanh"),
        "gate='tanh' is unknown; choose from 'hard_sigmoid', 'clip', 'sigmoid'",
    ),
]


@pytest.mark.parametrize("build, message", BAD)
def test_constructors_name_what_is_wrong(build, message):
    with pytest.raises((ValueError, TypeError)) as error:
        build()
    assert message in str(error.value)


def test_the_kernel_size_of_a_ghost_has_no_default():
    with pytest.raises(TypeError, match="kernel_size"):
        nn.GhostModule(4, 4)


def test_evaluation_and_training_differ_only_by_mode(rng):
    model = nn.Sequential(nn.ConvBNAct(3, 4, 3, rng=0), nn.Dropout(0.5))
    assert all(not m.training for m in model.eval().modules())
    assert all(m.training for m in model.train().modules())
    x = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
    model.eval()
    assert_array_equal(model(x), model(x))


def test_a_change_of_mode_frees_what_a_forward_kept(rng):
    model, x = nn.Sequential(nn.ConvBNAct(3, 4, 3, rng=0), nn.GlobalAvgPool()), rng.normal(size=(2, 4, 4, 3))
    with nn.fusing(False):
        model.eval()(x.astype(np.float32))
    assert all(m._cache is not None for m in (model[0].conv, model[0].bn, model[1]))
    assert all(m._cache is not None for m in (model.eval()[0].conv, model[1])), "the mode has not changed"
    assert all(m._cache is None for m in model.train().modules())
    with pytest.raises(RuntimeError, match="needs a forward"):
        model.backward(np.ones((2, 4), np.float32))


def test_the_identity_shortcut_leaves_the_upstream_gradient_alone(rng):
    block = nn.GhostBottleneck(4, 6, 4, rng=0)
    out = block(rng.normal(size=(2, 4, 4, 4)).astype(np.float32))
    dout = rng.normal(size=out.shape).astype(np.float32)
    before = dout.copy()
    block.backward(dout)
    assert_array_equal(dout, before)


@pytest.mark.parametrize("name", ["ghostnet_short", "quicknet"])
def test_without_the_images_gradient_all_others_are_the_same(name, rng):
    x, labels, grads = rng.normal(size=(4, 16, 16, 3)).astype(np.float32), np.arange(4), []
    for skipping in (False, True):
        model = models.create(name, width=0.1)
        if skipping:
            model.skip_input_gradient()
        dx = model.backward(ops.softmax_cross_entropy(model(x), labels)[1])
        assert (dx is None) == skipping
        grads.append([p.grad for p in model.parameters()])
    for one, other in zip(*grads, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("fusing", [True, False])
@pytest.mark.parametrize("options", [(3, 4, 3), (32, 32, 3), (4, 6, 1), (4, 4, 3, 1, None, 1, 4)])
def test_a_first_layer_of_any_kind_spares_the_images_gradient(options, fusing, rng):
    x = rng.normal(size=(2, 6, 6, options[0])).astype(np.float32)
    unit = nn.ConvBNAct(*options).skip_input_gradient()
    with nn.fusing(fusing):
        assert unit.backward(unit(x)) is None
    assert unit.conv.weight.grad is not None


class Listener(nn.Hook):
    def __init__(self):
        self.heard = []

    def before_forward(self, module, x):
        self.heard.append(("forward", module, x))

    def after_forward(self, module, x, out):
        self.heard.append(("forward done", module, out))

    def before_backward(self, module, dout):
        self.heard.append(("backward", module, dout))

    def after_backward(self, module, dout, dx):
        self.heard.append(("backward done", module, dx))


def test_a_hook_hears_arrays_in_the_order_of_the_passes_and_changes_nothing(rng):
    x, dout = rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(2, 4, 4, 5))
    answers = []
    for listen in (False, True):
        model = nn.Sequential(nn.ConvBNAct(3, 5, 3, rng=0), nn.ReLU6()).astype(np.float64)
        listener = Listener()
        with nn.hooked(model, listener) if listen else contextlib.nullcontext():
            out = model(x)
            answers.append((out, model.backward(dout)))
    conv, bn, act = model[0].conv, model[0].bn, model[1]
    order = [("forward", layer) for layer in (conv, bn, act)] + [("backward", layer) for layer in (act, bn, conv)]
    wanted = [(word, module) for event, module in order for word in (event, f"{event} done")]
    assert [(event, module) for event, module, _ in listener.heard] == wanted
    assert all(type(array) is np.ndarray for _, _, array in listener.heard)
    for plain, heard in zip(*answers, strict=True):
        assert_allclose(heard, plain, rtol=1e-10, atol=1e-10)
    assert not {"forward", "backward"} & (vars(conv).keys() | vars(bn).keys())


def test_a_hook_ends_with_its_block_even_if_a_layer_fails(rng):
    layer = nn.Conv2d(3, 5, 3)
    with pytest.raises(ValueError, match="channels"), nn.hooked([layer], Listener()):
        layer(rng.normal(size=(2, 4, 4, 4)).astype(np.float32))
    assert "forward" not in vars(layer)
