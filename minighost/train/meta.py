"""What the checkpoint of a run says beside its tensors: made, read with every key checked, and compared on resuming."""

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minighost import __version__
from minighost.data.dataset import Dataset
from minighost.data.sets import describe
from minighost.data.sources import is_named
from minighost.errors import FormatError
from minighost.train.config import Config

if TYPE_CHECKING:
    from minighost.data.detection_set import DetectionSet

__all__ = ["RunMeta", "fingerprints", "resuming", "versions"]

LONGEST_NAME = 200  # characters of a class's name
LARGEST_SIDE = 4096  # pixels of an image as a network sees it


@dataclass(frozen=True, eq=False)
class RunMeta:
    """The meta data of a run's checkpoint.

    Parameters
    ----------
    config : Config
    classes : list of str
    mean, std : list of float
        Of the training images, one number per channel, for `minighost.data.normalize`.
    trainer : dict
        Where the run stands: ``epoch``, ``step``, and whatever else `Trainer.restore` needs.
    log_bytes : int
        Length of log.jsonl.
    macs : int
        Multiply-adds per image; 0 is unknown.
    data, versions : dict of str to str
        See `fingerprints` and `versions`. Empty in checkpoints of minighost 0.1.0.
    size : list of int, or None
        Height and width of the images, [H, W]. None in checkpoints of minighost 0.1.0: their data set's name says it.
    code : dict of str to str
        Of a network of one's own: ``file``, its absolute path, and ``sha256``. Empty for a registered one.
    start : dict of str to str
        The weights that it started from, see `train.start`; empty if they were drawn.
    floats : bool
        The images were floats, normalised by their owner; `mean` and `std` are 0 and 1.
    ranks : int
        How many processes shared every batch.
    """

    config: Config
    classes: list
    mean: list
    std: list
    trainer: dict
    log_bytes: int = 0
    macs: int = 0
    data: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    size: list | None = None
    code: dict = field(default_factory=dict)
    start: dict = field(default_factory=dict)
    floats: bool = False
    ranks: int = 1

    @property
    def images_per_rank(self) -> int:
        """Of every batch."""
        return self.config.train.batch_size // self.ranks

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {**vars(self), "config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, meta, where):
        """Inverse of `to_dict`. FormatError, prefixed with `where`, names a key that is missing or of a wrong kind."""
        for key, (fits, expected) in _RULES.items():
            if key not in _OPTIONAL and key not in meta:
                raise FormatError(f"{where}: its meta data lack {key!r}; this is not the checkpoint of a run")
            if key in meta and not fits(meta[key]):
                raise FormatError(f"{where}: {key}: expected {expected}, got {meta[key]!r:.80}")
        try:
            config = Config.from_dict(meta["config"])
        except ValueError as error:
            raise FormatError(f"{where}: not the configuration of a run: {error}") from error
        if len(meta["mean"]) != len(meta["std"]):
            raise FormatError(f"{where}: std: expected one number per channel, {len(meta['mean'])} as mean has")
        return cls(**{key: meta[key] for key in _RULES if key in meta and key != "config"}, config=config)


def _whole(value):
    return type(value) is int and 0 <= value < 2**63


def _numbers(value, above):
    return (
        isinstance(value, list)
        and len(value) in (1, 3)
        and all(type(v) in (int, float) and above < v < 1e6 for v in value)
    )


def _names(value):
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in value)
    )


def _size(value):
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(type(v) is int and 0 < v <= LARGEST_SIDE for v in value)
    )


def _words(value):
    return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())


def _progress(value):
    return isinstance(value, dict) and _whole(value.get("epoch")) and _whole(value.get("step"))


_RULES = {
    "config": (lambda value: isinstance(value, dict), "an object"),
    "classes": (_names, f"a list of names of 1 to {LONGEST_NAME} characters"),
    "mean": (lambda value: _numbers(value, -math.inf), "one or three numbers"),
    "std": (lambda value: _numbers(value, 0), "one or three numbers > 0"),
    "trainer": (_progress, "an object with epoch and step, whole numbers >= 0"),
    "log_bytes": (_whole, "a whole number >= 0"),
    "macs": (_whole, "a whole number >= 0"),
    "data": (_words, "an object of texts"),
    "versions": (_words, "an object of texts"),
    "start": (_words, "an object of texts"),
    "ranks": (lambda value: _whole(value) and value > 0, "a whole number > 0"),
    "size": (_size, f"two whole numbers from 1 to {LARGEST_SIDE:,}"),
    "code": (_words, "an object of texts"),
    "floats": (lambda value: isinstance(value, bool), "true or false"),
}
_OPTIONAL = {"log_bytes", "macs", "data", "versions", "size", "code", "start", "floats", "ranks"}


def fingerprints(train_set: "Dataset | DetectionSet", test_set: "Dataset | DetectionSet | None") -> dict[str, str]:
    """SHA-256 of what a run learns from and is judged by.

    Returns
    -------
    dict of str to str
        ``{"training images": ..., "training labels": ..., "test images": ..., "test labels": ...}``, with boxes in
        place of labels where there are such. All of CIFAR-10 takes 0.1 s.
    """
    arrays = {
        f"{name} {part}": array
        for name, dataset in (("training", train_set), ("test", test_set))
        if dataset is not None
        for part, array in dataset.arrays().items()
    }
    return {name: _sha256(array) for name, array in arrays.items()}


def _sha256(array):
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(array)
    return digest.hexdigest()


def resuming(there, now, folder):
    """Whether a run continues with the images, labels and classes that it began with.

    Parameters
    ----------
    there, now : RunMeta
        The checkpoint's, and what is about to continue from it. (Their configurations `RunFolder.check` compares.)
    folder : path
        Of the run.

    Returns
    -------
    list of str
        Lines that the user should read: what else may change the last bits of what follows.

    Raises
    ------
    ValueError
        Other images, labels or classes.
    """
    differ = [key for key in there.data if there.data[key] != now.data.get(key)]
    differ += ["classes"] * (there.classes != now.classes)
    differ += ["training images"] * ((there.mean, there.std) != (now.mean, now.std))  # all that 0.1.0 knew of them
    if differ:
        name, fix = now.config.data.name, "give the same --data-dir or --data-archive"
        if not is_named(name):
            fix = f"{name} has changed since; put it back, or give its old copy with --data"
        elif not describe(name).reads_files:  # which is computed, and a sine may be rounded the other way
            fix = "continue with the processor and the NumPy version it began with"
        raise ValueError(
            f"{folder}: the {differ[0]} are not those that this run began with; {fix}, or start over in "
            f"another folder with --out"
        )
    if there.ranks != now.ranks and not now.config.train.sync_batch_norm:
        raise ValueError(
            f"{folder}: this run began on {there.ranks} ranks, whose batch norm is over {there.images_per_rank} images "
            f"each; {now.ranks} would make that {now.images_per_rank}, which is another training. Continue with "
            f"mpirun -n {there.ranks} and --mpi"
        )
    lines = []
    if there.ranks != now.ranks:
        lines.append(
            f"warning: so far {there.ranks} ranks shared this run (now {now.ranks}): the following bits may differ"
        )
    if not there.data:
        lines.append("note: this checkpoint has no hash of its images and labels; only the mean colours were compared")
    changed = [
        f"{name} {there.versions[name]} (now {now.versions.get(name)})"
        for name in there.versions
        if there.versions[name] != now.versions.get(name)
    ]
    if changed:
        lines.append(f"warning: so far this run was computed with {', '.join(changed)}: the following bits may differ")
    return lines


def versions() -> dict[str, str]:
    """What the bits of a result depend on beside configuration and images: the programs, and the processor."""
    import numba
    from llvmlite.binding import get_host_cpu_name

    return {
        "minighost": __version__,
        "NumPy": np.__version__,
        "Numba": numba.__version__,
        "processor": get_host_cpu_name(),
    }
