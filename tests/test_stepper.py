"""The stepper without a browser: what a page holds is played here, and ends at what the operations return."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
from commands import printed, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minighost
from minighost import nn, ops, stepper
from minighost.cli import step as command
from minighost.stepper import choices, conv
from minighost.stepper.frames import Source
from minighost.stepper.text import lines, parse_range
from minighost.stepper.words import format_number, format_text, say, spelled

ROOT = Path(minighost.__file__).parent.parent
WHOLE = "conv", "depthwise", "grouped", "pointwise", "dilated", "transposed", "im2col", "crelu"  # in whole numbers


@pytest.fixture(scope="module")
def stories():
    return {name: stepper.build(name) for name in stepper.NAMES}


@pytest.fixture(scope="module")
def pages(stories):
    return {name: stepper.page(story) for name, story in stories.items()}


# Playing a page: a reader of its own, so that a mistake in the writer cannot cancel out -------------------------


def data_of(html):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)[1])


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


def plane(panels, border=(0, 0)):
    """(1, H, W, C) of panels with a border."""
    PH, PW = border
    _, H, W = panels.shape
    return panels[:, PH : H - PH, PW : W - PW].transpose(1, 2, 0)[None].copy()


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
    walk = {**{"stride": 1, "padding": 0, "dilation": 1}, **choices.DEFAULTS[name]}
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
    assert_array_equal(plane(last["out"]), out)
    assert_array_equal(plane(last["dx"]), dx)
    assert_array_equal(kernels(last["dw"], dout.shape[3], x.shape[3], 1), dw)


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
    assert seen > 5 or name == "crelu"  # which adds nothing up


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


@pytest.mark.parametrize("value, text", [
    (0, "0"), (-0.0, "0"), (-0.0001, "-1.0e-04"), (2.0, "2"), (-1.5, "-1.5"), (1 / 3, "0.333"), (-0.9996, "-1"),
    (123456.0, "1.2e+05"), (np.nan, "."), (100.0, "100"),
])
def test_numbers_are_short(value, text):
    assert format_number(value) == text


def test_a_negative_number_behind_a_minus_stands_in_brackets():
    assert format_text(say("{} - {d} = {new}", 1, -2, 3)) == "1 - (-2) = 3"
    assert format_text(say("{} + {d}", spelled("x", 0, 1), -2)) == "x[0, 1] + -2"


# The page ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", stepper.NAMES)
def test_a_page_is_one_file_of_less_than_a_megabyte(pages, name):
    html = pages[name]
    assert len(html.encode()) < 1_000_000
    assert "{{" not in html.split('<script id="data"')[0]
    outside = re.sub(r'<script id="data".*?</script>', "", html, flags=re.DOTALL)
    assert not re.search(r"https?:|//\w+\.\w|@import|url\(|<(img|iframe|object|embed)|\bsrc=", outside)
    assert re.findall(r"<link [^>]*>", outside) == ['<link rel="icon" href="data:,">']
    assert "default-src 'none'" in outside


def test_nothing_in_the_data_can_end_its_element(tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)><!--.npy"
    np.save(path, np.ones((3, 3)))
    html = stepper.page(stepper.build("crelu", x=path))
    inside = re.search(r'<script id="data" type="application/json">(.*)', html, re.DOTALL)[1]
    assert "<" not in inside[: inside.index("</script>")] and "<img" not in html
    assert path.name in data_of(html)["facts"][1]


def test_the_script_of_the_page_never_writes_html():
    script = (ROOT / "minighost/stepper/page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", script)


def test_a_frame_says_only_what_changes(pages):
    frames = data_of(pages["conv"])["scripts"][0]["frames"]
    assert sum("p" in f for f in frames) == 3
    assert sum("s" in f for f in frames) < len(frames) and sum("b" in f for f in frames) < len(frames) / 2
    assert all(f["d"] for f in frames if "d" in f)


# A learner's own arrays ----------------------------------------------------------------------------------------


def test_own_arrays_from_files(tmp_path):
    x = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "x.npy", x.astype(np.int32))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    np.savetxt(tmp_path / "x.txt", x)
    np.savetxt(tmp_path / "w.csv", [[1, 2, 3]], delimiter=",")
    for name in ("x.npy", "x.csv", "x.txt"):
        story = stepper.build("conv", x=tmp_path / name, w=tmp_path / "w.csv", padding=0)
        arrays = {a.name: a for a in story.scripts[0].arrays}
        assert_array_equal(arrays["x"].values[..., 0], x)
        assert_array_equal(arrays["w"].values[:, :, 0, 0], [[1, 2, 3]])
        assert arrays["out"].values.shape == (3, 2, 1)
        assert story.facts == ["x 3x4x1, kernel 1x3, stride 1, padding 0: out 3x2x1",
                               f"x from {name}; w from w.csv; dout drawn with seed 0"]


def test_own_kernels_in_groups_offer_the_groups_that_they_have(tmp_path):
    np.save(tmp_path / "w.npy", np.ones((2, 2, 2, 4)))
    story = stepper.build("grouped", w=tmp_path / "w.npy", channels=4, groups=2)
    assert [s.facts["groups"] for s in story.scripts] == [2, 4] and story.chosen == 0


def test_own_images_for_batch_norm(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(3, 2, 2, 1)))
    story = stepper.build("batchnorm", x=tmp_path / "x.npy")
    assert story.facts[0] == "x 3x2x2x1: R = 12 values per channel"


def test_the_same_seed_draws_the_same_and_another_does_not():
    first, same, other = (stepper.page(stepper.build("crelu", seed=seed)) for seed in (1, 1, 2))
    assert first == same != other


@pytest.mark.parametrize("argv, message", [
    (["bn"], "invalid choice: 'bn'"),
    (["se", "--kernel", "3"], "--kernel has no meaning here; se takes --height, --width, --channels, --hidden"),
    (["conv", "--height", "9"], "step conv: --height 9 must be from 1 to 8"),
    (["conv", "--seed", "-1"], "--seed -1 must be from 0 to"),
    (["conv", "--groups", "3"], "groups=3 must divide channels=4 (4 % 3 = 1); here G can be 1, 2, 4"),
    (["conv", "--groups", "4", "--out-channels", "6"], "groups=4 must divide out_channels=6 (6 % 4 = 2)"),
    (["conv", "--height", "8", "--width", "8", "--channels", "8"], "12,000 are the most"),
    (["conv", "--height", "1", "--padding", "0"], "the kernel reaches over 3x3 pixels"),
    (["transposed", "--kernel", "1", "--height", "1", "--stride", "1"], "padding 1 leaves an output of -1x1; pad less"),
    (["batchnorm", "--height", "1", "--width", "1", "--x", "{one}"], "--height is said by --x"),
    (["batchnorm", "--x", "{one}"], "one value per channel has variance 0"),
    (["ghost", "--out-channels", "3"], "--out-channels 3 must be even"),
    (["ghost", "--kernel", "2"], "its sides must be odd"),
    (["crelu", "--w", "{one}"], "--w has no meaning here"),
    (["conv", "--x", "{nan}"], "the number at (0, 1) is nan; replace it"),
    (["conv", "--x", "{words}"], "holds <U3, but a step needs real numbers"),
    (["conv", "--x", "{big}"], "height 20: a step through takes 1 to 8; cut a piece out"),
    (["conv", "--x", "{five}"], "x must have shape (H, W), (H, W, C) or (1, H, W, C), got (1, 1, 1, 1, 1)"),
    (["conv", "--x", "{junk}"], "not an array of numbers"),
    (["conv", "--x", "x.png"], "arrays are read from .npy, .csv and .txt, not from .png"),
    (["conv", "--x", "no-such.npy"], "no-such.npy: No such file or directory"),
    (["conv", "--w", "{five}"], "w must have shape (KH, KW, C/G, OC) = (KH, KW, 4, OC) for x with 4 channels"),
    (["conv", "--out", "no/such/folder.html"], "No such file or directory"),
    (["conv", "--step", "3"], "--step belongs to --text"),
    (["conv", "--text", "--open"], "--text writes no page"),
    (["crelu", "--text", "--step", "51"], "there are 50 steps"),
    (["crelu", "--text", "--step", "5..3"], "must run from a smaller to a larger number"),
    (["crelu", "--text", "--step", "a..b"], "must be a number N or a range N..M"),
])  # fmt: skip
def test_a_wrong_command_line_is_one_line(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    arrays = {
        "one": np.ones((1, 1)), "nan": np.array([[1, np.nan]]), "words": np.array([["abc"]]), "big": np.ones((20, 3)),
        "five": np.ones((1, 1, 1, 1, 1)),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "junk.npy").write_bytes(b"\x80junk")
    assert message in refused(capsys, "step", *(re.sub(r"\{(\w+)\}", r"\1.npy", a) for a in argv))
    assert not list(tmp_path.glob("*.html"))


# The command ---------------------------------------------------------------------------------------------------


def test_the_command_knows_the_operations_and_options():
    assert command.OPERATIONS == stepper.NAMES
    assert {"seed", *(name.replace("-", "_") for name in command.SHAPE)} == set(choices.LIMITS)
    assert {name for options in choices.DEFAULTS.values() for name in options} <= set(choices.LIMITS)


def test_the_command_writes_the_page(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = printed(capsys, "step", "crelu")
    size = (tmp_path / "step-crelu.html").stat().st_size
    assert said == f"wrote step-crelu.html: 50 steps, {size / 1000:,.0f} kB; open it in a browser\n"
    printed(capsys, "step", "crelu", "--out", "mine.html", "--channels", "1")
    assert (tmp_path / "mine.html").exists()


def test_the_command_opens_the_page_when_asked(capsys, tmp_path, monkeypatch):
    opened = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or False)
    assert "open step-crelu.html by hand" in printed(capsys, "step", "crelu", "--open")
    assert opened == [(tmp_path / "step-crelu.html").resolve().as_uri()]


def test_text_tells_the_steps(capsys):
    text = printed(capsys, "step", "crelu", "--text", "--step", "2..3")
    assert "\x1b" not in text and text.isascii()
    numbers = re.findall(r"^ +(\d+)  ", text, re.MULTILINE)
    assert numbers == ["2", "3"]
    assert text.count("minighost/ops/crelu.py:") == 2 and "= max(" in text


def test_text_ends_a_phase_with_its_array(stories):
    found = list(lines(stories["crelu"], 25, 25))
    script = stories["crelu"].scripts[0]
    out = next(a for a in script.arrays if a.name == "out")
    assert found[-1].split() == [format_number(v) for v in out.values[-1, :, -1]]


def test_text_counts_what_the_last_step_of_a_phase_wrote(stories):
    script = stories["se"].scripts[0]
    s = next(a for a in script.arrays if a.name == "s")
    assert list(lines(stories["se"], 4, 4))[-1].split() == [format_number(v) for v in s.values[0]]


def test_text_is_bold_only_where_asked(stories):
    assert list(lines(stories["se"], 1, 1, bold=True))[0] == "\x1b[1mSqueeze-and-excitation\x1b[0m"
    assert list(lines(stories["se"], 1, 1))[0] == "Squeeze-and-excitation"


@pytest.mark.parametrize("text, pair", [("7", (7, 7)), ("3..9", (3, 9)), ("..9", (1, 9)), ("3..", (3, 20))])
def test_ranges(text, pair):
    assert parse_range(text, 20) == pair
