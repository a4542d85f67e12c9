"""CIFAR-10's files: what is in them, byte by byte.

A binary batch is 10,000 records of one label byte and 3,072 pixel bytes: 1,024 red, 1,024 green, 1,024 blue, each
row by row (https://www.cs.toronto.edu/~kriz/cifar.html). A Python batch holds the same as a pickled dictionary. A
pickle is a program, and running a stranger's program is not reading a file: so a Python batch is opened only after
its checksum has matched an official one, and then by an unpickler that knows three names.
"""

import hashlib
import io
import pickle
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from minighost.errors import FormatError
from minighost.type_aliases import Images, IntArray, PathLike

__all__ = [
    "CLASSES",
    "LAYOUTS",
    "Layout",
    "RECORDS",
    "cifar100_hint",
    "decode_binary",
    "decode_python",
    "web_page_hint",
]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORDS = 10_000  # in each batch
SIDE, PIXELS = 32, 3 * 32 * 32


@dataclass(frozen=True)
class Layout:
    """One of the two official forms: its folder, its files with their sizes in bytes, and their MD5 sums if needed."""

    folder: str
    archive: str
    splits: dict[str, tuple[str, ...]]
    sizes: dict[str, int]
    md5: dict[str, str]


def _batches(suffix):
    return {"train": tuple(f"data_batch_{i}{suffix}" for i in range(1, 6)), "test": (f"test_batch{suffix}",)}


_BINARY, _PYTHON = _batches(".bin"), _batches("")
LAYOUTS = {
    "binary": Layout(
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        _BINARY,
        sizes=dict.fromkeys(_BINARY["train"] + _BINARY["test"], RECORDS * (1 + PIXELS)),
        md5={},
    ),
    "python": Layout(
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        _PYTHON,
        sizes={
            "data_batch_1": 31_035_704,
            "data_batch_2": 31_035_320,
            "data_batch_3": 31_035_999,
            "data_batch_4": 31_035_696,
            "data_batch_5": 31_035_623,
            "test_batch": 31_035_526,
        },
        md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
    ),
}


def decode_binary(raw: bytes | bytearray, where: PathLike) -> tuple[Images, IntArray]:
    """Images (RECORDS, 32, 32, 3) uint8 and labels (RECORDS,) of one binary batch.

    `raw` holds ``RECORDS * 3073`` bytes (the reader has checked that); `where` names the file in the FormatError for a
    label above 9, which gives record and byte offset.
    """
    records = np.frombuffer(raw, np.uint8).reshape(RECORDS, 1 + PIXELS)
    labels = records[:, 0]
    _check_labels(labels, where, lambda i: f"record {i} (byte offset {i * (1 + PIXELS):,})")
    return _channels_last(records[:, 1:]), labels


def decode_python(raw: bytes | bytearray, where: PathLike, md5: str) -> tuple[Images, IntArray]:
    """Images and labels of one Python batch, as `decode_binary`.

    Raises FormatError before anything is unpickled if the MD5 sum is not `md5`, and afterwards if the pickle asks for
    a name that plain arrays do not need or holds something else than (RECORDS, 3072) bytes and as many labels.
    """
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != md5:
        raise FormatError(
            f"{where}: MD5 sum {found}, but the official file has {md5}. A Python batch is a pickle and "
            f"is opened only if it is the official one; any CIFAR-10 in the binary layout "
            f"({LAYOUTS['binary'].folder}) is accepted{web_page_hint(raw)}"
        )
    batch = _ArrayUnpickler(io.BytesIO(raw), where).load()
    if not isinstance(batch, dict):
        raise FormatError(f"{where}: holds a {type(batch).__name__}, expected a dictionary with 'data' and 'labels'")
    data, labels = batch.get(b"data"), batch.get(b"labels")
    if type(data) is not np.ndarray or data.dtype != np.uint8 or data.shape != (RECORDS, PIXELS):
        raise FormatError(f"{where}: 'data' must be a uint8 array of shape ({RECORDS}, {PIXELS})")
    if not isinstance(labels, list) or len(labels) != RECORDS or not all(type(label) is int for label in labels):
        raise FormatError(f"{where}: 'labels' must be a list of {RECORDS} integers")
    _check_labels(np.array(labels, object), where, lambda i: f"entry {i} of 'labels'")
    return _channels_last(data), np.array(labels)


class _ArrayUnpickler(pickle.Unpickler):
    """Knows what rebuilds an array of bytes, and nothing else."""

    _NAMES = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def __init__(self, file, where):
        super().__init__(file, encoding="bytes")  # the official files were written by Python 2
        self._where = where

    def find_class(self, module, name):
        if (module, name) not in self._NAMES:
            raise FormatError(
                f"{self._where}: the pickle asks for {module}.{name}, which no CIFAR-10 batch needs; nothing was run"
            )
        return self._NAMES[module, name]


def _channels_last(planes):
    return planes.reshape(RECORDS, 3, SIDE, SIDE).transpose(0, 2, 3, 1)  # (R, 3072) -> (R, H, W, C), a view


def _check_labels(labels, where, position):
    wrong = (labels < 0) | (labels >= len(CLASSES))
    if wrong.any():
        i = int(wrong.argmax())
        raise FormatError(
            f"{where}: {position(i)} has label {labels[i]}; CIFAR-10's labels are 0..{len(CLASSES) - 1}. "
            "The file is damaged or not CIFAR-10"
        )


def cifar100_hint(names: Iterable[str], size: int | None = None) -> str:
    """What to add to an error if files of these names, or one of this size in bytes, are CIFAR-100's."""
    bare = {name.rpartition("/")[2].lower() for name in names}
    named = any("cifar-100" in name.lower() or "cifar100" in name.lower() for name in names)
    if (
        named
        or bare >= {"train.bin", "test.bin"}
        or bare >= {"train", "test", "meta"}
        or (size in (RECORDS * (2 + PIXELS), 5 * RECORDS * (2 + PIXELS)))
    ):  # a record has two labels
        return ". This looks like CIFAR-100, which has other classes and other files; use --data cifar100"
    return ""


def web_page_hint(head: bytes | bytearray) -> str:
    """What to add to an error if these first bytes are HTML: servers like to send a page in place of a file."""
    start = bytes(head[:1024]).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")) or b"<html" in start:
        return ". It looks like a web page, not data: open it in a browser to see what the server says"
    return ""
