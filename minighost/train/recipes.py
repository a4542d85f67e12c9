"""Recipes: the defaults for each data set and for images of one's own, and presets: other complete recipes, by name.

Anything in a configuration file or on the command line overrides them.
"""

from typing import Any

__all__ = ["PRESETS", "RECIPES", "fine_tuning", "own_boxes", "own_images"]

RECIPES: dict[str, dict[str, Any]] = {
    "shapes10": {
        "model.name": "ghostnet_cifar_fast",
        "model.width": 0.5,
        "model.dropout": 0.0,
        "train.epochs": 5,
        "train.lr": 0.2,
        "train.warmup_epochs": 1.0,
        "train.anneal": "linear",
        "train.crop": 2,  # a larger shift cuts shapes off at the frame
    },
    "cifar10": {
        "model.name": "ghostnet_short",
        "model.width": 1.0,
        "model.dropout": 0.0,
        "train.epochs": 20,
        "train.batch_size": 64,
        "train.lr": 0.15,
        "train.warmup_epochs": 3.0,
        "train.anneal": "linear",
        "train.label_smoothing": 0.1,
        "train.flip": "alternate",
        "train.crop": 3,
        "train.views": "mirror",
    },
    "shapes-detect": {
        "task": "detect",
        "model.name": "ghostnet",
        "model.stem_stride": 1,  # pictures of 64 pixels: maps of 16x16, 8x8 and 4x4
        "model.levels": (4, 8, 16),
        "model.base": 3.0,  # anchors of 12 to 19, 24 to 38 and 48 to 76 pixels
        "model.fpn": 64,
        "train.epochs": 15,
        "train.batch_size": 16,
        "train.optimizer": "adamw",
        "train.lr": 0.002,
        "train.weight_decay": 0.01,
        "train.warmup_epochs": 1.0,
        "train.clip_norm": 5.0,
    },
}

# Jordan's airbench94_muon as published, but in single precision. There the loss is a sum over the batch, and the logits
# are divided by the head's 256 inputs; here the loss is a mean, and the head's weights are smaller by that factor.
_AIRBENCH = {
    "data.name": "cifar10",
    "model.name": "quicknet",
    "model.stem": 2,
    "model.act": "gelu",
    "model.head": "max",
    "model.scale": False,
    "model.momentum": 0.4,
    "model.eps": 1e-12,
    "train.epochs": 8,
    "train.test_every": 4,
    "train.batch_size": 2000,
    "train.optimizer": "muon",
    "train.lr": 0.24,
    "train.momentum": 0.6,
    "train.sgd_factor": 0.053 * 2000 / 0.24,
    "train.sgd_momentum": 0.85,
    "train.sgd_decay": 2e-6 * 2000,
    "train.head_lr": 0.67 / 0.053 / 256**2,
    "train.stem_epochs": 3.0,
    "train.anneal": "linear",
    "train.label_smoothing": 0.2,
    "train.flip": "alternate",
    "train.crop": 2,
    "train.views": "shift",
}
# Two go on from it. After 18 epochs of the wide network with shifts by 3 pixels, 99.8 % of the training images were
# right; so they are shifted further, and a square is cut out of them, as in Jordan's longest recipe (airbench96).
PRESETS: dict[str, dict[str, Any]] = {
    "cifar10-airbench": _AIRBENCH,
    "cifar10-ghost": {**_AIRBENCH, "model.ratio": 2, "model.plain": 1, "model.width": 1.5, "train.epochs": 16},
    "cifar10-wide": {**_AIRBENCH, "model.width": 1.5, "train.epochs": 24, "train.crop": 4, "train.cutout": 12},
}


def fine_tuning(recipe: dict[str, Any]) -> dict[str, Any]:
    """What changes in a recipe that starts from pretrained weights: half the rate, and half of that in the body.

    Parameters
    ----------
    recipe : dict of str to value
    """
    return {"train.lr": recipe.get("train.lr", 0.2) / 2, "train.body_lr": 0.5}


def own_images(count: int, size: tuple[int, int]) -> dict[str, Any]:
    """Settings for images of one's own, of which nothing is known but how many there are to train on, and their size.

    Few images make small batches and many epochs: about 1,500 steps, but no fewer than 10 epochs and no more than 100.
    A network for small images, or from 112 pixels on the paper's, which begins by halving them twice.
    """
    batch = 64 if count >= 4000 else 32 if count >= 400 else max(2, min(16, count // 4))
    steps = max(1, count // batch)
    return {
        "data.size": size,
        "model.name": "ghostnet_short" if min(size) < 112 else "ghostnet",
        "train.batch_size": batch,
        "train.epochs": min(100, max(10, round(1500 / steps))),
        "train.lr": 0.1,
        "train.warmup_epochs": 2.0,
        "train.label_smoothing": 0.1,
        "train.crop": max(1, min(size) // 10),
    }


def own_boxes(count: int, size: tuple[int, int]) -> dict[str, Any]:
    """Settings for pictures with boxes of one's own: about 3,000 steps, in 10 to 100 epochs.

    Parameters
    ----------
    count : int
        Pictures to train on.
    size : (int, int)
        Their height and width, to which they have been scaled.
    """
    batch = 16 if count >= 64 else max(2, count // 4)
    steps = max(1, count // batch)
    return {
        "task": "detect",
        "data.size": size,
        "model.name": "ghostnet",
        "model.stem_stride": 1 if min(size) < 256 else 2,
        **({"model.levels": (4, 8, 16)} if min(size) < 128 else {}),  # maps of larger strides need larger pictures
        "model.fpn": 64,
        "model.base": 3.0,
        "train.batch_size": batch,
        "train.epochs": min(100, max(10, round(3000 / steps))),
        "train.optimizer": "adamw",
        "train.lr": 0.002,
        "train.weight_decay": 0.01,
        "train.warmup_epochs": 1.0,
        "train.clip_norm": 5.0,
        "train.crop": max(1, min(size) // 16),
    }
