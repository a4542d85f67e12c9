"""A trained network back from its run's folder."""

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from minighost.arguments import whole
from minighost.data.sets import describe
from minighost.errors import FormatError
from minighost.finite import unusable
from minighost.nn.limit import at_most
from minighost.nn.module import Module
from minighost.train.checkpoint import load_checkpoint
from minighost.train.config import Config, with_whole_path
from minighost.train.meta import RunMeta
from minighost.train.metrics import evaluate
from minighost.train.ownfile import BRING_BACK, check_place, difference
from minighost.train.progress import evaluated
from minighost.train.pruning import network_at
from minighost.type_aliases import Array, Images, PathLike, State

__all__ = ["LoadedRun", "checkpoint_of", "create_model", "load", "load_run", "recreate_model", "size_of", "takes_grey"]


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A network and what its input and output mean.

    Parameters
    ----------
    model : Module
        In evaluation mode, with the weights that the run evaluated (the averaged ones if it kept an average).
    config : Config
    classes : tuple of str
    mean, std : ndarray, shape (C,), float32
        For `minighost.data.normalize`.
    epoch : int
        Epochs finished.
    size : (int, int)
        Height and width of the images that it was trained on.
    floats : bool
        These images were floats that their owner had normalised, so that it takes such, and no pictures.
    folder : Path or None
        Of the run.
    """

    model: Module
    config: Config
    classes: tuple[str, ...]
    mean: Array
    std: Array
    epoch: int
    size: tuple[int, int]
    floats: bool = False
    folder: Path | None = None

    @property
    def channels(self) -> int:
        """Channels of the images that the network takes: 1 grey, 3 RGB."""
        return len(self.mean)

    def predict(self, picture: PathLike | Images, top: int = 3) -> list[tuple[str, float]]:
        """What the network sees in a picture.

        Parameters
        ----------
        picture : path, or ndarray of uint8, shape (H, W, 3) or (H, W, 1)
            Its centre is scaled to the size that the network was trained on; see `data.pictures.read`. Of a run on
            `floats`: an ndarray of floats, shape (H, W, C), normalised as those were.
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
        from minighost.data import pictures

        self.must("classify", "predict")
        top = whole("predict", "top", top, 1)
        if self.floats:
            image = self._as_trained(picture)
        elif isinstance(picture, np.ndarray):
            image, _ = pictures.fit(picture, self.size, self.channels)
        else:
            image, _ = pictures.read(picture, self.size, self.channels)
        return self.rank(image[None], top)[0]

    def detect(self, picture: PathLike | Images, score: float = 0.3) -> list[tuple[str, float, tuple[float, ...]]]:
        """What a network that was trained to detect finds in a picture.

        Parameters
        ----------
        picture : path, or ndarray of uint8, shape (H, W, 3) or (H, W, 1)
            It is scaled, as a whole, to the size that the network was trained on.
        score : float
            From which on a detection is told, 0 to 1.

        Returns
        -------
        list of (class, score, (x0, y0, x1, y1))
            The most confident first; corners in pixels of the picture (of the scaled one, if a side is above 2,048).

        Raises
        ------
        FormatError, OSError, TypeError, ValueError
            As of `predict`; or this run classifies.

        Examples
        --------
        ::

            minighost.load("runs/mine").detect("street.jpg")
        """
        found, _ = self.find(picture, score)
        rows = zip(found.labels, found.scores, found.boxes, strict=True)
        return [(self.classes[k], float(sure), tuple(map(float, box))) for k, sure, box in rows]

    def find(self, picture: PathLike | Images, score: float = 0.3) -> tuple[Any, Images]:
        """As `detect`, but `Detections`; and the picture, of a file as `pictures.read_whole` reads it."""
        from minighost import data
        from minighost.data import pictures
        from minighost.data.letterbox import fit_whole
        from minighost.train.detection import find

        self.must("detect", "detect")
        whole = picture if isinstance(picture, np.ndarray) else pictures.read_whole(picture)
        seen, place = fit_whole(whole, self.size)
        found = find(self.model, data.normalize(seen[None], self.mean, self.std), score)[0]
        return found._replace(boxes=place.back(found.boxes)), whole

    def must(self, task: str, what: str) -> None:
        """ValueError if the network was trained for another task than this, which `what` needs."""
        if self.config.task != task:
            needs = {"classify": "a run that classifies whole images", "detect": "a run of --task detect"}[task]
            own = {"classify": "classifies whole images", "detect": "finds things in pictures"}[self.config.task]
            raise ValueError(f"{what}: {self.folder or 'this run'} {own}; {what} takes {needs}")

    def _repr_html_(self) -> str:
        from minighost.train.showing import run_html

        return run_html(self)

    def _as_trained(self, picture: Any) -> Any:
        if not isinstance(picture, np.ndarray) or picture.dtype.kind != "f" or picture.shape[:2] != self.size:
            got = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
            H, W = self.size
            raise TypeError(
                f"predict: this network was trained on floats that you had normalised; give it such an array of shape "
                f"({H}, {W}, C), got {got}"
            )
        return picture

    def rank(self, images: Images, top: int) -> list[list[tuple[str, float]]]:
        """The `top` most probable classes of each image (N, H, W, C), as `predict` takes them, with probabilities."""
        from minighost import data
        from minighost.data.floats import FloatDataset

        unknown = (FloatDataset if self.floats else data.Dataset)(
            images, np.zeros(len(images), np.int64), self.classes, "your images"
        )
        loader = data.Loader(unknown, min(len(images), 250), shuffle=False, mean=self.mean, std=self.std)
        shares = evaluate(self.model, loader, views=self.config.train.views).probabilities
        order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
        return [[(self.classes[k], float(row[k])) for k in best] for row, best in zip(shares, order, strict=True)]


def create_model(config: Config, num_classes: int, channels: int = 3) -> Module:
    """The network of a `Config`, untrained; `takes_grey` says whether it can have one channel."""
    from minighost import models

    name, options = _name_and_options(config)
    if options.get("features_only", False) is not False:
        raise ValueError("model.features_only: a network without logits cannot be trained on labels; leave it out")
    if channels != 3:
        options = {"in_channels": channels, **options}
    return models.create(name, num_classes=num_classes, rng=config.seed, **options)


def _name_and_options(config: Config) -> tuple[str, dict[str, Any]]:
    """For `models.create`: to detect, of a detector over the network that is named."""
    from minighost import models

    name, options = config.model.name, config.model.given()
    if name in models.detectors():
        fix = "leave out --model, or name the network below it: --model ghostnet"
        fix = fix if config.task == "detect" else f"to train it: --task detect; {fix}"
        raise ValueError(f"model.name: {name} is a detector, not a network for whole images; {fix}")
    return (name, options) if config.task == "classify" else ("retinanet", {"backbone": name, **options})


def check_model(config: Config) -> None:
    """Errors as `create_model`, where name and options are what is wrong, before images are read."""
    from minighost import models

    models.check_options(*_name_and_options(config))


def takes_grey(config: Config) -> bool:
    """Whether the network of a `Config` has an option `in_channels`, so that it need not be shown grey as RGB."""
    from minighost import models

    return config.task == "classify" and models.takes(config.model.name, "in_channels")


def recreate_model(config: Config, num_classes: int, weights: int, where: str, channels: int = 3) -> Module:
    """As `create_model`, for what the file `where` describes: FormatError if that has more weights than the file."""
    if config.model.own is not None:
        check_model(config)  # what is wrong with a learner's file is not the checkpoint's fault
    try:
        with at_most(weights):
            return create_model(config, num_classes, channels)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{where}: this checkpoint does not fit its own configuration: {error}") from error


def load_run(
    path: PathLike,
    which: Literal["last", "best"] = "last",
    model: str | Module | Callable[..., Module] | None = None,
) -> LoadedRun:
    """The network of a run.

    Parameters
    ----------
    path : path
        The run's folder.
    which : {"last", "best"}
        The last epoch's weights (the run's result), or those that did best on the test images (chosen with the test
        images, so their accuracy flatters them).
    model : str, Module, class or function, optional
        The network in place of the one that the run names: a name for `models.create`, as ``"moved/my.py:Net"``; a
        network, into which the weights are loaded; or what makes one. It must have the run's weights.

    Returns
    -------
    LoadedRun

    Raises
    ------
    FileNotFoundError
        No such folder or checkpoint; or the file that defined the network is gone.
    FormatError
        A damaged checkpoint, or one that does not fit its configuration.
    ValueError
        The file that defined the network lies in the run's folder, and `model` does not name it.

    Warns
    -----
    UserWarning
        The file that defined the network has changed; its network still has the run's weights.

    Notes
    -----
    A run of a registered network never runs code. One of a network of your own runs the file that the run names, from
    where it was when the training began.
    """
    if which not in ("last", "best"):
        raise ValueError(f"which: expected 'last' or 'best', got {which!r}")
    name = checkpoint_of(path, which)
    tensors, meta = load_checkpoint(name)
    meta = RunMeta.from_dict(meta, name.with_name(f"{which}.json"))
    weights = evaluated(tensors)
    if problems := unusable(weights):
        raise FormatError(f"{name}.json: these weights are corrupt: {'; '.join(problems)}")
    config = meta.config
    if isinstance(model, str):
        config = config.replace(model=dataclasses.replace(config.model, name=with_whole_path(model)))
    elif model is None:
        check_place(config, path)
    if model is None or isinstance(model, str):
        _check_known(config, path, f"{name}.json")
        network = _named(config, meta, weights, f"{name}.json")
    else:
        network = _given(model, config, meta)
        _fill(network, weights, f"{name}.json: this checkpoint does not fit {type(network).__name__}")
    mean, std = (np.array(values, np.float32) for values in (meta.mean, meta.std))
    size = size_of(meta, f"{name}.json")
    return LoadedRun(
        network.eval(), config, tuple(meta.classes), mean, std, meta.trainer["epoch"], size, meta.floats, Path(path)
    )


def _check_known(config: Config, path: PathLike, where: str) -> None:
    """FormatError, with what to do, if the network of a run cannot be made from its name."""
    from minighost import models

    name = config.model.name
    if config.model.own is None and name not in models.names():
        raise FormatError(
            f"{where}: the network of this run, {name!r}, is not registered, so it cannot be made again from here; "
            f"make it in Python and load its weights with minighost.load({str(path)!r}, model=net)"
        )


def checkpoint_of(path: PathLike, which: str) -> Path:
    """The name of a run's checkpoint "last" or "best", as `load_checkpoint` takes it; FileNotFoundError if none."""
    name = Path(path) / "checkpoints" / which
    if not name.with_name(f"{which}.json").exists():
        what = (
            "this run has not saved one yet"
            if (Path(path) / "config.json").exists()
            else "this is not the folder of a run"
        )
        raise FileNotFoundError(2, f"no checkpoint {which!r} here; {what}", str(path))
    return name


def size_of(meta: RunMeta, where: str) -> tuple[int, int]:
    """(H, W) of the images; of a checkpoint that does not say it, from the name of its data set."""
    if meta.size is not None:
        return meta.size[0], meta.size[1]
    try:
        side = describe(meta.config.data.name).side
    except ValueError as error:
        raise FormatError(f"{where}: its meta data lack 'size', and {error}") from error
    return side, side


def _named(config: Config, meta: RunMeta, weights: State, where: str) -> Module:
    """The network that a configuration names, with the weights."""
    other = "" if meta.config.model.own is None else difference(config, meta.code)
    try:
        size = sum(value.size for value in weights.values())
        made = network_at(config, meta.trainer)
        network = recreate_model(made, len(meta.classes), size, where, len(meta.mean))
        _fill(network, weights, f"{where}: this checkpoint does not fit its own configuration")
    except FormatError as error:
        if not other:
            raise
        raise FormatError(f"{other}; {BRING_BACK}: {error}") from error
    if other:
        warnings.warn(f"{other}; its network still has the same weights, and is used", stacklevel=3)
    return network


def _given(model: Module | Callable[..., Module], config: Config, meta: RunMeta) -> Module:
    """A network, or what a class or function makes when it is called as one in a file is."""
    from minighost.models import own

    if isinstance(model, Module):
        return model
    usual = {"num_classes": len(meta.classes), "rng": config.seed}
    return own.create(model, getattr(model, "__name__", "model"), {**config.model.given(), **usual})


def _fill(network: Module, weights: State, complaint: str) -> None:
    try:
        network.load_state_dict(weights)
    except ValueError as error:
        raise FormatError(f"{complaint}: {error}") from error


load = load_run  # the name in `minighost` itself
