"""Writing a file: the old one or the new one, whatever is in its place and whoever else writes."""

import ast
import errno
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from learners import posix

import minighost
from minighost import files
from minighost.files import check_target, write_atomic

ROOT = Path(minighost.__file__).parent.parent


def python(code, *argv, **options):
    """Run a few lines as a program; returns what is known when it has ended."""
    line = [sys.executable, "-c", f"import os, sys\nfrom minighost.files import write_atomic\n{code}", *map(str, argv)]
    return subprocess.run(line, cwd=ROOT, text=True, stderr=subprocess.PIPE, **options)


@posix
def test_a_link_stays_and_what_it_points_at_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    for name, target in (("file", "there/old"), ("nowhere", "there/new"), ("twice", "file")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "there" / "old").write_text("old")
    for name in ("file", "nowhere", "twice"):
        write_atomic(tmp_path / name, name)
        assert (tmp_path / name).is_symlink() and (tmp_path / name).read_text() == name
    assert sorted(os.listdir(tmp_path / "there")) == ["new", "old"]
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="cannot write"):
        write_atomic(tmp_path / "round", "")
    assert (tmp_path / "round").is_symlink()


@posix
def test_mode_is_kept_and_a_new_file_gets_what_umask_says(tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "old").chmod(0o640)
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "old", "new")
        write_atomic(tmp_path / "new", "new")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("old", "new")}
    assert modes == {"old": 0o640, "new": 0o640} and (tmp_path / "old").read_text() == "new"
    (tmp_path / "old").chmod(0o604)
    write_atomic(tmp_path / "old", "newer")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o604


@posix
def test_a_pipe_is_written_to_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    write_atomic(tmp_path / "link", "through the pipe")
    reader.join(20)
    assert got == [b"through the pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and (tmp_path / "link").is_symlink()


@posix
def test_a_full_device_is_an_error_and_stays(tmp_path):
    (tmp_path / "link").symlink_to("/dev/full")
    with pytest.raises(OSError, match="cannot write 0.0 MB: No space left") as error:
        write_atomic(tmp_path / "link", "x")
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "/dev/full" and stat.S_ISCHR(os.stat("/dev/full").st_mode)
    write_atomic("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@posix
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "out"])
def test_ones_own_output_gets_the_bytes_in_their_place(tmp_path, name):
    name = tmp_path / name  # an absolute path stays itself
    with open(tmp_path / "out", "w") as out:
        python("print('a'); write_atomic(sys.argv[1], 'b\\n'); print('c')", name, stdout=out)
    assert (tmp_path / "out").read_text() == "a\nb\nc\n"


@posix
def test_a_folder_a_socket_and_a_write_protected_file_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "kept").write_text("kept")
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, words in (("folder", "it is a folder"), ("socket", "neither a file nor a pipe")):
            with pytest.raises(OSError, match=words):
                write_atomic(tmp_path / name, "x")
        assert stat.S_ISSOCK(os.stat("socket").st_mode)
    monkeypatch.setattr(os, "access", lambda *args: False)  # so it is for whoever is not root
    with pytest.raises(PermissionError, match="write-protected"):
        write_atomic(tmp_path / "kept", "x")
    assert (tmp_path / "kept").read_text() == "kept"
    assert sorted(os.listdir()) == ["folder", "kept", "socket"]


@posix
def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path):
    (tmp_path / "f").write_text("old")
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)); write_atomic(sys.argv[1], 'x' * 10)"
    done = python(code, tmp_path / "f")
    assert "cannot write 0.0 MB: File too large; what was there before is untouched" in done.stderr
    assert os.listdir(tmp_path) == ["f"] and (tmp_path / "f").read_text() == "old"


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    (tmp_path / "f").write_text("old")
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, call, interrupt)
            write_atomic(tmp_path / "f", "new")
    assert os.listdir(tmp_path) == ["f"] and (tmp_path / "f").read_text() == "old"


def test_many_writers_of_one_file_do_not_meet(tmp_path):
    failed = []

    def write(letter):
        try:
            for _ in range(20):
                write_atomic(tmp_path / "f", letter * 5000)
        except OSError as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "abcdef"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    text = (tmp_path / "f").read_text()
    assert not failed and len(text) == 5000 and len(set(text)) == 1
    assert os.listdir(tmp_path) == ["f"]


@posix
def test_what_is_replaced_may_be_anything_and_stays_until_the_block_ends(tmp_path):
    (tmp_path / "link").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "new"):
        with files.replacing(tmp_path / name, durable=False) as file:
            file.write(b"content")
            assert not (tmp_path / name).is_file(), f"{name} was touched before its content was complete"
        assert (tmp_path / name).read_bytes() == b"content" and not (tmp_path / name).is_symlink()
    with pytest.raises(KeyboardInterrupt), files.replacing(tmp_path / "new") as file:
        raise KeyboardInterrupt
    assert sorted(os.listdir(tmp_path)) == ["link", "new", "pipe"] and (tmp_path / "new").read_bytes() == b"content"


@posix
def test_content_is_on_the_disk_before_it_has_its_name_and_the_name_after_it(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, call=call: (done.append(name), call(*args)))
    write_atomic(tmp_path / "f", "content")
    assert done == ["fsync", "replace", "fsync"]
    done.clear()
    with files.replacing(tmp_path / "f", durable=False) as file:
        file.write(b"made again at will")
    assert done == ["replace"] and (tmp_path / "f").read_bytes() == b"made again at will"


def test_what_is_set_aside_takes_no_name_that_is_in_use(tmp_path):
    for content in ("one", "two"):
        (tmp_path / "f").write_text(content)
        files.set_aside(tmp_path / "f", "bak")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"f.bak1": "one", "f.bak2": "two"}


def test_only_leftovers_of_the_names_given_are_removed(tmp_path):
    for name in ("f.tmp", "f.0123abcd.tmp", "f.mine.tmp", "f", "g.tmp", "f.bak"):
        (tmp_path / name).write_text("")
    files.remove_stale(tmp_path, "f")
    assert sorted(os.listdir(tmp_path)) == ["f", "f.bak", "f.mine.tmp", "g.tmp"]


def test_a_place_that_no_file_can_take_is_known_before_the_work(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"--out {tmp_path}/no/f: no folder {tmp_path}/no; create it"):
        check_target("--out", tmp_path / "no" / "f")
    with pytest.raises(IsADirectoryError, match=f"--out {tmp_path}: is a folder; name a file in it"):
        check_target("--out", tmp_path)
    for path in (tmp_path / "f", os.devnull, None):
        check_target("--out", path)


def test_one_at_a_time_is_alone_with_a_folder(tmp_path):
    inside, most = [], []

    def enter():
        for _ in range(50):
            with files.alone(tmp_path):
                inside.append(1)
                most.append(len(inside))
                os.stat(tmp_path)  # lets the others run
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(most) == 200


def writes(tree):
    """Whether a module opens files to write, draws into them, or renames what it wrote."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            given = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
            mode = next((text for text in reversed(given) if isinstance(text, str)), "r")
            if name == "open" and set(mode) <= set("rwaxb+") and set(mode) & set("wax+") and given[0] not in (1, 2):
                return True
            if name in ("write_text", "write_bytes", "savefig", "mkstemp", "NamedTemporaryFile", "savez"):
                return True
            if getattr(getattr(node.func, "value", None), "id", "") == "os" and name in ("replace", "rename"):
                return True
    return False


def test_files_are_written_whole_in_one_place():
    """Else only logs and a download grow, a lock is taken, and a learner's process tells what it found."""
    others = {
        "train/log.py",
        "train/lock.py",
        "sweep/trial.py",  # what a trial's process says
        "data/download.py",
        "data/coco.py",  # pictures, before the file that names them is written whole
        "learn/judge.py",
        "bench/memory.py",
        "data/pictures.py",  # os.devnull
        "data/decoded.py",  # into a file of `files.replacing`
        "exporting/formats.py",  # into memory, and into a temporary folder
        "plots/inline.py",  # into memory
    }
    package = ROOT / "minighost"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if writes(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found - others == {"plots/figure.py", "files.py"}
