"""Data sets from Python: a function of the user's file, or any object with ``__len__`` and ``__getitem__``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minighost import own_code
from minighost.data import arrays, pictures
from minighost.data.dataset import Dataset
from minighost.data.parts import class_names, images_and_labels
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
        classes = next((own for one in (train, test) if (own := class_names(one)) is not None), None)

    def fitted(image: Any, where: str) -> np.ndarray:
        whole = arrays.as_images(np.asarray(image)[None], where)[0]
        return whole if size is None else pictures.fit(whole, size, whole.shape[2])[0]

    hint = "; give --size, or scale them yourself"
    parts = [
        images_and_labels(one, f"{name}, {part}", fitted, hint) for one, part in ((train, "train"), (test, "test"))
    ]
    return arrays.pair(parts[0], parts[1], classes, name)
