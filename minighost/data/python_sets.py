"""Data sets from Python: a function of the user's file, or any object with ``__len__`` and ``__getitem__``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minighost import own_code
from minighost.data import arrays, pictures
from minighost.data.dataset import Dataset
from minighost.errors import one_line

__all__ = ["as_datasets", "call"]


def call(spec: own_code.Spec, size: tuple[int, int] | None = None) -> tuple[Dataset, Dataset]:
    """Training and test images from the function that ``FILE.py:function`` names.

    Parameters
    ----------
    spec : Spec
        The function is called without arguments. It returns ``train, test`` or ``train, test, classes``, as
        `as_datasets` takes them.
    size : (int, int), optional
        To which images that are no arrays of one size are cut and scaled.

    Raises
    ------
    ValueError, TypeError, OSError
        The file cannot be run, has no such function, the function raises, or returns something else; in one line.
    """
    function = own_code.find(spec)
    if not callable(function):
        raise TypeError(f"{spec}: is of type {type(function).__name__}; a function is needed that returns train, test")
    try:
        found = function()
    except (Exception, SystemExit) as error:  # whatever a user's function can raise
        where = own_code.place(error) or str(spec)
        raise ValueError(f"{where}: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(found, (tuple, list)) or len(found) not in (2, 3):
        kind = f"{len(found)} values" if isinstance(found, (tuple, list)) else f"a value of type {type(found).__name__}"
        raise TypeError(
            f"{spec}: must return train, test, each (images, labels) or a data set, and perhaps the names of the "
            f"classes; it returned {kind}"
        )
    classes = found[2] if len(found) == 3 else None
    return as_datasets(found[0], found[1], classes=classes, size=size, name=Path(spec.file).stem)


def as_datasets(
    train: Any,
    test: Any,
    *,
    classes: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    name: str = "data",
) -> tuple[Dataset, Dataset]:
    """Training and test images as `Dataset`, whatever they come as.

    Parameters
    ----------
    train, test : Dataset, (images, labels), or an object with ``__len__`` and ``__getitem__``
        ``object[i]`` gives (image, label) for 0 <= i < len(object): the image a uint8 array (H, W, 3), (H, W, 1) or
        (H, W), or what NumPy makes one of, such as a Pillow image; the label a whole number or the class's name.
    classes : sequence of str, optional
        Names of the classes; by default ``train.classes`` if there are such names, else what the labels are.
    size : (int, int), optional
        Height and width to which the images of such objects are cut and scaled; needed if they differ.
    name : str

    Raises
    ------
    TypeError, ValueError
        See `arrays.pair`; an image that is none, with its index.
    """
    if classes is None:
        classes = next((own for one in (train, test) if (own := _classes(one)) is not None), None)
    pairs = [_pair(one, size, f"{name}, {part}") for one, part in ((train, "train"), (test, "test"))]
    return arrays.pair(pairs[0], pairs[1], classes, name)


def _classes(one: Any) -> Sequence[str] | None:
    """The names that a `Dataset` has, and many another object."""
    names = getattr(one, "classes", None)
    if isinstance(names, (list, tuple)) and names and all(isinstance(word, str) for word in names):
        return names
    return None


def _pair(one: Any, size: tuple[int, int] | None, name: str) -> arrays.Pair:
    if isinstance(one, Dataset):
        return one.images, one.labels
    if isinstance(one, (tuple, list)) and len(one) == 2 and not _item(one[0]):
        return one[0], one[1]
    if isinstance(one, np.ndarray) or not (hasattr(one, "__len__") and hasattr(one, "__getitem__")):
        raise TypeError(
            f"{name}: must be (images, labels), a Dataset, or have __len__ and __getitem__; got {type(one).__name__}"
        )
    if len(one) == 0:
        raise ValueError(f"{name}: has no images")
    items = [_checked(one, i, size, name) for i in range(len(one))]
    images, labels = zip(*items, strict=True)
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        first, second = sorted(shapes)[:2]
        raise ValueError(f"{name}: images differ in shape, {first} and {second}; give --size, or scale them yourself")
    return np.stack(images), np.array(labels)


def _item(value: Any) -> bool:
    """Whether it is (image, label), the first of a list of two of them."""
    return isinstance(value, (tuple, list)) and len(value) == 2 and np.ndim(value[1]) == 0


def _checked(one: Any, i: int, size: tuple[int, int] | None, name: str) -> tuple[np.ndarray, Any]:
    """Image and label number `i`."""
    try:
        item = one[i]
    except Exception as error:  # the user's code
        where = own_code.place(error)
        raise ValueError(f"{where or name}: image {i}: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise TypeError(f"{name}: item {i} must be (image, label), got {type(item).__name__}")
    image, label = arrays.as_images(np.asarray(item[0])[None], f"{name}, image {i}")[0], item[1]
    if isinstance(label, np.ndarray) and label.size == 1:
        label = label.item()
    if isinstance(label, bool) or not isinstance(label, (int, np.integer, str)):
        raise TypeError(f"{name}: label of image {i} must be a whole number or a name, got {label!r:.80}")
    return (image if size is None else pictures.fit(image, size, image.shape[2])[0]), label
