"""Install the wheel into clean environments and use it there: ``python .ci/release_check.py dist``.

For each Python that is given (by default the one that runs this) the newest dependencies; for the first one also the
oldest that setup.cfg allows. In each: `pip check`, and without HOME, with a read-only site-packages, a tiny training, a
prediction and a gradient check. The source archive runs its own quickest tests.
"""

import argparse
import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What a wheel may hold beside Python files. tests/test_packaging.py says the same of setup.cfg.
DATA = {"py.typed", "published.json", "page.html", "page.css", "page.js"}
TRAIN = "train --epochs 1 --set data.train_size=256 --set data.test_size=64 --width 0.2 --out run"
USES = (
    TRAIN,
    "eval --checkpoint run",
    "predict run/curves.png --checkpoint run",
    "gradcheck conv",
    "zoo --model ghostnet",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dist", type=Path, help="folder with one wheel and one source archive")
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PYTHON", help="the oldest one first")
    parser.add_argument("--skip-sdist", action="store_true", help="do not run the tests of the source archive")
    args = parser.parse_args()
    (wheel,), (sdist,) = args.dist.glob("*.whl"), args.dist.glob("*.tar.gz")
    check_wheel(wheel)
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        check_sdist(sdist, Path(folder))
        check_installed(args.python[0], wheel, Path(folder) / "oldest", oldest())
        for number, python in enumerate(args.python):
            check_installed(python, wheel, Path(folder) / f"newest-{number}", [])
        if not args.skip_sdist:
            test_sdist(Path(folder), Path(folder) / "newest-0")
    print("release check passed")


def check_wheel(wheel):
    """Nothing but the package, its data and its metadata."""
    names = zipfile.ZipFile(wheel).namelist()
    info = re.match(r"[^-]+-[^-]+", wheel.name)[0] + ".dist-info/"
    strange = [
        name
        for name in names
        if not name.startswith(info)
        and not (name.startswith("minighost/") and (name.endswith(".py") or name.rpartition("/")[2] in DATA))
    ]
    missing = DATA - {name.rpartition("/")[2] for name in names}
    if strange or missing:
        sys.exit(f"{wheel.name}: should not hold {strange}; lacks {sorted(missing)}")
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size / 1e6:.1f} MB")


def check_sdist(sdist, folder):
    """Every file under version control, below one folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    root = folder / sdist.name.removesuffix(".tar.gz")
    root.rename(folder / "source")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    left_out = [name for name in tracked if not (folder / "source" / name).exists()]
    left_out = [name for name in left_out if name != ".gitignore"]
    if left_out:
        sys.exit(f"{sdist.name}: lacks {left_out}; add them to MANIFEST.in")
    print(f"{sdist.name}: all {len(tracked)} files under version control")


def oldest():
    """The lower bounds of setup.cfg as pins."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options"]["install_requires"].split()
    bare = [line for line in lines if ">=" not in line]
    if bare:
        sys.exit(f"setup.cfg: no lower bound for {bare}")
    return [line.replace(">=", "==") for line in lines]


def check_installed(python, wheel, folder, pins):
    """Install, then use minighost without HOME and with a site-packages that nobody may write to."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    own = folder / ("Scripts" if os.name == "nt" else "bin")
    run = [own / "python", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*run, "install", "--quiet", wheel, *pins], check=True)
    subprocess.run([*run, "check"], check=True)
    place = folder / "work"
    place.mkdir()
    environ = {key: value for key, value in os.environ.items() if key not in ("HOME", "PYTHONPATH", "XDG_CACHE_HOME")}
    package = Path(next(folder.rglob("minighost/__init__.py"))).parent
    lock(package)
    try:
        for words in USES:
            done = subprocess.run(
                [own / "minighost", *words.split()], cwd=place, env=environ, capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(f"{folder.name}: minighost {words}: status {done.returncode}\n{done.stdout}{done.stderr}")
    finally:
        lock(package, writable=True)
    version = subprocess.run([own / "python", "--version"], capture_output=True, text=True).stdout.strip()
    print(f"{folder.name} ({version}): {', '.join(words.split()[0] for words in USES)} work", flush=True)


def lock(package, writable=False):
    """Make the package's folders read-only. Root may write all the same: there this tests less."""
    for place in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        place.chmod(0o755 if writable else 0o555)


def test_sdist(folder, environment):
    """The source archive runs its own tests that need no compiler and watch its completeness."""
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "pytest", "hypothesis", "pytest-timeout"], check=True)
    tests = [f"tests/test_{name}.py" for name in ("packaging", "documents", "rooms", "lines", "data_official")]
    environ = {**os.environ, "PYTHONPATH": str(folder / "source")}
    subprocess.run([python, "-m", "pytest", "-q", *tests], cwd=folder / "source", env=environ, check=True)
    shutil.rmtree(folder / "source")


if __name__ == "__main__":
    main()
