"""Images and labels as somebody has them in Python, and the one form that a training takes."""

from typing import Any, NamedTuple

import numpy as np

from minighost.data.arrays import as_labels
from minighost.data.dataset import Dataset
from minighost.data.floats import FloatDataset, channels_first
from minighost.data.parts import class_names, images_and_labels

__all__ = ["Given", "as_given", "labelled"]


class Given(NamedTuple):
    """Images (N, H, W, C), bytes or floats; labels (N,), whole numbers or texts; names of the classes if known."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] | None


def as_given(data: Any, name: str) -> Given:
    """Take images and labels apart.

    Parameters
    ----------
    data : Dataset, (images, labels), or an object with ``__len__`` and ``__getitem__``
        Images: bytes, uint8, (N, H, W, 3), (N, H, W, 1) or (N, H, W); or floats (N, H, W, C) or (N, H, W), which are
        taken to be normalised already. Labels: whole numbers or texts, shape (N,). ``object[i]`` gives one
        (image, label).
    name : str
        For messages.

    Raises
    ------
    TypeError, ValueError
        Anything else; images in NCHW (the message says how to turn them) or of several sizes.
    """
    images, labels = images_and_labels(data, name)
    images, names = _images(np.asarray(images), name), class_names(data)
    return Given(images, as_labels(labels, len(images), name), None if names is None else tuple(names))


def _images(images, name):
    if images.ndim == 3:
        images = images[:, :, :, None]
    if images.dtype.kind != "f" and images.dtype != np.uint8:
        raise TypeError(
            f"{name}: images must be bytes, uint8, or floats that you have normalised, got {images.dtype}; for numbers "
            "from 0 to 255 write images.astype(np.uint8)"
        )
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"{name}: images must have shape (N, H, W, C), none of them 0, got {images.shape}")
    if images.dtype == np.uint8 and images.shape[3] not in (1, 3):
        raise ValueError(
            f"{name}: bytes must have shape (N, H, W, 3) or (N, H, W, 1), got {images.shape}"
            f"{channels_first(images.shape)}"
        )
    return images


def labelled(train: Given, test: Given | None, outputs: int, name: str) -> tuple[Dataset, Dataset | None]:
    """Data sets for a network with `outputs` outputs.

    Whole numbers from 0 to outputs - 1 are labels as they are. Anything else - names, years - is sorted, and each
    different one is a class.

    Raises
    ------
    ValueError
        More or fewer classes than outputs; images of two kinds or sizes; a label among the test images only.
    """
    parts = {"train": train, **({} if test is None else {"test": test})}
    kinds = {(part.images.shape[1:], part.images.dtype == np.uint8) for part in parts.values()}
    if test is not None and len(kinds) > 1:
        raise ValueError(
            f"{name}: images to train on are {train.images.dtype} {train.images.shape[1:]}, those to test with "
            f"{test.images.dtype} {test.images.shape[1:]}; they must be alike"
        )
    every = np.concatenate([part.labels for part in parts.values()])
    if every.dtype.kind != "U" and every.min() >= 0 and every.max() < outputs:
        classes = train.classes or tuple(map(str, range(outputs)))
        numbers = {key: part.labels for key, part in parts.items()}
    else:
        different = np.unique(train.labels)
        classes = tuple(map(str, different.tolist()))
        if unknown := sorted(set(np.unique(every).tolist()) - set(different.tolist())):
            raise ValueError(f"{name}: label {unknown[0]!r} of a test image is none of those to train on")
        numbers = {key: np.searchsorted(different, part.labels) for key, part in parts.items()}
    if len(classes) != outputs:
        raise ValueError(
            f"{name}: the network has {outputs} outputs, the labels {len(classes)} classes ({_list(classes)}); it "
            "needs one output per class"
        )
    made = {
        key: (Dataset if part.images.dtype == np.uint8 else FloatDataset)(part.images, numbers[key], classes, name)
        for key, part in parts.items()
    }
    return made["train"], made.get("test")


def _list(words):
    return ", ".join(words[:6]) + (", ..." if len(words) > 6 else "")
