"""Images and labels out of what somebody has in Python: a pair, a data set, or an object with items."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minighost import own_code
from minighost.data.dataset import Dataset
from minighost.errors import one_line

__all__ = ["class_names", "images_and_labels"]


def images_and_labels(
    data: Any,
    name: str,
    prepare: Callable[[Any, str], np.ndarray] = lambda image, where: np.asarray(image),
    hint: str = "",
) -> tuple[Any, Any]:
    """Take images and labels apart; a pair is handed on as it is.

    Parameters
    ----------
    data : Dataset, (images, labels), or an object with ``__len__`` and ``__getitem__``
        ``object[i]`` gives one (image, label).
    name : str
        For messages.
    prepare : callable
        ``prepare(image, where)`` makes an array of the image of an item; `where` names it.
    hint : str
        Ends the message if items differ in size.

    Raises
    ------
    TypeError, ValueError
        Something else, no items, an item that is none, images of several sizes or dtypes; what the user's code raises.
    """
    if isinstance(data, Dataset):
        return data.images, data.labels
    if isinstance(data, (tuple, list)) and len(data) == 2 and not _is_item(data[0]):
        return data[0], data[1]
    if isinstance(data, np.ndarray) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise TypeError(
            f"{name}: must be a pair (images, labels), a Dataset, or an object with __len__ and __getitem__, "
            f"got {type(data).__name__}"
        )
    if len(data) == 0:
        raise ValueError(f"{name}: has no images")
    images, labels = [], []
    for i in range(len(data)):
        image, label = _item(data, i, name)
        images.append(prepare(image, f"{name}, image {i}"))
        labels.append(label)
        if images[i].shape != images[0].shape or images[i].dtype != images[0].dtype:
            raise ValueError(
                f"{name}: image {i} has shape {images[i].shape} and dtype {images[i].dtype}, image 0 "
                f"{images[0].shape} and {images[0].dtype}; all images need one size and one dtype{hint}"
            )
    return np.stack(images), labels


def class_names(data: Any) -> Sequence[str] | None:
    """The names that a `Dataset` has, and many another object; None if there are none."""
    names = getattr(data, "classes", None)
    if isinstance(names, (list, tuple)) and names and all(isinstance(word, str) for word in names):
        return names
    return None


def _is_item(value):
    """Whether it is one (image, label): of a list of two items the first."""
    return isinstance(value, (tuple, list)) and len(value) == 2 and np.ndim(value[1]) == 0


def _item(data, i, name):
    try:
        item = data[i]
    except Exception as error:  # the user's code
        where = own_code.place(error)
        raise ValueError(f"{where or name}: image {i}: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise TypeError(f"{name}: item {i} must be (image, label), got {type(item).__name__}")
    image, label = item
    label = label.item() if np.size(label) == 1 and hasattr(label, "item") else label
    if isinstance(label, bool) or not isinstance(label, (int, str)):
        raise TypeError(f"{name}: label of image {i} must be a whole number or a name, got {label!r:.80}")
    return image, label
