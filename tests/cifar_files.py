"""CIFAR-10 in miniature: its folders and archives with 20 records a batch, not 10,000, to be quick."""

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minighost.data import cifar, records

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


def packed_as(kind, content):
    tar = gzip.decompress(content)
    return {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}[kind](tar)


def info_of(name, **attributes):
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


PYTHON_ARCHIVE = targz(PYTHON)
WHOLE = targz(BINARY)
HEADERS = b"".join(info_of(f"{BIN}/{name}").tobuf() for name in ("readme.html", "batches.meta.txt"))
TEST_MEMBER = f"{BIN}/test_batch.bin"
TEST_TAR = HEADERS + info_of(TEST_MEMBER, size=SIZE).tobuf() + BINARY[TEST_MEMBER] + bytes(-SIZE % 512 + 1024)


@contextlib.contextmanager
def small_batches():
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
