"""A trained network back from its run's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from minighost.arguments import whole
from minighost.errors import FormatError
from minighost.nn.limit import at_most
from minighost.nn.module import Module
from minighost.train.checkpoint import load_checkpoint
from minighost.train.config import Config
from minighost.train.meta import RunMeta
from minighost.train.nonfinite import unusable
from minighost.train.trainer import evaluate, evaluated
from minighost.type_aliases import Array, Images, PathLike

__all__ = ["LoadedRun", "create_model", "load", "load_run", "recreate_model"]


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A network and what its input and output mean.

    Parameters
    ----------
    model : Module
        In evaluation mode, with the weights that the run evaluated (the averaged ones if it kept an average).
    config : Config
    classes : tuple of str
    mean, std : ndarray, shape (3,), float32
        For `minighost.data.normalize`.
    epoch : int
        Epochs finished.
    """

    model: Module
    config: Config
    classes: tuple[str, ...]
    mean: Array
    std: Array
    epoch: int

    def predict(self, picture: PathLike | Images, top: int = 3) -> list[tuple[str, float]]:
        """What the network sees in a picture.

        Parameters
        ----------
        picture : path, or ndarray of uint8, shape (H, W, 3)
            Its centre square is scaled to the size that the network was trained on; see `data.pictures.read`.
        top : int
            How many answers; all classes if there are fewer.

        Returns
        -------
        list of (class, probability)
            The most probable first.

        Raises
        ------
        FormatError, OSError
            The file cannot be read as a picture.
        TypeError, ValueError
            An array of another dtype or shape.

        Examples
        --------
        ::

            minighost.load("runs/mine").predict("cat.jpg")
        """
        from minighost import data
        from minighost.data import pictures

        top, size = whole("predict", "top", top, 1), data.describe(self.config.data.name).side
        image, _ = pictures.fit(picture, size) if isinstance(picture, np.ndarray) else pictures.read(picture, size)
        return self.rank(image[None], top)[0]

    def rank(self, images: Images, top: int) -> list[list[tuple[str, float]]]:
        """The `top` most probable classes of each image (N, side, side, 3), uint8, with their probabilities."""
        from minighost import data

        unknown = data.Dataset(images, np.zeros(len(images), np.int64), self.classes, "your images")
        loader = data.Loader(unknown, min(len(images), 250), shuffle=False, mean=self.mean, std=self.std)
        shares = evaluate(self.model, loader, views=self.config.train.views).probabilities
        order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
        return [[(self.classes[k], float(row[k])) for k in best] for row, best in zip(shares, order, strict=True)]


def create_model(config: Config, num_classes: int) -> Module:
    """The network of a `Config`, untrained."""
    from minighost import models

    options = dict(config.model.options)
    if options.get("features_only", False) is not False:
        raise ValueError("model.features_only: a network without logits cannot be trained on labels; leave it out")
    if config.model.width is not None:
        options["width"] = config.model.width
    return models.create(config.model.name, num_classes=num_classes, rng=config.seed, **options)


def recreate_model(config: Config, num_classes: int, weights: int, where: str) -> Module:
    """As `create_model`, for what the file `where` describes: FormatError if that has more weights than the file."""
    try:
        with at_most(weights):
            return create_model(config, num_classes)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{where}: this checkpoint does not fit its own configuration: {error}") from error


def load_run(path: PathLike, which: Literal["last", "best"] = "last") -> LoadedRun:
    """The network of a run.

    Parameters
    ----------
    path : path
        The run's folder.
    which : {"last", "best"}
        The last epoch's weights (the run's result), or those that did best on the test images (chosen with the test
        images, so their accuracy flatters them).

    Returns
    -------
    LoadedRun

    Raises
    ------
    FileNotFoundError
        No such folder or checkpoint.
    FormatError
        A damaged checkpoint, or one that does not fit its configuration.
    """
    if which not in ("last", "best"):
        raise ValueError(f"which: expected 'last' or 'best', got {which!r}")
    name = Path(path) / "checkpoints" / which
    if not name.with_name(f"{which}.json").exists():
        what = (
            "this run has not saved one yet"
            if (Path(path) / "config.json").exists()
            else "this is not the folder of a run"
        )
        raise FileNotFoundError(2, f"no checkpoint {which!r} here; {what}", str(path))
    tensors, meta = load_checkpoint(name)
    meta = RunMeta.from_dict(meta, name.with_name(f"{which}.json"))
    weights = evaluated(tensors)
    if problems := unusable(weights):
        raise FormatError(f"{name}.json: these weights are corrupt: {'; '.join(problems)}")
    size = sum(value.size for value in weights.values())
    model = recreate_model(meta.config, len(meta.classes), size, f"{name}.json")
    try:
        model.load_state_dict(weights)
    except ValueError as error:
        raise FormatError(f"{name}.json: this checkpoint does not fit its own configuration: {error}") from error
    mean, std = (np.array(values, np.float32) for values in (meta.mean, meta.std))
    return LoadedRun(model.eval(), meta.config, tuple(meta.classes), mean, std, meta.trainer["epoch"])


load = load_run  # the name in `minighost` itself
