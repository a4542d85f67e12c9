"""What is exported: a network, and what its input and output mean."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minighost import __version__
from minighost.data.download import data_directory
from minighost.data.sets import describe
from minighost.data.sources import is_named
from minighost.engine.check import pair
from minighost.errors import one_line
from minighost.nn.folding import evaluating
from minighost.nn.module import Module
from minighost.train.images import images_to_measure
from minighost.train.restore import LoadedRun, load_run
from minighost.train.runfolder import RunFolder

__all__ = ["Subject", "subject_of"]

IMAGES = 100  # for the comparison


@dataclass(eq=False)
class Subject:
    """A network to be exported.

    Attributes
    ----------
    model : Module
    shape : (int, int, int)
        H, W, C of its images.
    name : str
        Of the network.
    classes : list of str
        Empty where nobody has named them.
    mean, std : list of float, or None
        What images from 0 to 1 are normalised with; None: not at all.
    images : ndarray, shape (N, H, W, C), uint8
        For the comparison.
    source : str
        Where those come from.
    note : str
        Why they come from there, if they should not.
    history : dict of str to str
        Of the training, if there was one.
    """

    model: Module
    shape: tuple[int, int, int]
    name: str
    classes: list
    mean: list | None
    std: list | None
    images: Any
    source: str
    note: str = ""
    history: dict = field(default_factory=dict)

    def about(self):
        """What goes into the file beside the network, as JSON knows it."""
        return {
            "network": self.name,
            "classes": self.classes,
            "size": list(self.shape[:2]),
            "mean": self.mean,
            "std": self.std,
            "version": __version__,
            **self.history,
        }

    def logits(self, images):
        """What the network itself says of images (N, H, W, C), uint8."""
        x = images.astype(np.float32) / 255
        if self.mean is not None:
            x = ((x - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)).astype(np.float32)
        return self.model(x)


def subject_of(source, which="last", model=None, size=None, classes=None, mean=None, std=None, images=None):
    """What `export` is given, as a `Subject`; its parameters."""
    if isinstance(source, Module):
        return _of_model(source, size, classes, mean, std, images)
    folder = None if isinstance(source, LoadedRun) else Path(source)
    loaded = source if folder is None else load_run(folder, which, model)
    loaded.must("classify", "export")
    classes, mean, std = classes or loaded.classes, loaded.mean, loaded.std
    subject = _of_model(loaded.model, size or loaded.size, classes, mean, std, images)
    subject.name, subject.history = loaded.config.model.title, _history(loaded, folder, which)
    if images is None and size is None:
        subject.images, subject.source, subject.note = _test_images(loaded, folder, subject)
    return subject


def _of_model(model, size, classes, mean, std, images):
    if size is None:
        raise ValueError("export: a model alone does not say how large its images are; give size=32, or size=(H, W)")
    H, W = pair("export", "size", size, 1)
    if (mean is None) != (std is None):
        raise ValueError("export: give mean and std, or neither")
    mean, std = (None if v is None else np.asarray(v, np.float64).tolist() for v in (mean, std))
    C = len(mean) if mean is not None else 3 if images is None else images.shape[3]
    source = "your images"
    if images is None:
        images, source = (
            np.random.default_rng(0).integers(0, 256, (IMAGES, H, W, C), np.uint8),
            f"{IMAGES} random images",
        )
    elif images.dtype != np.uint8 or images.shape[1:] != (H, W, C):
        raise ValueError(f"export: images must be uint8 of shape (N, {H}, {W}, {C}), got {images.dtype} {images.shape}")
    model, name = evaluating(model), type(model).__name__
    return Subject(model, (H, W, C), name, list(classes or ()), mean, std, images, source)


def _history(loaded, folder, which):
    """Epochs, data and accuracy of the run, as far as they are known."""
    history = {"data": loaded.config.data.name, "epochs": str(loaded.epoch), "weights": which}
    summary = None if folder is None else RunFolder(folder).summary
    if summary is not None and summary.exists():
        numbers = json.loads(summary.read_text(encoding="utf-8"))
        accuracy = numbers.get("best_test_accuracy" if which == "best" else "test_accuracy")
        history |= {"run": folder.resolve().name} | ({} if accuracy is None else {"test_accuracy": f"{accuracy:.4f}"})
    return history


def _test_images(loaded, folder, subject):
    """The first test images of the run; where they are not, random ones. Nothing is downloaded.

    Returns
    -------
    images, source, note
        As in `Subject`.
    """
    try:
        images, which = _opened(loaded, folder)
        if images.shape[1:] != subject.shape:
            raise ValueError(f"they are {images.shape[1:]}, the network was trained on {subject.shape}")
    except (OSError, ValueError, TypeError) as error:
        return subject.images, subject.source, f"the run's images cannot be had: {one_line(error)}"
    return images, which, ""


def _opened(loaded, folder):
    config = loaded.config.data
    named = is_named(config.name)
    if named:  # of which no more is made or read than needed
        some = {"train_size": 1, "test_size": min(IMAGES, config.test_size or IMAGES)}
        if describe(config.name).reads_files and config.dir is None and config.archive is None:
            some["dir"] = str(data_directory())
        config = dataclasses.replace(config, **some)
        loaded = dataclasses.replace(loaded, config=loaded.config.replace(data=config))
    known = {} if folder is None else RunFolder(folder).meta().data
    dataset, which = images_to_measure(loaded, known, "test", folder=folder)
    images = dataset.images[:IMAGES]
    return images, f"{len(images)} {which}{f' of {config.name}' if named else ''}"
