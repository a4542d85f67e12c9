"""A network of one's own: ``FILE.py:NAME`` is found, run, called with what it takes, and what is wrong is one line."""

import dataclasses
import json
import re
import sys

import numpy as np
import pytest
from commands import printed, refused
from own_networks import NETWORK, written

from minighost import models, own_code
from minighost.errors import FormatError
from minighost.models import own

HEAD = "from minighost import nn\n"


@pytest.fixture
def net(tmp_path):
    return f"{written(tmp_path, NETWORK)}:Net"


def parameters(model):
    return sum(p.size for p in model.parameters())


# Found and called ------------------------------------------------------------------------------------------------


def test_a_class_and_a_function_make_networks_with_the_options_that_they_take(net):
    assert models.create(net, num_classes=7, rng=3)(np.zeros((2, 8, 8, 3), np.float32)).shape == (2, 7)
    assert parameters(models.create(net, width=2)) > parameters(models.create(net))
    small = models.create(net.replace("Net", "small"), num_classes=6, rng=3)  # which takes no rng
    assert small(np.zeros((2, 8, 8, 3), np.float32)).shape == (2, 6)
    assert models.takes(net, "width") and not models.takes(net.replace("Net", "small"), "width")


def test_the_seed_reaches_a_network_that_takes_it(net):
    one, same, other = (models.create(net, rng=rng).state_dict()["0.weight"] for rng in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_what_it_must_have_and_is_not_given_it_gets(tmp_path):
    path = written(tmp_path, NETWORK + "\ndef must(num_classes, rng):\n    return Net(num_classes, rng=rng)\n")
    assert models.create(f"{path}:must")(np.zeros((2, 8, 8, 3), np.float32)).shape == (2, 10)


def test_a_file_is_run_once_and_again_when_it_has_changed(tmp_path):
    path = written(tmp_path, NETWORK)
    first, again = (own.entry(own.spec_of(f"{path}:Net")) for _ in range(2))
    path.write_text(NETWORK + "\n# edited\n")
    assert first is again is not own.entry(own.spec_of(f"{path}:Net"))


def test_it_may_use_dataclasses_and_import_its_neighbours(tmp_path):
    written(tmp_path, NETWORK, "neighbour_of_my_network.py")
    text = "from neighbour_of_my_network import Net\nfrom dataclasses import dataclass\n"
    path, before = written(tmp_path, text + "@dataclass\nclass Size:\n    n: int = 1\n"), list(sys.path)
    assert parameters(models.create(f"{path}:Net")) > 0
    assert dataclasses.is_dataclass(own_code.find(own_code.Spec(str(path), "Size")))
    assert sys.path == before


def test_what_a_file_prints_does_not_mix_with_what_a_command_prints(tmp_path, capsys):
    path = written(tmp_path, f"print('hello')\n{NETWORK}")
    assert json.loads(printed(capsys, "summary", "--model", f"{path}:Net", "--json"))["model"].endswith(":Net")


def test_a_file_that_raises_leaves_nothing_behind(tmp_path):
    modules, path = set(sys.modules), list(sys.path)
    with pytest.raises(ValueError, match="line 2: ZeroDivisionError: division by zero"):
        models.create(f"{written(tmp_path, HEAD + '1 / 0')}:Net")
    assert not {name for name in set(sys.modules) - modules if name.startswith("own_")} and sys.path == path


def test_a_path_is_split_at_its_last_colon_whatever_the_system():
    assert own_code.parse(r"C:\nets\my.py:Net") == (r"C:\nets\my.py", "Net")
    assert own_code.parse("/a:b/my.PY:Net") == ("/a:b/my.PY", "Net")
    assert own_code.parse("ghostnet") is own_code.parse(r"C:\pictures") is None
    assert str(own_code.Spec(r"C:\nets\my.py", "Net").absolute()) == r"C:\nets\my.py:Net"


# Every command ----------------------------------------------------------------------------------------------------


def test_summary_zoo_gradcheck_and_bench_take_it(net, capsys):
    out = printed(capsys, "summary", "--model", net)
    assert out.startswith("my.py:Net width=1.0 num_classes=10, input 32x32x3\n") and "Swish" in out
    assert "num_classes=10" in printed(capsys, "summary", "--model", net.replace("Net", "small"))  # has no width
    assert "input 32x32x3: 170 parameters" in printed(capsys, "zoo", "--model", net)
    assert "the backward is the derivative of the forward" in printed(capsys, "gradcheck", net)
    layer = net.replace("Net", "Swish")
    assert re.search(r"x +3x5x4x2 .*\n  slope", printed(capsys, "gradcheck", layer, "--set", "channels=2"))
    assert " 2x3x3x4 " not in printed(capsys, "gradcheck", layer, "--set", "channels=4", "--input", "3x3x4")
    timed = printed(capsys, "bench", net, "--batch", 2, "--size", 8, "--repeats", 1, "--warmup", 1, "--mode", "train")
    assert ":Net num_classes=10: 170 parameters, input 2x8x8x3" in timed


def test_a_wrong_backward_of_a_layer_in_a_file_is_found(tmp_path, capsys):
    from minighost.cli import main

    path = written(tmp_path, NETWORK.replace("(d * x).sum", "(2 * d * x).sum"))
    assert main.main(["gradcheck", f"{path}:Swish", "--set", "channels=3"]) == 1
    assert "the gradient of slope is wrong" in capsys.readouterr().out


# Bad input -------------------------------------------------------------------------------------------------------

WRONG = {
    "1 +": r"my\.py, line 2: invalid syntax \(SyntaxError\)$",
    "def f():\nreturn": r"my\.py, line 3: expected an indented block.*\(IndentationError\)$",
    "import no_such_module_at_all": r"my\.py, line 2: ModuleNotFoundError: No module named 'no_such_module_at_all'$",
    "def f():\n    return x\nf()": r"my\.py, line 3: NameError: name 'x' is not defined$",
    "raise SystemExit(0)": r"my\.py, line 2: ends the program; put what is not a definition under if __name__",
    "": r"my\.py has no 'Net'; it defines no class or function$",
    "class Nett(nn.Module): pass": r"my\.py has no 'Net' \(did you mean 'Nett'\?\); it defines Nett$",
    "class Net: pass": r"my\.py:Net: this class is not a network; derive it from minighost\.nn\.Module$",
    "Net = nn.ReLU()": r"my\.py:Net: is a network that is made already; give a function that makes and returns it$",
    "Net = 3": r"my\.py:Net: is of type int, not a network; give a class or a function that returns one$",
    "def Net(): pass": r"my\.py:Net: returned nothing; it must return a network, a minighost\.nn\.Module$",
    "def Net(depth): pass": r"my\.py:Net needs depth, which has no default; give --set model\.depth=VALUE, or",
    "def Net(): return 1 / 0": r"my\.py, line 2: ZeroDivisionError: division by zero$",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_file_is_one_line(text, tmp_path, capsys):
    path = written(tmp_path, HEAD + text)
    assert re.search(WRONG[text], refused(capsys, "summary", "--model", f"{path}:Net").rstrip("\n"))


def test_what_is_wrong_with_a_name_is_one_line(net, tmp_path, capsys):
    file = net.removesuffix(":Net")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "null.py").write_bytes(b"\0")
    said = {
        f"{tmp_path}/no.py:Net": "no.py: No such file or directory",
        f"{tmp_path}/folder.py:Net": "folder.py: Is a directory",
        f"{tmp_path}/null.py:Net": "null bytes",
        file: f"{file}: say which class or function is meant, as in {file}:Swish; it defines Swish, Net, small",
        f"{file}:": f"{file}: say which class or function is meant",
        f"{file}:N-t": f"{file}: say which class or function is meant",
        "my:Net": "my:Net: a network of your own is given as FILE.py:NAME, as in my.py:Net",
    }
    for name, words in said.items():
        assert words in refused(capsys, "summary", "--model", name)
    words = f"{net} has no option 'widht' (did you mean 'width'?); it takes num_classes, width, dropout, rng"
    assert words in refused(capsys, "summary", "--model", net, "--set", "model.widht=2")


FORWARD = "class Net(nn.Linear):\n    def __init__(self, num_classes): super().__init__(3, num_classes)\n"
TRIED = {
    "class Net(nn.Module): pass": "Net: has no parameters, so there is nothing to train",
    FORWARD + "    def forward(self, x): return 0": "Net: forward must return an array, got int",
    FORWARD + "    def forward(self, x): pass": "Net: forward must return an array, got nothing",
    FORWARD
    + "    def forward(self, x): return x": r"returns shape \(2, 8, 8, 3\) for 2 images 2x8x8x3; it must be \(2, 5\)",
    FORWARD + "    def forward(self, x): return x[:, 0, 0, :1].astype(float).repeat(5, 1)": "Net: returns float64",
    FORWARD + "    def forward(self, x): return x[:, 0, 0, :1].repeat(5, 1)\n    def backward(self, dout): pass": (
        r"Net: backward adds nothing to the gradient of weight, .*; call accumulate\(gradient\) on it there"
    ),
    FORWARD + "    def forward(self, x): return super().forward(x[:, 0, 0])": (
        r"Net: backward returns shape \(2, 3\) for 2 images 2x8x8x3; it must be the shape of the images, or None"
    ),
    "class Net(nn.Module):\n    def __init__(self): self.last = nn.Linear(3, 5)\n"
    "    def forward(self, x): return self.last(x[:, 0, 0])": (
        r"Net: Net does not define backward\(dout\); every layer needs a forward and a backward"
    ),
}


@pytest.mark.parametrize("text", TRIED, ids=range(len(TRIED)))
def test_a_network_that_cannot_be_trained_is_found_out_on_two_images(text, tmp_path):
    name = f"{written(tmp_path, HEAD + text)}:Net"
    model = models.create(name, num_classes=5, rng=0)
    with pytest.raises((ValueError, TypeError), match=TRIED[text]):
        models.try_out(model, "Net", (8, 8, 3), 5)


def test_trying_a_network_out_changes_nothing_in_it(net):
    model = models.create(net, num_classes=5, dropout=0.5)
    before = model.state_dict()
    models.try_out(model, net, (8, 8, 3), 5)
    assert all(np.array_equal(before[path], value) for path, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    x, fresh = np.ones((4, 8, 8, 3), np.float32), models.create(net, num_classes=5, dropout=0.5)
    assert np.array_equal(model(x), fresh(x))  # and dropout's generator is where it was


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with pytest.raises(FormatError, match="more than 1,048,576 bytes"):
        models.create(f"{written(tmp_path, '#' * 2**20 + '#')}:Net")
