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
PACKAGES = ("data", "train")
LAZY = ("minighost", "minighost.data", "minighost.train")
OPERATORS = ("__init__", "__call__", "__len__", "__iter__", "__getitem__", "__enter__")


def public(package):
    """Path and function of all that a package offers: functions, methods, properties, and those of its modules."""
    for name in package.__all__:
        thing, path = getattr(package, name), f"{package.__name__.removeprefix('minighost.')}.{name}"
        if isinstance(thing, ModuleType):
            yield from public(thing)
        elif inspect.isclass(thing):
            yield from methods(thing, path)
        elif inspect.isroutine(thing):
            yield path, thing


def methods(cls, path):
    """What a class has of its own or from another class of minighost."""
    for base in cls.__mro__:
        if not base.__module__.startswith("minighost"):
            continue
        for name, method in vars(base).items():
            method = getattr(method, "fget", None) or getattr(method, "__func__", method)
            if (not name.startswith("_") or name in OPERATORS) and inspect.isfunction(method):
                yield f"{path}.{name}", method


FUNCTIONS = {
    path: function for package in PACKAGES for path, function in public(importlib.import_module(f"minighost.{package}"))
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

import minighost as mg

train = mg.data.load("shapes10", "train", n=256)
mean, std = mg.data.channel_statistics(train.images)
loader = mg.data.Loader(train, 128, augment=mg.data.Augment(crop_padding=4), mean=mean, std=std)
for x, labels in loader.epoch(0):
    rows: int = len(x) + int(labels.sum())
    words: str = labels  # refused
mg.data.load("shapes10", "training")  # refused
mg.data.Loader(train.images, 128)  # refused
mg.data.normalize(x, mean, std)  # refused
mg.data.no_such_function()  # refused
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
