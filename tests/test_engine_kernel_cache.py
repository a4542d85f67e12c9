"""The cache of compiled kernels can be damaged, full or missing: results are the same, and one line says so."""

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minighost.engine import kernel_cache, launch

KERNEL = """
@kernel
def set_{k}(work, x):
    x[0] = {k}
"""
MAIN = """
import json, sys
for k, run in enumerate(kernels):
    x = np.zeros(1)
    run(x)
    assert x == k, (k, x)
print(json.dumps([sum(run.compiled.stats.cache_hits.values()) for run in kernels]))
"""


class Exploit:
    """A pickle that leaves a mark when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def _program(folder, count):
    """A program of so many kernels, and how to run it with a cache beside it; returns what it printed to both."""
    script = folder / "program.py"
    names = ", ".join(f"set_{k}" for k in range(count))
    head = "import numpy as np\nfrom minighost.engine.launch import kernel\n"
    script.write_text(f"{head}{''.join(KERNEL.format(k=k) for k in range(count))}\nkernels = [{names}]\n{MAIN}")

    def run(**options):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "MINIGHOST_CACHE": "1"}
        run = subprocess.run(
            [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=240, **options
        )
        assert run.returncode == 0, f"status {run.returncode}: {run.stderr}"
        return [int(hit) for hit in run.stdout.strip("[]\n").split(",")], run.stderr.splitlines()

    return run


def _files(folder):
    return sorted(path for path in (folder / "cache").rglob("*") if path.is_file())


def _instead(make):
    """Something else in the file's place."""

    def damage(path):
        path.unlink()
        make(path)

    return damage


def _edit(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _flip(position):
    return _edit(lambda b: b[: (n := int(position * (len(b) - 1)))] + bytes([b[n] ^ 4]) + b[n + 1 :])


def _damages(folder):
    cuts = [_edit(lambda b, keep=keep: b[:keep]) for keep in (0, 1, 32, 33, 100, -1)]
    halves = [_edit(lambda b: b[: len(b) // 2]), _edit(lambda b: b[len(b) // 2 :]), _edit(lambda b: b + b"more")]
    flips = [_flip(position) for position in (0, 0.01, 0.5, 1)]
    garbage = [_edit(lambda b: bytes(len(b))), _edit(lambda b: b"<html>not found</html>"), _edit(lambda b: b[::-1])]
    exploits = [
        _edit(lambda b: pickle.dumps(Exploit(folder / "mark"))),
        _edit(lambda b: b[:32] + pickle.dumps(Exploit(folder / "mark"))),
    ]
    others = [
        _instead(os.mkdir),
        _instead(lambda path: (path / "inside").mkdir(parents=True)),
        _instead(lambda path: path.symlink_to("/dev/null")),
        _instead(lambda path: path.symlink_to(path)),
    ]
    if hasattr(os, "mkfifo"):
        others.append(_instead(os.mkfifo))
    return [*cuts, *halves, *flips, *garbage, *exploits, *others]


def test_a_damaged_file_costs_a_compilation_and_one_line(tmp_path):
    damages = _damages(tmp_path)
    run = _program(tmp_path, len(damages) + 3)  # two are exchanged, and one stays as it is
    assert run() == ([0] * (len(damages) + 3), [])
    files = _files(tmp_path)
    assert len(files) == len(damages) + 3
    for path, damage in zip(files, damages, strict=False):
        damage(path)
    one, other = files[-3].read_bytes(), files[-2].read_bytes()
    files[-3].write_bytes(other)
    files[-2].write_bytes(one)
    hits, said = run()
    assert sum(hits) == 1 and len(said) == 1, said
    assert said[0].startswith(f"minighost: {tmp_path}") and said[0].endswith("; compiled again")
    assert not (tmp_path / "mark").exists(), "a pickle was read before its digest was compared"
    for path in files:
        if path.is_dir():
            shutil.rmtree(path)
    run()
    assert run() == ([1] * len(hits), [])  # what was damaged has been written again


def test_a_full_disk_costs_one_line_and_leaves_no_half_file(tmp_path):
    resource = pytest.importorskip("resource")  # a limit on the size of files stands in for the full disk
    run = _program(tmp_path, 3)
    hits, said = run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)))
    assert hits == [0, 0, 0] and len(said) == 1 and "this kernel is not kept" in said[0], said
    assert _files(tmp_path) == []


def test_a_cache_that_is_no_folder_costs_one_line(tmp_path):
    (tmp_path / "cache").write_text("a file")
    hits, said = _program(tmp_path, 2)()
    assert hits == [0, 0] and len(said) == 1 and "NUMBA_CACHE_DIR can name one" in said[0], said


@pytest.fixture
def silent(monkeypatch):
    """A process that has said nothing yet; returns what it says."""
    said = []
    monkeypatch.setattr(kernel_cache, "_said", said)
    return said


def _triple(work, x):
    for i in launch.share(work, len(x)):
        x[i] *= 3


def _tripled():
    x = np.arange(3.0)
    launch.kernel(_triple)(x)
    assert x.tolist() == [0, 3, 6]


@pytest.mark.parametrize("broken", ["_read", "_write", "dumps"])
def test_whatever_is_raised_on_the_way_to_a_file_is_said_once(monkeypatch, tmp_path, silent, capsys, broken):
    def fail(*args):
        raise OSError(28, "No space left on device") if broken == "_write" else ValueError("odd")

    monkeypatch.setattr(kernel_cache, "kernels_folder", lambda: tmp_path)
    _tripled()
    monkeypatch.setattr(kernel_cache, broken, fail)
    if broken == "_write":
        next(tmp_path.iterdir()).unlink()
    _tripled()
    _tripled()
    assert len(silent) == 1 and capsys.readouterr().err == f"minighost: {silent[0]}\n"
    assert ("No space left on device" if broken == "_write" else "odd") in silent[0]


def test_a_folder_that_is_removed_meanwhile_is_made_again(monkeypatch, tmp_path, silent):
    monkeypatch.setattr(kernel_cache, "kernels_folder", lambda: tmp_path / "gone")
    _tripled()
    assert len(list((tmp_path / "gone").iterdir())) == 1 and not silent


def test_kernels_compile_without_a_cache_where_there_is_no_place_for_one(monkeypatch, silent):
    monkeypatch.setattr(kernel_cache, "kernels_folder", lambda: None)
    _tripled()
    assert len(silent) == 1 and silent[0].startswith("no folder to keep compiled kernels in")


def test_nothing_is_said_where_nobody_listens(monkeypatch, silent):
    for stream in (None, open(os.devnull)):  # noqa: SIM115 - one that cannot be written to, then one that is closed
        monkeypatch.setattr(sys, "stderr", stream)
        silent.clear()
        kernel_cache._say("something")
        if stream:
            stream.close()
            silent.clear()
            kernel_cache._say("something")


def test_other_sources_signatures_and_settings_have_files_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache, "kernels_folder", lambda: tmp_path)
    cache = kernel_cache.KernelCache(_triple)
    places = [cache._place("sig", launch.numba.core.registry.cpu_target.target_context.codegen())]
    codegen = launch.numba.core.registry.cpu_target.target_context.codegen()
    places.append(cache._place("other", codegen))
    monkeypatch.setattr(kernel_cache.numba.config, "BOUNDSCHECK", 1)
    places.append(cache._place("sig", codegen))
    monkeypatch.setattr(cache, "_source", b"edited")
    places.append(cache._place("sig", codegen))
    places.append(kernel_cache.KernelCache(_tripled)._place("sig", codegen))
    assert len({key for key, _ in places}) == len({path for _, path in places}) == 5


# The folder ----------------------------------------------------------------------------------------------------


def test_the_cache_folder_changes_with_any_kernel_source(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", str(tmp_path))
    before = kernel_cache.kernels_folder.__wrapped__()
    assert before.parent == tmp_path and before.is_dir()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b" " * (path.name == "tiles.py"))
    assert kernel_cache.kernels_folder.__wrapped__() != before


def test_the_cache_goes_to_the_user_where_the_package_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(kernel_cache, "_user_cache", lambda: [tmp_path])
    monkeypatch.setattr(kernel_cache.os, "access", lambda folder, mode: tmp_path in folder.parents)
    assert kernel_cache.kernels_folder.__wrapped__().parent == tmp_path


def test_kernels_that_the_packages_owner_compiled_are_read_by_who_cannot_write(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(kernel_cache, "_user_cache", lambda: [])
    monkeypatch.setattr(kernel_cache, "__file__", str(tmp_path / "minighost" / "ops" / "kernel_cache.py"))
    folder = kernel_cache.kernels_folder.__wrapped__()
    assert folder.parent == tmp_path / "minighost" / "__pycache__"
    monkeypatch.setattr(kernel_cache.os, "access", lambda folder, mode: False)
    assert kernel_cache.kernels_folder.__wrapped__() == folder
    folder.rmdir()
    monkeypatch.setattr(Path, "mkdir", lambda *args, **options: (_ for _ in ()).throw(PermissionError(13, "denied")))
    assert kernel_cache.kernels_folder.__wrapped__() is None


def test_folders_of_older_versions_give_way_but_for_the_last_few_and_what_is_not_ours(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", str(tmp_path))
    names = [f"kernels-{k:012x}" for k in range(8)]
    for age, name in enumerate(names):
        inside = tmp_path / name / "ops_0123"
        inside.mkdir(parents=True)
        for file in ("a-1.py311.nbi", "a-1.py311.1.nbc", "a-2.py311.nbi.tmp.0123456789abcdef"):
            (inside / file).write_text("x")
        (tmp_path / name / "gemm._forward-0123.kernel").write_text("x")
        (tmp_path / name / "gemm._forward-0123.kernel.tmp0123456789abcdef").write_text("x")
        (tmp_path / name / "gemm._forward-0123.ker.01234567.tmp").write_text("x")
        if age == 6:
            (tmp_path / name / "notes.txt").write_text("mine")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    for other in ("kernels-mine", "kernels-000000000000-copy"):
        (tmp_path / other).mkdir()
        (tmp_path / other / "a.nbi").write_text("x")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.kernel").write_text("x")
    with contextlib.suppress(OSError):
        (tmp_path / "kernels-ffffffffffff").symlink_to(elsewhere)
    now = kernel_cache.kernels_folder.__wrapped__()
    left = {path.name for path in tmp_path.iterdir()} - {now.name, "elsewhere", "kernels-ffffffffffff"}
    assert left == {*names[:3], names[6], "kernels-mine", "kernels-000000000000-copy"}
    assert [path.name for path in (tmp_path / names[6]).rglob("*")] == ["notes.txt"]
    assert (elsewhere / "a.kernel").exists() and (tmp_path / "kernels-mine" / "a.nbi").exists()
    os.utime(now, (1, 1))
    assert kernel_cache.kernels_folder.__wrapped__() == now and now.stat().st_mtime > 1e9  # to use it is to keep it


def test_a_folder_that_cannot_be_removed_keeps_no_other(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", str(tmp_path))
    names = [f"kernels-{k:012x}" for k in range(7)]
    for age, name in enumerate(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.kernel").write_text("x")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    unlink = os.unlink

    def refuse(path, **options):
        if names[4] in str(path):
            raise PermissionError(13, "denied", str(path))
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    now = kernel_cache.kernels_folder.__wrapped__()
    assert {path.name for path in tmp_path.iterdir()} == {*names[:3], names[4], now.name}


def test_a_place_that_cannot_be_listed_is_used_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(Path, "iterdir", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied", str(path))))
    assert kernel_cache.kernels_folder.__wrapped__().is_dir()
