"""Whatever view of memory a caller hands over, an operation computes what it does of a copy, and leaves the rest be."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from numpy.testing import assert_allclose, assert_array_equal
from views import KINDS, UPDATABLE, View, assert_kernels_see_plain_arrays, few, sizes, views

from minighost import ops
from minighost.engine import check
from minighost.engine.launch import watching

pytestmark = pytest.mark.small

DTYPES = [np.float32, np.float64]
# Reference twins take NumPy's rules as they are: there, * of two matrices is their product.
ARRAYS = [kind for kind in KINDS if kind != "subclass"]


class Op(NamedTuple):
    """An operation's arrays, by name and shape, and its other arguments, made anew for each call."""

    shapes: dict
    options: dict
    updated: tuple = ()


def _activation(draw):
    return Op({"x": [draw(sizes) for _ in range(draw(st.integers(1, 4)))]}, {})


def _image(draw, **options):
    return Op({"x": [draw(sizes) for _ in range(4)]}, options)


def _pool(draw):
    return _image(draw, kernel_size=1) if draw(st.booleans()) else _image(draw, kernel_size=2, stride=1, padding=1)


def _conv_transpose2d(draw):
    (N, H, W), taps = [draw(sizes) for _ in range(3)], draw(st.sampled_from([1, 2, 3]))
    C, OC, groups = draw(st.sampled_from([(1, 1, 1), (1, 2, 1), (3, 1, 1), (2, 2, 2), (2, 4, 2), (4, 2, 2)]))
    shapes = {"x": [N, H, W, C], "w": [taps, taps, OC // groups, C], **({"b": [OC]} if draw(st.booleans()) else {})}
    return Op(shapes, {"stride": draw(st.sampled_from([1, 2])), "groups": groups})


def _depth_to_space(draw):
    N, H, W, OC, SH, SW = [draw(sizes) for _ in range(6)]
    return Op({"x": [N, H, W, SH * SW * OC]}, {"block": (SH, SW), "order": draw(st.sampled_from(["DCR", "CRD"]))})


def _space_to_depth(draw):
    N, H, W, C, SH, SW = [draw(sizes) for _ in range(6)]
    return Op({"x": [N, H * SH, W * SW, C]}, {"block": (SH, SW), "order": draw(st.sampled_from(["DCR", "CRD"]))})


def _batch_to_space(draw):
    N, H, W, C, SH, SW = [draw(sizes) for _ in range(6)]
    return Op({"x": [SH * SW * N, H, W, C]}, {"block": (SH, SW)})


def _space_to_batch(draw):
    N, H, W, C, SH, SW = [draw(sizes) for _ in range(6)]
    return Op({"x": [N, H * SH, W * SW, C]}, {"block": (SH, SW)})


def _resize(draw):
    return _image(draw, size=(draw(sizes), draw(sizes)))


def _matrix(draw):
    R, C, OC = draw(sizes), draw(sizes), draw(sizes)
    return {"x": [R, C], "w": [C, OC], **({"b": [OC]} if draw(st.booleans()) else {})}


def _pointwise(draw):
    shapes = _matrix(draw)
    plane = [draw(sizes), draw(sizes)] if draw(st.booleans()) else []
    return Op({**shapes, "x": [shapes["x"][0], *plane, shapes["x"][1]]}, {})


def _conv2d(draw):
    """Every kernel behind it: pointwise, depthwise, dense, grouped, copied together, Winograd's."""
    (N, H, W), taps = [draw(sizes) for _ in range(3)], draw(st.sampled_from([1, 2, 3]))
    C, OC, groups = draw(
        st.sampled_from([(1, 1, 1), (1, 2, 1), (3, 1, 1), (2, 2, 2), (2, 4, 2), (4, 2, 2), (16, 17, 1), (129, 1, 1)])
    )
    shapes = {"x": [N, H, W, C], "w": [taps, taps, C // groups, OC], **({"b": [OC]} if draw(st.booleans()) else {})}
    return Op(shapes, {"padding": taps // 2, "groups": groups})


def _depthwise(draw):
    (N, H, W, C, M), taps = [draw(sizes) for _ in range(5)], draw(st.sampled_from([1, 2, 3]))
    shapes = {"x": [N, H, W, C], "w": [taps, taps, C, M], **({"b": [C * M]} if draw(st.booleans()) else {})}
    return Op(shapes, {"padding": taps // 2})


def _batch_norm(draw):
    (N, H, W, C), training = [draw(sizes) for _ in range(4)], draw(st.booleans())
    training = training and N * H * W > 1
    vectors = dict.fromkeys(["gamma", "beta", "running_mean", "running_var"], [C])
    return Op(
        {"x": [N, H, W, C], **vectors},
        {"training": training, "relu": draw(st.booleans())},
        ("running_mean", "running_var") if training else (),
    )


def _concat(draw):
    shape = [draw(sizes) for _ in range(3)]
    return Op({f"x{k}": [*shape, draw(sizes)] for k in range(draw(st.integers(1, 3)))}, {})


def _groups(draw):
    *plane, per_group, groups = [draw(sizes) for _ in range(5)]
    return Op({"x": [*plane, per_group * groups]}, {"groups": groups})


def _add(draw):
    shape = [draw(sizes) for _ in range(4)]
    return Op({"a": shape, "b": shape}, {})


def _scale(draw):
    N, H, W, C = [draw(sizes) for _ in range(4)]
    return Op({"x": [N, H, W, C], "gate": [N, C]}, {})


def _shift(draw):
    op = _image(draw, border=draw(st.sampled_from(["zero", "edge"])))
    op.options["offsets"] = [(c % 3 - 1, c % 2) for c in range(op.shapes["x"][3])]
    return op


def _shift_max(draw):
    N, H, W, per_group, groups, terms = [draw(sizes) for _ in range(6)]
    C = per_group * groups
    return Op({"x": [N, H, W, C], "coefficients": [N, terms, 2, C]}, {"groups": groups})


def _scale_map(draw):
    N, H, W, C, GH, GW = [draw(sizes) for _ in range(6)]
    return Op({"x": [N, H, W, C], "gate": [N, GH, GW, C]}, {})


def _dropout(draw):
    return _activation(draw)._replace(options={"p": draw(st.sampled_from([0, 0.5])), "rng": 3})


def _response_norm(draw):
    return _image(draw, size=draw(st.integers(1, 4)), alpha=0.3, beta=draw(st.sampled_from([0.75, 1.0])))


def _adaptive(draw):
    return _image(draw, output_size=(draw(sizes), 2))


def _pad(draw):
    return _image(draw, padding=((0, 1), (draw(sizes), 2)), mode=draw(st.sampled_from(["zero", "edge"])))


def _softmax(draw):
    op = _activation(draw)
    return op._replace(options={"axis": draw(st.integers(-len(op.shapes["x"]), len(op.shapes["x"]) - 1))})


PAIRS = {  # NAME_forward and NAME_backward
    **dict.fromkeys(ops.ACTIVATIONS, _activation),
    "adaptive_avg_pool": _adaptive,
    "adaptive_max_pool": _adaptive,
    "add": _add,
    "avg_pool": _pool,
    "batch_norm": _batch_norm,
    "batch_to_space": _batch_to_space,
    "channel_shuffle": _groups,
    "channel_unshuffle": _groups,
    "concat": _concat,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "crelu": _image,
    "depth_to_space": _depth_to_space,
    "depthwise": _depthwise,
    "dropout": _dropout,
    "flatten": _activation,
    "global_avg_pool": _image,
    "global_max_pool": _image,
    "linear": lambda draw: Op(_matrix(draw), {}),
    "local_response_norm": _response_norm,
    "max_pool": _pool,
    "pad": _pad,
    "pointwise": _pointwise,
    "resize_bilinear": _resize,
    "resize_nearest": _resize,
    "scale": _scale,
    "softmax": _softmax,
    "stochastic_depth": _dropout,
    "scale_map": _scale_map,
    "shift": _shift,
    "shift_max": _shift_max,
    "space_to_batch": _space_to_batch,
    "space_to_depth": _space_to_depth,
    "subsample": lambda draw: _image(draw, out_channels=draw(st.integers(3, 5)), stride=draw(st.sampled_from([1, 2]))),
}
SINGLE = ["col2im", "im2col", "l1_loss", "sigmoid_focal_loss", "softmax", "softmax_cross_entropy"]
COMPOSED = {  # of operations that are tried
    "RegroupedTaps",
    "conv2d_by_space_to_batch",
    "conv_transpose2d_regrouped",
    "regroup_taps",
}
NO_ARRAYS = {
    "ACTIVATIONS",
    "RESPONSE_FORMS",
    "ResponseForm",
    "bilinear_kernel",
    "pool_bytes",
    "release_pool",
    "threads",
}
SUFFIXES = ["", "_reference"]


def test_every_function_of_ops_is_tried():
    tried = {f"{name}_{way}{suffix}" for name in PAIRS for way in ("forward", "backward") for suffix in SUFFIXES}
    tried |= {name + suffix for name in SINGLE for suffix in SUFFIXES}
    assert set(ops.__all__) - NO_ARRAYS - COMPOSED == tried & set(dir(ops)), (
        "a new operation belongs into PAIRS or SINGLE"
    )


def _numbers(shape, dtype, seed):
    signs = (-1.0) ** np.arange(shape[-1])
    return (np.random.default_rng(seed).uniform(0.5, 4, shape) * signs).astype(dtype)


def _call(name, suffix, op, arrays, dout=None):
    """All that a forward and its backward return."""
    options = {k: np.random.default_rng(v) if k == "rng" else v for k, v in op.options.items()}
    values = list(arrays.values())
    out, cache = getattr(ops, f"{name}_forward{suffix}")(*values, **options)
    if dout is None:
        return out
    grads = getattr(ops, f"{name}_backward{suffix}")(dout, cache)
    return [out, *(grads if isinstance(grads, tuple) else (grads,)), *(arrays[key] for key in op.updated)]


def _assert_same(results, expected, exactly):
    assert len(results) == len(expected)
    for k, (result, value) in enumerate(zip(results, expected, strict=True)):
        if value is None:
            assert result is None
        elif exactly:
            assert_array_equal(result, value, strict=result.dtype.isnative, err_msg=f"result {k}")
        else:
            eps = np.finfo(value.dtype).eps
            assert_allclose(result, value, rtol=200 * eps, atol=200 * eps, err_msg=f"result {k}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", PAIRS)
@given(st.data())
def test_an_operation_of_views_is_that_of_plain_arrays(name, suffix, data):
    if hasattr(ops, f"{name}_forward{suffix}"):
        _try(name, suffix, data, ARRAYS if suffix else list(KINDS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PAIRS)
@few
@given(st.data())
def test_an_operation_of_one_kind_of_views_is_that_of_plain_arrays(name, kind, data):
    _try(name, "", data, [kind])


def _try(name, suffix, data, kinds):
    op, dtype = PAIRS[name](data.draw), data.draw(st.sampled_from(DTYPES))
    given = {}
    for k, (key, shape) in enumerate(op.shapes.items()):
        x = _numbers(shape, dtype, k)
        x = abs(x) if key == "running_var" else x
        updatable = [kind for kind in kinds if kind in UPDATABLE] or UPDATABLE
        given[key] = data.draw(views(x, updatable if key in op.updated else kinds), key)
    plain = {key: view.plain for key, view in given.items()}
    shape = _call(name, suffix, op, {key: x.copy() for key, x in plain.items()}).shape
    dout = data.draw(views(_numbers(shape, dtype, 9), kinds), "dout")
    expected = _call(name, suffix, op, {key: x.copy() for key, x in plain.items()}, dout.plain.copy())
    with watching(assert_kernels_see_plain_arrays):
        results = _call(name, suffix, op, {key: view.array for key, view in given.items()}, dout.array)
    # Batch norm takes several rows of a contiguous array as one, and NumPy adds in the order of the strides.
    _assert_same(results, expected, exactly=name != "batch_norm" and not suffix)
    for key, view in {**given, "dout": dout}.items():
        if key not in op.updated:
            view.assert_untouched(key)
        else:
            view.assert_only_the_view_was_written(key)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(st.data())
def test_windows_of_views_are_those_of_plain_arrays(suffix, data):
    (N, H, W, C), taps = [data.draw(sizes) for _ in range(4)], data.draw(st.sampled_from([1, 2]))
    dtype = data.draw(st.sampled_from(DTYPES))
    im2col, col2im = (getattr(ops, f"{name}{suffix}") for name in ("im2col", "col2im"))
    x = data.draw(views(_numbers((N, H, W, C), dtype, 0)))
    with watching(assert_kernels_see_plain_arrays):
        cols = im2col(x.array, taps, padding=taps - 1)
        _assert_same([cols], [im2col(x.plain, taps, padding=taps - 1)], exactly=True)
        cols = data.draw(views(_numbers(cols.shape, dtype, 1), ARRAYS if suffix else KINDS))
        back = col2im(cols.array, (N, H, W, C), taps, padding=taps - 1)
        _assert_same([back], [col2im(cols.plain, (N, H, W, C), taps, padding=taps - 1)], exactly=True)
    x.assert_untouched("x")
    cols.assert_untouched("cols")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["sigmoid_focal_loss", "l1_loss"])
@given(st.data())
def test_a_loss_of_views_is_that_of_plain_arrays(name, suffix, data):
    shape, dtype = (data.draw(sizes), data.draw(sizes)), data.draw(st.sampled_from(DTYPES))
    x = data.draw(views(_numbers(shape, dtype, 0), ARRAYS if suffix else KINDS))
    second = np.arange(shape[0]) % (shape[1] + 2) - 2 if name == "sigmoid_focal_loss" else _numbers(shape, dtype, 1)
    second = data.draw(views(second, ARRAYS if suffix else KINDS))
    loss = getattr(ops, f"{name}{suffix}")
    with watching(assert_kernels_see_plain_arrays):
        value, dx = loss(x.array, second.array)
    expected, dexpected = loss(x.plain, second.plain)
    assert_allclose(value, expected, rtol=1e-12)
    _assert_same([np.asarray(dx)], [dexpected], exactly=not suffix)
    x.assert_untouched("x")
    second.assert_untouched("labels or target")


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(st.data())
def test_cross_entropy_of_views_is_that_of_plain_arrays(suffix, data):
    N, K = data.draw(sizes), data.draw(sizes)
    dtype = data.draw(st.sampled_from(DTYPES))
    logits = data.draw(views(_numbers((N, K), dtype, 0), ARRAYS if suffix else KINDS))
    labels = data.draw(views(np.arange(N) % K))
    cross_entropy = getattr(ops, f"softmax_cross_entropy{suffix}")
    loss, dlogits = cross_entropy(logits.array, labels.array)
    expected, dexpected = cross_entropy(logits.plain, labels.plain)
    assert_allclose(loss, expected, rtol=1e-6)
    _assert_same([np.asarray(dlogits)], [dexpected], exactly=False)
    _assert_same([ops.softmax(logits.array)], [ops.softmax(logits.plain)], exactly=False)
    logits.assert_untouched("logits")
    labels.assert_untouched("labels")


# out= ----------------------------------------------------------------------------------------------------------


WITH_OUT = {"add": _add, "batch_norm": _batch_norm}


@pytest.mark.parametrize("name", WITH_OUT)
@given(st.data())
def test_out_is_written_where_it_lies_or_refused(name, data):
    op, dtype = WITH_OUT[name](data.draw), data.draw(st.sampled_from(DTYPES))
    arrays = {key: abs(_numbers(shape, dtype, k)) for k, (key, shape) in enumerate(op.shapes.items())}
    shape = next(iter(op.shapes.values()))
    out = data.draw(views(np.full(shape, 5, dtype)))
    forward = getattr(ops, f"{name}_forward")
    expected, _ = forward(*(x.copy() for x in arrays.values()), **op.options)
    state = {key: arrays[key].copy() for key in op.updated}
    try:
        with watching(assert_kernels_see_plain_arrays):
            result, _ = forward(*arrays.values(), **op.options, out=out.array)
    except (TypeError, ValueError) as error:
        assert f"{name}: out must be" in str(error)
        assert not check.is_plain(out.array), "a plain array must do"
        out.assert_untouched("out")
        for key, value in state.items():
            assert_array_equal(arrays[key], value, err_msg=f"{key} was updated, though nothing was computed")
    else:
        assert result is out.array
        _assert_same([result], [expected], exactly=name == "add")
        out.assert_only_the_view_was_written("out")


@pytest.mark.parametrize("itself", [0, 1])
@pytest.mark.parametrize("shift", range(-5, 6))
def test_out_may_lie_over_an_input_in_any_way(rng, shift, itself):
    """NumPy's rule: as if there were no overlap."""
    memory, C = rng.normal(size=(3, 2, 2, 14)), 4
    inputs = [rng.normal(size=(3, 2, 2, C)), rng.normal(size=(3, 2, 2, C))]
    inputs[itself] = memory[..., 5 : 5 + C]
    expected = inputs[0] + inputs[1]
    out = memory[..., 5 + shift : 5 + shift + C]
    around = memory.copy()
    ops.add_forward(*inputs, out=out)
    assert_array_equal(out, expected)
    around[..., 5 + shift : 5 + shift + C] = expected
    assert_array_equal(memory, around)


def test_a_sum_may_be_written_over_the_lines_it_reads(rng):
    memory = rng.normal(size=(5, 2, 2, 3))
    a, b, expected = memory[:4], memory[1:], memory[:4] + memory[1:]
    ops.add_forward(a, b, out=b)
    assert_array_equal(b, expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shift", [0, 1, -3])
def test_batch_norm_over_its_own_input_has_the_same_gradients(rng, shift, training):
    memory = rng.normal(size=(3, 2, 2, 10))
    x = memory[..., 3:7] if shift else memory[..., 3:7].copy()
    out = memory[..., 3 + shift : 7 + shift] if shift else x
    vectors = lambda: [np.full(4, v) for v in (2.0, -0.5, 0.0, 1.0)]  # noqa: E731
    dout = rng.normal(size=x.shape)
    expected, cache = ops.batch_norm_forward(x.copy(), *vectors(), training, relu=True)
    dexpected = ops.batch_norm_backward(dout, cache)
    result, cache = ops.batch_norm_forward(x, *vectors(), training, relu=True, out=out)
    assert_allclose(result, expected, atol=1e-13)
    for mine, value in zip(ops.batch_norm_backward(dout, cache), dexpected, strict=True):
        assert_allclose(mine, value, atol=1e-12)


def test_running_statistics_that_cannot_be_updated_are_refused_before_anything_changes(rng):
    x, ones = rng.normal(size=(2, 2, 2, 3)), np.ones(3)
    for kind in ("broadcast", "overlapping", "read-only"):
        for which in (0, 1):
            state = [np.zeros(3), np.ones(3)]
            view = View(*KINDS[kind](state[which], np.random.default_rng(0)))
            given = [view.array if k == which else s for k, s in enumerate(state)]
            with pytest.raises(ValueError, match=r"batch_norm: running_(mean|var) is updated in place"):
                ops.batch_norm_forward(x, ones, ones, *given, True)
            view.assert_untouched(kind)
            assert_array_equal(state, [np.zeros(3), np.ones(3)])
            assert ops.batch_norm_forward(x, ones, ones, *given, False)[0].shape == x.shape


# The rule itself -----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), max_size=4), st.data())
def test_plain_is_what_a_new_array_is(shape, data):
    x = np.zeros(shape)
    assert check.is_plain(x)
    view = data.draw(views(x)).array
    exact = view.strides == x.strides or not x.size
    assert check.is_plain(view) == (exact and type(view) is np.ndarray and view.flags.carray and view.dtype.isnative)


@given(st.tuples(sizes, sizes, sizes, sizes), st.data())
def test_rows_are_read_in_place_only_where_they_are_evenly_apart(shape, data):
    view = data.draw(views(_numbers(shape, np.float64, 0)))
    x = check.channels("test", "x", view.array)
    rows = check.rows(x)
    assert check.is_plain(rows) and rows.shape[1] >= shape[3]
    assert_array_equal(rows[:, : shape[3]], view.plain.reshape(-1, shape[3]))
    if x is view.array:
        assert np.shares_memory(rows, x)


@pytest.mark.parametrize(
    "shape, strides, in_place",
    [
        ((1, 1, 1, 3), (99, 99, 99, 8), True),
        ((2, 1, 1, 3), (40, 0, 0, 8), True),  # x[:, ::2, ::2] of planes of 2x2
        ((2, 1, 1, 1), (40, 7, 7, 7), True),
        ((2, 2, 1, 3), (80, 40, 0, 8), True),
        ((2, 2, 1, 3), (72, 40, 0, 8), False),  # unevenly apart
        ((2, 1, 1, 3), (16, 0, 0, 8), False),  # rows overlap
        ((2, 1, 1, 3), (0, 0, 0, 8), False),
        ((2, 1, 1, 3), (-24, 0, 0, 8), False),
        ((2, 1, 1, 2), (20, 0, 0, 8), False),  # not a whole number of elements
        ((2, 1, 1, 2), (40, 0, 0, 16), False),
    ],
)
def test_which_strides_are_rows(shape, strides, in_place):
    memory = np.arange(40.0)
    x = as_strided(memory[20:], shape, strides)
    assert (check.channels("test", "x", x) is x) == in_place
    if not in_place:
        with pytest.raises(ValueError, match="test: out must be writable and contiguous, or a channel slice"):
            check.target("test", x, x)
