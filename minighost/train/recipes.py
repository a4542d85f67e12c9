"""Recipes: what a data set wants by default. Anything in a configuration file or on the command line overrides them."""

__all__ = ["RECIPES"]

RECIPES = {
    "shapes10": {
        "model.width": 0.5,
        "model.stem_stride": 1,
        "model.dropout": 0.0,
        "train.epochs": 5,
        "train.lr": 0.2,
        "train.warmup_epochs": 1.0,
    },
    "cifar10": {
        "model.width": 0.5,
        "model.stem_stride": 1,
        "train.epochs": 20,
        "train.lr": 0.4,
        "train.warmup_epochs": 4.0,
        "train.flip_tta": True,
    },
}
