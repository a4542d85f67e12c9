"""All images of a folder at one size, as one array: decoded by a few threads, once, and kept in a cache.

The cache is one file for a folder and a size, in the directory of downloads. It holds what it was made from: names,
lengths and times of the images, the versions of the rules and of Pillow. If any of that has changed, or the file is
damaged (a zip has checksums), the images are decoded again. Without a place for it they are decoded every time.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minighost.data import pictures
from minighost.data.download import data_directory
from minighost.files import replacing
from minighost.terminal.console import Console
from minighost.type_aliases import Array, Images, IntArray, PathLike

__all__ = ["LARGE", "SMALL", "Decoded", "decode"]

RULES = 1  # to be raised when a picture becomes other pixels than before
SMALL, LARGE = 32, 64  # sides of the sizes chosen for images of many sizes


class Decoded(NamedTuple):
    """Images and what they were.

    Attributes
    ----------
    images : ndarray, shape (N, H, W, C), uint8
        C is 1 if none of them has a colour. Zeros where `faults` is not empty.
    sizes : ndarray, shape (N, 2), int64
        Height and width of each picture in its file, upright; 0 where it cannot be read.
    faults : list of str
        Why an image cannot be read; "" if it can.
    """

    images: Images
    sizes: IntArray
    faults: list[str]


def decode(root: PathLike, names: Sequence[str], size: tuple[int, int] | None = None, progress: bool = True) -> Decoded:
    """Read the images `names` below `root`, each cut and scaled as `pictures.read` does it.

    Parameters
    ----------
    root : path
    names : sequence of str
    size : (int, int), optional
        Height and width. By default those of the pictures if all have the same and neither is above `LARGE`; else
        `LARGE` x `LARGE` pixels, or `SMALL` x `SMALL` if the shorter side of most pictures is below `LARGE`.
    progress : bool
        Show a bar, if standard error is a terminal.

    Returns
    -------
    Decoded
    """
    paths = [os.path.join(root, name) for name in names]
    if size is None:
        size = _usual_size(pictures.measure_all(paths))
    stamp, place = _stamp(root, names, size), _place(root, size)
    if place is not None and (found := _load(place, stamp)) is not None:
        return found
    images = np.zeros((len(paths), *size, 3), np.uint8)
    sizes, faults, coloured = np.zeros((len(paths), 2), np.int64), [""] * len(paths), False
    bar = Console(sys.stderr if progress else None).bar("reading images", len(paths))
    try:
        for i, (image, (height, width), fault) in enumerate(pictures.read_all(paths, size)):
            if image is None:
                faults[i] = fault
            else:
                images[i], sizes[i] = image, (height, width)
                coloured = coloured or bool((image != image[:, :, :1]).any())
            bar.step("")
    finally:
        bar.close()
    found = Decoded(images if coloured else images[..., :1].copy(), sizes, faults)
    if place is not None:
        _save(place, stamp, found)
    return found


def _usual_size(sizes: IntArray) -> tuple[int, int]:
    seen = sizes[sizes.all(axis=1)]
    if len(seen) and (seen == seen[0]).all() and seen[0].max() <= LARGE:
        return int(seen[0, 0]), int(seen[0, 1])
    side = LARGE if len(seen) and np.median(seen.min(axis=1)) >= LARGE else SMALL
    return side, side


# The cache -----------------------------------------------------------------------------------------------------------


def _stamp(root: PathLike, names: Sequence[str], size: tuple[int, int]) -> Array:
    """What the cached file must have been made from, as 32 bytes."""
    files = []
    for name in names:
        try:
            about = os.stat(os.path.join(root, name))
            files.append((name, about.st_size, about.st_mtime_ns))
        except OSError:
            files.append((name, -1, -1))
    text = json.dumps([RULES, pictures.pillow_version(), size, files])
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)


def _place(root: PathLike, size: tuple[int, int]) -> Path | None:
    try:
        folder = data_directory() / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # no home, or one that cannot be written to
        return None
    which = f"{os.path.abspath(root)} {size}".encode("utf-8", "surrogateescape")
    return folder / f"{hashlib.sha256(which).hexdigest()[:24]}.npz"


def _load(place: Path, stamp: Array) -> Decoded | None:
    try:
        with np.load(place, allow_pickle=False) as file:
            if not np.array_equal(file["stamp"], stamp):
                return None
            return Decoded(file["images"], file["sizes"], file["faults"].tolist())
    except Exception:  # whatever a damaged file breaks, the images are still there
        return None


def _save(place: Path, stamp: Array, found: Decoded) -> None:
    try:
        with replacing(place, durable=False) as file:
            np.savez(file, stamp=stamp, images=found.images, sizes=found.sizes, faults=np.array(found.faults, "U"))
    except OSError:  # a full disk costs time at the next start, not the training
        pass
