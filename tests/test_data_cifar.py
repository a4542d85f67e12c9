"""CIFAR-10 from folders and archives, whole and broken. Batches have 20 records here, not 10,000, to be quick."""

import bz2
import gzip
import hashlib
import io
import lzma
import pickle
import tarfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minighost import data
from minighost.data import archive, cifar, records
from minighost.errors import FormatError

R, SIZE = 20, 20 * 3073
BIN, PY = "cifar-10-batches-bin", "cifar-10-batches-py"
_rng = np.random.default_rng(0)
IMAGES = _rng.integers(0, 256, (6 * R, 32, 32, 3), np.uint8)  # five training batches, then the test batch
LABELS = _rng.integers(0, 10, 6 * R)
PLANES = IMAGES.transpose(0, 3, 1, 2).reshape(6, R, 3072)


def python2_pickle(planes, labels):
    """A batch as Python 2 wrote it: protocol 2, byte strings, an array rebuilt by numpy.core.multiarray."""
    raw = planes.tobytes()
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    return (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K" + bytes([len(labels)]) + b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(raw).to_bytes(4, "little")
        + raw
        + b"tbU\x06labels]("
        + numbers
        + b"eu."
    )


def names(layout):
    return records.LAYOUTS[layout].splits["train"] + records.LAYOUTS[layout].splits["test"]


BINARY = {
    f"{BIN}/{name}": np.concatenate([LABELS.reshape(6, R, 1)[i], PLANES[i]], axis=1).astype(np.uint8).tobytes()
    for i, name in enumerate(names("binary"))
}
PYTHON = {
    f"{PY}/{name}": python2_pickle(PLANES[i], LABELS[i * R : (i + 1) * R]) for i, name in enumerate(names("python"))
}


def targz(members, extra=()):
    """A .tar.gz of `members` (name -> bytes) after `extra` (TarInfo, bytes or None) pairs; bit for bit repeatable."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, content in extra:
            tar.addfile(info, content and io.BytesIO(content))
        for name, content in members.items():
            tar.addfile(info_of(name, size=len(content)), io.BytesIO(content))
    return gzip.compress(raw.getvalue(), 1, mtime=0)


def info_of(name, **attributes):
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


PYTHON_ARCHIVE = targz(PYTHON)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Batches of R records, with the sums and sizes of the files above in place of the official ones."""
    with pytest.MonkeyPatch.context() as patch:
        binary, python = records.LAYOUTS["binary"], records.LAYOUTS["python"]
        patch.setattr(records, "RECORDS", R)
        patch.setitem(records.LAYOUTS, "binary", replace(binary, sizes=dict.fromkeys(binary.sizes, SIZE)))
        patch.setitem(
            records.LAYOUTS,
            "python",
            replace(
                python,
                sizes={name: len(PYTHON[f"{PY}/{name}"]) for name in python.sizes},
                md5={name: hashlib.md5(PYTHON[f"{PY}/{name}"]).hexdigest() for name in python.sizes},
            ),
        )
        patch.setattr(cifar, "PYTHON_ARCHIVE_SHA256", hashlib.sha256(PYTHON_ARCHIVE).hexdigest())
        yield


def write(root, members):
    for name, content in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def written(path, content):
    path.write_bytes(content)
    return path


def assert_correct(split, dataset):
    part = slice(0, 5 * R) if split == "train" else slice(5 * R, None)
    assert_array_equal(dataset.images, IMAGES[part])
    assert_array_equal(dataset.labels, LABELS[part])
    assert dataset.images.flags.c_contiguous and dataset.classes[3] == "cat" and dataset.name == "cifar10"


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


def packed_as(kind, content):
    tar = gzip.decompress(content)
    return {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}[kind](tar)


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


# Broken archives -----------------------------------------------------------------------------------------------------


WHOLE = targz(BINARY)
TWICE = [(info_of(f"{BIN}/data_batch_1.bin", size=SIZE), bytes(SIZE))]
LINK = [(info_of(f"{BIN}/data_batch_1.bin", type=tarfile.SYMTYPE, linkname="/etc/passwd"), None)]
HARD = [(info_of(f"{BIN}/data_batch_1.bin", type=tarfile.LNKTYPE, linkname="x"), None)]
LESS = {name: content for name, content in BINARY.items() if "3" not in name}
HUGE = info_of("huge", size=2**62).tobuf(tarfile.GNU_FORMAT)


# mtime=0: the bytes are part of a test's name, which all processes of a run must agree on
@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "not a gzip archive .*with nothing"),
        (b"<html><body>Moved</body></html>", "not a gzip archive.*looks like a web page"),
        (b"PK\x03\x04" + bytes(99), "starts with the bytes 1f 8b, this with 50 4b 03 04"),
        (WHOLE[:9], "damaged or truncated"),
        (WHOLE[: len(WHOLE) // 2], "damaged or truncated; unpacking fails after"),
        (WHOLE[:-5], "damaged or truncated"),
        (WHOLE + b"garbage", "damaged or truncated"),
        (gzip.compress(b"hello", mtime=0), "ends in the middle of a member, after 5"),
        (gzip.compress(b"x" * 5120, mtime=0), "no tar header at byte 0"),
        (gzip.compress(gzip.decompress(WHOLE)[: 512 + 99], mtime=0), "ends in the middle of a member"),
        (targz({}), "none of its members is cifar-10-batches-bin/data_batch_1.bin or"),
        (targz({"data_batch_1.bin": bytes(SIZE)}), f"the archive lacks {BIN}/data_batch_2.bin"),
        (
            targz({"cifar-100-binary/train.bin": b"x", "cifar-100-binary/test.bin": b"x"}),
            "no CIFAR-10 in this archive.*looks like CIFAR-100",
        ),
        (targz({"mine/train": b"x", "mine/test": b"x", "mine/meta": b"x"}), "looks like CIFAR-100"),
        (targz({"readme.html": b"x"}), "test_batch|data_batch_5$"),
        (targz(LESS), f"the archive lacks {BIN}/data_batch_3.bin"),
        (targz(BINARY, TWICE), "data_batch_1.bin appears twice"),
        (targz(BINARY, LINK), "data_batch_1.bin is not a regular file"),
        (targz(BINARY, HARD), "data_batch_1.bin is not a regular file"),
        (
            targz(BINARY | {f"{BIN}/data_batch_2.bin": bytes(SIZE - 1)}),
            f"data_batch_2.bin has {SIZE - 1:,} bytes, expected {SIZE:,}",
        ),
        (
            targz(BINARY | {f"{BIN}/data_batch_2.bin": b"\xc8" * SIZE}),
            r"data_batch_2.bin: record 0 \(byte offset 0\) has label 200",
        ),
        (gzip.compress(HUGE + bytes(9_000_000), 1, mtime=0), "unpacks to more than 4,"),
        (gzip.compress(bytes(9_000_000), 1, mtime=0), "unpacks to more than 4,"),
        (gzip.compress(info_of("x").tobuf() * 1001, mtime=0), "more than 1,000 members"),
        (
            gzip.compress(info_of("x", size=-512).tobuf(tarfile.GNU_FORMAT) * 9, mtime=0),
            "declares the size -512|no tar header",
        ),
    ],
)
def test_a_broken_archive_says_what_is_wrong(tmp_path, content, message):
    path = written(tmp_path / "a.tar.gz", content)
    with pytest.raises(FormatError, match=message) as caught:
        data.load("cifar10", "train", archive=path)
    assert str(caught.value).startswith(str(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "a.tar.gz"


def only_format_error_or_correct(path, content):
    path.write_bytes(content)
    try:
        loaded = data.load("cifar10", "test", archive=path)
    except FormatError as error:
        assert str(path) in str(error)
    else:
        assert_correct("test", loaded)


edits = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=4)


def edited(content, edits):
    for where, new, removed in edits:
        at = int(where * len(content))
        content = content[:at] + new + content[at + removed :]
    return content


PACKED = [WHOLE, packed_as("tar.bz2", WHOLE), packed_as("tar.xz", WHOLE)]


@given(st.sampled_from(PACKED), edits)
def test_a_mutated_archive_loads_correctly_or_is_refused(scratch, packed, edits):
    only_format_error_or_correct(scratch, edited(packed, edits))


HEADERS = b"".join(info_of(f"{BIN}/{name}").tobuf() for name in ("readme.html", "batches.meta.txt"))
TEST_MEMBER = f"{BIN}/test_batch.bin"
TEST_TAR = HEADERS + info_of(TEST_MEMBER, size=SIZE).tobuf() + BINARY[TEST_MEMBER] + bytes(-SIZE % 512 + 1024)


@given(st.lists(st.tuples(st.integers(0, 1535), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_mutated_tar_headers_load_correctly_or_are_refused(scratch, flips, repair):
    tar = bytearray(TEST_TAR)
    for at, value in flips:
        tar[at] = value
    for start in (0, 512, 1024) if repair else ():  # a header whose checksum is right gets further
        unsigned = sum(tar[start : start + 148]) + 8 * 32 + sum(tar[start + 156 : start + 512])
        tar[start + 148 : start + 156] = b"%06o\0 " % unsigned
    only_format_error_or_correct(scratch, gzip.compress(tar, 1))


def test_reading_stays_within_its_cap(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "SPARE", 0)
    path = written(tmp_path / "a.tar.gz", gzip.compress(TEST_TAR))
    found, _ = archive.read_members(path, {"test_batch.bin": SIZE}, len(TEST_TAR))
    assert set(found) == {"test_batch.bin"}
    with pytest.raises(FormatError, match=f"unpacks to more than {len(TEST_TAR) - 1:,} bytes"):
        archive.read_members(path, {"test_batch.bin": SIZE}, len(TEST_TAR) - 1)
