"""The skeleton: metadata, markers, what starts quickly, what a bare machine is told."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import minighost

ROOT = Path(minighost.__file__).parent.parent

HEAVY = "numba", "llvmlite", "scipy", "matplotlib", "PIL", "tqdm", "pooch", "safetensors"


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def modules_after(*argv):
    """Names of all modules that a command line has imported when it ends."""
    return imported_by(f"from minighost.cli.main import main; main({list(argv)!r})")


def imported_by(code):
    done = python("-c", f"{code}; import sys; print('\\n' + ' '.join(sys.modules))")
    return set(done.stdout.splitlines()[-1].split())


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=True)


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"], ["no-such"]])
def test_what_only_prints_text_imports_nothing_heavy(argv):
    assert not modules_after(*argv) & set(HEAVY)


def test_importing_the_package_imports_nothing_heavy():
    assert not imported_by("import minighost") & set(HEAVY)


def test_module_and_command_are_the_same():
    assert python("-m", "minighost", "--version").stdout == f"minighost {minighost.__version__}\n"


def test_dependencies_have_lower_bounds_only(setup):
    requirements = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    assert not [line for text in requirements for line in text.split() if set(line) & set("<~!,") or "==" in line]


def test_every_dependency_says_the_oldest_version_that_the_release_check_tries(setup):
    bare = [line for line in setup["options"]["install_requires"].split() if ">=" not in line]
    assert not bare, f"no lower bound, which `make release-check` would install: {bare}"


def test_the_citation_is_of_this_version():
    cited = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited == [minighost.__version__]


def test_the_changelog_has_this_version_with_the_date_of_the_citation():
    date = re.search(r"^date-released: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1]
    headings = re.findall(r"^## .+$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["## Unreleased", f"## {minighost.__version__} ({date})"]


def test_the_workflows_call_targets_that_the_makefile_has():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")]
    called = {name for text in texts for name in re.findall(r"run: make ([\w-]+)", text)}
    called |= {
        name.strip() for text in texts for legs in re.findall(r"leg: \[(.*)\]", text) for name in legs.split(",")
    }
    assert len(texts) == 3 and len(called) > 6 and called <= set(targets), called - set(targets)


def test_every_extra_is_installed_by_a_target_and_every_marker_marks_a_test(setup):
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    unused = [name for name in setup["options.extras_require"] if name != "test" and f"/installed-{name}" not in make]
    assert not unused, f"extras that no target of the Makefile installs: {unused}"
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    markers = [line.partition(":")[0] for line in setup["tool:pytest"]["markers"].split("\n") if line]
    unused = [name for name in markers if f"pytest.mark.{name}\n" not in tests]
    assert not unused, f"markers that no test has: {unused}"


def test_pyproject_holds_no_metadata_that_would_hide_setup_cfg():
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert set(tomllib.load(file)) == {"build-system", "tool"}


def test_what_is_no_python_file_is_in_the_wheel(setup):
    """py.typed, without which a type checker does not look at the hints, and the stepper's page."""
    shipped = {
        f"{package.replace('.', '/')}/{name}"
        for package, names in setup["options.package_data"].items()
        for name in names.split()
    }
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "minighost").rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert "minighost/py.typed" in files and files == shipped, f"not in setup.cfg, or not there: {files ^ shipped}"


def test_every_folder_with_python_is_a_package():
    folders = {path.parent for path in (ROOT / "minighost").rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


@pytest.fixture
def bare(tmp_path):
    """A checkout of the Makefile alone, and a PATH on which only what a test puts there can be found."""
    make = shutil.which("make")
    assert make, "GNU make is needed to run this test"
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    return make, tools


def run_make(bare, *arguments):
    make, tools = bare
    environ = {"PATH": str(tools)}
    return subprocess.run([make, *arguments], capture_output=True, text=True, cwd=tools.parent, env=environ)


def stand_in(path, status):
    """A `python` that ends with `status` whatever it is asked."""
    path.write_text(f"#!{shutil.which('sh')}\nexit {status}\n")
    path.chmod(0o755)


def test_make_without_python_says_what_is_missing(bare):
    stand_in(bare[1] / "python3", 1)  # too old, or a shim with nothing behind it
    done = run_make(bare, "train")
    assert done.returncode == 2
    assert "minighost needs Python >= 3.11" in done.stderr and "PYTHON=/path/to/python" in done.stderr


def test_make_installs_once_and_again_when_the_metadata_changed(bare):
    make, tools = bare
    python = tools.parent / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    stand_in(python, 0)
    os.symlink(shutil.which("touch"), tools / "touch")
    first, second = run_make(bare, "train"), run_make(bare, "train", "ARGS=--epochs 3")
    assert "pip install" in first.stdout and "pip install" not in second.stdout
    assert "-m minighost train --epochs 3" in second.stdout
    os.utime(tools.parent / "setup.cfg", (2**32, 2**32))
    assert "pip install" in run_make(bare, "train").stdout


def test_make_removes_no_folder_but_a_virtual_environment(bare):
    make, tools = bare
    stand_in(tools / "python3", 0)
    for name in ("rm", "find"):
        os.symlink(shutil.which(name), tools / name)
    for folder in ("minighost", "tests", "mine", "ours"):
        (tools.parent / folder).mkdir()
    (tools.parent / "mine/letter").write_text("dear")
    (tools.parent / "ours/pyvenv.cfg").touch()
    for target in ("clean", "train"):
        done = run_make(bare, target, "VENV=mine")
        assert done.returncode == 2 and "mine is not a virtual environment" in done.stderr
    assert (tools.parent / "mine/letter").read_text() == "dear"
    assert run_make(bare, "clean", "VENV=ours").returncode == 0 and not (tools.parent / "ours").exists()
    assert run_make(bare, "clean", "VENV=absent").returncode == 0
