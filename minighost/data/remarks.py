"""What is worth knowing of a data set before training on it: unreadable files, uneven classes, equal images."""

import hashlib
from typing import NamedTuple

import numpy as np

from minighost.data.dataset import Dataset
from minighost.errors import printable
from minighost.wording import counted

__all__ = ["Equal", "about_classes", "about_equal", "about_faults", "equal_images"]

SHOWN = 3  # examples in a line
UNEVEN = 3  # the largest class has as many times the images of the smallest: worth a line


class Equal(NamedTuple):
    """Images whose pixels are the same, as pairs (an image, the first with its pixels); each (part, index)."""

    across: list  # a test image, and a training image
    labels: list  # two images of different classes


def about_faults(faults: tuple[tuple[str, str], ...]) -> list[str]:
    """A line on files that cannot be read; no line if there are none."""
    if not faults:
        return []
    listed = "; ".join(f"{printable(file)} ({why})" for file, why in faults[:SHOWN])
    more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    return [f"{counted(len(faults), 'file')} cannot be read and {_is(faults)} left out: {listed}{more}"]


def about_classes(train: Dataset, test: Dataset) -> list[str]:
    """Lines on classes with few training images, or none."""
    counts = np.bincount(train.labels, minlength=len(train.classes))
    lines = []
    for part, found in (("training", counts), ("test", np.bincount(test.labels, minlength=len(test.classes)))):
        if missing := [train.classes[k] for k in np.flatnonzero(found == 0)]:
            more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
            lines.append(f"no {part} images of {', '.join(map(printable, missing[:SHOWN]))}{more}")
    some = counts[counts > 0]
    if some.max() >= UNEVEN * some.min():
        few, many = (train.classes[int(np.flatnonzero(counts == count)[0])] for count in (some.min(), some.max()))
        lines.append(
            f"uneven classes: {printable(many)} has {some.max():,} training images, {printable(few)} {some.min():,}; "
            "look at the accuracy class by class"
        )
    return lines


def about_equal(train: Dataset, test: Dataset, files: tuple[tuple[str, ...], tuple[str, ...]]) -> list[str]:
    """Lines on images with the same pixels where that spoils the result."""

    def name(place: tuple[int, int]) -> str:
        part, index = place
        return printable(files[part][index]) if files[part] else f"{('training', 'test')[part]} image {index}"

    def shown(pairs: list) -> str:
        return ", ".join(f"{name(one)} = {name(other)}" for one, other in pairs[:SHOWN])

    found, lines = equal_images(train, test), []
    if found.across:
        count = len(found.across)
        lines.append(
            f"{counted(count, 'test', 'image')} also used for training, which flatters the result: "
            f"{shown(found.across)}{', ...' * (count > SHOWN)}"
        )
    if found.labels:
        count = len(found.labels)
        lines.append(f"{counted(count, 'image')} in two classes: {shown(found.labels)}{', ...' * (count > SHOWN)}")
    return lines


def equal_images(train: Dataset, test: Dataset) -> Equal:
    """Which images have the same pixels, as the network sees them."""
    first: dict[bytes, tuple[int, int]] = {}
    found = Equal([], [])
    for part, one in enumerate((train, test)):
        for index, image in enumerate(one.images):
            digest = hashlib.blake2b(image, digest_size=16).digest()
            place = first.setdefault(digest, (part, index))
            if place == (part, index):
                continue
            if (train, test)[place[0]].labels[place[1]] != one.labels[index]:
                found.labels.append(((part, index), place))
            elif place[0] != part:
                found.across.append(((part, index), place))
    return found


def _is(things):
    return "is" if len(things) == 1 else "are"
