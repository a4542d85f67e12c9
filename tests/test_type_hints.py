"""Type hints: every public function has them, and a type checker accepts right programs and refuses wrong ones."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import minighost

ROOT = Path(minighost.__file__).parent.parent
PACKAGES = ("data", "detect", "models", "nn", "ops", "train")
LAZY = ("minighost", "minighost.data", "minighost.train")
OPERATORS = ("__init__", "__call__", "__len__", "__iter__", "__getitem__", "__enter__")


def public(package):
    """All that a package offers: functions, methods, properties, and those of its modules."""
    for thing in (getattr(package, name) for name in package.__all__):
        if isinstance(thing, ModuleType):
            yield from public(thing)
        elif inspect.isclass(thing):
            yield from methods(thing)
        elif inspect.isroutine(thing):
            yield thing


def methods(cls):
    """What a class has of its own or from another class of minighost."""
    for base in cls.__mro__:
        for name, method in vars(base).items() if base.__module__.startswith("minighost") else ():
            method = getattr(method, "fget", None) or getattr(method, "__func__", method)
            if (not name.startswith("_") or name in OPERATORS) and inspect.isfunction(method):
                yield method


FUNCTIONS = {
    f"{function.__module__.removeprefix('minighost.')}.{function.__qualname__}": function
    for package in PACKAGES
    for function in public(importlib.import_module(f"minighost.{package}"))
}


@pytest.mark.parametrize("path", FUNCTIONS)
def test_a_public_function_says_what_it_takes_and_returns(path):
    signature = inspect.signature(FUNCTIONS[path])
    bare = [
        name
        for position, (name, parameter) in enumerate(signature.parameters.items())
        if parameter.annotation is inspect.Parameter.empty and not (position == 0 and name in ("self", "cls"))
    ]
    assert not bare, f"{path}{signature}: no type hint for {', '.join(bare)}"
    assert signature.return_annotation is not inspect.Signature.empty, f"{path}{signature}: returns what?"


@pytest.mark.parametrize("name", LAZY)
def test_a_type_checker_sees_the_names_that_are_looked_up_on_first_use(name):
    package = importlib.import_module(name)
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If) and node.test.id == "TYPE_CHECKING")
    seen = {alias.asname: f"{node.module}.{alias.name}" for node in checked.body for alias in node.names}
    assert sorted(seen) == package.__all__
    for alias, path in seen.items():
        home = importlib.import_module(path.rpartition(".")[0])
        assert getattr(home, alias) is getattr(package, alias), f"{path} is not what {name}.{alias} gives"


PROGRAM = '''\
"""What somebody who uses minighost may write; a line that ends with `refused` is a mistake."""

import numpy as np
import numpy.typing as npt

import minighost as mg


class Double(mg.nn.Module):
    def forward(self, x: mg.type_aliases.Array) -> mg.type_aliases.Array:
        self._cache = ()
        return 2 * x

    def backward(self, dout: mg.type_aliases.Array) -> mg.type_aliases.Array:
        self._take_cache(dout)
        return 2 * dout


images = mg.data.load("shapes10", "train", n=256)
mean, std = mg.data.channel_statistics(images.images)
loader = mg.data.Loader(images, 128, augment=mg.data.Augment(crop_padding=4), mean=mean, std=std)
ghosts = mg.nn.GhostModule(3, 16, (3, 3), rng=np.random.default_rng(0))
model = mg.nn.Sequential(ghosts, Double(), mg.nn.GlobalAvgPool(), mg.nn.Linear(16, 10))
optimizer = mg.train.SGD(mg.train.parameter_groups(model, 5e-4), lr=0.1, momentum=0.9, nesterov=True)
schedule = mg.train.schedules.create("cosine", 0.1, 20, 2)
for step, (x, labels) in enumerate(loader.epoch(0)):
    loss, dlogits = mg.ops.softmax_cross_entropy(model(x), labels, smoothing=0.1)
    model.zero_grad()
    dx = model.backward(dlogits)
    optimizer.lr = schedule(step)
    optimizer.step()
    print(f"{loss:.3f} {dx.shape} {mg.train.grad_norm(model.parameters()):.3f}")
evaluation = mg.train.evaluate(mg.models.create("ghostnet", width=0.5), loader)
share: float = evaluation.accuracy
with mg.threads(1) as threads, mg.nn.fusing(False):
    print(threads.count + 1)

w: npt.NDArray[np.float64] = np.ones((3, 3, 3, 4))
out, cache = mg.ops.conv2d_forward(x, w, padding=1, stride=(2, 2))
dx, dw, db = mg.ops.conv2d_backward(out, cache)
print(dx.sum() + dw.sum(), db)

mg.data.load("shapes10", "training")  # refused
mg.data.Loader(images.images, 128)  # refused
mg.data.normalize(x, mean, std)  # refused
mg.data.no_such_function()  # refused
mg.no_such_room  # refused
words: str = labels  # refused
mg.ops.conv2d_forward(x, w, None, "same")  # refused
mg.ops.conv2d_forward([[1.0, 2.0]], w)  # refused
mg.ops.softmax_cross_entropy(model(x), x)  # refused
only: npt.NDArray[np.float32] = mg.ops.linear_forward(x, w)  # refused
print(db.sum())  # refused
mg.nn.Conv2d(3, 16)  # refused
mg.nn.Conv2d(3, 16, 3, rng="0")  # refused
mg.nn.Sequential(mg.nn.ReLU(), mg.ops.relu_forward)  # refused
mg.train.SGD(model, lr=0.1)  # refused
mg.train.SGD(model.parameters(), rate=0.1)  # refused
mg.train.evaluate(model, images)  # refused
evaluation.acuracy  # refused
mg.models.create("ghostnet").fit(images)  # refused
'''


def test_mypy_accepts_a_right_program_and_refuses_each_wrong_line(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "program.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    complaints = {int(line): text for line, text in re.findall(r"^program\.py:(\d+): error: (.*)$", done.stdout, re.M)}
    refused = {k for k, line in enumerate(PROGRAM.split("\n"), 1) if line.endswith("# refused")}
    accepted = {k: text for k, text in complaints.items() if k not in refused}
    assert complaints, done.stdout + done.stderr
    assert not accepted, f"mypy refuses right lines: {accepted}"
    assert complaints.keys() == refused, f"mypy accepts these wrong lines: {sorted(refused - complaints.keys())}"
