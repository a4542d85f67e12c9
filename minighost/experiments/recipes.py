"""Complete recipes of experiments: nothing is taken from the defaults of a data set, which may change."""

from typing import Any

__all__ = ["CIFAR10", "SHAPES10"]

_SGD: dict[str, Any] = {
    "train.optimizer": "sgd",
    "train.momentum": 0.9,
    "train.nesterov": True,
    "train.weight_decay": 5e-4,
    "train.schedule": "onecycle",
    "train.anneal": "linear",
    "train.batch_size": 64,
    "train.flip": True,
}

CIFAR10: dict[str, Any] = {
    **_SGD,
    "data.name": "cifar10",
    "train.epochs": 6,
    "train.lr": 0.1,
    "train.warmup_epochs": 1.0,
    "train.label_smoothing": 0.1,
    "train.crop": 3,
}

SHAPES10: dict[str, Any] = {
    **_SGD,
    "data.name": "shapes10",
    "data.train_size": 4000,
    "data.test_size": 1000,
    "train.epochs": 5,
    "train.lr": 0.1,
    "train.warmup_epochs": 1.0,
    "train.crop": 2,
}
