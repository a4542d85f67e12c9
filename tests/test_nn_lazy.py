"""Lazy values: whatever layers hand to one another in training, what a user sees of it is an array."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn
from minighost.engine import launch
from minighost.nn import functional
from minighost.nn.functional.calls import calls

pytestmark = pytest.mark.small
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


class Block(nn.Module):
    """What a user writes who has read PyTorch's tutorial: layers, called one after the other; `between` is theirs."""

    def __init__(self, between=None):
        self.conv = nn.Conv2d(4, 6, 3, padding=1, bias=False, rng=0)
        self.bn = nn.BatchNorm2d(6)
        self.act = nn.ReLU()
        self.between = between
        self.last = nn.Conv2d(6, 5, 1, rng=1)
        self.last_bn = nn.BatchNorm2d(5)

    def layers(self):
        found = self.conv, self.bn, self.act, self.between, self.last, self.last_bn
        return [layer for layer in found if layer is not None]

    def forward(self, x):
        for layer in self.layers():
            x = layer(x)
        return x

    def backward(self, dout):
        for layer in reversed(self.layers()):
            dout = layer.backward(dout)
        return dout


def step(module, x, on=True):
    """One forward and one backward in double precision: everything that comes of it."""
    module.astype(np.float64)
    with nn.fusing(on):
        out = module(x)
        dx = module.backward(np.random.default_rng(3).normal(size=out.shape))
    return [out, dx, *(p.grad for p in module.parameters()), *(b.data for _, b in module.named_buffers())]


def assert_same(make, x):
    for mine, plain in zip(*(step(make(), x, on) for on in (True, False)), strict=True):
        assert_allclose(mine, plain, **CLOSE)


def launched(module, x):
    """The kernels that one forward and backward run, by name."""
    names = []
    with launch.watching(lambda function, args, seconds: names.append(f"{function.__module__}.{function.__name__}")):
        step(module, x)
    return names


def test_a_multiplier_is_normalised_on_the_way_in_and_summed_on_the_way_out(rng):
    def make():
        depthwise = nn.ConvBNAct(6, 18, 3, groups=6, rng=1)
        return nn.Sequential(nn.ConvBNAct(4, 6, 1, rng=0), depthwise, nn.ConvBNAct(18, 3, 1, rng=2))

    x = rng.normal(size=(3, 5, 4, 4))
    assert_same(make, x)
    kernels = launched(make(), x)
    assert "minighost.engine.kernels.repeat._repeat" in kernels
    assert not any(name.startswith("minighost.ops.") for name in kernels)


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 6, 5, 4))


def test_a_block_of_the_users_own_fuses_as_ours_do(x):
    assert_same(Block, x)
    mine = launched(Block(), x)
    ours = launched(nn.Sequential(nn.ConvBNAct(4, 6, 3, rng=0), nn.ConvBNAct(6, 5, 1, act=None, rng=1)), x)
    assert mine == ours
    assert not any(name.startswith("minighost.ops.") for name in mine)


def test_a_plain_sequence_of_layers_fuses(x):
    assert_same(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3, rng=0), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 1, rng=1)), x
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvBNAct(4, 6, 3),
        nn.GhostModule(4, 6, 1),
        nn.GhostBottleneck(4, 8, 4),
        nn.ResidualBlock(4, 4),
        nn.Conv2d(4, 2, 1),
        nn.Sequential(nn.Conv2d(4, 2, 1)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_nothing_lazy_leaves_the_outermost_module(layer, x):
    layer.astype(np.float64)
    out = layer(x)
    assert type(out) is np.ndarray
    assert type(layer.backward(np.ones_like(out))) is np.ndarray
    assert calls.depth == 0


def test_a_forward_that_fails_leaves_no_trace(x):
    with pytest.raises(ValueError, match="x has 4 channels"):
        nn.Sequential(nn.Sequential(nn.Conv2d(3, 2, 1).astype(np.float64)))(x)
    assert calls.depth == 0


class Halve(nn.Module):
    """A layer that knows NumPy and nothing of us; `seen` says what it was given."""

    def forward(self, x):
        self.seen = x.mean(), x[0, 0, 0, 0], float(np.abs(x).max()), x.copy().shape, len(x), x.flags.c_contiguous
        return 0.5 * x

    def backward(self, dout):
        assert dout.shape == np.asarray(dout).shape and dout.dtype == np.float64
        return dout * 0.5


def test_a_users_layer_reads_arrays(x):
    seen = []
    for on in (True, False):
        halve = Halve()
        step(Block(halve), x, on)
        seen.append(halve.seen)
    assert_allclose(seen[0][:3], seen[1][:3], **CLOSE)
    assert seen[0][3:] == seen[1][3:] == ((3, 6, 5, 6), 3, True)
    assert_same(lambda: Block(Halve()), x)


class Deconvnet(nn.ReLU):
    """Zeiler & Fergus's way back: what the gradient's own sign says, wherever the forward cut."""

    def backward(self, dout):
        self._take_cache(dout)
        return np.maximum(dout, 0)


def test_a_relu_with_a_backward_of_its_own_sees_the_whole_gradient(x):
    def subclass():
        block = Block()
        block.act = Deconvnet()
        return block

    def instance():
        block = Block()
        block.act.backward = lambda dout: np.maximum(dout, 0)
        return block

    assert_same(subclass, x)
    assert_same(instance, x)


@pytest.mark.parametrize("frozen", ["bn", "last_bn"])
def test_a_frozen_batch_norm_keeps_its_statistics(frozen, x):
    def make():
        block = Block()
        bn = getattr(block, frozen)
        bn.running_mean.data += np.arange(bn.weight.size, dtype=np.float32)
        bn.eval()
        return block

    assert_same(make, x)
    block = make()
    before = getattr(block, frozen).running_mean.data.copy()
    step(block, x)
    assert np.array_equal(getattr(block, frozen).running_mean.data, before)


def test_a_value_that_two_layers_read_is_differentiated_twice(x):
    class Twice(nn.Module):
        def __init__(self):
            self.unit = nn.ConvBNAct(4, 6, 3, rng=0)
            self.left, self.right = nn.Conv2d(6, 3, 3, padding=1, rng=1), nn.Conv2d(6, 3, 1, rng=2)

        def forward(self, x):
            y = self.unit(x)
            return self.left(y) + self.right(y)

        def backward(self, dout):
            return self.unit.backward(self.left.backward(dout) + self.right.backward(dout))

    assert_same(Twice, x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GhostModule(4, 7, 1, rng=0),
        lambda: nn.GhostModule(4, 4, 1, ratio=3, rng=0),
        lambda: nn.GhostModule(4, 2, 1, ratio=4, rng=0),
        lambda: nn.GhostModule(4, 5, 3, ratio=1, rng=0),
    ],
)
def test_ghosts_that_are_cut_off_have_no_influence(make, x):
    assert_same(make, x)


class Around(nn.Module):
    """Ghosts and a shortcut around them, of which the first convolution adds the shortcut's gradient in passing."""

    def __init__(self, first):
        self.norm, self.first = nn.Sequential(nn.Conv2d(4, 4, 1, rng=0), nn.BatchNorm2d(4)), first
        self.ghost = nn.GhostModule(4, 4, 1, act=False, rng=2)

    def forward(self, x):
        x = self.norm(x)
        out, cache = functional.add_forward(self.ghost(self.first(x)), x)
        self._cache = (cache,)
        return out

    def backward(self, dout):
        dy, dshortcut = functional.add_backward(dout, *self._take_cache(dout))
        return self.norm.backward(nn.module.backward_onto(self.first, self.ghost.backward(dy), dshortcut))


@pytest.mark.parametrize("groups", [1, 4])
def test_a_gradient_that_the_caller_owns_is_never_written_to(x, groups):
    def make():
        return Around(nn.ConvBNAct(4, 4, 3, groups=groups, rng=1))

    assert_same(make, x)
    module, dout = make().astype(np.float64), np.random.default_rng(3).normal(size=x.shape)
    before = dout.copy()
    module(x)
    module.backward(dout)
    assert_array_equal(dout, before)


class Keeping(nn.Module):
    """It keeps the gradient that one layer hands to the next, and looks at it afterwards."""

    def __init__(self):
        self.ghost, self.last = nn.GhostModule(4, 6, 1, rng=0), nn.Conv2d(6, 5, 1, rng=1)

    def forward(self, x):
        return self.last(self.ghost(x))

    def backward(self, dout):
        self.between = self.last.backward(dout)
        return self.ghost.backward(self.between)


def test_a_gradient_that_was_used_up_says_so_when_it_is_read(x):
    module = Keeping().astype(np.float64)
    out = module(x)
    module.backward(np.ones_like(out))
    with pytest.raises(RuntimeError, match="already been added to another; read it before the next backward"):
        module.between.sum()
