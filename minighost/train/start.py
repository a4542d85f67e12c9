"""Weights that a run starts from: those of another run, or of a safetensors file (`minighost train --from`)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minighost.inputs import open_regular
from minighost.nn.freezing import head_of
from minighost.nn.module import Module
from minighost.train.checkpoint import load_checkpoint, read_record
from minighost.train.meta import RunMeta
from minighost.train.progress import evaluated
from minighost.train.restore import checkpoint_of, size_of
from minighost.type_aliases import PathLike, State
from minighost.wording import counted

__all__ = ["IMAGENET", "OFFICIAL", "Start", "Started", "is_grey", "read_start", "settings_of", "start_from"]

IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # mean and std with which timm and torchvision prepare images
OFFICIAL = ("timm", "torchvision")


class Start(NamedTuple):
    """Weights as they were found.

    Attributes
    ----------
    path : str
    sha256 : str
        Of the file of tensors.
    weights : dict of str to ndarray
    run : RunMeta or None
        What is known of them, if they are a run's.
    """

    path: str
    sha256: str
    weights: State
    run: RunMeta | None


class Started(NamedTuple):
    """What a network has got from a `Start`.

    Attributes
    ----------
    normalisation : pair of list, or None
        Mean and std for the new run's images: the old run's, or ImageNet's if the names are timm's or torchvision's.
        None: nothing is known, and the new images' own are taken.
    about : dict of str to str
        For the checkpoints of the new run: ``path``, ``sha256``, ``names`` and ``head``, the arrays that are new.
    lines : list of str
        The same for the user.
    """

    normalisation: tuple[list[float], list[float]] | None = None
    about: dict[str, str] = {}
    lines: Sequence[str] = ()


def settings_of(path: PathLike) -> dict[str, Any]:
    """The keys ``model.*`` of a run's configuration, and ``data.size``; none of a file, which does not say them.

    Raises
    ------
    FileNotFoundError, FormatError
        There is nothing, or a folder without a checkpoint.
    """
    if not Path(path).is_dir():
        open_regular(path).close()
        return {}
    name, meta = _about(path)
    if meta.config.task != "classify":
        raise ValueError(f"train.start: {path} is a run of --task {meta.config.task}; start from one that classifies")
    network = {key: value for key, value in meta.config.flat().items() if key.startswith("model.")}
    network = {key: value for key, value in network.items() if value is not None}
    return {**network, "data.size": size_of(meta, f"{name}.json")}


def is_grey(path: PathLike) -> bool:
    """Whether the weights are a run's that was trained on images of one channel; of a file nobody knows."""
    return Path(path).is_dir() and len(_about(path)[1].mean) == 1


def _about(path):
    """The name of a run's last checkpoint, and what it says."""
    name = checkpoint_of(path, "last")
    return name, RunMeta.from_dict(read_record(name)["meta"], f"{name}.json")


def read_start(path: PathLike) -> Start:
    """The weights of a run, those that it evaluated, or of a file.

    Raises
    ------
    FileNotFoundError, FormatError, ValueError
        See `load_run` and `interop.read_weights`.
    """
    from minighost.interop.weights import parse_safetensors, read_weights

    if Path(path).is_dir():
        name = checkpoint_of(path, "last")
        digest = read_record(name)["sha256"]
        tensors, meta = load_checkpoint(name)
        return Start(str(path), digest, evaluated(tensors), RunMeta.from_dict(meta, f"{name}.json"))
    with open_regular(path) as file:
        content = file.read()
    weights = read_weights(parse_safetensors(content, path))
    return Start(str(path), hashlib.sha256(content).hexdigest(), weights, None)


def start_from(start: Start, model: Module, classes: Sequence[str]) -> Started:
    """Load weights into a network for other classes, perhaps.

    Parameters
    ----------
    start : Start
    model : Module
        Untrained. Its head (`nn.freezing.head_of`) stays as it is if the weights are for another number of classes, or
        if they are a run's whose classes have other names.
    classes : sequence of str

    Raises
    ------
    ValueError
        They do not fit in anything else; nothing was loaded.
    """
    from minighost.interop.transfer import OURS, match

    try:
        found = match(start.path, model, start.weights, OURS if start.run else None, new_head=True)
    except ValueError as error:
        if start.run:
            raise
        fix = " (--model and --width name the network that it is of)"
        raise ValueError(str(error).replace(";", f"{fix};", 1)) from error
    own, head, words = model.state_dict(), found.new_head, f"{found.classes} -> {counted(len(classes), 'class')}"
    if start.run is not None and not head and list(start.run.classes) != list(classes):
        head = [path for path in own if path.rpartition(".")[0] in head_of(model)]
        words = f"{counted(len(classes), 'class')} of other names"
    model.load_state_dict({**found.state, **{path: own[path] for path in head}})
    about = {"path": start.path, "sha256": start.sha256, "names": found.names, "head": ", ".join(head)}
    normalisation, whose = None, "their own mean and std"
    if start.run is not None:
        normalisation, whose = (start.run.mean, start.run.std), "the mean and std of that run"
    elif found.names in OFFICIAL:
        normalisation, whose = IMAGENET, "ImageNet's mean and std"
    origin = (
        f"the run's last checkpoint, epoch {start.run.trainer['epoch']}" if start.run else f"names of {found.names}"
    )
    lines = [
        f"from     {start.path}: {origin}, SHA-256 {start.sha256[:12]}...; images normalised with {whose}",
        f"head     {', '.join(head)}: {words}, new" if head else "head     kept: the classes fit",
    ]
    return Started(normalisation, about, lines)
