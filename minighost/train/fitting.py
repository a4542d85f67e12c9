"""Train a network in one line of Python: the trainer, the rules and the words of `minighost train`."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from minighost import models
from minighost.data.dataset import Dataset
from minighost.data.given import Given, as_given, labelled
from minighost.nn.module import Module
from minighost.registry import unknown
from minighost.terminal.console import console_for
from minighost.train.again import made_again
from minighost.train.callbacks import Callback
from minighost.train.config import Config
from minighost.train.history import History
from minighost.train.run_training import conduct
from minighost.train.runfolder import RunFolder
from minighost.train.settings import DataConfig, ModelConfig, TrainConfig
from minighost.train.signals import Interrupted
from minighost.type_aliases import PathLike

__all__ = ["fit"]

CTRL_C = 130  # the exit status


def fit(
    model: Module,
    train: Any,
    test: Any = None,
    *,
    epochs: int = 5,
    out: PathLike | None = None,
    callbacks: Iterable[Callback] = (),
    resume: bool = False,
    overwrite: bool = False,
    **settings: Any,
) -> History:
    """Train a network, from its present weights, and report as `minighost train` does.

    Parameters
    ----------
    model : Module
        One output per class. Afterwards it is in evaluation mode and has the weights that were evaluated last: those
        of the last step, or their average with ``ema_decay``.
    train, test : Dataset, (images, labels), or an object with ``__len__`` and ``__getitem__``
        Images (N, H, W, C): bytes (uint8), which are normalised by mean and standard deviation of the training images;
        or floats, which you have normalised yourself. ``object[i]`` gives one (image, label). Labels are whole numbers
        or names: from 0 to C - 1 for C outputs they are what they are, anything else is sorted. Without `test`
        nothing is tested.
    epochs : int
    out : path, optional
        Folder of the run, as `minighost train` writes it: log, checkpoints, curves. By default nothing is written.
    callbacks : iterable of Callback
    resume, overwrite : bool
        Continue the run in `out`, bit for bit, from its last checkpoint; or start over there.
    **settings
        ``lr``, ``batch_size``, ``optimizer``, ...: the keys ``train.*`` of `minighost train --help-settings` without
        "train.", and ``seed`` and ``threads``. Flips and crops of the training images are on by default: ``flip=False``
        and ``crop=0`` turn them off.

    Returns
    -------
    History

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C in a script, when the step is finished and, with `out`, all is saved. In a notebook and at a prompt
        the history so far is returned instead; its `stopped` says so.
    NonFiniteError
        A NaN or infinity, before it reached a weight.
    TypeError, ValueError, OSError
        What is wrong with images, labels, network, settings or folder, and what to do about it.

    Examples
    --------
    >>> import minighost as mg
    >>> train = mg.data.shapes10(200)
    >>> model = mg.nn.Sequential(mg.nn.ConvBNAct(3, 8, 3), mg.nn.GlobalAvgPool(), mg.nn.Linear(8, 10))
    >>> history = mg.fit(model, train, epochs=2, batch_size=50)
    >>> len(history), sorted(history.epochs[0])[:2]
    (2, ['epoch', 'images_per_second'])
    """
    if not isinstance(model, Module):
        made = isinstance(model, type) and issubclass(model, Module)
        hint = f"; make one: {model.__name__}(...)" if made else ""
        raise TypeError(f"fit: model must be a network, a minighost.nn.Module, got {type(model).__name__}{hint}")
    if settings.get("prune_after") is not None:
        raise ValueError(
            "fit: prune_after: the network that you gave would stay as it is; call fit, then nn.prune(model, smaller), "
            "and fit with what it returns"
        )
    if hasattr(train, "targets"):
        raise TypeError(
            "fit: train has boxes, and fit trains classifiers; minighost.train.run(Config.resolve(overrides="
            '{"task": "detect"})) trains a detector, as minighost train --task detect does'
        )
    train_given, test_given = as_given(train, "train"), None if test is None else as_given(test, "test")
    name = train.name if isinstance(train, Dataset) else "images"
    images, tests = labelled(train_given, test_given, _outputs(model, train_given), name)
    folder = None if out is None else RunFolder(out)
    network = ModelConfig(type(model).__name__) if folder is None else made_again(model, len(images.classes))
    base = Config(network, DataConfig(name), out=None if out is None else str(out))
    config = Config.resolve(overrides=_keys({"epochs": epochs, **settings}), base=base)
    _check_folder(folder, config, resume, overwrite)
    history = History(f"{network.name if network.own is None else network.own.name} on {name}", out)
    first = [module for module in model.modules() if not module.dx_wanted]
    try:
        conduct(
            config,
            lambda: (model, images, tests),
            console_for(),
            folder,
            resume=resume,
            overwrite=overwrite,
            callbacks=[history, *callbacks, _Average()],
            in_python=True,
        )
    except Interrupted as error:
        if error.code != CTRL_C:
            raise
        history.stopped = "Ctrl-C"
        if not hasattr(sys, "ps1"):  # a script: nobody looks at what comes back
            raise KeyboardInterrupt from error
    finally:
        for module in model.eval().modules():
            module.dx_wanted = module not in first
    return history


def _keys(settings):
    """Settings under the names that they have in a `Config`."""
    known = {name: f"train.{name}" for name in vars(TrainConfig())} | {"seed": "seed", "threads": "threads"}
    for name in settings:
        if name not in known:
            raise unknown("fit", "setting", name, known)
    return {known[name]: value for name, value in settings.items()}


class _Average(Callback):
    """Leaves the network with the averaged weights, which are those that were evaluated."""

    def train_end(self, course):
        if course.trainer.ema is not None:
            course.model.load_state_dict(course.trainer.ema.shadow)


def _check_folder(folder, config, resume, overwrite):
    if folder is None:
        if resume or overwrite:
            raise ValueError(f"fit: {'resume' if resume else 'overwrite'}=True needs out=, the folder of the run")
        return
    try:
        folder.check(config, resume, overwrite)
    except ValueError as error:
        words = str(error)
        for flag, keyword in (("--resume", "resume=True"), ("--overwrite", "overwrite=True"), ("--out", "out=")):
            words = words.replace(flag, keyword)
        raise ValueError(words) from error


def _outputs(model: Module, given: Given) -> int:
    """How many numbers the network gives per image, for two of them. One that is not ours is tried backward, too."""
    x = given.images[:2]
    x = (x / np.float32(255) if x.dtype == np.uint8 else x).astype(np.float32)
    training = model.training
    try:
        out = model.eval()(x)
    finally:
        model.train(training)
    if out.ndim != 2 or len(out) != len(x):
        raise ValueError(
            f"fit: the network makes shape {out.shape} of {len(x)} images {x.shape}; it must be ({len(x)}, classes): a "
            "number per class, for example by nn.GlobalAvgPool() and nn.Linear(...) at its end"
        )
    if models.made_by(model) is None and not any(parameter.frozen for parameter in model.parameters()):
        models.try_out(model, type(model).__name__, x.shape[1:], out.shape[1])
    return out.shape[1]
