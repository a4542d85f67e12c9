"""Which files of a folder are the images of which class, and which of them are kept for testing.

    pets/cat/1.jpg                   one folder per class; `split` decides what is for testing
    pets/train/cat/1.jpg             or two folders with the same classes, train and val (or test)
    pets/val/cat/2.jpg

All images below a class's folder belong to the class, however deep they lie. Classes are in the order of their names.
Hidden files and folders, and what systems leave behind (Thumbs.db, desktop.ini), are no images and no classes.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minighost.data.pictures import FOREIGN, SUFFIXES
from minighost.errors import FormatError, printable
from minighost.type_aliases import BoolArray, IntArray, PathLike
from minighost.wording import counted

__all__ = ["Listing", "divide", "find"]

TRAINING, TESTING = ("train", "training"), ("val", "valid", "validation", "test", "testing")
_LEFTOVERS = {"thumbs.db", "desktop.ini", "__macosx", "@eadir"}


class Listing(NamedTuple):
    """The images of a folder, in an order that mixes the classes.

    Attributes
    ----------
    names : tuple of str
        Paths below the folder, with ``/``.
    labels : ndarray, shape (N,), int64
    testing : ndarray, shape (N,), bool, or None
        Whether an image is for testing; None if nobody has divided them.
    classes : tuple of str
    notes : tuple of str
        What the user should know: files that were passed over, and which folder serves for what.
    """

    names: tuple[str, ...]
    labels: IntArray
    testing: BoolArray | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def find(root: PathLike) -> Listing:
    """List the images of a folder that has one folder per class, or ``train`` and ``val`` with such folders.

    In place of ``val`` it may be ``valid``, ``validation``, ``test`` or ``testing``; the first of these serves.

    Raises
    ------
    FormatError
        No class or only one, a class without images, different classes for training and testing.
    OSError
        The folder cannot be read.
    """
    root = Path(root)
    notes: list[str] = []
    parts = _parts(root, notes)
    found: dict[bool, dict[str, list[str]]] = {}
    others: list[str] = []
    for testing, top in parts.items():
        folders = _folders(top)
        _check_folders(root, top, folders)
        found[testing] = {name: _images(root, top / name, others) for name in folders}
    for testing, top in parts.items():
        for name, images in found[testing].items():
            if not images:
                raise FormatError(f"{top / name}: this class has no images; put some into it, or remove the folder")
    if others:
        notes.append(f"{counted(len(others), 'other', 'file')} passed over: {_some(others)}")
    classes = tuple(sorted(found[False]))
    divided = True in found
    if divided and (only := set(found[False]) ^ set(found[True])):
        raise FormatError(
            f"{root}: {parts[False].name} and {parts[True].name} must have the same classes; only in one of them: "
            f"{_some(sorted(only))}"
        )
    rows = sorted(
        (_digest(0, name), name, classes.index(label), testing)
        for testing, images_of in found.items()
        for label, images in images_of.items()
        for name in images
    )
    _, names, labels, testing = zip(*rows, strict=True)
    return Listing(names, np.array(labels), np.array(testing) if divided else None, classes, tuple(notes))


def _parts(root, notes):
    """{False: folder with the training classes, True: with the test classes}; only the first if nobody divided them."""
    folders = {name.lower(): root / name for name in _folders(root)}
    holds = {name: path for name, path in folders.items() if _folders(path)}  # a class may be called "train", too
    training = next((holds[name] for name in TRAINING if name in holds), None)
    if training is None:
        return {False: root}
    testing = [holds[name] for name in TESTING if name in holds]
    unlabelled = [folders[name].name for name in TESTING if name in folders and name not in holds]
    if unlabelled:
        notes.append(f"{', '.join(unlabelled)}/ has no class folders and is not used")
    if not testing:
        return {False: training}
    notes.append(f"trained on {training.name}/, tested on {testing[0].name}/")
    if len(testing) > 1:
        left = ", ".join(f"{path.name}/" for path in testing[1:])
        notes.append(f"not used: {left}; `minighost eval --data {testing[1]}` measures a run on it")
    return {False: training, True: testing[0]}


def _folders(path):
    """Names of the folders in a folder, sorted."""
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if not _leftover(entry.name) and entry.is_dir())


def _leftover(name):
    return name.startswith(".") or name.lower() in _LEFTOVERS


def _check_folders(root, top, folders):
    loose = sum(Path(name).suffix.lower() in SUFFIXES for name in os.listdir(top) if not _leftover(name))
    if not folders:
        found = f"{counted(loose, 'image')} directly in it" if loose else "no folder in it"
        above = Path(os.path.abspath(top)).parent
        hint = f"; did you mean {above}, of which it is one?" if loose and len(_folders(above)) > 1 else ""
        raise FormatError(f"{top}: needs a folder of images for each class, such as cat and dog, and has {found}{hint}")
    if len(folders) == 1:
        inner = _folders(top / folders[0])
        hint = f"; did you mean {top / folders[0]}, with its {len(inner)} folders?" if len(inner) > 1 else ""
        raise FormatError(f"{top}: has one class only, {folders[0]}; a network tells two or more apart{hint}")
    for name in folders:
        if len(name) > 200:
            raise FormatError(f"{top}: a class's name has at most 200 characters, {name[:40]}... has {len(name)}")


def _images(root, folder, others):
    """Names below `root` of all images in a class's folder; what else is there goes to `others`."""
    images: list[str] = []
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _leftover(name)]
        for name in files:
            suffix = Path(name).suffix.lower()
            if _leftover(name):
                continue
            kept = images if suffix in SUFFIXES or suffix in FOREIGN else others
            kept.append(os.path.relpath(os.path.join(path, name), root).replace(os.sep, "/"))
    return images


def divide(
    names: Sequence[str], labels: IntArray, split: float, seed: int, where: str, classes: Sequence[str] = ()
) -> BoolArray:
    """Which images (N,) to keep for testing: of each class the share `split`, at least one and not all.

    Those of which the names, scrambled with `seed`, come first: so images that are added later move no others, but for
    one per class.

    Raises
    ------
    FormatError
        A class with a single image; the message begins with `where`, and has its name if `classes` are given.
    """
    testing = np.zeros(len(names), bool)
    digests = [_digest(seed, name) for name in names]
    for label in np.unique(labels):
        mine = sorted(np.flatnonzero(labels == label), key=lambda i: digests[i])
        if len(mine) < 2:
            name = classes[label] if classes else label
            raise FormatError(
                f"{where}: class {name} has one image only, and needs one to train on and one to test with"
            )
        testing[mine[: min(max(1, round(split * len(mine))), len(mine) - 1)]] = True
    return testing


def _digest(seed, name):
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()


def _some(names: Iterable[str], most: int = 3) -> str:
    names = list(names)
    return ", ".join(printable(name) for name in names[:most]) + f" and {len(names) - most:,} more" * (
        len(names) > most
    )
