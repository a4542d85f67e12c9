"""Images and labels that are arrays already: checked, and brought into the one form that a `Dataset` has."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minighost.data.dataset import Dataset
from minighost.errors import FormatError
from minighost.inputs import open_regular
from minighost.type_aliases import PathLike

__all__ = ["LONGEST_NAME", "as_images", "as_labels", "check_classes", "pair", "read_npz", "read_safetensors"]

LONGEST_NAME = 200  # characters of a class's name
LARGEST = 1 << 36  # bytes of the arrays in a file
IMAGES, LABELS = ("images", "x", "data"), ("labels", "y", "targets", "target")
_PARTS = {"train": ("train",), "test": ("test", "val", "valid", "validation")}

Pair = tuple[Any, Any]  # images and labels, as the user has them


def as_images(images: Any, name: str) -> np.ndarray:
    """Images as (N, H, W, C) uint8.

    Grey ones may come as (N, H, W). Channels first, (N, C, H, W), is recognised only to say how to turn it.

    Raises
    ------
    TypeError, ValueError
        Another dtype or shape; what to do about it is part of the message.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        scale = "(255 * images).round()" if images.dtype.kind == "f" else "images"
        raise TypeError(
            f"{name}: images must be uint8 (0..255), got {images.dtype}; convert them, e.g. {scale}.astype('uint8')"
        )
    if images.ndim == 3:
        images = images[:, :, :, None]
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        raise ValueError(f"{name}: images of shape {images.shape} look like NCHW: images.transpose(0, 2, 3, 1)")
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
        raise ValueError(
            f"{name}: images must have shape (N, H, W, 3), (N, H, W, 1) or (N, H, W), none 0, got {images.shape}"
        )
    return images


def as_labels(labels: Any, count: int, name: str) -> np.ndarray:
    """Labels as (N,): whole numbers, or texts, which are names of classes. Also from (N, 1).

    Raises
    ------
    TypeError, ValueError
        Another dtype, such as float, or shape.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "iuU":
        fix = "for classes write labels.argmax(axis=1)" if labels.ndim == 2 else "convert them, e.g. labels.astype(int)"
        raise TypeError(f"{name}: labels must be whole numbers or names, got {labels.dtype}; {fix}")
    if labels.shape != (count,):
        raise ValueError(f"{name}: {count} images need labels of shape ({count},), got {labels.shape}")
    return labels


def pair(train: Pair, test: Pair, classes: Sequence[str] | None, name: str) -> tuple[Dataset, Dataset]:
    """Two data sets of the same classes from images and labels.

    Parameters
    ----------
    train, test : (images, labels)
        See `as_images` and `as_labels`.
    classes : sequence of str, optional
        Names of the classes. By default those that the labels are; numbers are called "0", "1", ... up to the largest.
    name : str

    Raises
    ------
    TypeError, ValueError
        What is wrong with images, labels or names; fewer than two classes; images of two sizes or kinds.
    """
    parts = {}
    for part, (images, labels) in (("train", train), ("test", test)):
        images = as_images(images, f"{name}, {part}")
        parts[part] = images, as_labels(labels, len(images), f"{name}, {part}")
    shapes = [images.shape[1:] for images, _ in parts.values()]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{name}: images to train on and to test with must have one shape, got {shapes[0]} and {shapes[1]}"
        )
    kinds = {labels.dtype.kind == "U" for _, labels in parts.values()}
    if len(kinds) > 1:
        raise TypeError(f"{name}: labels are numbers in one part and names in the other")
    names = check_classes(_names([labels for _, labels in parts.values()], name) if classes is None else classes, name)
    if kinds == {True}:
        parts = {part: (images, _numbers(labels, names, f"{name}, {part}")) for part, (images, labels) in parts.items()}
    train_set, test_set = (
        Dataset(images, labels, names, f"{name}, {part}") for part, (images, labels) in parts.items()
    )
    return (
        Dataset(train_set.images, train_set.labels, names, name),
        Dataset(test_set.images, test_set.labels, names, name),
    )


def _names(labels, name):
    """The classes, from the labels themselves."""
    if labels[0].dtype.kind == "U":
        return sorted(set(labels[0].tolist()))
    if min(one.min() for one in labels) < 0:
        raise ValueError(f"{name}: label {min(int(one.min()) for one in labels)} is negative; labels count from 0")
    most = max(int(one.max()) for one in labels)
    if most >= 100_000:
        raise ValueError(f"{name}: label {most:,} is too large; labels count from 0, one for each class")
    return [str(k) for k in range(most + 1)]


def _numbers(labels, names, name):
    where = {word: k for k, word in enumerate(names)}
    if unknown := set(labels.tolist()) - where.keys():
        raise ValueError(f"{name}: label {min(unknown)!r} is none of the {len(names)} classes to train on")
    return np.array([where[word] for word in labels.tolist()], np.int64)


def check_classes(classes: Sequence[str], name: str) -> tuple[str, ...]:
    """The names of the classes as a tuple.

    Raises
    ------
    TypeError, ValueError
        Not texts, fewer than two, one twice, or one that is empty or longer than `LONGEST_NAME`.
    """
    classes = tuple(classes)
    for word in classes:
        if not isinstance(word, str):
            raise TypeError(f"{name}: names of classes must be texts, got {word!r:.80}")
        if not 0 < len(word) <= LONGEST_NAME:
            raise ValueError(
                f"{name}: the name of a class has 1 to {LONGEST_NAME} characters, {word[:40]!r} has {len(word)}"
            )
    if len(set(classes)) < len(classes):
        raise ValueError(f"{name}: a class is named twice in {', '.join(classes):.200}")
    if len(classes) < 2:
        raise ValueError(
            f"{name}: has one class only, {classes[0] if classes else 'none'}; a network tells two or more apart"
        )
    return classes


# Files of arrays ------------------------------------------------------------------------------------------------------


def read_npz(path: PathLike) -> tuple[dict[str, Pair], list[str] | None]:
    """Images and labels of a NumPy archive: {"train": (images, labels), "test": ...}, and names of the classes.

    Keys are ``x_train``, ``y_train``, ``x_test``, ``y_test`` or ``train_images``, ``train_labels``, ... (``val`` in
    place of ``test``, if there is no ``test``); or only ``images`` and ``labels`` (``x`` and ``y``). ``classes`` holds
    names.

    Raises
    ------
    FormatError
        Not such a file, damaged, other keys, or an array of pickled objects: a pickle is a program, and is not run.
    OSError
        The file cannot be read.
    """
    with open_regular(path) as opened:
        try:
            if sum(member.file_size for member in zipfile.ZipFile(opened).infolist()) > LARGEST:
                raise FormatError(f"{path}: unpacks to more than {LARGEST >> 30} GiB")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                return _parts(file.files, lambda key: _member(file, key, path), path)
        except (zipfile.BadZipFile, EOFError, KeyError, OSError) as error:
            raise FormatError(f"{path}: not a NumPy archive (.npz), or damaged: {error}") from error


def _member(file, key, path):
    try:
        return file[key]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise FormatError(
                f"{path}: {key} holds Python objects, which are not read, because a pickle is a program; save it as a "
                "plain array of numbers"
            ) from error
        raise FormatError(f"{path}: {key} cannot be read: {error}") from error


def read_safetensors(path: PathLike) -> tuple[dict[str, Pair], list[str] | None]:
    """As `read_npz`, from a safetensors file; names of the classes are a JSON list ``classes`` in its meta data.

    Raises
    ------
    FormatError, OSError
        See `read_npz`.
    """
    from safetensors import SafetensorError, safe_open

    open_regular(path).close()
    try:
        with safe_open(path, "numpy") as file:
            parts, _ = _parts(list(file.keys()), file.get_tensor, path)
            text = (file.metadata() or {}).get("classes")
    except (SafetensorError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: not a safetensors file of arrays that NumPy knows: {error}") from error
    if text is None:
        return parts, None
    try:
        classes = json.loads(text)
        if not isinstance(classes, list):
            raise ValueError
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: classes in its meta data must be a JSON list of names, got {text[:80]}") from error
    return parts, classes


def _parts(keys: Sequence[str], get: Any, path: PathLike) -> tuple[dict[str, Pair], list[str] | None]:
    found = {}
    for part, words in _PARTS.items():
        for word in words:
            images, labels = (_key(keys, word, names) for names in (IMAGES, LABELS))
            if images and labels:
                found[part] = get(images), get(labels)
                break
    if not found and (images := _first(keys, IMAGES)) and (labels := _first(keys, LABELS)):
        found["train"] = get(images), get(labels)
    if "train" not in found:
        raise FormatError(
            f"{Path(path)}: needs the arrays x_train, y_train, x_test, y_test, or images and labels; has "
            f"{', '.join(keys)[:200] or 'none'}"
        )
    classes = get("classes") if "classes" in keys else None
    if classes is not None and (np.ndim(classes) != 1 or np.asarray(classes).dtype.kind != "U"):
        raise FormatError(f"{Path(path)}: classes must be a list of names, got an array of {np.asarray(classes).dtype}")
    return found, None if classes is None else [str(word) for word in classes]


def _key(keys, part, names):
    """The key of a part's images or labels: ``x_train``, ``train_x``, ``train/x``."""
    lower: Mapping[str, str] = {key.lower(): key for key in keys}
    forms = [
        form for name in names for form in (f"{name}_{part}", f"{part}_{name}", f"{part}/{name}", f"{part}.{name}")
    ]
    return next((lower[form] for form in forms if form in lower), None)


def _first(keys, names):
    lower = {key.lower(): key for key in keys}
    return next((lower[name] for name in names if name in lower), None)
