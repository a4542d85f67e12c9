"""Data: images as bytes, from a seed, a folder, an archive or the network; augmented and normalised in batches.

    train, test = data.open("photos")                # a folder of images for each class, and whatever else `open` takes
    train = data.load("shapes10", "train")
    mean, std = data.channel_statistics(train.images)
    for x, labels in data.Loader(train, 128, augment=data.Augment(), mean=mean, std=std).epoch(0):
        ...                                          # x: (128, 32, 32, 3) float32, labels: (128,) int64

Needs NumPy only; the download needs pooch, `pictures` Pillow. Names are looked up on first use: to know which data sets
there are takes not even NumPy.
"""

from typing import TYPE_CHECKING

from minighost.lazy import lazy_names

if TYPE_CHECKING:  # the names below once more, for type checkers, which run nothing
    from minighost.data.augment import Augment as Augment
    from minighost.data.augment import flip_horizontal as flip_horizontal
    from minighost.data.cifar import cifar10 as cifar10
    from minighost.data.cifar_100 import cifar100 as cifar100
    from minighost.data.coco import open_coco as open_coco
    from minighost.data.coco import write_coco as write_coco
    from minighost.data.dataset import Dataset as Dataset
    from minighost.data.detection_set import DetectionSet as DetectionSet
    from minighost.data.loader import Loader as Loader
    from minighost.data.python_sets import as_datasets as as_datasets
    from minighost.data.sets import describe as describe
    from minighost.data.sets import load as load
    from minighost.data.sets import names as names
    from minighost.data.several_shapes import shapes_detect as shapes_detect
    from minighost.data.shapes import shapes10 as shapes10
    from minighost.data.sources import open as open
    from minighost.data.statistics import channel_statistics as channel_statistics
    from minighost.data.statistics import normalize as normalize
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Augment": "augment",
            "Dataset": "dataset",
            "DetectionSet": "detection_set",
            "Loader": "loader",
            "as_datasets": "python_sets",
            "channel_statistics": "statistics",
            "cifar10": "cifar",
            "cifar100": "cifar_100",
            "describe": "sets",
            "flip_horizontal": "augment",
            "load": "sets",
            "names": "sets",
            "normalize": "statistics",
            "open": "sources",
            "open_coco": "coco",
            "shapes10": "shapes",
            "shapes_detect": "several_shapes",
            "write_coco": "coco",
        },
    )
