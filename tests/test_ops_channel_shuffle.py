"""Channel shuffle: a permutation, its inverse, and what becomes of it when a network is folded."""

import numpy as np
import pytest
from folds import assert_folds, nodes_of, perturbed, steps_of
from gradients import assert_gradients, assert_module_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minighost import nn, ops
from minighost.engine.inference import step
from minighost.nn import functional
from minighost.nn.fold_nodes import Convolution, Plain, Select

SHAPES = {"per_group": st.integers(1, 5), "groups": st.integers(1, 5), "N": st.integers(0, 2)}
PAIR = ["channel_shuffle", "channel_unshuffle"]


def _x(N, C):
    return np.random.default_rng(0).normal(size=(N, 2, 3, C))


@pytest.mark.small
def test_the_published_permutation_of_twelve_channels_in_three_groups():
    x = np.arange(12.0).reshape(1, 1, 1, 12)
    assert ops.channel_shuffle_forward(x, 3)[0].ravel().tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert ops.channel_unshuffle_forward(x, 3)[0].ravel().tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]


@pytest.mark.small
@given(**SHAPES)
def test_twins_agree_and_shuffle_and_unshuffle_are_inverse(N, per_group, groups):
    x = _x(N, per_group * groups)
    for name, other in (PAIR, PAIR[::-1]):
        forward, backward = getattr(ops, f"{name}_forward"), getattr(ops, f"{name}_backward")
        out, cache = forward(x, groups)
        assert_array_equal(out, getattr(ops, f"{name}_forward_reference")(x, groups)[0])
        assert_array_equal(backward(x, cache), getattr(ops, f"{name}_backward_reference")(x, cache))
        assert_array_equal(getattr(ops, f"{other}_forward")(out, groups)[0], x)
        assert_array_equal(backward(out, cache), x)


@pytest.mark.small
@given(**SHAPES)
def test_unshuffle_is_a_shuffle_with_the_other_factor(N, per_group, groups):
    x = _x(N, per_group * groups)
    assert_array_equal(ops.channel_unshuffle_forward(x, groups)[0], ops.channel_shuffle_forward(x, per_group)[0])


@pytest.mark.small
@pytest.mark.parametrize("name", PAIR)
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_gradients_hold(rng, name, groups):
    forward = getattr(ops, f"{name}_forward")
    assert_gradients(lambda x: forward(x, groups), getattr(ops, f"{name}_backward"), rng.normal(size=(2, 2, 1, 6)))


@pytest.mark.small
def test_after_a_shuffle_every_group_sees_every_group(rng):
    """Two grouped convolutions in a row never mix their groups; with a shuffle between them all outputs see all."""
    first, second = (nn.Conv2d(9, 9, 1, groups=3, bias=False, rng=k) for k in range(2))
    for shuffle, groups_seen in ((nn.Identity(), 1), (nn.ChannelShuffle(3), 3)):
        chain, x = nn.Sequential(first, shuffle, second), np.zeros((1, 1, 1, 9), np.float32)
        chain(x)
        dx = chain.backward(np.eye(1, 9, dtype=np.float32).reshape(1, 1, 1, 9))  # of the first output
        assert (dx.reshape(3, 3) != 0).any(1).sum() == groups_seen


@pytest.mark.small
@pytest.mark.parametrize("groups", [0, 4, 2.5])
def test_groups_that_do_not_divide_are_refused(groups):
    message = r"groups=4 must divide the channels of x, 6 \(6 % 4 = 2\)" if groups == 4 else "a whole number of at"
    for name in PAIR:
        with pytest.raises(ValueError, match=f"{name}: groups.*{message}" if groups != 4 else f"{name}: {message}"):
            getattr(ops, f"{name}_forward")(np.zeros((1, 1, 1, 6)), groups)
    with pytest.raises(ValueError, match=message):
        nn.Sequential(nn.Conv2d(3, 6, 1), nn.ChannelShuffle(groups)).eval()(np.zeros((1, 2, 2, 3), np.float32))


# Folding -------------------------------------------------------------------------------------------------------


CHAINS = {
    "after a product": lambda: [nn.ConvBNAct(5, 6, 1, rng=0), nn.ChannelShuffle(3), nn.Conv2d(6, 4, 1, groups=2)],
    "before a batch norm": lambda: [nn.Conv2d(5, 6, 3), nn.ChannelUnshuffle(3), nn.BatchNorm2d(6, relu=True)],
    "after a grouped one": lambda: [nn.ConvBNAct(5, 6, 1), nn.Conv2d(6, 6, 3, groups=2), nn.ChannelShuffle(2)],
    "after a depthwise one": lambda: [nn.ConvBNAct(5, 6, 1), nn.Conv2d(6, 12, 3, groups=6), nn.ChannelShuffle(4)],
    "twice": lambda: [nn.Conv2d(5, 12, 1, groups=1), nn.MaxPool2d(2), nn.ChannelShuffle(3), nn.ChannelShuffle(2)],
    "of unknown channels": lambda: [nn.ReLU(), nn.ChannelShuffle(5), nn.Conv2d(5, 2, 1)],
    "of two parts": lambda: [nn.GhostModule(5, 8, 1, rng=0), nn.ChannelShuffle(2), nn.Conv2d(8, 3, 3, groups=1)],
}


@pytest.mark.small
@pytest.mark.parametrize("name", CHAINS)
def test_shuffles_fold(rng, name):
    f = assert_folds(perturbed(nn.Sequential(*CHAINS[name]())), rng.normal(size=(3, 5, 4, 5)))
    selections = [node for node in nodes_of(f) if isinstance(node, Select)]
    absorbed = name in ("after a product", "before a batch norm")
    assert len(selections) == (not absorbed and name != "of unknown channels")
    assert any(isinstance(node, Plain) for node in nodes_of(f)) == (name == "of unknown channels")


@pytest.mark.small
def test_a_shuffle_after_a_dense_convolution_costs_nothing(rng):
    f = nn.fold(nn.Sequential(nn.Conv2d(4, 6, 1), nn.ChannelShuffle(2), nn.ReLU()))
    (node,) = nodes_of(f)
    assert isinstance(node, Convolution)
    assert f.explain() == {"0": "matrix product", "1": "part of 0", "2": "part of 0"}


class Halves(nn.Module):
    """As in ShuffleNet v2: half of the channels pass, the others are worked on, and a shuffle mixes them."""

    def __init__(self, C, n):
        self.n, self.conv = n, nn.ConvBNAct(C - n, C - n, 3, rng=0)
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x):
        (kept, rest), split = functional.split_channels_forward(x, self.n)
        out, joined = functional.concat_forward(kept, self.conv(rest))
        self._cache = split, joined
        return self.shuffle(out)

    def backward(self, dout):
        split, joined = self._take_cache(dout)
        dkept, drest = functional.concat_backward(self.shuffle.backward(dout), joined)
        return functional.split_channels_backward(dkept, self.conv.backward(drest), split)


@pytest.mark.small
@pytest.mark.parametrize("n", [2, 3])
def test_split_channels_have_the_gradient_of_their_slices(rng, n):
    assert_module_gradients(perturbed(Halves(6, n)), rng.normal(size=(2, 2, 2, 6)))


@pytest.mark.small
def test_blocks_that_split_and_shuffle_fold_into_the_machine(rng):
    chain = perturbed(nn.Sequential(nn.ConvBNAct(5, 6, 1, rng=0), Halves(6, 2), Halves(6, 3)))
    f = assert_folds(chain, rng.normal(size=(3, 5, 4, 5)))
    assert not any(isinstance(node, Plain) for node in nodes_of(f))
    assert [s.op for s in steps_of(f)].count(step.JOIN) == 0


@pytest.mark.small
def test_a_split_between_the_parts_of_a_concatenation_costs_nothing(rng):
    class Unjoined(nn.Module):
        def __init__(self):
            self.a, self.b, self.c = (nn.Conv2d(k, 4, 1, rng=0) for k in (3, 3, 4))

        def forward(self, x):
            joined, _ = functional.concat_forward(self.a(x), self.b(x))
            (first, rest), _ = functional.split_channels_forward(joined, 4)
            return functional.add_forward(first, self.c(rest))[0]

    f = assert_folds(perturbed(Unjoined()), rng.normal(size=(2, 3, 3, 3)))
    assert step.SELECT not in [s.op for s in steps_of(f)]


class Cut(nn.Module):
    """The first channels of a shuffle."""

    def __init__(self, groups, n):
        self.shuffle, self.n = nn.ChannelShuffle(groups), n

    def forward(self, x):
        return functional.first_channels_forward(self.shuffle(x), self.n)[0]


@pytest.mark.small
def test_a_selection_of_a_shuffle_is_one_step(rng):
    f = assert_folds(
        nn.Sequential(nn.Conv2d(4, 6, 1, rng=0), nn.MaxPool2d(2), Cut(2, 3)).astype(np.float64),
        rng.normal(size=(2, 4, 4, 4)),
    )
    (select,) = [node for node in nodes_of(f) if isinstance(node, Select)]
    assert select.index.tolist() == [0, 3, 1]
