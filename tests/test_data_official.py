"""The official numbers, and one batch of the official size."""

import hashlib

import numpy as np
import pytest

from minighost import data
from minighost.data import download, records
from minighost.errors import FormatError

SIZE = 30_730_000


def test_the_official_layouts():
    assert (records.RECORDS, records.PIXELS) == (10_000, 3072)
    binary, python = records.LAYOUTS["binary"], records.LAYOUTS["python"]
    assert set(binary.sizes.values()) == {SIZE} and len(binary.sizes) == 6
    assert list(binary.sizes) == [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    assert list(python.sizes) == list(python.md5) == [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    assert binary.md5 == {}  # re-encoded copies are welcome: plain bytes cannot do harm
    assert {len(md5) for md5 in python.md5.values()} == {hashlib.md5().digest_size * 2}
    assert all(SIZE < size < SIZE * 1.02 for size in python.sizes.values())
    assert download.ARCHIVE_BYTES == 170_052_171
    assert all(url.startswith("https://") and url.endswith("/cifar-10-binary.tar.gz") for url in download.MIRRORS)
    assert records.CLASSES == ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def test_a_batch_of_the_official_size_loads_and_its_last_record_is_checked(tmp_path):
    path = tmp_path / "test_batch.bin"
    with open(path, "wb") as file:
        file.truncate(SIZE)
        file.seek(9_999 * 3073)
        file.write(b"\x09\xff")
    loaded = data.load("cifar10", "test", directory=tmp_path)
    assert loaded.images.shape == (10_000, 32, 32, 3) and loaded.labels[-1] == 9
    assert np.flatnonzero(loaded.images).tolist() == [9_999 * 3072]  # the first red value of the last image

    with open(path, "r+b") as file:
        file.seek(9_999 * 3073)
        file.write(b"\xc8")
    with pytest.raises(FormatError, match=r"record 9999 \(byte offset 30,726,927\) has label 200"):
        data.load("cifar10", "test", directory=tmp_path)

    with open(path, "r+b") as file:
        file.truncate(SIZE - 1)
    with pytest.raises(FormatError, match="30,729,999 bytes, expected 30,730,000 .*truncated"):
        data.load("cifar10", "test", directory=tmp_path)
