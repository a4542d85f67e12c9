"""Checkpoints: what is loaded is what was saved, or an error; a crash leaves the old one or the new one."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minighost import files
from minighost.errors import FormatError
from minighost.train import checkpoint, load_checkpoint, save_checkpoint

SQUARE = np.arange(12.0, dtype=np.float32).reshape(3, 4)

LAYOUTS = {  # safetensors 0.8 saves the first five wrongly if they reach it as they are
    "Fortran order": np.asfortranarray(SQUARE),
    "transposed": SQUARE.T,
    "strided": SQUARE[:, ::2],
    "negative stride": SQUARE[::-1],
    "broadcast": np.broadcast_to(SQUARE[0], (5, 4)),
    "big-endian": SQUARE.astype(">f4"),
    "read-only": np.frombuffer(SQUARE.tobytes(), np.float32),
    "one number": np.array(3, np.int64),
    "nothing": np.zeros((0, 3), np.float64),
    "bool": SQUARE > 5,
    "not finite": np.array([np.nan, np.inf, -0.0]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_memory_layout_comes_back_with_its_values(tmp_path, layout):
    array = LAYOUTS[layout]
    before = array.tobytes()
    save_checkpoint(tmp_path / "c", {"a": array, "b": SQUARE}, {})
    tensors, _ = load_checkpoint(tmp_path / "c")
    assert_array_equal(tensors["a"], array)
    assert tensors["a"].shape == array.shape and tensors["a"].dtype == array.dtype.newbyteorder("=")
    assert_array_equal(tensors["b"], SQUARE)
    assert array.tobytes() == before


@given(
    st.dictionaries(st.text("abc.0", min_size=1), st.lists(st.integers(0, 3), max_size=3), max_size=5),
    st.integers(0, 9),
)
def test_tensors_and_meta_data_come_back(tmp_path_factory, shapes, seed):
    rng = np.random.default_rng(seed)
    tensors = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    meta = {"rng": rng.bit_generator.state, "loss": rng.normal(), "text": 'a "ü" \n', "none": None}
    path = tmp_path_factory.mktemp("saved") / "c"
    save_checkpoint(path, tensors, meta)
    loaded, loaded_meta = load_checkpoint(path)
    assert loaded_meta == meta and loaded.keys() == tensors.keys()
    assert all(loaded[name].tobytes() == value.tobytes() for name, value in tensors.items())


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["a"]), np.array([None]), np.zeros(1, np.longdouble)])
def test_what_safetensors_cannot_hold_is_refused_by_name(tmp_path, array):
    with pytest.raises(TypeError, match="layer.weight: cannot save dtype"):
        save_checkpoint(tmp_path / "c", {"layer.weight": array}, {})


def two_saves(folder):
    """An old and a new checkpoint that say which they are, in the tensors and in the meta data."""
    return [(folder / "c", {"w": np.full(1000, value, np.float32)}, {"value": value}) for value in (1, 2)]


def consistent(path):
    tensors, meta = load_checkpoint(path)
    assert (tensors["w"] == meta["value"]).all()
    return meta["value"]


def test_a_save_leaves_two_files_and_no_others(tmp_path):
    for save in two_saves(tmp_path):
        save_checkpoint(*save)
        assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_a_save_removes_what_an_interrupted_one_left_and_nothing_else(tmp_path):
    partner = "c-0123456789abcdef.safetensors"
    for name in (f"{partner}.tmp", "c.json.tmp", partner, "mine.tmp", "d.json.tmp"):
        (tmp_path / name).write_text("half")
    save_checkpoint(*two_saves(tmp_path)[0])
    assert {path.name for path in tmp_path.iterdir() if path.read_bytes() == b"half"} == {"mine.tmp", "d.json.tmp"}


def test_a_copy_that_somebody_made_beside_a_checkpoint_stays(tmp_path):
    mine = {
        *("c-before-experiment.safetensors", "c-0123.safetensors", "c-0123456789abcdef-good.safetensors"),
        *("c-0123456789ABCDEF.safetensors", "cc-0123456789abcdef.safetensors", "c-mine.safetensors.tmp", "c-old.json"),
    }
    for name in mine:
        (tmp_path / name).write_text("mine")
    (tmp_path / "c-fedcba9876543210.safetensors").mkdir()
    for save in two_saves(tmp_path):
        save_checkpoint(*save)
    kept = {path.name for path in tmp_path.iterdir() if path.is_file() and path.read_bytes() == b"mine"}
    assert kept == mine and len(list(tmp_path.iterdir())) == len(mine) + 3


def test_a_name_with_letters_that_mean_something_to_glob_is_a_name(tmp_path):
    (tmp_path / "ca-0123456789abcdef.safetensors").write_text("mine")
    for value in (1, 2):
        save_checkpoint(tmp_path / "c[ab]*", {"w": np.full(3, value)}, {"value": value})
    assert load_checkpoint(tmp_path / "c[ab]*")[1] == {"value": 2} and len(list(tmp_path.iterdir())) == 3


class Crash(BaseException):
    """Ends a save at once, as a power cut would: after it no system call does anything."""


def test_a_crash_at_any_system_call_leaves_the_old_or_the_new_checkpoint(tmp_path, monkeypatch):
    seen, calls = set(), 0

    def dying(call):
        def wrapped(*args, **options):
            nonlocal calls
            calls -= 1
            if calls <= 0:
                raise Crash
            result = call(*args, **options)
            if calls == 1:  # and once more with the call done
                calls -= 1
                raise Crash
            return result

        return wrapped

    for survive in range(1, 100):
        folder = tmp_path / str(survive)
        old, new = two_saves(folder)
        save_checkpoint(*old)
        calls = survive
        with monkeypatch.context() as patch:
            for owner, name in ((os, "fsync"), (os, "replace"), (os, "open"), (Path, "unlink")):
                patch.setattr(owner, name, dying(getattr(owner, name)))
            patch.setattr(files, "open", dying(open), raising=False)
            try:
                save_checkpoint(*new)
                crashed = False
            except Crash:
                crashed = True
        seen.add(consistent(folder / "c"))
        save_checkpoint(*new)  # cleans up whatever the crash left
        assert consistent(folder / "c") == 2 and len(list(folder.iterdir())) == 2
        if not crashed:
            break
    assert not crashed and survive > 8 and seen == {1, 2}


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_full_disk_is_one_clear_error_and_the_old_checkpoint_still_loads(tmp_path, monkeypatch, fails):
    old, new = two_saves(tmp_path)
    save_checkpoint(*old)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile:
        def __init__(self, path, mode):
            self.name = path
            Path(path).write_bytes(b"half")

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        write = full

    if fails == "write":
        monkeypatch.setattr(files, "open", FullFile, raising=False)
    else:
        monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError) as error:
        save_checkpoint(*new)
    assert error.value.errno == errno.ENOSPC and error.value.filename.startswith(str(tmp_path / "c-"))
    assert error.value.strerror == "cannot write 0.0 MB: No space left on device; what was there before is untouched"
    monkeypatch.undo()
    assert consistent(tmp_path / "c") == 1
    assert not list(tmp_path.glob("*.tmp"))


LOOP = """
import sys, numpy as np
from minighost.train import save_checkpoint
print("ready", flush=True)
value = 0
while True:
    value += 1
    save_checkpoint(sys.argv[1], {"w": np.full(200_000, value, np.float32)}, {"value": value})
"""


def test_ten_kills_leave_ten_readable_checkpoints(tmp_path):
    processes = []
    for number in range(10):
        path = tmp_path / str(number) / "c"
        command = [sys.executable, "-c", LOOP, str(path)]
        processes.append((subprocess.Popen(command, stdout=subprocess.PIPE), path, number))
        if len(processes) == 5 or number == 9:  # a few at a time: most of each one's life is its start
            for process, path, number in processes:
                assert process.stdout.readline() == b"ready\n"
                while not path.with_name("c.json").exists():
                    time.sleep(0.001)
                time.sleep(0.0037 * number)
                process.kill()
                process.communicate()
                assert consistent(path) >= 1
            processes = []


# Broken files ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    save_checkpoint(folder / "c", {"w": SQUARE, "b": np.arange(4)}, {"epoch": 3, "classes": ["cat", "dog"]})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def put(folder, saved):
    for name, content in saved.items():
        (folder / name).write_bytes(content)
    return folder / "c", folder / "c.json", next(folder.glob("*.safetensors"))


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(tmp_path_factory, saved, position, bit):
    for name, content in saved.items():
        folder = tmp_path_factory.mktemp("flipped")
        damaged = bytearray(content)
        damaged[position % len(content)] ^= 1 << bit
        path, _, _ = put(folder, {**saved, name: bytes(damaged)})
        with pytest.raises(FormatError, match=str(folder)):
            load_checkpoint(path)


@given(st.floats(0, 0.999))
def test_no_truncation_goes_unnoticed(tmp_path_factory, saved, share):
    for name, content in saved.items():
        folder = tmp_path_factory.mktemp("cut")
        path, _, _ = put(folder, {**saved, name: content[: int(share * (len(content) - 1))]})
        with pytest.raises(FormatError, match=str(folder)):
            load_checkpoint(path)


def resealed(record):
    record = {key: value for key, value in record.items() if key != "self"}
    return json.dumps({**record, "self": checkpoint._digest_of(record)})


def test_each_way_of_being_wrong_is_named(tmp_path, saved):
    path, meta, tensors = put(tmp_path, saved)
    record = json.loads(meta.read_bytes())

    def message():
        with pytest.raises(FormatError) as error:
            load_checkpoint(path)
        put(tmp_path, saved)
        return str(error.value)

    tensors.unlink()
    assert message() == f"{tensors}: missing; c.json names it as the checkpoint's tensors"
    tensors.write_bytes(b"x" * 7)
    assert message() == f"{tensors}: 7 bytes, expected {record['size']}; the file is truncated or another one"
    tensors.write_bytes(bytes(record["size"]))
    assert message() == f"{tensors}: SHA-256 differs from the one in c.json; the file has been altered or damaged"
    meta.write_text("<html>")
    assert message().startswith(f"{meta}: not JSON (")
    meta.write_text("[" * 100_000)
    assert message().startswith(f"{meta}: not JSON (")
    meta.write_text("[1]")
    assert message() == f'{meta}: not a checkpoint of minighost (no "format": "minighost-checkpoint")'
    meta.write_text(json.dumps({**record, "version": 9}))
    assert message() == f"{meta}: checkpoint version 9; this program reads version 1"
    meta.write_text(json.dumps({**record, "size": 1}))
    assert message() == f"{meta}: its own SHA-256 does not match; the file has been altered or damaged"
    meta.write_text(resealed({**record, "file": "../c.safetensors"}))
    assert message() == f"{meta}: names '../c.safetensors' as its tensors; expected a file in the same folder"
    meta.write_text(resealed({**record, "tensors": {**record["tensors"], "w": ["float32", [4, 3]]}}))
    assert message() == f"{tensors}: tensors differ from the manifest: w ['float32', [3, 4]] for ['float32', [4, 3]]"
    meta.write_bytes(b" " * (checkpoint.LARGEST_JSON + 1))
    assert message() == f"{meta}: more than 4,194,304 bytes; a file of this kind is smaller"


def test_a_file_that_is_no_safetensors_is_refused_even_under_a_right_checksum(tmp_path, saved):
    path, meta, tensors = put(tmp_path, saved)
    record = json.loads(meta.read_bytes())
    header = b'{"w":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    for content in (b"nonsense", len(header).to_bytes(8, "little") + header + b"\0\0"):
        tensors.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        meta.write_text(resealed({**record, "size": len(content), "sha256": digest}))
        with pytest.raises(FormatError, match="not a safetensors file of plain numbers"):
            load_checkpoint(path)


def test_one_checkpoint_is_not_taken_for_another(tmp_path):
    for name in ("last", "best"):
        save_checkpoint(tmp_path / name, {"w": SQUARE}, {"name": name})
    last, best, aside = (tmp_path / name for name in ("last.json", "best.json", "aside"))
    last.rename(aside)
    best.rename(last)
    aside.rename(best)
    for name, other in (("last", "best"), ("best", "last")):
        with pytest.raises(FormatError, match=rf"{name}.json: names '{other}-.*, so it is not the checkpoint"):
            load_checkpoint(tmp_path / name)


def test_meta_data_that_could_not_be_read_again_are_not_written(tmp_path, saved):
    path, _, _ = put(tmp_path, saved)
    with pytest.raises(ValueError, match=r"c.json: \d+ bytes of meta data; a checkpoint has at most 4194304"):
        save_checkpoint(path, {}, {"text": "x" * checkpoint.LARGEST_JSON})
    assert load_checkpoint(path)[1]["epoch"] == 3


ODD = [
    None,
    True,
    "",
    "x\x1b[2J",
    [],
    [[]],
    {},
    {"a": None},
    -1,
    0,
    1.5,
    10**400,
    2**63,
    json.loads("[" * 500 + "]" * 500),
]


def test_a_record_may_hold_anything_and_is_read_or_refused_by_name(tmp_path, saved):
    path, meta, _ = put(tmp_path, saved)
    record = json.loads(meta.read_bytes())
    mutants = [{k: v for k, v in record.items() if k != key} for key in record]
    mutants += [{**record, key: value} for key in record for value in ODD]
    mutants += [{**record, "tensors": {**record["tensors"], "w": value}} for value in ODD]
    mutants += [{**record, "tensors": {**record["tensors"], "w": [kind, shape]}} for kind in ODD for shape in ODD]
    whole = load_checkpoint(path)
    for mutant in mutants:
        meta.write_text(resealed(mutant))
        try:
            tensors, found = load_checkpoint(path)
            assert isinstance(found, dict) and tensors.keys() == whole[0].keys()
        except FormatError as error:
            assert str(error).startswith(str(tmp_path)) and "\x1b" not in str(error)
    for odd in ("NaN", "1e999", "9" * 5000):
        meta.write_text(f'{{"format": "minighost-checkpoint", "version": 1, "meta": {odd}}}')
        with pytest.raises(FormatError, match=str(meta)):
            load_checkpoint(path)


def test_a_pipe_or_a_folder_in_place_of_a_file_is_refused(tmp_path, saved):
    for victim in (1, 2):
        for make in (Path.mkdir, os.mkfifo):
            file = put(tmp_path, saved)[victim]
            file.unlink()
            make(file)
            with pytest.raises((FormatError, IsADirectoryError), match=str(file)):
                load_checkpoint(tmp_path / "c")
            file.rmdir() if file.is_dir() else file.unlink()


def test_no_checkpoint_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none")
