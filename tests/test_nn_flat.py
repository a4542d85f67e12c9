"""Parameters side by side in one row: each stays what it was, and what cannot lie there is left alone."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from views import KINDS, hold

from minighost import nn
from minighost.engine.check import is_plain
from minighost.nn.flat import Flat, neighbours

pytestmark = pytest.mark.small


def network():
    return nn.Sequential(nn.ConvBNAct(3, 5, 3, rng=0), nn.GlobalAvgPool(), nn.Linear(5, 2, rng=1))


def values(model):
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def test_a_network_in_a_row_computes_what_it_computed(rng):
    model, plain = network(), network()
    before = values(model)
    nn.flatten(model)
    for path, value in values(model).items():
        assert value is before[path] and value.data.base is not None and value.data.flags.carray
        assert value.data.ctypes.data % 64 == value.place.flat.data.ctypes.data % 64
    for _ in range(3):
        x = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
        assert_array_equal(model(x), plain(x))
        for network_ in (model, plain):
            network_.zero_grad()
            network_.backward(np.ones((2, 2), np.float32))
        for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            assert mine.grad is mine.place.grad
            assert_array_equal(mine.grad, theirs.grad)
        for path, array in plain.state_dict().items():
            assert_array_equal(model.state_dict()[path], array, err_msg=path)


def test_kernels_come_first_then_vectors_then_statistics_and_gaps_are_zero():
    model = network().astype(np.float64)
    model[0].bn.weight.replace(np.ones(5, np.float32))
    nn.flatten(model)
    flat = model[2].weight.place.flat
    assert [[v.data.ndim for v in run] for run in neighbours(values(model).values())] == [[4, 2, 1, 1, 1, 1], [1]]
    assert model[0].bn.weight.place.flat.count == 1 and flat.count == 6 and flat.data.dtype == np.float64
    assert flat.grad.size < flat.data.size, "statistics have no gradient"
    for value in values(model).values():
        value.data[...] = 0
    assert not flat.data.any()


def test_gradients_add_up_in_the_row_until_they_are_forgotten():
    p = nn.Parameter(np.zeros(3, np.float32))
    nn.flatten([p])
    p.accumulate(None)
    assert p.grad is None
    p.accumulate(np.array([1, 2, 3], np.float32))
    p.accumulate(np.array([1, 1, 1], np.float32))
    assert p.grad is p.place.grad
    assert_array_equal(p.place.flat.grad[:3], [2, 3, 4])
    p.grad = None
    p.accumulate(np.array([5, 5, 5], np.float32))
    assert_array_equal(p.grad, [5, 5, 5])
    own = np.ones(3, np.float32)
    p.grad = own
    p.accumulate(own)
    assert p.grad is not own and (own == 1).all() and (p.grad == 2).all() and (p.place.grad == 5).all()


@pytest.mark.parametrize("grad", [np.ones(1, np.float32), np.ones(3), np.ones((1, 3), np.float32)])
def test_a_gradient_that_does_not_fit_is_not_made_to_fit(grad):
    p = nn.Parameter(np.zeros(3, np.float32))
    nn.flatten([p])
    p.accumulate(grad)
    assert p.grad is grad


def test_whoever_lies_in_a_row_already_stays_there():
    model = network()
    nn.flatten(model)
    places = [value.place for value in values(model).values()]
    nn.flatten(model)
    assert places == [value.place for value in values(model).values()]
    model[2].bias = nn.Parameter(np.ones(2, np.float32))
    nn.flatten(model)
    assert len({id(value.place.flat) for value in values(model).values()}) == 1
    assert_array_equal(model[2].bias.data, 1)


def test_what_is_assigned_stays_in_the_row_and_what_is_converted_leaves_it():
    model = network()
    nn.flatten(model)
    place = model[2].weight.place
    model[2].weight.data = np.ones((5, 2), np.float32)
    assert model[2].weight.place is place and (place.data == 1).all()
    model.astype(np.float64)
    assert all(value.place is None and value.data.dtype == np.float64 for value in values(model).values())
    assert (place.data == 1).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_a_model_in_a_row_is_independent(copied, rng):
    model = network()
    nn.flatten(model)
    x = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
    model(x)
    model.backward(np.ones((2, 2), np.float32))
    size = len(pickle.dumps(network()))
    other = copied(model)
    assert len(pickle.dumps(other)) < 3 * size
    before, grads = model.state_dict(), [p.grad.copy() for p in model.parameters()]
    for p in other.parameters():
        p.data += 1
        p.accumulate(np.ones(p.shape, np.float32))
        assert p.place is None
    for path, array in model.state_dict().items():
        assert_array_equal(array, before[path])
    for p, grad in zip(model.parameters(), grads, strict=True):
        assert_array_equal(p.grad, grad)


def test_tied_and_overlapping_ones_keep_sharing():
    a, b, c, d = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1), nn.Linear(2, 2, rng=2), nn.Linear(4, 2, rng=3)
    b.weight = a.weight  # one object
    whole = d.weight.data
    c.weight = nn.Parameter(whole[1:3])  # two objects, one memory
    model = nn.ModuleList([a, b, c, d])
    nn.flatten(model)
    assert a.weight.place and a.weight is b.weight
    assert c.weight.place is None and d.weight.place is None and d.weight.data is whole
    c.weight.data += 1
    assert_array_equal(d.weight.data[1:3], c.weight.data)


@pytest.mark.parametrize("kind", KINDS)
def test_what_kernels_cannot_write_to_is_left_where_it_is(kind):
    model, rng = nn.Linear(3, 4, rng=0), np.random.default_rng(0)
    view, _ = KINDS[kind](rng.normal(size=(3, 4)).astype(np.float32), rng)
    hold(model.weight, view)
    nn.flatten(model)
    assert model.bias.place is not None
    assert (model.weight.data is view) != is_plain(view)
    assert_array_equal(model.weight.data, view)


def test_integers_and_empty_ones_are_left_alone():
    kept = [nn.Buffer(np.zeros((), np.int64)), nn.Buffer(np.zeros(3, np.float16)), nn.Parameter(np.zeros((0, 3)))]
    nn.flatten(kept)
    nn.flatten([])
    assert [value.place for value in kept] == [None] * 3


def test_a_row_is_freed_with_its_parameters():
    model = network()
    nn.flatten(model)
    row = weakref.ref(model[2].weight.place.flat)
    assert isinstance(row(), Flat)
    del model
    gc.collect()
    assert row() is None
