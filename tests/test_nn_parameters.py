"""A parameter and its array: what assigning to `data` does, whatever is assigned and whatever is there."""

import copy
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from views import KINDS, View, views

from minighost import nn

pytestmark = pytest.mark.small


@pytest.mark.parametrize("kind", [nn.Parameter, nn.Buffer])
@given(st.data())
def test_assigning_copies_any_view_into_the_array_that_is_there(kind, data):
    rng = np.random.default_rng(0)
    held, shape = kind(np.zeros((2, 1, 3), np.float32)), (2, 1, 3)
    array, view = held.data, data.draw(views(rng.normal(size=shape).astype(np.float32)))
    held.data = view.array
    assert held.data is array, "who holds the array sees the new numbers"
    assert_array_equal(array, view.plain)
    array += 1
    view.assert_untouched("what was assigned")


@pytest.mark.parametrize("layout", KINDS)
def test_an_array_that_kernels_cannot_write_to_gives_way_to_a_plain_copy(layout):
    rng = np.random.default_rng(0)
    view, value = View(*KINDS[layout](rng.normal(size=(3, 4)), rng)), rng.normal(size=(3, 4))
    p = nn.Parameter(view.array)
    p.data = value
    assert_array_equal(p.data, value)
    assert type(p.data) is np.ndarray and p.data.flags.carray and p.data.dtype == np.float64
    assert not np.shares_memory(p.data, value)
    if p.data is not view.array:
        view.assert_untouched(layout)


def test_an_array_may_be_assigned_to_itself_turned_and_added_to():
    p = nn.Parameter(np.arange(9.0).reshape(3, 3))
    array = p.data
    p.data = p.data.T
    assert_array_equal(p.data, np.arange(9.0).reshape(3, 3).T)
    p.data = p.data[::-1]
    assert_array_equal(p.data, np.arange(9.0).reshape(3, 3).T[::-1])
    p.data += 1
    p.data *= 2
    assert p.data is array and p.data[2, 0] == 2


@pytest.mark.parametrize("kind", [nn.Parameter, nn.Buffer])
@pytest.mark.parametrize(
    "value, error, message",
    [
        (np.ones((3, 2), np.float32), ValueError, "{}.data has shape (2, 3), got (3, 2); an array of another shape"),
        (np.ones(3, np.float32), ValueError, "{}.data has shape (2, 3), got (3,); an array of another shape"),
        (np.ones((2, 3)), TypeError, "{}.data has dtype float32, got float64; convert the array with .astype(np.float"),
        (np.ones((2, 3), int), TypeError, "{}.data has dtype float32, got int64; convert the array with .astype"),
        ([[1, 2, 3], [4, 5, 6]], TypeError, "{}.data must be a NumPy array, got list; convert it with np.asarray"),
        (1.5, TypeError, "{}.data must be a NumPy array, got float; convert it with np.asarray"),
        (None, TypeError, "{}.data must be a NumPy array, got NoneType; convert it with np.asarray"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(kind, value, error, message):
    held = kind(np.zeros((2, 3), np.float32))
    array = held.data
    with pytest.raises(error, match="^" + re.escape(message.format(kind.__name__))):
        held.data = value
    assert held.data is array and not array.any()
    if not isinstance(value, np.ndarray):
        with pytest.raises(error, match=re.escape(message.format(kind.__name__))):
            kind(value)


def test_a_number_without_axes_is_an_array_too():
    p = nn.Parameter(np.array(2.0))
    p.data = p.data * 3  # NumPy makes a scalar of it
    assert p.data == 6 and isinstance(p.data, np.ndarray) and p.shape == () and p.size == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_copy_of_a_parameter_has_an_array_of_its_own(copied):
    p = nn.Parameter(np.ones(3, np.float32))
    p.accumulate(np.ones(3, np.float32))
    other = copied(p)
    other.data = np.zeros(3, np.float32)
    other.grad += 1
    assert p.data.all() and (p.grad == 1).all() and not other.data.any() and (other.grad == 2).all()


def test_tied_parameters_are_assigned_to_together():
    first, second = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)
    second.weight = first.weight
    second.weight.data = np.eye(2, dtype=np.float32)
    assert_array_equal(first(np.eye(2, dtype=np.float32)), np.eye(2))
