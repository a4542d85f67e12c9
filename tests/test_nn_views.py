"""Every layer computes with views what it does with copies: its input, its upstream gradient and its parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from views import KINDS, UPDATABLE, View, assert_kernels_see_plain_arrays, few, hold, views

from minighost import nn
from minighost.engine.launch import watching

pytestmark = pytest.mark.small

LAYERS = {  # a class and a note: how it is made, and how many channels it takes
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((1, 2)), 2),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((1, 2)), 2),
    "AttentiveGhostModule": (
        lambda: nn.Sequential(nn.Resize(factor=2), nn.AttentiveGhostModule(2, 3, 1, rng=0)),
        2,
    ),
    "AvgPool2d": (lambda: nn.AvgPool2d(2, 1, 1), 2),
    "AvgPool2d, ceil mode": (lambda: nn.AvgPool2d(2, 2, ((0, 1), (1, 1)), True, False), 2),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(2, relu=True), 2),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2, relu=True), 2),
    "BatchNorm2d, one channel": (lambda: nn.BatchNorm2d(1), 1),
    "CReLU": (nn.CReLU, 2),
    "Chain": (lambda: _Chain(), 2),
    "Bottleneck": (lambda: nn.Bottleneck(2, 1, 3, 2, rng=0), 2),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), 4),
    "ChannelUnshuffle": (lambda: nn.ChannelUnshuffle(3), 6),
    "ClipGate": (nn.ClipGate, 2),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3, padding=1, rng=0), 2),
    "Conv2d, same": (lambda: nn.Conv2d(2, 3, 2, 2, "same", rng=0), 2),
    "Conv2d, 1x1": (lambda: nn.Conv2d(2, 1, 1, rng=0), 2),
    "Conv2d, grouped": (lambda: nn.Conv2d(4, 4, 1, groups=2, rng=0), 4),
    "ConvAct": (lambda: nn.ConvAct(2, 3, 3, rng=0), 2),
    "ConvBranches": (lambda: nn.ConvBranches(2, 2, 3, rng=0), 2),
    "ConvBNAct": (lambda: nn.ConvBNAct(2, 3, 3, rng=0), 2),
    "ConvBNAct, 1x1": (lambda: nn.ConvBNAct(2, 3, 1, rng=0), 2),
    "ConvBNAct, 1x1 from one": (lambda: nn.ConvBNAct(1, 3, 1, rng=0), 1),
    "ConvBNAct, 1x1 to one": (lambda: nn.ConvBNAct(3, 1, 1, rng=0), 3),
    "ConvBNAct, depthwise": (lambda: nn.ConvBNAct(3, 3, 3, groups=3, act=None, rng=0), 3),
    "ConvBNAct, depthwise 1x1": (lambda: nn.ConvBNAct(3, 3, 1, groups=3, rng=0), 3),
    "ConvBNAct, grouped": (lambda: nn.ConvBNAct(4, 2, 1, 2, groups=2, rng=0), 4),
    "ConvBNAct, swish": (lambda: nn.ConvBNAct(2, 3, 1, act="hard_swish", rng=0), 2),
    "ConvBNAct, wide": (lambda: nn.ConvBNAct(16, 16, 3, padding=2, rng=0), 16),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 3, 2, rng=0), 2),
    "ConvTranspose2d, grouped": (lambda: nn.ConvTranspose2d(2, 4, 3, 2, groups=2, bias=False, rng=0), 2),
    "DFCAttention": (lambda: nn.Sequential(nn.Resize(factor=2), nn.DFCAttention(2, 3, rng=0)), 2),
    "DepthToSpace": (lambda: nn.DepthToSpace(2), 4),
    "Dropout": (lambda: nn.Dropout(0.5, rng=0), 2),
    "DynamicShiftMax": (lambda: nn.DynamicShiftMax(4, 2, 1, rng=0), 4),
    "FasterNetBlock": (lambda: nn.FasterNetBlock(4, rng=0), 4),
    "Flatten": (nn.Flatten, 2),
    "Fire": (lambda: nn.Fire(2, 1, 2, rng=0), 2),
    "GELU": (nn.GELU, 2),
    "GhostBottleneck": (lambda: nn.GhostBottleneck(2, 4, 2, rng=0), 2),
    "GhostBottleneck, of one": (lambda: nn.GhostBottleneck(1, 2, 2, se_hidden=1, rng=0), 1),
    "GhostBottleneck, strided": (lambda: nn.GhostBottleneck(2, 4, 4, stride=2, se_hidden=1, rng=0), 2),
    "GhostModule": (lambda: nn.GhostModule(2, 4, 1, rng=0), 2),
    "GhostModule, of one": (lambda: nn.GhostModule(1, 2, 3, rng=0), 1),
    "GhostModule, surplus": (lambda: nn.GhostModule(2, 5, 1, 3, rng=0), 2),
    "GhostModule, mixed": (lambda: nn.GhostModule(2, 4, 1, dw_size=(1, 3), rng=0), 2),
    "GlobalAvgPool": (nn.GlobalAvgPool, 2),
    "GlobalMaxPool": (nn.GlobalMaxPool, 2),
    "HardSigmoid": (nn.HardSigmoid, 2),
    "HardSwish": (nn.HardSwish, 2),
    "Identity": (nn.Identity, 2),
    "InceptionModule": (lambda: nn.InceptionModule(2, 1, 1, 2, 1, 1, 1, rng=0), 2),
    "InvertedResidual": (
        lambda: nn.InvertedResidual(2, 3, 2, act="hard_swish", se=nn.SqueezeExcite(3, 1, rng=0), rng=0),
        2,
    ),
    "InvertedResidual, strided": (lambda: nn.InvertedResidual(1, 1, 2, 5, 2, rng=0), 1),
    "Linear": (lambda: nn.Linear(2, 3, rng=0), 2),
    "Linear, from one": (lambda: nn.Linear(1, 3, rng=0), 1),
    "Linear, to one": (lambda: nn.Linear(3, 1, rng=0), 3),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3, alpha=0.5), 4),
    "MaxPool2d": (lambda: nn.MaxPool2d(2, 1, 1), 2),
    "MaxPool2d, ceil mode": (lambda: nn.MaxPool2d(2, 2, ((0, 1), (1, 1)), True), 2),
    "MicroBlock": (
        lambda: nn.MicroBlock(2, nn.MicroRow(1, 2, 3, (1, 2), (2, 2), (2, 2), (2, 2, 1), 1), rng=0),
        2,
    ),
    "MicroDepthwise": (lambda: nn.MicroDepthwise(2, 3, 1, 2, rng=0), 2),
    "MixedDepthwise": (lambda: nn.MixedDepthwise(2, (1, 3), rng=0), 2),
    "Pad2d": (lambda: nn.Pad2d(((0, 2), (1, 0)), "edge"), 2),
    "PartialConv2d": (lambda: nn.PartialConv2d(2, 2, rng=0), 2),
    "PatchWhitening": (lambda: nn.PatchWhitening(2, 1), 2),
    "ReLU": (nn.ReLU, 2),
    "ReLU6": (nn.ReLU6, 2),
    "Resize": (lambda: nn.Resize(factor=2), 2),
    "Resize, bilinear": (lambda: nn.Resize((3, 2), mode="bilinear"), 2),
    "ResidualBlock": (lambda: nn.ResidualBlock(2, 2, rng=0), 2),
    "ResidualBlock, wider": (lambda: nn.ResidualBlock(1, 2, 2, rng=0), 1),
    "ResidualChain": (lambda: _ResidualChain(), 2),
    "SeparableConv2d": (lambda: nn.SeparableConv2d(2, 3, 3, rng=0), 2),
    "SeparableUnit": (lambda: nn.SeparableUnit(2, 3, rng=0), 2),
    "Sequential": (lambda: nn.Sequential(nn.Identity(), nn.Conv2d(2, 1, 1, rng=0)), 2),
    "Shift": (lambda: nn.Shift(9), 9),
    "Shift, edge": (lambda: nn.Shift(9, border="edge"), 9),
    "ShuffleUnit": (lambda: nn.ShuffleUnit(8, 8, 2, rng=0), 8),
    "SiLU": (nn.SiLU, 2),
    "Sigmoid": (nn.Sigmoid, 2),
    "Softmax": (lambda: nn.Softmax(1), 2),
    "SpaceToDepth": (lambda: nn.SpaceToDepth(1), 2),
    "SpatiallySeparableConv2d": (lambda: nn.SpatiallySeparableConv2d(2, 3, rng=0), 2),
    "SplitShuffleUnit": (lambda: nn.SplitShuffleUnit(4, 4, rng=0), 4),
    "SqueezeExcite": (lambda: nn.SqueezeExcite(2, 1, rng=0), 2),
    "Towers": (lambda: nn.Towers(2, 4, 2, rng=0), 2),
    "UniversalBottleneck": (lambda: nn.UniversalBottleneck(2, 3, 2, 3, 3, rng=0), 2),
    "StochasticDepth": (lambda: nn.StochasticDepth(0.5, rng=1), 2),
    "Subsample": (lambda: nn.Subsample(3, 2), 2),
    "XceptionModule": (lambda: nn.XceptionModule(2, (3, 3), rng=0), 2),
}


def _shape(name, N, H, W, C):
    """Of the input; a batch norm of a single row would have no variance."""
    return {"Linear": (N, C), "BatchNorm1d": (N + 1, C)}.get(name.split(",")[0], (N, H, W, C))


MODES = ["fused", "layer by layer", "evaluation"]
PLANES = st.sampled_from([(2, 1, 1), (3, 2, 1), (2, 1, 2), (2, 2, 2), (1, 3, 3), (1, 1, 3)])


class _Chain(nn.Chain):
    def __init__(self):
        self.first, self.second = nn.ConvBNAct(2, 1, 1, rng=0), nn.ReLU6()


class _ResidualChain(nn.ResidualChain):
    def __init__(self):
        self.first, self.second = nn.ConvBNAct(2, 2, 1, rng=0), nn.ReLU6()


def test_every_layer_is_tried():
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    layers = {name for name in classes if issubclass(getattr(nn, name), nn.Module)} - {"Module", "ModuleList"}
    assert layers == {name.partition(",")[0] for name in LAYERS}, "a new layer belongs into LAYERS"


def _values(module):
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _answers(module, arrays, mode):
    """All that a layer returns, its gradients and its buffers afterwards."""
    module.train(mode != "evaluation")
    for path, value in _values(module).items():
        hold(value, arrays[path])
    with nn.fusing(mode == "fused"):
        answers = {"out": module(arrays["x"])}
        if "dout" in arrays:
            answers["dx"] = module.backward(arrays["dout"])
    grads = {path: p.grad for path, p in module.named_parameters()}
    return answers | grads | {f"{path} after": b.data for path, b in module.named_buffers()}


def _assert_close(answers, expected, dtype):
    tolerance = 1e-9 if dtype == np.float64 else 2e-3
    for name, value in expected.items():
        assert_allclose(answers[name], value, rtol=tolerance, atol=tolerance * max(1, abs(value).max()), err_msg=name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LAYERS)
@few
@given(st.data())
def test_a_layer_of_views_is_that_of_copies(name, mode, data):
    (make, C), dtype = LAYERS[name], data.draw(st.sampled_from([np.float32, np.float64]))
    (N, H, W), rng = data.draw(PLANES), np.random.default_rng(5)
    numbers = {"x": rng.uniform(0.3, 2, _shape(name, N, H, W, C))}
    numbers |= {path: rng.uniform(0.3, 1.5, value.data.shape) for path, value in _values(make()).items()}
    updated = [path for path, _ in make().named_buffers() if "running" in path and mode != "evaluation"]
    given = {
        path: data.draw(views(x.astype(dtype), UPDATABLE if path in updated else list(KINDS)), path)
        for path, x in numbers.items()
    }
    plain = lambda: {path: view.plain.copy() for path, view in given.items()}  # noqa: E731
    shape = _answers(make(), plain(), mode)["out"].shape
    given["dout"] = data.draw(views(rng.normal(size=shape).astype(dtype)), "dout")
    expected = _answers(make(), plain(), mode)
    with watching(assert_kernels_see_plain_arrays):
        answers = _answers(make(), {path: view.array for path, view in given.items()}, mode)
    _assert_close(answers, expected, dtype)
    for path, view in given.items():
        if path in updated:
            view.assert_only_the_view_was_written(path)
        else:
            view.assert_untouched(path)


@pytest.mark.parametrize("name", [name for name in LAYERS if "Ghost" in name or "Conv" in name or "Linear" in name])
@few
@given(st.data())
def test_a_folded_network_of_views_is_that_of_copies(name, data):
    (make, C), rng = LAYERS[name], np.random.default_rng(5)
    (N, H, W), networks = data.draw(PLANES), []
    x = data.draw(views(rng.normal(size=_shape(name, N, H, W, C)).astype(np.float32)))
    module, copied = make().eval(), make().eval()
    for path, value in _values(module).items():
        view = data.draw(views(rng.uniform(0.3, 1.5, value.data.shape).astype(np.float32)), path)
        hold(value, view.array)
        hold(_values(copied)[path], view.plain)
    with watching(assert_kernels_see_plain_arrays):
        networks = nn.fold(module)(x.array), nn.fold(copied)(x.plain)
    assert_array_equal(*networks)
    x.assert_untouched("x")


@pytest.mark.parametrize("name", [name for name in LAYERS if "BN" in name or "Ghost" in name or "Residual" in name])
def test_fused_training_refuses_parameters_that_do_not_fit_as_the_layers_do(name):
    make, C = LAYERS[name]
    x = np.random.default_rng(0).normal(size=(2, 3, 3, C)).astype(np.float32)
    for path in _values(make()):
        for wrong in (
            lambda v: v.astype(np.float64),
            lambda v: v[..., :-1],
            lambda v: np.concatenate([v, v], -1),
            lambda v: v[None],
            lambda v: v.reshape(-1)[:0].reshape(*v.shape[:-1], 0),
        ):
            messages = []
            for on in (True, False):
                module = make()
                value = _values(module)[path]
                hold(value, wrong(value.data))
                with nn.fusing(on), pytest.raises((TypeError, ValueError)) as error:
                    module(x)
                messages.append(str(error.value))
            assert all("must" in message or "channels" in message for message in messages), (path, messages)


def test_fused_training_refuses_branches_that_do_not_meet():
    """Weights and batch norm fit one another, but not what they are to be added to, or to scale."""
    x = np.ones((2, 3, 3, 2), np.float32)
    residual, gated, wider = nn.ResidualBlock(2, 2), nn.GhostBottleneck(2, 4, 2, se_hidden=1), nn.GhostModule(2, 4, 1)
    for value in _values(residual.second).values():
        hold(value, np.concatenate([value.data, value.data], -1))
    for value in _values(gated.se.expand).values():
        hold(value, np.concatenate([value.data, value.data], -1))
    wider.cheap.conv.weight = nn.Parameter(np.ones((5, 5, 1, 2), np.float32))
    for block, message in ((residual, "must have shape"), (gated, "gate must have shape"), (wider, "shape")):
        for on in (True, False):
            with nn.fusing(on), pytest.raises(ValueError, match=message):
                block(x)


@pytest.mark.parametrize("mode", ["fused", "layer by layer"])
def test_running_statistics_that_cannot_be_updated_are_refused(mode):
    for kind in set(KINDS) - set(UPDATABLE):
        module = nn.ConvBNAct(2, 3, 1, rng=0)
        view = View(*KINDS[kind](module.bn.running_var.data, np.random.default_rng(0)))
        module.bn.running_var = nn.Buffer(view.array)
        with nn.fusing(mode == "fused"), pytest.raises(ValueError, match="running_var is updated in place"):
            module(np.ones((2, 2, 2, 2), np.float32))
        view.assert_untouched(kind)


# State ---------------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_state_of_views_is_loaded_into_views_or_refused_whole(data):
    module, rng = nn.Sequential(nn.Linear(1, 3, rng=0), nn.Linear(3, 1, rng=0)), np.random.default_rng(0)
    state = {path: data.draw(views(rng.normal(size=v.data.shape)), path) for path, v in _values(module).items()}
    own = {path: data.draw(views(v.data), path) for path, v in _values(module).items()}
    for path, value in _values(module).items():
        hold(value, own[path].array)
    given = {path: view.array for path, view in state.items()}
    try:
        module.load_state_dict(given)
    except ValueError as error:
        assert "load_state_dict: " in str(error) and "updated in place" in str(error)
        for path, view in own.items():
            view.assert_untouched(path)
    else:
        for path, view in own.items():
            assert_allclose(view.array, state[path].plain, rtol=1e-6, err_msg=path)
            view.assert_only_the_view_was_written(path)
    for path, view in state.items():
        view.assert_untouched(path)


def test_a_state_may_be_made_of_the_model_s_own_arrays():
    module = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1))
    first, second = (layer.weight.data for layer in module)
    before = first.copy(), second.copy()
    module.load_state_dict({"0.weight": second, "1.weight": first.T}, strict=False)
    assert_array_equal(first, before[1])
    assert_array_equal(second, before[0].T)


@pytest.mark.parametrize("kind", KINDS)
def test_after_astype_every_array_is_plain(kind):
    module = nn.Linear(3, 2, rng=0)
    module.weight = nn.Parameter(KINDS[kind](module.weight.data, np.random.default_rng(0))[0])
    data = module.astype(np.float64).weight.data
    assert type(data) is np.ndarray and data.flags.carray and data.dtype == np.float64
