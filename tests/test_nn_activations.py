"""Every activation of the vocabulary, before and after every kind of layer: lazy or not, in training and folded."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minighost import nn
from minighost.engine import launch
from minighost.engine.activations import KINDS, Floor
from minighost.nn import functional
from minighost.nn.activations import LAYERS
from minighost.nn.module import backward_onto

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
ACTIVATIONS = {**LAYERS, "crelu": nn.CReLU}

AFTER = {
    "pointwise": lambda C: nn.Conv2d(C, 5, 1, rng=2),
    "depthwise": lambda C: nn.Conv2d(C, C, 3, padding=1, groups=C, rng=2),
    "strided depthwise": lambda C: nn.Conv2d(C, C, 5, 2, 2, groups=C, rng=2),
    "dense": lambda C: nn.Conv2d(C, 5, 3, padding=1, dilation=2, rng=2),
    "Winograd": lambda C: nn.Conv2d(C, 16, 3, padding=1, rng=2),
    "grouped": lambda C: nn.Conv2d(C, 2 * C, 1, groups=2, rng=2),
    "nothing": lambda C: nn.Identity(),
    "pooling": lambda C: nn.MaxPool2d(2),
    "squeeze-and-excite": lambda C: nn.Sequential(nn.SqueezeExcite(C, 3, rng=2), nn.Conv2d(C, 3, 1, rng=3)),
    "ghost": lambda C: nn.GhostModule(C, 7, 1, rng=2),
    "bottleneck": lambda C: nn.GhostBottleneck(C, 8, C, se_hidden=3, rng=2),
}


def network(act, after, bn=True, bias=False):
    layer, C = ACTIVATIONS[act](), 16
    first = nn.Conv2d(4, C, 3, padding=1, bias=bias, rng=1)
    return nn.Sequential(*[first, *[nn.BatchNorm2d(C)] * bn, layer, AFTER[after](C * (1 + (act == "crelu")))])


def step(model, x, on):
    """All that comes of a forward and a backward in double precision, and the kernels that ran."""
    names, model = [], model.astype(np.float64)
    with (
        nn.fusing(on),
        launch.watching(lambda function, *_: names.append(f"{function.__module__}.{function.__name__}")),
    ):
        out = model(x)
        dx = model.backward(np.random.default_rng(3).normal(size=out.shape))
    return [out, dx, *(p.grad for p in model.parameters()), *(b.data for _, b in model.named_buffers())], names


def assert_fused_is_unfused(make, x):
    """Return the kernels of the fused step."""
    (mine, names), (plain, _) = (step(make(), x, on) for on in (True, False))
    for a, b in zip(mine, plain, strict=True):
        assert_allclose(a, b, **CLOSE)
    return names


@pytest.fixture
def x(rng):
    return 2 * rng.normal(size=(5, 8, 6, 4))


# A kernel is compiled for each class of activation. All meet the product; one of each way back meets every layer.
PAIRS = [(act, "pointwise") for act in ACTIVATIONS]
PAIRS += [(act, after) for act in ("relu", "hard_swish", "crelu") for after in AFTER if after != "pointwise"]
PAIRS += [("relu6", "depthwise"), ("relu6", "Winograd")]
SMALL = [("hard_swish", "pointwise"), ("hard_swish", "strided depthwise"), ("crelu", "dense")]
PAIRS = [pytest.param(*pair, marks=pytest.mark.small if pair in SMALL else ()) for pair in PAIRS]


@pytest.mark.parametrize("act, after", PAIRS)
def test_an_activation_is_left_to_whatever_follows(act, after, x):
    names = assert_fused_is_unfused(lambda: network(act, after), x)
    if after not in ("nothing", "pooling", "squeeze-and-excite", "bottleneck"):
        assert not any(name.startswith("minighost.ops.") for name in names)


@pytest.mark.parametrize("after", ["pointwise", "depthwise", "dense"])
@pytest.mark.parametrize("act", ["relu", "hard_swish", "crelu"])
def test_an_activation_without_batch_norm_waits_too(act, after, x):
    names = assert_fused_is_unfused(lambda: network(act, after, bn=False, bias=True), x)
    assert not [name for name in names if name.startswith("minighost.ops.") and "bias" not in name]


@pytest.mark.parametrize("after", ["depthwise", "Winograd", "nothing", "bottleneck"])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_an_activation_folds(act, after, x):
    model = network(act, after).astype(np.float64)
    model(x)
    with nn.fusing(False):
        assert_allclose(nn.fold(model)(x), model.eval()(x), **CLOSE)


class Fork(nn.Module):
    """Two layers read the same activation; the second gradient is added to the first on the way."""

    def __init__(self, act, first, second):
        self.stem, self.act = nn.Sequential(nn.Conv2d(4, 16, 1, rng=1), nn.BatchNorm2d(16)), ACTIVATIONS[act]()
        self.first, self.second = first, second

    def forward(self, x):
        y = self.act(self.stem(x))
        return np.asarray(self.first(y)) + np.asarray(self.second(y))

    def backward(self, dout):
        dy = backward_onto(self.second, dout.copy(), self.first.backward(dout.copy()))
        return self.stem.backward(self.act.backward(dy))


@pytest.mark.parametrize("kinds", ["pp", "pd", "dp", "dd", "wd", "pi", "di", "ip", "id"])
@pytest.mark.parametrize("act", ["relu", "hard_swish"])
def test_gradients_of_two_readers_add_up(act, kinds, x):
    make = {
        "p": lambda: nn.Conv2d(16, 16, 1, rng=5),
        "d": lambda: nn.Conv2d(16, 16, 3, padding=1, groups=16, rng=6),
        "w": lambda: nn.Conv2d(16, 16, 3, padding=1, rng=7),
        "i": nn.Identity,
    }
    assert_fused_is_unfused(lambda: Fork(act, *(make[kind]() for kind in kinds)), x)


class Side(nn.Module):
    """Parts side by side, each with an activation of its own."""

    def __init__(self, acts):
        self.left, self.right = (
            nn.Sequential(nn.Conv2d(4, C, 1, rng=1), nn.BatchNorm2d(C), LAYERS[act]())
            for C, act in zip((3, 5), acts, strict=True)
        )
        self.last = nn.Conv2d(8, 6, 1, rng=4)

    def forward(self, x):
        y, self._joined = functional.concat_forward(self.left(x), self.right(x))
        return self.last(y)

    def backward(self, dout):
        left, right = functional.concat_backward(self.last.backward(dout), self._joined)
        return np.asarray(self.left.backward(left)) + np.asarray(self.right.backward(right))


@pytest.mark.parametrize(
    "acts", [("relu", "relu6"), ("hard_swish", "relu"), ("relu", "silu"), ("gelu", "hard_swish"), ("clip_gate",) * 2]
)
def test_parts_side_by_side_keep_their_own_activations(acts, x):
    assert_fused_is_unfused(lambda: Side(acts), x)


@pytest.mark.parametrize("act", ["relu6", "hard_swish", "gelu"])
def test_the_gradient_between_two_layers_is_exact_where_the_activation_has_a_slope(act, x):
    """A cut may have been made already, but a slope is applied by the activation's own backward."""
    seen = []

    class Reader(LAYERS[act]):
        def backward(self, dout):
            seen.append(np.array(dout))
            return super().backward(dout)

    model = nn.Sequential(nn.Conv2d(4, 6, 1, rng=1), nn.BatchNorm2d(6), Reader(), nn.Conv2d(6, 3, 1, rng=2))
    for on in (True, False):
        step(model, x, on)
    assert_allclose(seen[0], seen[1], **CLOSE)


@pytest.mark.small
def test_all_activations_are_known_to_the_inference_machine():
    for layer in LAYERS.values():
        assert isinstance(layer.function.act, (Floor, *KINDS)), layer
