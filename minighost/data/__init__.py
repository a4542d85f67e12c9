"""Data: images as bytes, from a seed, a folder, an archive or the network; augmented and normalised in batches.

    train = data.load("shapes10", "train")
    mean, std = data.channel_statistics(train.images)
    for x, labels in data.Loader(train, 128, augment=data.Augment(), mean=mean, std=std).epoch(0):
        ...                                          # x: (128, 32, 32, 3) float32, labels: (128,) int64

Needs NumPy only; the download needs pooch, `pictures` Pillow. Names are looked up on first use: to know which data sets
there are takes not even NumPy.
"""

from minighost.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Augment": "augment",
        "Dataset": "dataset",
        "Loader": "loader",
        "channel_statistics": "statistics",
        "cifar10": "cifar",
        "describe": "sets",
        "flip_horizontal": "augment",
        "load": "sets",
        "names": "sets",
        "normalize": "statistics",
        "shapes10": "shapes",
    },
)
