"""mg.step: the command's arguments and page, from Python."""

import numpy as np
import pytest

import minighost as mg
from minighost import stepper


def test_it_writes_the_commands_page_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mg.step("depthwise", height=3, stride=2, seed=5)
    said = capsys.readouterr().out
    assert said.startswith("wrote step-depthwise.html: ") and said.endswith(" steps; open it in a browser\n")
    story = stepper.build("depthwise", height=3, stride=2, seed=5)
    assert (tmp_path / "step-depthwise.html").read_text(encoding="utf-8") == stepper.page(story)


def test_arrays_are_taken_as_files_are(tmp_path, rng):
    x, w = rng.integers(-3, 5, (3, 4, 2)).astype(float), rng.integers(1, 3, (2, 2, 2, 1)).astype(float)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "w.npy", w)
    from_files = stepper.page(stepper.build("conv", x=tmp_path / "x.npy", w=tmp_path / "w.npy"))
    given = stepper.page(stepper.build("conv", x=x, w=w))
    assert "x given" in given and given == from_files.replace("from x.npy", "given").replace("from w.npy", "given")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"x": np.zeros((2, 2, 2, 2, 2))}, r"array: x must have shape \(H, W\), .* got \(2, 2, 2, 2, 2\)"),
        ({"x": np.full((3, 3), np.nan)}, r"array: the number at \(0, 0\) is nan"),
        ({"x": np.array([["a"]])}, "array: holds <U1, but a step needs real numbers"),
        ({"x": np.zeros((3, 3)), "height": 4}, "step conv: --height is already set by --x array; leave out one"),
        ({"hidden": 3}, "step conv: --hidden does not apply; conv takes --height"),
    ],
)
def test_what_a_page_cannot_show_is_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        mg.step("conv", **arguments)
    assert not list(tmp_path.iterdir())


def test_an_unknown_operation_is_told_the_nearest():
    with pytest.raises(ValueError, match="unknown operation 'convv' .did you mean 'conv'"):
        mg.step("convv")
