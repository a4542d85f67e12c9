"""What `--data` takes: a data set's name, a folder of images, a file of arrays, or a Python function.

train, test = data.open("photos")                # a folder of images for each class
train, test = data.open("mnist/")                # idx files; or CIFAR-100's, or an .npz or .safetensors file
train, test = data.open("my.py:load")            # what the function `load` of a file returns
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minighost import data, own_code
from minighost.data import arrays, cifar_100, idx, python_sets
from minighost.data.dataset import Dataset
from minighost.data.decoded import decode
from minighost.data.folder import divide, find
from minighost.data.remarks import about_classes, about_equal, about_faults
from minighost.data.sets import SETS, names
from minighost.errors import FormatError
from minighost.registry import unknown
from minighost.type_aliases import IntArray, PathLike
from minighost.wording import counted

__all__ = ["Opened", "is_named", "label", "open", "resized", "survey", "whole_path"]

SPLIT = 0.2


class Opened(NamedTuple):
    """A data set and what was met on the way to it.

    Attributes
    ----------
    train, test : Dataset
        Or `DetectionSet`.
    notes : tuple of str
        What the user should know, a line each.
    files : tuple of two tuples of str
        The images' files, of training and of test images; empty where images have none.
    sizes : ndarray, shape (N, 2), int64, or None
        Height and width of each picture before it was scaled; None where images were arrays.
    faults : tuple of (str, str)
        Pictures that cannot be read: file and reason.
    divided : bool
        Whether the test images were chosen here, as a share of all.
    """

    train: Dataset
    test: Dataset
    notes: tuple[str, ...] = ()
    files: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    sizes: IntArray | None = None
    faults: tuple[tuple[str, str], ...] = ()
    divided: bool = False


def open(
    source: PathLike,
    *,
    size: int | tuple[int, int] | None = None,
    split: float = SPLIT,
    split_seed: int = 0,
    progress: bool = True,
) -> tuple[Dataset, Dataset]:
    """Training and test images from wherever they are.

    Parameters
    ----------
    source : str or path
        One of `names()`; a folder with a folder of images for each class (`folder.find`); an ``.npz`` or
        ``.safetensors`` file (`arrays.read_npz`); a folder with idx files, as MNIST's, or one of them (`idx`); a folder
        or an archive of CIFAR-10 or CIFAR-100; or ``FILE.py:function`` (`python_sets.call`).
    size : int or (int, int), optional
        A side, or height and width, to which all images are cut and scaled (`pictures.read`). By default arrays stay as
        they are, and of pictures see `decoded.decode`.
    split : float
        Share of each class that is kept for testing, where nobody has divided the images; 0 < split < 1.
    split_seed : int
        Another one keeps other images for testing.
    progress : bool
        Show bars, if standard error is a terminal.

    Returns
    -------
    train, test : Dataset
        With one size, one number of channels and the same classes.

    Raises
    ------
    ValueError, TypeError, OSError
        Nothing there, or not what it must be; one line says what.

    Examples
    --------
    ::

        train, test = minighost.data.open("photos", size=64)
    """
    return survey(source, size=size, split=split, split_seed=split_seed, progress=progress)[:2]


def survey(
    source: PathLike,
    *,
    size: int | tuple[int, int] | None = None,
    split: float = SPLIT,
    split_seed: int = 0,
    directory: PathLike | None = None,
    archive: PathLike | None = None,
    train_size: int | None = None,
    test_size: int | None = None,
    progress: bool = True,
) -> Opened:
    """As `open`, and all there is to say about it.

    Parameters
    ----------
    source, size, split, split_seed, progress
        See `open`.
    directory, archive
        Where the files of a named data set are, see `load`.
    train_size, test_size : int, optional
        Only the first images, in an order that mixes the classes.
    """
    source = os.fspath(source)
    if not 0 < split < 1:
        raise ValueError(f"split = {split}: must be a share between 0 and 1, e.g. 0.2")
    if size is not None:
        size = (size, size) if isinstance(size, (int, np.integer)) else (size[0], size[1])
    if is_named(source):
        where: dict[str, Any] = {"directory": directory, "archive": archive, "progress": progress}
        train, test = data.load(source, "train", n=train_size, **where), data.load(source, "test", n=test_size, **where)
        return Opened(resized(train, size), resized(test, size))
    if directory is not None or archive is not None:
        raise ValueError(
            f"--data {source} says where the images are; --data-dir and --data-archive are for data sets with names"
        )
    found = _own(source, size, split, split_seed, progress)
    train = found.train if train_size is None else found.train.first(train_size)
    test = found.test if test_size is None else found.test.first(test_size)
    files = found.files[0][: len(train)], found.files[1][: len(test)]
    train, test = resized(train, size), resized(test, size)
    notes = (
        *found.notes,
        *about_faults(found.faults),
        *about_classes(train, test),
        *about_equal(train, test, files),
    )
    return found._replace(train=train, test=test, notes=notes, files=files)


def is_named(source: str) -> bool:
    """Whether it is the name of a data set; a folder of the same name is meant by ``./NAME``."""
    return source in SETS


def has_boxes(opened: Opened) -> bool:
    """Whether they are a `DetectionSet`."""
    return not isinstance(opened.train, Dataset)


def whole_path(source: str) -> str:
    """`source` as an absolute path, unless it is the name of a data set or nothing that is there."""
    if is_named(source):
        return source
    spec = own_code.parse(source)
    if spec is not None:
        return str(spec.absolute())
    path = os.path.expanduser(source)
    return os.path.abspath(path) if os.path.exists(path) else source


def label(source: str) -> str:
    """What tables and folders call a data set: its name, or that of its folder or file."""
    if is_named(source):
        return source
    path = Path(source.rpartition(":")[0] if own_code.parse(source) else source)
    return (path.stem if path.suffix.lower() in (".py", ".npz", ".safetensors") else path.name) or "data"


def renamed(dataset: Dataset, name: str) -> Dataset:
    """The same images under another name."""
    return Dataset(dataset.images, dataset.labels, dataset.classes, name)


def resized(dataset: Dataset, size: tuple[int, int] | None) -> Dataset:
    """The same images, each cut and scaled to a height and width as `pictures.fit` does it; with boxes whole."""
    from minighost.data import pictures

    if not isinstance(dataset, Dataset):  # a `DetectionSet`
        return dataset.resized(size)
    if size is None or dataset.size == size:
        return dataset
    images = np.stack([pictures.fit(image, size, dataset.channels)[0] for image in dataset.images])
    return Dataset(images, dataset.labels, dataset.classes, dataset.name)


# Sources that are no names --------------------------------------------------------------------------------------------


def _own(source: str, size: tuple[int, int] | None, split: float, seed: int, progress: bool) -> Opened:
    name, spec = label(source), own_code.parse(source)
    if spec is not None:
        return Opened(*python_sets.call(spec, size))
    path = Path(source).expanduser()
    if not path.exists():
        raise _nothing(source)
    suffix = path.suffix.lower()
    if suffix in (".npz", ".safetensors"):
        parts, classes = (arrays.read_npz if suffix == ".npz" else arrays.read_safetensors)(path)
        return _from_parts(parts, classes, name, split, seed)
    folder = path if path.is_dir() else path.parent
    if idx.find(folder) and (path.is_dir() or path in idx.find(folder).values()):
        return _from_parts(*idx.read_folder(folder), label(str(folder.absolute())), split, seed)
    kind = cifar_100.recognise(path)
    if kind is not None:
        where: dict[str, Any] = {"directory" if path.is_dir() else "archive": path, "progress": progress}
        train, test = (
            data.load(kind, "train", **where),
            data.load(kind, "test", **where),
        )
        return Opened(renamed(train, name), renamed(test, name))
    if not path.is_dir():
        raise FormatError(
            f"{source}: not a file of images; give a folder with a folder of images for each class, an .npz, "
            ".safetensors or idx file, or FILE.py:function"
        )
    return _from_folder(path, name, size, split, seed, progress)


def _nothing(source: str) -> Exception:
    if os.sep in source or "/" in source or Path(source).suffix:
        return FileNotFoundError(f"{source}: no such file or folder; --data says where the images are")
    error = unknown("", "data set", source, names())
    return ValueError(f"{error}; or the path of your own images, and there is no file or folder {source}")


def _from_parts(
    parts: dict[str, arrays.Pair], classes: Sequence[str] | None, name: str, split: float, seed: int
) -> Opened:
    """From arrays, which may still have to be divided."""
    if "test" in parts:
        return Opened(*arrays.pair(parts["train"], parts["test"], classes, name))
    images = arrays.as_images(parts["train"][0], name)
    labels = arrays.as_labels(parts["train"][1], len(images), name)
    testing = divide([str(i) for i in range(len(labels))], labels, split, seed, name)
    train, test = arrays.pair((images[~testing], labels[~testing]), (images[testing], labels[testing]), classes, name)
    return Opened(train, test, notes=(_division(train, test),), divided=True)


def _division(train: Dataset, test: Dataset) -> str:
    images = counted(len(train) + len(test), "image")
    return f"{len(test):,} of {images} are kept for testing, the same share of each class"


def _from_folder(
    path: Path, name: str, size: tuple[int, int] | None, split: float, seed: int, progress: bool
) -> Opened:
    listing = find(path)
    decoded = decode(path, listing.names, size, progress)
    good = np.array([not fault for fault in decoded.faults])
    faults = tuple((file, fault) for file, fault in zip(listing.names, decoded.faults, strict=True) if fault)
    names, labels, images = tuple(np.array(listing.names, object)[good]), listing.labels[good], decoded.images[good]
    parts = [good] if listing.testing is None else [~listing.testing & good, listing.testing & good]
    for k, word in enumerate(listing.classes):
        if not all((part & (listing.labels == k)).any() for part in parts):
            raise FormatError(
                f"{path}: class {word} has no image that can be read; {len(faults)} cannot, such as {faults[0][0]}: "
                f"{faults[0][1]}"
            )
    if listing.testing is None:
        testing = divide(names, labels, split, seed, str(path), listing.classes)
    else:
        testing = listing.testing[good]
    train, test = (Dataset(images[which], labels[which], listing.classes, name) for which in (~testing, testing))
    files = tuple(np.array(names, object)[~testing]), tuple(np.array(names, object)[testing])
    notes = list(listing.notes)
    if listing.testing is None:
        notes.append(_division(train, test))
    sizes = decoded.sizes[good]
    if (sizes != train.size).any():
        H, W = train.size
        notes.append(f"each picture's centre is scaled to {H}x{W} (height x width); --size gives another size")
    return Opened(train, test, tuple(notes), files, sizes, faults, listing.testing is None)
