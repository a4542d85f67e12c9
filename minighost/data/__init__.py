"""Data: images as bytes, from a seed, a folder, an archive or the network; augmented and normalised in batches.

    train = data.load("shapes10", "train")
    mean, std = data.channel_statistics(train.images)
    for x, labels in data.Loader(train, 128, augment=data.Augment(), mean=mean, std=std).epoch(0):
        ...                                          # x: (128, 32, 32, 3) float32, labels: (128,) int64

Needs NumPy only; the download needs pooch, `pictures` Pillow.
"""

from minighost.data.augment import Augment, flip_horizontal
from minighost.data.cifar import cifar10
from minighost.data.dataset import Dataset
from minighost.data.loader import Loader
from minighost.data.shapes import shapes10
from minighost.data.statistics import channel_statistics, normalize

__all__ = ["Augment", "Dataset", "Loader", "channel_statistics", "cifar10", "flip_horizontal", "load", "names",
           "normalize", "shapes10"]


def names():
    """The names that `load` knows."""
    return ("shapes10", "cifar10")


def load(name, split, *, directory=None, archive=None, seed=0, n=None, mirrors=(), progress=True):
    """A data set by name.

    Parameters
    ----------
    name : {"shapes10", "cifar10"}
    split : {"train", "test"}
    directory, archive, mirrors, progress
        Where CIFAR-10 is, see `cifar10`. shapes10 takes none of them: it is generated.
    seed : int
        Of shapes10, see `shapes10`. CIFAR-10 has none.
    n : int, optional
        Number of images; by default all of CIFAR-10's, and 10,000 / 2,000 of shapes10.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        An unknown name or split; shapes10 with a directory or archive.
    FormatError, OSError
        See `cifar10`.
    """
    if name == "cifar10":
        return cifar10(split, directory=directory, archive=archive, n=n, mirrors=mirrors, progress=progress)
    if name != "shapes10":
        raise ValueError(f"unknown data set {name!r}; available: {', '.join(names())}")
    if directory is not None or archive is not None:
        raise ValueError(f"shapes10 is generated and reads no files, but got {directory or archive}; "
                         "did you mean --data cifar10?")
    return shapes10(n, seed, split)
