"""What only one place may do is done there, and arrows between folders run one way."""

import ast
from pathlib import Path

import pytest

import minighost

PACKAGE = Path(minighost.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}

ROOMS = {
    "plots/": ("matplotlib",),
    "data/pictures.py": ("PIL",),
    "files.py": ("os.replace", "os.rename", "os.fsync"),
    "terminal/": ("tqdm", "shutil.get_terminal_size", "os.get_terminal_size", "\x1b"),
}
# A log grows line by line, and a lock is taken by whoever renames it first: neither is a file that is written whole.
ELSEWHERE = {("train/log.py", "os.fsync"), ("train/lock.py", "os.replace")}

# For each folder, what it may import of the others; any may import the files that lie beside the folders.
LOWER = {
    "engine": (),
    "ops": ("engine",),
    "nn": ("ops", "engine", "terminal"),
    "models": ("nn",),
    "detect": ("models", "nn", "ops", "engine"),
    "plots": (),
    "terminal": (),
    "data": ("detect", "plots", "terminal"),
    "gradcheck": ("models", "nn", "ops", "plots"),
    "analysis": ("models", "nn", "plots"),
    "interop": ("models", "nn"),
    "train": ("data", "detect", "interop", "models", "nn", "ops", "engine", "plots", "terminal"),
    "sweep": ("engine", "nn", "plots", "terminal", "train"),
    "stepper": ("ops", "engine", "terminal"),
    "bench": ("analysis", "models", "nn", "ops", "engine", "train"),
    "experiments": ("bench", "data", "models", "nn", "ops", "plots", "sweep", "terminal", "train"),
    "exporting": ("data", "engine", "models", "nn", "ops", "train"),
    "learn": ("data", "gradcheck", "models", "nn", "ops", "train"),
}


def uses(tree):
    """Modules that a file imports, functions of `os` and `shutil` that it calls, and escape sequences in its text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\x1b" in node.value:
            yield "\x1b"


@pytest.mark.parametrize("room", ROOMS)
def test_each_of_these_is_done_in_one_room(room):
    found = {
        (name, what)
        for name, tree in TREES.items()
        for used in uses(tree)
        for what in ROOMS[room]
        if (used == what or used.startswith(f"{what}.")) and not name.startswith(room)
    }
    assert found <= ELSEWHERE, f"{sorted(found - ELSEWHERE)}: call what {room} offers"


@pytest.mark.parametrize("folder", LOWER)
def test_arrows_between_folders_run_one_way(folder):
    allowed = {folder, *LOWER[folder]}
    found = {
        f"{name} imports {'.'.join(parts[:2])}"
        for name, tree in TREES.items()
        if name.startswith(f"{folder}/")
        for parts in (used.split(".") for used in uses(tree))
        if parts[0] == "minighost" and len(parts) > 1 and (PACKAGE / parts[1]).is_dir() and parts[1] not in allowed
    }
    assert not found, found
