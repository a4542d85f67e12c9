"""Comparing a learner's answer with the right one: every difference is refused, and named where it is a known one."""

import re
import types

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minighost.learn import relations
from minighost.learn.compare import frozen, function, same, untouched

shapes = st.lists(st.integers(2, 5), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)


def draw(shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


def complaint(got, want, **options):
    with pytest.raises(AssertionError) as raised:
        same(got, want, "f(x)", **options)
    return str(raised.value)


@given(shapes, seeds)
def test_what_is_equal_passes(shape, seed):
    x = draw(shape, seed)
    same(x.copy(), x, "f(x)")
    same(x.astype(np.float32), x, "f(x)", tolerance=1e-5)
    same(np.asfortranarray(x), x, "f(x)")
    same((x, 3), (x, 3), "f(x)")


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_the_tolerance_goes_with_the_largest_number(size):
    x = np.array([size, 0.5])
    same(x + 1e-11 * size, x, "f(x)")
    complaint(x + 1e-8 * size, x)
    complaint(x * 1e-6 + 1e-8, x * 1e-6)
    same(x + 1e-8 * size, x, "f(x)", tolerance=1e-7)


@given(shapes, seeds)
def test_one_wrong_number_is_found_and_shown(shape, seed):
    x = draw(shape, seed)
    got = x.copy()
    place = tuple(int(k) for k in np.random.default_rng(seed).integers(0, shape))
    got[place] += 1
    text = complaint(got, x)
    assert f"1 of {x.size} numbers wrong; at [{', '.join(map(str, place))}] it gives {got[place]:.10g}" in text
    assert f"must be {x[place]:.10g}" in text


RELATED = {
    "twice": (lambda x: 2 * x, r"twice"),
    "half": (lambda x: x / 2, r"half"),
    "negative": (lambda x: -x, r"negative"),
    "mean": (lambda x: x / 7, r"1/7 of the right one"),
    "sum": (lambda x: 7 * x, r"7 times the right one"),
    "factor": (lambda x: 0.37 * x, r"0\.37 times"),
    "offset": (lambda x: x - 3, r"too small by 3"),
    "zero": (lambda x: 0 * x, r"zero everywhere"),
    "constant": (lambda x: np.full_like(x, 5), r"every number is the same"),
    "truncated": (np.trunc, r"without its fractions"),
    "squared": (lambda x: x**2, r"square of the right one"),
    "unsigned": (np.abs, r"without its signs"),
    "reciprocal": (lambda x: 1 / x, r"1 over the right one"),
    "float32": (lambda x: x.astype(np.float32), r"nearly right"),
}


@pytest.mark.parametrize("name", RELATED)
@given(seed=seeds)
def test_relations_of_numbers_are_recognised(name, seed):
    change, words = RELATED[name]
    x = 4 * draw((3, 4), seed)
    assume(np.trunc(x).any() and (x < 0).any())
    assert re.search(words, relations.between(change(x), x))


MOVED = {
    "transposed": (lambda x: x.transpose(0, 2, 1, 3), r"axes 1 and 2 swapped"),
    "flipped": (lambda x: x[:, ::-1], r"flipped along axis 1"),
    "turned": (lambda x: x[:, ::-1, ::-1], r"flipped along axes 1 and 2"),
    "down": (lambda x: np.roll(x, 1, 1), r"moved by \+1 along axis 1"),
    "right and up": (lambda x: np.roll(x, (-1, 1), (1, 2)), r"moved by -1 along axis 1 and \+1 along axis 2"),
    "channels": (lambda x: x[..., [1, 2, 0, 3]], r"slices in the order \[1, 2, 0, 3\]"),
    "one image": (lambda x: np.broadcast_to(x[:1], x.shape), r"always the same slice, the right one for index 0"),
    "running total": (lambda x: np.cumsum(x).reshape(x.shape), r"total not reset to 0"),
    "scales": (lambda x: x * [1, 2, 3, 4], r"its own factor"),
    "biases": (lambda x: x + [0, 2, 3, 4], r"its own constant"),
    "anywhere": (lambda x: x.ravel()[np.random.default_rng(9).permutation(x.size)].reshape(x.shape), r"wrong places"),
}


@pytest.mark.parametrize("name", MOVED)
@given(seed=seeds)
def test_relations_of_places_are_recognised(name, seed):
    change, words = MOVED[name]
    x = draw((3, 5, 5, 4), seed)
    assert re.search(words, relations.between(change(x), x))


def with_zeros(x, *index):
    x = x.copy()
    x[index] = 0
    return x


PARTLY = {
    "last channel": (lambda x: with_zeros(x, ..., -1), r"only the last of the 4 along axis 3 is wrong.*0 there.*short"),
    "first row": (lambda x: with_zeros(x, slice(None), 0) + 0.0, r"only the first of the 5 along axis 1 is wrong"),
    "border": (lambda x: with_zeros(x, slice(None), [0, -1]), r"only the border along axis 1 is wrong"),
    "one image right": (lambda x: with_zeros(x, slice(1, None)), r"only index 0 of the 3 along axis 0 is right"),
}


@pytest.mark.parametrize("name", PARTLY)
@given(seed=seeds)
def test_wrong_places_are_named(name, seed):
    change, words = PARTLY[name]
    x = draw((3, 5, 6, 4), seed)
    assert re.search(words, relations.between(change(x), x), re.DOTALL)


@given(shapes, seeds)
def test_nothing_is_recognised_in_what_is_unrelated(shape, seed):
    assume(np.prod(shape) > 8)
    assert relations.between(draw(shape, seed), draw(shape, seed + 1)) is None


@pytest.mark.parametrize(
    "got, words",
    [
        (np.zeros((4, 3)), r"axis 0 has 4, must have 3, axis 1 has 3, must have 4"),
        (np.arange(12.0).reshape(3, 4).T, r"\.transpose\(1, 0\) would put them right"),
        (np.arange(12.0), r"the right numbers in another shape: \.reshape\(3, 4\)"),
        (np.zeros((2, 3, 4)), r"3 axes where there must be 2\n.*sum over the leading axes"),
        (np.zeros(4), r"what is missing comes first, of shape \(3,\)"),
        (np.zeros((2, 4)), r"one too few"),
        (np.zeros((4, 5)), r"one too many"),
        (np.zeros((9, 9)), r"axis 0 has 9, must have 3"),
        (3.0, r"a single number where there must be 2"),
    ],
)
def test_a_wrong_shape_is_named(got, words):
    assert re.search(words, complaint(got, np.arange(12.0).reshape(3, 4)))


@pytest.mark.parametrize(
    "got, want, words",
    [
        (None, 3.0, "returned None: is there a return?"),
        (None, (1, 2), "returned None: is there a return?"),
        ([1.0], np.zeros(1), "returned a list, must return an array"),
        ((1, 2), np.zeros(1), "returned a tuple of 2, must return one array"),
        ((1, 2), 1.0, "returned a tuple of 2, must return one number"),
        (np.zeros(3), 1.0, "returned an array of shape (3,), must return a number\n  likely: is an index or a sum"),
        ("text", 1.0, "returned a str, must return a number"),
        ("text", np.zeros(2), "returned a str, must return an array"),
        (np.zeros(2, int), np.ones(2), "holds integers (int64), must hold floats"),
        (2.0, 2, "divide with //"),
        (np.zeros(2, bool), np.ones(2), "a comparison gives True and False"),
        (np.zeros(2, complex), np.ones(2), "complex"),
        (np.array([object()]), np.ones(1), "holds objects"),
        (np.array([1, np.nan]), np.ones(2), "1 of 2 NaN; at [1] it must be 1"),
        (5.0, (1, 2), "returned a float, must return 2 values"),
        ((1,), (1, 2), "returned 1 value, must return 2"),
        ((1, 3), (1, 2), "value 1: gives 3, must be 2"),
    ],
)
def test_what_is_no_answer_is_named(got, want, words):
    assert words in complaint(got, want)


def test_a_sum_of_nothing_may_be_the_integer_zero():
    same(0, 0.0, "f(x)")
    same(np.float64(2), 2.0, "f(x)")
    same(np.int64(3), 3, "f(x)")


def test_nan_and_infinity_may_be_asked_for():
    want = np.array([np.nan, np.inf, -np.inf, 1.0])
    same(want.copy(), want, "f(x)")
    assert "at [1]" in complaint(np.array([np.nan, 1e300, -np.inf, 1.0]), want)
    assert "at [0]" in complaint(np.array([0.0, np.inf, -np.inf, 1.0]), want)


def test_a_known_wrong_answer_is_said_also_where_its_shape_is_wrong():
    want = np.arange(6.0).reshape(2, 3)
    hints = [(want.sum(0), "summed over the wrong axis"), (want + 7, "seven too many")]
    assert "likely: summed over the wrong axis" in complaint(want.sum(0), want, hints=hints)
    assert "likely: seven too many" in complaint(want + 7, want, hints=hints)
    assert "seven" not in complaint(want + 8, want, hints=hints)
    swapped = [((4, 3), "height and width are swapped")]
    assert "likely: height and width are swapped" in complaint((4, 3), (3, 4), hints=swapped)


def test_small_arrays_are_shown_whole():
    text = complaint(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert "yours  [[1. 2.]" in text and "right  [[1. 2.]" in text
    assert "yours" not in complaint(np.zeros(100), np.ones(100))


def test_an_argument_that_was_written_to_is_refused():
    x = np.arange(3.0)
    untouched(x, x.copy(), "f(x): x")
    with pytest.raises(AssertionError, match=r"x was written to: at \[1\] it was 1 before the call and is 9 now"):
        untouched(x, np.array([0.0, 9.0, 2.0]), "f(x): x")
    with pytest.raises(AssertionError, match="shape"):
        untouched(x, x.reshape(3, 1), "f(x): x")


def test_frozen_arrays_are_copies_that_refuse_writing():
    x = np.arange(3.0)
    y = frozen(x)
    x[0] = 7
    assert y[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 1
    a, n = frozen(x, 5)
    assert n == 5 and not a.flags.writeable


def test_a_missing_function_is_named_with_what_is_close():
    mine = types.SimpleNamespace(correlate2=print, number=3)
    assert function(types.SimpleNamespace(f=print), "f") is print
    with pytest.raises(AssertionError, match=r"correlate is missing.*is it the one called correlate2\?"):
        function(mine, "correlate")
    with pytest.raises(AssertionError, match="number must be a function, and is an int"):
        function(mine, "number")
