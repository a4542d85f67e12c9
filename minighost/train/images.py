"""The images of a run, opened as its configuration says, and a configuration that suits images of one's own."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from minighost.data import sources
from minighost.data.dataset import Dataset
from minighost.data.detection_set import DetectionSet
from minighost.train.config import Config
from minighost.train.meta import fingerprints
from minighost.train.ownfile import check_data_place
from minighost.train.restore import LoadedRun
from minighost.train.settings import DataConfig
from minighost.type_aliases import PathLike

__all__ = ["images_to_measure", "open_images", "resolve"]


def open_images(config: DataConfig, progress: bool = True, task: str = "classify") -> sources.Opened:
    """Training and test images, and what there is to say about them; errors as of `minighost.data.open`.

    What has no name is, to detect, a folder in COCO's format (`data.coco`).
    """
    if task == "detect" and not sources.is_named(config.name):
        from minighost.data.coco import survey_coco

        return survey_coco(
            config.name,
            size=config.size,
            split=config.split,
            split_seed=config.split_seed,
            train_size=config.train_size,
            test_size=config.test_size,
            progress=progress,
        )
    return sources.survey(
        config.name,
        size=config.size,
        split=config.split,
        split_seed=config.split_seed,
        directory=config.dir,
        archive=config.archive,
        train_size=config.train_size,
        test_size=config.test_size,
        progress=progress,
    )


def resolve(
    toml_path: PathLike | None = None, overrides: Mapping[str, Any] | None = None, preset: str | None = None
) -> tuple[Config, sources.Opened | None]:
    """The configuration of a new run, as `minighost train` makes it.

    Parameters
    ----------
    toml_path, overrides, preset
        See `Config.resolve`.

    Returns
    -------
    config : Config
    images : Opened or None
        Images of one's own, which had to be opened to know what suits them; None for a data set with a name.

    Raises
    ------
    ValueError, TypeError, OSError
        See `Config.resolve` and `minighost.data.open`.
    """
    given: dict[str, Any] = {"toml_path": toml_path, "overrides": overrides, "preset": preset}
    chosen = Config.resolve(**given, check=False)
    if sources.is_named(chosen.data.name):
        return Config.resolve(**given), None
    images = open_images(chosen.data, task=chosen.task)
    return Config.resolve(**given, images=images.train), images


def images_to_measure(
    loaded: LoadedRun,
    known: Mapping[str, str],
    part: Literal["test", "train"],
    source: str | None = None,
    directory: PathLike | None = None,
    archive: PathLike | None = None,
    folder: PathLike | None = None,
) -> tuple[Any, str]:
    """The images on which a run is measured.

    Parameters
    ----------
    loaded : LoadedRun
    known : dict of str to str
        `fingerprints` of the images of the run.
    part : {"test", "train"}
    source, directory, archive
        Where the images are now; by default where the run had them. If they are others than the run's, and nobody has
        divided them, all of them are measured.
    folder : path, optional
        Of the run. A function in there, which may have come with the run, is not called unless `source` names it.

    Returns
    -------
    images : Dataset or DetectionSet
        With the classes and channels of the run.
    which : str
        What they are, for a sentence: "test images", or "images, which are not the run's own".

    Raises
    ------
    ValueError
        A class that the run does not have; a function in the run's folder.
    """
    config = loaded.config.data
    if directory is not None or archive is not None:
        config = dataclasses.replace(config, dir=_text(directory), archive=_text(archive))
    if source is None and folder is not None:
        check_data_place(config.name, folder)
    if source is not None:
        config = dataclasses.replace(config, name=sources.whole_path(source))
    if not sources.is_named(config.name):
        config = dataclasses.replace(config, size=loaded.size)
    opened = open_images(config, task=loaded.config.task)
    if sources.has_boxes(opened) != (loaded.config.task == "detect"):
        raise ValueError(f"{config.name}: {_MISFIT[loaded.config.task]}")
    train, test = (_as_in_training(part, loaded) for part in (opened.train, opened.test))
    chosen, which = (test if part == "test" else train), f"{part} images"
    if sources.is_named(config.name) or fingerprints(train, test) == known:
        return chosen, which
    if source is not None and opened.divided:
        return train.joined(test), "images, which are not those of the run"
    return chosen, f"{which}, which are not those that the run had"


def _text(path: PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)


_MISFIT = {
    "classify": "has boxes, and this run classifies whole images",
    "detect": "has no boxes, and this run finds things; give a folder in COCO's format",
}


def _as_in_training(dataset: Any, loaded: LoadedRun) -> Any:
    """The same images with the classes and channels, or with boxes the size, of a run."""
    classes = loaded.classes
    if not set(dataset.classes) <= set(classes):
        raise ValueError(
            f"this run was trained on the {len(classes)} classes {', '.join(classes)}; {dataset.name} has "
            f"{len(dataset.classes)}: {', '.join(dataset.classes)}"
        )
    number = np.array([classes.index(name) for name in dataset.classes])
    if isinstance(dataset, DetectionSet):
        targets = tuple(one._replace(labels=number[one.labels]) for one in dataset.targets)
        return DetectionSet(dataset.images, targets, classes, dataset.name, dataset.origin).resized(loaded.size)
    labels = number[dataset.labels]
    images = dataset.images
    if loaded.channels != dataset.channels:
        from minighost.data.pictures import fit

        images = np.stack([fit(image, dataset.size, loaded.channels)[0] for image in images])
    return Dataset(images, labels, classes, dataset.name)
