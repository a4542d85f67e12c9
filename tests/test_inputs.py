"""What a user names as a file is opened only if it is one: no pipe, device or socket can hang or fill a command."""

import contextlib
import io
import os
import shutil
import socket
import struct

import numpy as np
import pytest
from commands import refused

from minighost.errors import FormatError
from minighost.inputs import open_regular, read_regular
from minighost.stepper import files
from minighost.train import Config

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


@pytest.fixture(params=["pipe", "socket", "/dev/zero"])
def special(request, tmp_path):
    """A pipe that nobody writes to, a socket, a device without an end; each with every ending that is looked at."""
    if request.param == "/dev/zero":
        yield lambda name: link(tmp_path / name, "/dev/zero")
        return
    sockets = []

    def make(name):
        path = tmp_path / name
        if request.param == "pipe":
            os.mkfifo(path)
        else:
            sockets.append(socket.socket(socket.AF_UNIX))
            with contextlib.chdir(path.parent):  # the path of a socket may have 107 bytes
                sockets[-1].bind(path.name)
        return path

    yield make
    for each in sockets:
        each.close()


def link(path, target):
    path.symlink_to(target)
    return path


def test_only_a_regular_file_is_opened(special, tmp_path):
    path = special("x")
    with pytest.raises(FormatError, match=f"^{path}: is a (pipe|socket|device), but a regular file is needed$"):
        open_regular(path)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_a_file_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == read_regular(link(tmp_path / "y", path), 5) == b"12345"
    with pytest.raises(FormatError, match="x: more than 4 bytes"):
        read_regular(path, 4)


def test_a_pipe_put_in_the_place_of_a_file_does_not_hang(tmp_path, monkeypatch):
    (tmp_path / "x").touch()
    regular = os.stat(tmp_path / "x")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "stat", lambda *_, **__: regular)  # as it was a moment before
    with pytest.raises(FormatError, match="a pipe"):
        open_regular(tmp_path / "pipe")


def test_every_command_refuses_an_input_that_is_no_regular_file(capsys, special, tmp_path):
    toml, array, table, archive = (special(f"it.{end}") for end in ("toml", "npy", "csv", "tar.gz"))
    for argv in (
        ("train", "--config", toml),
        ("data", "--data", "cifar10", "--data-archive", archive),
        ("step", "conv", "--text", "--x", array),
        ("step", "conv", "--text", "--w", table),
    ):
        assert "but a regular file is needed" in refused(capsys, *argv), argv


@pytest.mark.parametrize("name", ["config.json", "checkpoints/last.json", "checkpoints/*"])
def test_every_file_of_a_run_must_be_a_regular_file(capsys, special, straight, tmp_path, tinynet, name):
    shutil.copytree(straight[0], tmp_path / "run")
    found = sorted((tmp_path / "run").glob(name))
    assert found
    for path in found:
        path.unlink()
        special(path.relative_to(tmp_path))
    command = ("eval", "--checkpoint") if "checkpoint" in name else ("train", "--resume", "--out")
    assert "but a regular file is needed" in refused(capsys, *command, tmp_path / "run")


@pytest.mark.parametrize("name", ["x.csv", "x.txt", "c.toml"])
def test_a_byte_order_mark_before_text_is_no_part_of_it(tmp_path, name):
    mark, path = b"\xef\xbb\xbf", tmp_path / name
    if name == "c.toml":
        path.write_bytes(mark + b"seed = 7\n")
        assert Config.resolve(toml_path=path).seed == 7
    else:
        path.write_bytes(mark + (b"1,2\n3,4\n" if name == "x.csv" else b"1 2\n3 4\n"))
        assert files.load(path).tolist() == [[1, 2], [3, 4]]


def npy(header):
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode()


def npz():
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize("name", ["x.npy", "x.csv", "x.txt"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npz(),
        npz()[:60],
        b"PK\x03\x04",
        "1,2".encode("utf-16"),
        b"\x80\x04N.",
        b"\xff" * 200,
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999999999999,)}"),
        npy("[" * 5000),
        npy("{}"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
        npy("{'descr': 7, 'fortran_order': 0, 'shape': 3}"),
    ],
)
def test_a_file_whose_ending_lies_about_its_content_is_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: "):
        files.load(tmp_path / name)
