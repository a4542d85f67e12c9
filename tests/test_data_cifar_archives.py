"""CIFAR-10 from broken archives: what is wrong is said, and a mutated one loads correctly or is refused."""

import gzip
import tarfile

import pytest
from cifar_files import (
    BIN,
    BINARY,
    SIZE,
    TEST_TAR,
    WHOLE,
    assert_correct,
    info_of,
    packed_as,
    small_batches,
    targz,
    written,
)
from hypothesis import given
from hypothesis import strategies as st

from minighost import data
from minighost.data import archive
from minighost.errors import FormatError


@pytest.fixture(scope="module", autouse=True)
def small():
    with small_batches():
        yield


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
