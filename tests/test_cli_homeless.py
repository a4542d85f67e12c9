"""Users without a home directory, as in a container that runs as a number: every command works, without a cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minighost

pytest.importorskip("pwd")  # where there is none, a home directory is found in another way

NOBODY = """
import pwd, sys
def unknown(who):
    raise KeyError(f"getpwuid(): uid not found: {who}")
pwd.getpwuid = pwd.getpwnam = unknown
from minighost.cli.main import main
for line in sys.stdin.read().splitlines():
    print("status", main(line.split()), line, flush=True)
"""

COMMANDS = """\
--version
summary --width 0.1
data --data shapes10 --out sheet.png
gradcheck relu
step conv --text
learn init
learn
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package, in which kernels cannot be kept."""
    site = tmp_path_factory.mktemp("site")
    package = Path(minighost.__file__).parent
    shutil.copytree(package, site / "minighost", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "minighost" / "__pycache__").write_text("not a folder")
    return site


def _run(site, folder, home, commands, **more):
    """As somebody whom the system does not know."""
    others = ("HOME", "XDG_", "NUMBA_CACHE", "MINIGHOST", "MPLCONFIGDIR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    environment = {**kept, **({} if home is None else {"HOME": home}), "PYTHONPATH": str(site), **more}
    return subprocess.run(
        [sys.executable, "-c", NOBODY],
        cwd=folder,
        env=environment,
        input=commands,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("home", [None, "a file"])
def test_every_command_works_without_a_home_directory(site, tmp_path, home):
    (tmp_path / "file").write_text("")
    run = _run(site, tmp_path, None if home is None else str(tmp_path / "file"), COMMANDS)
    assert run.returncode == 0, run.stderr
    done = [line for line in run.stdout.splitlines() if line.startswith("status ")]
    assert done == [f"status 0 {line}" for line in COMMANDS.splitlines()], run.stderr
    said = [line for line in run.stderr.splitlines() if line.startswith("minighost: ")]
    assert len(said) == 1 and "no folder to keep compiled kernels in" in said[0]


def test_where_data_would_go_into_a_home_directory_one_line_says_what_to_do(site, tmp_path):
    run = _run(site, tmp_path, None, "train --data cifar10\ndata --data cifar10\n", MINIGHOST_DATA_DIR="~/data")
    lines = run.stderr.splitlines()
    assert run.stdout.startswith("status 2 train") and "\nstatus 2 data" in run.stdout, run.stderr
    assert len(lines) == 2 and all("set MINIGHOST_DATA_DIR to your own directory" in line for line in lines), run.stderr
