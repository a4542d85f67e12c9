"""The stepper without a browser: what a page holds is played here, and ends at what the operations return."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stepper_pages import data_of, plane

import minighost
from minighost import nn, ops, stepper
from minighost.stepper import conv
from minighost.stepper.frames import Source
from minighost.stepper.words import format_number, format_text, say, spelled

ROOT = Path(minighost.__file__).parent.parent
WHOLE = (
    "conv",
    "depthwise",
    "grouped",
    "pointwise",
    "dilated",
    "transposed",
    "im2col",
    "crelu",
    "shuffle",
    "depth_to_space",
    "separable",
)  # in whole numbers


@pytest.fixture(scope="module")
def stories():
    return {name: stepper.build(name) for name in stepper.NAMES}


@pytest.fixture(scope="module")
def pages(stories):
    return {name: stepper.page(story) for name, story in stories.items()}


# Playing a page: a reader of its own, so that a mistake in the writer cannot cancel out -------------------------


def played(script):
    """Per name of an array the panels (P, rows, columns) before the first and after the last step."""
    first = [[np.nan if v is None else v for v in a["values"]] for a in script["arrays"]]
    last = [list(values) for values in first]
    for frame in script["frames"]:
        for array, cell, *values in frame.get("d", []):
            last[array][cell : cell + len(values)] = [np.nan if v is None else v for v in values]
    borders = {a["name"]: a["border"] for a in script["arrays"]}
    return shaped(script, first), shaped(script, last), borders


def shaped(script, values):
    arrays = zip(script["arrays"], values, strict=True)
    return {a["name"]: np.reshape(panels, a["size"]).astype(np.float64) for a, panels in arrays}


def kernels(panels, C, OC, G):
    """(KH, KW, C/G, OC) of a table of kernels; what grouping leaves out must be empty."""
    KH, KW = panels.shape[1:]
    table = panels.reshape(C, OC, KH, KW)
    w = np.empty((KH, KW, C // G, OC))
    for c, o in np.ndindex(C, OC):
        if c // (C // G) == o // (OC // G):
            w[:, :, c % (C // G), o] = table[c, o]
        else:
            assert np.isnan(table[c, o]).all()
    return w


def near(got, want):
    assert_allclose(got, want, rtol=2e-5, atol=2e-5)  # a page has six digits


@pytest.mark.small
@pytest.mark.parametrize("name", ["conv", "depthwise", "grouped", "pointwise", "dilated"])
def test_a_convolution_ends_at_what_the_operation_returns(pages, name):
    scripts = data_of(pages[name])["scripts"]
    walk = {**{"stride": 1, "padding": 0, "dilation": 1}, **stepper.PAGES[name].options}
    assert [s["groups"] for s in scripts] == ([1] if name in ("pointwise", "dilated") else [1, 2, 4])
    for script in scripts:
        first, last, borders = played(script)
        x, C, OC, G = plane(first["x"], borders["x"]), len(first["x"]), len(last["out"]), script["groups"]
        w, dout = kernels(first["w"], C, OC, G), plane(first["dout"])
        out, cache = ops.conv2d_forward(x, w, None, walk["stride"], walk["padding"], walk["dilation"], G)
        dx, dw, _ = ops.conv2d_backward(dout, cache)
        assert_array_equal(plane(last["out"]), out)
        assert_array_equal(plane(last["dx"]), dx)
        assert_array_equal(kernels(last["dw"], C, OC, G), dw)
        layer = nn.Conv2d(C, OC, w.shape[0], 1, walk["padding"], walk["dilation"], G, bias=False, rng=0).astype(float)
        layer(x)
        assert (script["parameters"], script["macs"]) == (layer.weight.size, layer.macs)


@pytest.mark.small
def test_a_transposed_convolution_is_a_convolutions_backward(pages):
    [script] = data_of(pages["transposed"])["scripts"]
    first, last, borders = played(script)
    x, dout = plane(first["x"]), plane(first["dout"], borders["dout"])
    w = kernels(first["w"], dout.shape[3], x.shape[3], 1)
    dx, cache = ops.conv2d_forward(dout, w, None, 2, 1)
    out, dw, _ = ops.conv2d_backward(x, cache)
    assert_array_equal(ops.conv_transpose2d_forward(x, w, None, 2, 1)[0], out)
    assert_array_equal(plane(last["out"]), out)
    assert_array_equal(plane(last["dx"]), dx)
    assert_array_equal(kernels(last["dw"], dout.shape[3], x.shape[3], 1), dw)


@pytest.mark.small
def test_depth_to_space_ends_at_what_the_operation_returns(pages):
    [script] = data_of(pages["depth_to_space"])["scripts"]
    first, last, _ = played(script)
    out, cache = ops.depth_to_space_forward(plane(first["x"]), 2)
    assert_array_equal(plane(last["out"]), out)
    assert_array_equal(plane(last["dx"]), ops.depth_to_space_backward(plane(first["dout"]), cache))
    with pytest.raises(
        ValueError, match=r"step depth_to_space: block=3 must divide channels=8 into 9 parts \(8 % 9 = 8"
    ):
        stepper.build("depth_to_space", block=3)


@pytest.mark.small
def test_im2col_ends_at_what_the_convolution_returns(pages):
    [script] = data_of(pages["im2col"])["scripts"]
    first, last, borders = played(script)
    x, w = plane(first["x"], borders["x"]), first["w"].reshape(3, 3, 1, 2)
    out, cache = ops.conv2d_forward(x, w, None, 1, 1)
    dx, dw, _ = ops.conv2d_backward(first["dout"].reshape(out.shape), cache)
    assert_array_equal(last["cols"][0], ops.im2col(x, 3, 1, 1))
    assert_array_equal(last["out"].ravel(), out.ravel())
    assert_array_equal(plane(last["dx"], borders["dx"]), dx)
    assert_array_equal(last["dw"].ravel(), dw.ravel())


@pytest.mark.small
def test_batch_norm_ends_at_what_the_operation_returns(pages):
    [script] = data_of(pages["batchnorm"])["scripts"]
    first, last, _ = played(script)

    def batch(panels):
        return panels.reshape(2, 2, 2, 3).transpose(1, 2, 3, 0).copy()  # (C, N, H, W) -> (N, H, W, C)

    gamma, beta = first["gamma"].ravel().copy(), first["beta"].ravel().copy()
    x = batch(first["x"])
    out, cache = ops.batch_norm_forward(x, gamma, beta, np.zeros(2), np.ones(2), True)
    dx, dgamma, dbeta = ops.batch_norm_backward(batch(first["dout"]), cache)
    near(last["mean"].ravel(), x.mean((0, 1, 2)))
    near(last["var"].ravel(), x.var((0, 1, 2)))
    near(batch(last["out"]), out)
    near(batch(last["dx"]), dx)
    near(last["dgamma"].ravel(), dgamma)
    near(last["dbeta"].ravel(), dbeta)


@pytest.mark.small
def test_a_separable_convolution_ends_at_what_the_operations_return(pages):
    [script] = data_of(pages["separable"])["scripts"]
    first, last, borders = played(script)
    x, w, p = plane(first["x"], borders["x"]), kernels(first["w"], 2, 2, 2), kernels(first["p"], 2, 3, 1)
    y, depthwise = ops.conv2d_forward(x, w, None, 1, 1, 1, 2)
    out, pointwise = ops.conv2d_forward(y, p)
    dy, dp, _ = ops.conv2d_backward(plane(first["dout"]), pointwise)
    dx, dw, _ = ops.conv2d_backward(dy, depthwise)
    assert_array_equal(plane(last["out"]), out)
    assert_array_equal(plane(last["dx"], borders["dx"]), dx)
    assert_array_equal(kernels(last["dw"], 2, 2, 2), dw)
    assert_array_equal(kernels(last["dp"], 2, 3, 1), dp)


@pytest.mark.small
def test_a_channel_shuffle_ends_at_what_the_operation_returns(pages):
    for script in data_of(pages["shuffle"])["scripts"]:
        first, last, _ = played(script)
        out, cache = ops.channel_shuffle_forward(plane(first["x"]), script["groups"])
        assert_array_equal(plane(last["out"]), out)
        assert_array_equal(plane(last["dx"]), ops.channel_shuffle_backward(plane(first["dout"]), cache))


@pytest.mark.small
def test_crelu_ends_at_what_the_operation_returns(pages):
    [script] = data_of(pages["crelu"])["scripts"]
    first, last, _ = played(script)
    out, cache = ops.crelu_forward(plane(first["x"]))
    assert_array_equal(plane(last["out"]), out)
    assert_array_equal(plane(last["dx"]), ops.crelu_backward(plane(first["dout"]), cache))


@pytest.mark.small
def test_squeeze_and_excitation_ends_at_what_the_layer_returns(pages):
    [script] = data_of(pages["se"])["scripts"]
    first, last, _ = played(script)
    layer = nn.SqueezeExcite(4, 2, rng=0).astype(np.float64)
    for linear, w, b in ((layer.reduce, "w1", "b1"), (layer.expand, "w2", "b2")):
        linear.weight.data, linear.bias.data = first[w][0].copy(), first[b].ravel().copy()
    near(plane(last["out"]), layer(plane(first["x"])))
    near(plane(last["dx"]), layer.backward(plane(first["dout"])))
    near(last["dw1"][0], layer.reduce.weight.grad)
    near(last["dw2"][0], layer.expand.weight.grad)
    near(last["dz"].ravel(), layer.reduce.bias.grad)
    near(last["da"].ravel(), layer.expand.bias.grad)
    assert last["ds"].any() and last["dw1"].any(), "the default page must show a living gradient"


@pytest.mark.small
def test_a_ghost_module_ends_at_what_the_operations_return(pages):
    [script] = data_of(pages["ghost"])["scripts"]
    first, last, borders = played(script)
    x, w, cheap = plane(first["x"]), kernels(first["w"], 2, 2, 1), kernels(first["cheap"], 2, 2, 2)
    y, primary = ops.conv2d_forward(x, w)
    ghosts, second = ops.depthwise_forward(y, cheap.reshape(3, 3, 2, 1), padding=1)
    dout = plane(first["dout"])
    by_ghosts, dcheap, _ = ops.depthwise_backward(dout[..., 2:].copy(), second)
    dy = by_ghosts + dout[..., :2]
    dx, dw, _ = ops.conv2d_backward(dy, primary)
    assert_array_equal(plane(last["y"], borders["y"]), y)
    assert_array_equal(plane(last["out"]), np.concatenate([y, ghosts], 3))
    assert_array_equal(plane(last["dy"]), dy)
    assert_array_equal(plane(last["dx"]), dx)
    assert_array_equal(kernels(last["dw"], 2, 2, 1), dw)
    assert_array_equal(kernels(last["dcheap"], 2, 2, 2).ravel(), dcheap.ravel())


@given(st.data())
@settings(max_examples=15)
def test_any_shape_can_be_stepped_through(data):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    G = draw(1, 3)
    C, OC, KH, KW = G * draw(1, 2), G * draw(1, 2), draw(1, 3), draw(1, 3)
    S, P, D = draw(1, 3), draw(0, 2), draw(1, 2)
    H, W = (max(draw(1, 4), D * (K - 1) + 1 - 2 * P) for K in (KH, KW))
    rng = np.random.default_rng(draw(0, 99))
    x, w = rng.normal(size=(H, W, C)), rng.normal(size=(KH, KW, C // G, OC))
    OH, OW = ((n + 2 * P - D * (K - 1) - 1) // S + 1 for n, K in ((H, KH), (W, KW)))
    dout = rng.normal(size=(OH, OW, OC))
    script = conv.conv_script(x, w, dout, S, P, D, G)
    arrays = {a.name: a for a in script.arrays if a.name != "row"}
    out, cache = ops.conv2d_forward(x[None], w, None, S, P, D, G)
    dx, dw, _ = ops.conv2d_backward(dout[None], cache)
    assert_allclose(arrays["out"].values, out[0], atol=1e-12)
    assert_allclose(arrays["dx"].values, dx[0], atol=1e-12)
    table = arrays["dw"].values
    assert_allclose(np.nansum(table, axis=2), dw.sum(2), atol=1e-12)


def test_numbers_that_are_not_the_operations_are_refused(monkeypatch):
    right = ops.conv2d_forward_reference

    def slightly_wrong(*args):
        out, cache = right(*args)
        return out + 1e-6, cache

    monkeypatch.setattr(ops, "conv2d_forward_reference", slightly_wrong)
    with pytest.raises(AssertionError, match=r"out\[0, 0, 0\] came to .* conv2d_forward has"):
        stepper.build("conv", channels=1)


# Every step says the truth -------------------------------------------------------------------------------------


def value_of(expression):
    """A side of an equation as a number, or None where it names something."""
    if re.search(r"[A-Za-z]", expression):
        return None
    return eval(compile(ast.parse(expression.replace("^", "**").strip(), mode="eval"), "equation", "eval"))


@pytest.mark.parametrize("name", stepper.NAMES)
def test_every_equation_is_true(stories, name):
    """Both sides, old and new: each side of each equals sign that is made of numbers has the same value."""
    tolerance = 0 if name in WHOLE else 0.02  # three decimals in, products of them out
    seen = 0
    for script in stories[name].scripts:
        for frame in script.frames:
            for line in frame["equations"]:
                sides = [value_of(side) for side in format_text(line).split("=")]
                numbers = [side for side in sides if side is not None]
                seen += len(numbers) > 1
                assert np.ptp(numbers or [0]) <= tolerance, format_text(line)
    assert seen > 10


@pytest.mark.parametrize("name", stepper.NAMES)
def test_old_and_new_values_stand_in_the_cells(stories, name):
    """In "dx[0, 1, 0] = old + ... = new" the cell held old before and holds new after."""
    seen = 0
    for script in stories[name].scripts:
        state = {id(a): a.initial.transpose(a.axes).ravel().copy() for a in script.arrays}
        for frame in script.frames:
            before = {key: values.copy() for key, values in state.items()} if frame["equations"] else {}
            for array, cell, value in frame["changes"]:
                state[id(array)][cell] = value
            for line in frame["equations"]:
                text = format_text(line)
                found = re.fullmatch(r"(\w+)\[([\d, -]+)\] = (-?[\d.]+) \+ .* = (-?[\d.]+)", text)
                if not found or "complete" in format_text(frame["words"]):
                    continue
                array = next(a for _, a, _ in frame["marks"] if a.name == found[1])
                cell = cell_named(array, [int(k) for k in found[2].split(",")], name, frame)
                assert format_number(before[id(array)][cell]) == found[3], text
                assert format_number(state[id(array)][cell]) == found[4], text
                seen += 1
    assert seen > 5 or name in ("crelu", "depth_to_space", "shuffle")  # which add nothing up


def cell_named(array, index, name, frame):
    if array.name in ("dw", "dcheap") and array.values.ndim == 4:  # the table counts all channels, dw[...] a group's
        marks = [cells for role, a, cells in frame["marks"] if a is array and role == "new"]
        return marks[0][index[2]]
    if array.values.ndim == 2:
        return array.cell((0, *index))
    return array.cell(index)


@pytest.mark.parametrize("name", stepper.NAMES)
def test_the_line_beside_a_step_is_the_reference_twins(stories, name):
    for script in stories[name].scripts:
        for frame in script.frames:
            source, number = frame["line"]
            assert source.name.endswith("_reference") and source.file.startswith("minighost/ops/")
            assert (ROOT / source.file).read_text(encoding="utf-8").splitlines()[number - 1] == (
                source.lines[number - source.first]
            )


def test_a_changed_reference_is_noticed():
    with pytest.raises(ValueError, match="crelu_forward_reference has 0 lines with 'np.abs'"):
        Source(ops.crelu_forward_reference).line("np.abs")


@pytest.mark.parametrize("name", stepper.NAMES)
def test_every_step_has_words_and_forward_comes_before_backward(stories, name):
    for script in stories[name].scripts:
        assert all(re.fullmatch(r"[^{}]+\.", format_text(f["words"])) for f in script.frames)
        ways = [way for way, _, _ in script.phases]
        assert ways == sorted(ways, reverse=True) and set(ways) == {"forward", "backward"}
        assert script.frames[-1]["landmark"] and {f["phase"] for f in script.frames} == set(range(len(ways)))


def test_groups_keep_the_blocks_on_the_diagonal():
    w = np.random.default_rng(0).normal(size=(3, 2, 4, 8))
    two, four = conv.blocks(w, 2), conv.blocks(w, 4)
    assert_array_equal(two[..., :4], w[:, :, :2, :4])
    assert_array_equal(two[..., 4:], w[:, :, 2:, 4:])
    assert_array_equal(conv.blocks(two, 4, of_groups=2), four)
    assert_array_equal(four[:, :, 0, 7], w[:, :, 3, 7])
    x = np.random.default_rng(1).normal(size=(1, 4, 4, 4))
    dense = np.zeros_like(w)
    for o in range(8):
        dense[:, :, o // 4 * 2 : o // 4 * 2 + 2, o] = two[..., o]
    assert_allclose(ops.conv2d_forward(x, two, groups=2)[0], ops.conv2d_forward(x, dense)[0])


def test_kinds_have_their_names():
    kinds = {(4, 4, 1): "dense", (4, 4, 2): "grouped", (4, 8, 4): "depthwise", (1, 1, 1): "one channel"}
    assert {key: conv.kind_of(*key) for key in kinds} == kinds


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (-0.0, "0"),
        (-0.0001, "-1.0e-04"),
        (2.0, "2"),
        (-1.5, "-1.5"),
        (1 / 3, "0.333"),
        (-0.9996, "-1"),
        (123456.0, "1.2e+05"),
        (np.nan, "."),
        (100.0, "100"),
    ],
)
def test_numbers_are_short(value, text):
    assert format_number(value) == text


def test_a_negative_number_behind_a_minus_stands_in_brackets():
    assert format_text(say("{} - {d} = {new}", 1, -2, 3)) == "1 - (-2) = 3"
    assert format_text(say("{} + {d}", spelled("x", 0, 1), -2)) == "x[0, 1] + -2"


@pytest.mark.parametrize("op", stepper.NAMES)
@pytest.mark.parametrize("value", [46680.58, 1e8 + 0.1, 1e100, 1e-300])
def test_arrays_of_any_size_are_played(op, value, tmp_path):
    """Where equal numbers cancel, what is left is as large as the rounding of one of them."""
    np.save(tmp_path / "x.npy", np.full((4, 4, 2), value))
    block = {"block": 1} if op == "depth_to_space" else {}  # two channels do not make a larger one
    story = stepper.build(op, x=str(tmp_path / "x.npy"), **block)
    assert stepper.write(tmp_path / "page.html", story) > 0


def test_a_result_that_is_off_by_a_billionth_is_noticed(tmp_path):
    story = stepper.build("conv")
    script = story.scripts[story.chosen]
    out = next(array for array in script.arrays if array.name == "out")
    want = out.inside() * (1 + 1e-8)
    with pytest.raises(AssertionError, match="stepper: out"):
        script.same(out, want, "conv2d_forward")


@pytest.mark.parametrize("value", [1.1e100, -1e300])
def test_numbers_whose_products_overflow_are_refused(value, tmp_path):
    np.save(tmp_path / "x.npy", np.where(np.arange(32).reshape(4, 4, 2) == 3, value, 1.0))
    with pytest.raises(ValueError, match=r"the number at \(0, 1, 1\) is .*; scale the array down to at most 1e\+100"):
        stepper.build("conv", x=str(tmp_path / "x.npy"))
