"""CIFAR-10 from folders, whole and broken, and from whole archives; what a pickle may hold."""

import hashlib
import lzma
import pickle
import tarfile
import zlib

import pytest
from cifar_files import (
    BIN,
    BINARY,
    IMAGES,
    LABELS,
    PLANES,
    PY,
    PYTHON,
    PYTHON_ARCHIVE,
    SIZE,
    TEST_TAR,
    WHOLE,
    R,
    assert_correct,
    info_of,
    packed_as,
    python2_pickle,
    small_batches,
    targz,
    write,
    written,
)
from numpy.testing import assert_array_equal

from minighost import data
from minighost.data import records
from minighost.errors import FormatError


@pytest.fixture(scope="module", autouse=True)
def small():
    with small_batches():
        yield


# Whole ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("members, folder", [(BINARY, BIN), (PYTHON, PY)], ids=["binary", "python"])
def test_a_folder_or_its_parent_loads(tmp_path, split, members, folder):
    write(tmp_path, members)
    assert_correct(split, data.load("cifar10", split, directory=tmp_path))
    assert_correct(split, data.load("cifar10", split, directory=str(tmp_path / folder)))


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    "content, name",
    [(targz(BINARY), "cifar-10-binary.tar.gz"), (PYTHON_ARCHIVE, "cifar-10-python.tar.gz")],
    ids=["binary", "python"],
)
def test_an_archive_or_its_folder_loads_and_nothing_is_written(tmp_path, split, content, name):
    write(tmp_path, {name: content})
    assert_correct(split, data.load("cifar10", split, archive=tmp_path / name))
    assert_correct(split, data.load("cifar10", split, directory=tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_the_archive_may_be_packed_otherwise_and_its_folder_be_called_otherwise(tmp_path, kind):
    for folder in (BIN, "my/own name", "", "./x"):
        members = {f"{folder}/{name.rpartition('/')[2]}".lstrip("/"): content for name, content in BINARY.items()}
        notes = [(info_of("PaxHeaders/data_batch_1.bin", type=tarfile.XHDTYPE, size=9), b"9 mtime=1")]
        path = written(tmp_path / f"a.{kind}", packed_as(kind, targz(members, notes)))
        assert_correct("test", data.load("cifar10", "test", archive=path))
        assert_correct("train", data.load("cifar10", "train", archive=path))


@pytest.mark.parametrize("kind", ["tar", "tar.bz2", "tar.xz"])
def test_a_damaged_archive_of_any_packing_is_refused(tmp_path, kind):
    whole = packed_as(kind, WHOLE)
    for content in (whole[: len(whole) // 2], whole[:600], whole[:300], b"BZh9 no", b"\xfd7zXZ\0 no"):
        path = written(tmp_path / f"a.{kind}", content)
        with pytest.raises(FormatError, match="damaged or truncated|it is truncated|not a gzip archive"):
            data.load("cifar10", "train", archive=path)


def test_an_xz_gets_no_more_memory_than_is_allowed(tmp_path):
    content = bytearray(lzma.compress(TEST_TAR))
    assert content[14:16] == b"\x21\x01"  # in the header of the block: LZMA2, and one byte for the dictionary's size
    content[16] = 36  # 1 GiB
    end = 12 + 4 * content[12]
    content[end : end + 4] = zlib.crc32(content[12:end]).to_bytes(4, "little")
    with pytest.raises(FormatError, match="(?i)memory usage limit"):
        data.load("cifar10", "test", archive=written(tmp_path / "a.tar.xz", content))


@pytest.mark.parametrize("above", ["cifar-10-batches-bin", "data", "data/cifar-10-batches-bin"])
def test_a_folder_nested_once_too_deep_is_found(tmp_path, above):
    write(tmp_path / above, BINARY)
    place = tmp_path / above.partition("/")[0] if "/" in above else tmp_path
    assert_correct("test", data.load("cifar10", "test", directory=place))


def test_of_two_nested_folders_none_is_guessed(tmp_path):
    for name in "ab":
        write(tmp_path / name, BINARY)
    with pytest.raises(FileNotFoundError, match=f"more than once: {tmp_path}/a/{BIN}, {tmp_path}/b/{BIN}; choose one"):
        data.load("cifar10", "test", directory=tmp_path)


def test_what_is_one_folder_further_up_is_named(tmp_path):
    for number, there in enumerate((BINARY, {"test_batch.bin": b""}, {"cifar-10-python.tar.gz": b""})):
        write(tmp_path / str(number), {**there, "empty/x": b""})
        for name in ("empty", "missing"):
            with pytest.raises(FileNotFoundError, match=f"one folder up: use --data-dir {tmp_path}/{number}. "):
                data.load("cifar10", "test", directory=tmp_path / str(number) / name)


@pytest.mark.parametrize(
    "files",
    [
        ["cifar-100-binary/train.bin"],
        ["train.bin", "test.bin"],
        ["x/train", "x/test", "x/meta"],
        ["cifar-100-python.tar.gz"],
    ],
)
def test_cifar_100_is_named_as_such(tmp_path, files):
    write(tmp_path, dict.fromkeys(files, b"x"))
    with pytest.raises(FileNotFoundError, match="no CIFAR-10.*looks like CIFAR-100.*--data-archive"):
        data.load("cifar10", "test", directory=tmp_path)


def test_a_batch_of_cifar_100s_size_is_named_as_such(tmp_path):
    assert "looks like CIFAR-100" in broken(tmp_path, "test_batch.bin", bytes(R * 3074), "test")


def test_the_data_directory_is_used_before_any_download(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGHOST_DATA_DIR", str(write(tmp_path, BINARY)))
    assert_correct("test", data.load("cifar10", "test"))


def test_n_takes_the_first_images(tmp_path):
    write(tmp_path, BINARY)
    assert_array_equal(data.load("cifar10", "train", directory=tmp_path, n=33).images, IMAGES[:33])
    with pytest.raises(ValueError, match="cannot take 101 images; this split has 100"):
        data.load("cifar10", "train", directory=tmp_path, n=101)


def test_strange_members_are_passed_over_and_never_touch_the_disk(tmp_path):
    link, folder = dict(type=tarfile.SYMTYPE, linkname="/etc/passwd"), dict(type=tarfile.DIRTYPE)
    strange = [
        (info_of("../evil", size=3), b"bad"),
        (info_of("/absolute/evil", size=3), b"bad"),
        (info_of("link", **link), None),
        (info_of(BIN, **folder), None),
        (info_of("pipe", type=tarfile.FIFOTYPE), None),
        (info_of("disk", type=tarfile.BLKTYPE), None),
        (info_of("a/" * 40 + "x", size=700), b"x" * 700),
    ]
    members = {f"./{name}": content for name, content in reversed(BINARY.items())}
    path = written(tmp_path / "a.tar.gz", targz(members, strange))
    assert_correct("train", data.load("cifar10", "train", archive=path))
    assert list(tmp_path.iterdir()) == [path]


# Broken folders ------------------------------------------------------------------------------------------------------


def broken(tmp_path, name, content, split="train"):
    write(tmp_path, BINARY)
    (tmp_path / BIN / name).write_bytes(content)
    with pytest.raises(FormatError) as caught:
        data.load("cifar10", split, directory=tmp_path)
    assert name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "size, words",
    [
        (0, "truncated"),
        (SIZE - 1, "truncated"),
        (SIZE - 3073, "truncated"),
        (SIZE + 1, "too long"),
        (SIZE + 3073, "too long"),
    ],
)
def test_a_batch_of_the_wrong_size_is_named_with_both_sizes(tmp_path, size, words):
    message = broken(tmp_path, "data_batch_4.bin", bytes(size))
    assert f"{size:,} bytes, expected {SIZE:,}" in message and words in message and "web page" not in message


def test_a_web_page_in_place_of_a_batch_is_recognised(tmp_path):
    assert "looks like a web page" in broken(tmp_path, "test_batch.bin", b"\n<!DOCTYPE html><html>404", "test")


def test_a_label_above_9_is_named_with_record_and_offset(tmp_path):
    content = bytearray(BINARY[f"{BIN}/data_batch_2.bin"])
    content[7 * 3073] = 200
    assert "record 7 (byte offset 21,511) has label 200; CIFAR-10's labels are 0..9" in broken(
        tmp_path, "data_batch_2.bin", content
    )


def test_a_missing_batch_is_named(tmp_path):
    write(tmp_path, BINARY)
    (tmp_path / BIN / "data_batch_5.bin").unlink()
    with pytest.raises(FileNotFoundError, match="the train split needs data_batch_5.bin, not found"):
        data.load("cifar10", "train", directory=tmp_path)
    assert_correct("test", data.load("cifar10", "test", directory=tmp_path))


def test_nowhere_says_what_was_looked_for_and_the_three_ways(tmp_path):
    written(tmp_path / "file", b"")
    for where, state in (
        (tmp_path, "has none of"),
        (tmp_path / "no", "does not exist"),
        (tmp_path / "file", "is not a directory"),
    ):
        with pytest.raises(FileNotFoundError, match=state) as caught:
            data.load("cifar10", "train", directory=where)
        for words in (
            "data_batch_1.bin",
            "data_batch_1",
            BIN,
            PY,
            "cifar-10-binary.tar.gz",
            "cifar-10-python.tar.gz",
            "download",
            "--data-dir",
            "--data-archive",
            "shapes10",
        ):
            assert words in str(caught.value)
    with pytest.raises(FileNotFoundError, match="gone.tar.gz does not exist.*--data-dir"):
        data.load("cifar10", "train", archive=tmp_path / "gone.tar.gz")
    with pytest.raises(IsADirectoryError, match="is a directory; --data-archive takes a .tar.gz"):
        data.load("cifar10", "train", archive=tmp_path)
    with pytest.raises(ValueError, match="a directory or an archive, not both"):
        data.load("cifar10", "train", archive=tmp_path, directory=tmp_path)
    with pytest.raises(ValueError, match="unknown split 'val'; available: 'train', 'test'"):
        data.load("cifar10", "val", directory=tmp_path)


# Pickles -------------------------------------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('the pickle ran')",)


def decode(content):
    return records.decode_python(content, "data_batch_1", hashlib.md5(content).hexdigest())


@pytest.mark.parametrize("content", [pickle.dumps(Bomb()), b"<html>not here</html>", b""])
def test_nothing_is_unpickled_before_its_checksum_matches(monkeypatch, content):
    monkeypatch.setattr(records, "_ArrayUnpickler", None)
    with pytest.raises(FormatError, match="MD5 sum .* opened only if it is the official one"):
        records.decode_python(content, "data_batch_1", "0" * 32)


def test_a_changed_python_batch_is_refused(tmp_path):
    write(tmp_path, PYTHON)
    path = tmp_path / PY / "data_batch_3"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="data_batch_3: MD5 sum"):
        data.load("cifar10", "train", directory=tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (pickle.dumps(Bomb()), r"asks for builtins\.exec.*nothing was run"),
        (b"cposix\nsystem\n(S'true'\ntR.", r"asks for posix\.system"),
        (pickle.dumps([1]), "holds a list, expected a dictionary"),
        (pickle.dumps({}), "'data' must be a uint8 array"),
        (pickle.dumps({b"data": b"x" * 3072 * R}), "'data' must be a uint8 array"),
        (python2_pickle(PLANES[0][:5], LABELS[:5]), r"of shape \(20, 3072\)"),
        (python2_pickle(PLANES[0], LABELS[:R]).replace(b"labels", b"lobels"), "'labels' must be a list of 20"),
        (python2_pickle(PLANES[0], [7] * R).replace(b"(K\x07", b"(N"), "'labels' must be a list of 20 integers"),
        (python2_pickle(PLANES[0], [0] * 19 + [10]), "entry 19 of 'labels' has label 10"),
        (python2_pickle(PLANES[0], LABELS[:R]).replace(b"eu.", b"K\x01eu."), "'labels' must be a list of 20 integers"),
    ],
)
def test_an_unpickled_batch_may_hold_bytes_and_integers_only(content, message):
    with pytest.raises(FormatError, match=message):
        decode(content)


def test_a_python_archive_is_opened_only_with_the_official_checksum(tmp_path):
    path = written(tmp_path / "a.tar.gz", targz(PYTHON, [(info_of("extra"), b"")]))
    with pytest.raises(FormatError, match="SHA-256 .* but the official Python archive has .*use the binary archive"):
        data.load("cifar10", "train", archive=path)
