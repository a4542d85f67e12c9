"""The data sets by name. An entry of `SETS` is all that one needs to be trained on, shown and predicted with."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from minighost.registry import Registry

if TYPE_CHECKING:  # names alone take no NumPy
    from minighost.data.dataset import Dataset, Split
    from minighost.type_aliases import PathLike

__all__ = ["SETS", "Description", "describe", "load", "names"]


class Description(NamedTuple):
    """What is known of a data set before any of it is loaded; its classes and its mean colours come with the images."""

    home: str  # "module:function" of this folder; imported when it is called
    side: int  # images are `side` x `side` pixels
    reads_files: bool  # it takes a directory, an archive, or a download; otherwise it is generated, from a seed
    boxes: bool = False  # it is a `DetectionSet`, for --task detect


SETS = Registry(
    "",
    "data set",
    shapes10=Description("shapes:shapes10", side=32, reads_files=False),
    cifar10=Description("cifar:cifar10", side=32, reads_files=True),
    cifar100=Description("cifar_100:cifar100", side=32, reads_files=True),
    **{"shapes-detect": Description("several_shapes:shapes_detect", side=64, reads_files=False, boxes=True)},
)


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(SETS)


def describe(name: str) -> Description:
    """The `Description` of a data set; ValueError if there is none of that name."""
    return SETS.find(name)


def load(
    name: str,
    split: Split,
    *,
    directory: PathLike | None = None,
    archive: PathLike | None = None,
    seed: int = 0,
    n: int | None = None,
    mirrors: Sequence[str] = (),
    progress: bool = True,
) -> Dataset:
    """A data set by name.

    Parameters
    ----------
    name : {"shapes10", "cifar10", "cifar100", "shapes-detect"}
    split : {"train", "test"}
    directory, archive, mirrors, progress
        Where CIFAR-10 or CIFAR-100 is, see `cifar10`, `cifar100`. The others take none of them: they are generated.
    seed : int
        Of shapes10 and shapes-detect, see `shapes10`. CIFAR has none.
    n : int, optional
        Number of images; by default all of CIFAR's, 10,000 / 2,000 of shapes10 and 4,000 / 500 of shapes-detect.

    Returns
    -------
    Dataset
        Of shapes-detect a `DetectionSet`, see `shapes_detect`.

    Raises
    ------
    ValueError
        An unknown name or split; a generated one with a directory or archive.
    FormatError, OSError
        See `cifar10`, `cifar100`.
    """
    about = describe(name)
    if not about.reads_files and (directory is not None or archive is not None):
        others = " or ".join(other for other in SETS if SETS[other].reads_files)
        raise ValueError(
            f"{name} is generated and reads no files, but got {directory or archive}; did you mean --data {others}?"
        )
    module, _, function = about.home.partition(":")
    own = {"directory": directory, "archive": archive, "mirrors": mirrors, "progress": progress}
    options = own if about.reads_files else {"seed": seed}
    return getattr(import_module(f"minighost.data.{module}"), function)(split=split, n=n, **options)
