"""The idx files of MNIST, Fashion-MNIST, KMNIST, EMNIST and QMNIST's first releases, plain or gzipped.

Two zero bytes, a type (8: bytes), the number of dimensions, each of them as four bytes, the most significant first,
then the numbers (LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist).
"""

import gzip
import os
import re
import zlib
from pathlib import Path

import numpy as np

from minighost.data.arrays import Pair
from minighost.errors import FormatError
from minighost.inputs import open_regular, read_regular
from minighost.type_aliases import PathLike

__all__ = ["find", "read", "read_folder"]

LARGEST = 1 << 32  # bytes of a file, unpacked
FASHION = "T-shirt Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Boot".split()
NAMES = "classes.txt"
_FILE = re.compile(r"(?P<part>train|t10k|test|val)[-_.](?P<kind>images|labels)[-_.](idx\d[-_.])?(ubyte|idx\d)(\.gz)?$")
_NUMBER = re.compile(r"idx\d")


def find(folder: PathLike) -> dict[tuple[str, str], Path]:
    """The idx files in a folder: {("train", "images"): path, ...}, parts ``train`` and ``test``; {} if none.

    Raises
    ------
    FormatError
        Two files for one purpose.
    """
    found: dict[tuple[str, str], Path] = {}
    for name in sorted(os.listdir(folder)):
        match = _FILE.search(name.lower())
        if match is None or not _NUMBER.search(name.lower()):
            continue
        key = ("train" if match["part"] == "train" else "test", match["kind"])
        if key in found and found[key].name.removesuffix(".gz") != name.removesuffix(".gz"):
            raise FormatError(f"{folder}: both {found[key].name} and {name} are {key[0]} {key[1]}; keep one")
        found.setdefault(key, Path(folder, name))
    return found


def read_folder(folder: PathLike) -> tuple[dict[str, Pair], list[str] | None]:
    """Images and labels of the idx files in a folder: {"train": (images, labels), "test": ...}, and class names.

    Names are the lines of ``classes.txt``, if there is one; Fashion-MNIST's, if the folder's path says "fashion"; else
    None.

    Raises
    ------
    FormatError
        A file is missing, damaged, or holds something else.
    OSError
        A file cannot be read.
    """
    files = find(folder)
    parts: dict[str, Pair] = {}
    for part in ("train", "test"):
        here = {kind: files[part, kind] for kind in ("images", "labels") if (part, kind) in files}
        if len(here) == 1:
            kind = "labels" if "images" in here else "images"
            raise FormatError(f"{folder}: {next(iter(here.values())).name} is there, but no file of {part} {kind}")
        if here:
            parts[part] = read(here["images"], 3), read(here["labels"], 1)
    if "train" not in parts:
        raise FormatError(f"{folder}: needs train-images-idx3-ubyte and train-labels-idx1-ubyte")
    if (names := Path(folder, NAMES)).is_file():
        return parts, [
            line.strip() for line in read_regular(names, 1 << 20).decode("utf-8-sig").splitlines() if line.strip()
        ]
    return parts, list(FASHION) if "fashion" in str(folder).lower() else None


def read(path: PathLike, ndim: int) -> np.ndarray:
    """The array of one idx file, uint8 of `ndim` dimensions.

    Raises
    ------
    FormatError
        Another type or number of dimensions, damaged, cut short or too long.
    """
    with open_regular(path) as file:
        try:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if packed else file
            head = stream.read(4 + 4 * ndim)
            if len(head) < 4 + 4 * ndim or head[:2] != b"\0\0" or head[2] != 8 or head[3] != ndim:
                raise FormatError(
                    f"{path}: not an idx file of bytes in {ndim} dimension{'s' * (ndim > 1)}; it would begin with the "
                    f"bytes 00 00 08 0{ndim}, this begins with {head[:4].hex(' ') or 'nothing'}"
                )
            shape = tuple(int(length) for length in np.frombuffer(head[4:], ">u4"))
            size = int(np.prod(shape, dtype=object))
            if size > LARGEST:
                raise FormatError(f"{path}: claims {size:,} bytes, more than {LARGEST:,}")
            content = stream.read(size + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(f"{path}: damaged or truncated: {error}") from error
    if len(content) != size:
        raise FormatError(
            f"{path}: its head says {size:,} bytes for {shape}, but it has "
            f"{'more' if len(content) > size else f'{len(content):,}'}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
