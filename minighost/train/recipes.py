"""Recipes: what a data set wants by default. Anything in a configuration file or on the command line overrides them."""

__all__ = ["RECIPES"]

RECIPES = {
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
        "train.flip_tta": True,
    },
}
