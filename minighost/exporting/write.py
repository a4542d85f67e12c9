"""Export: a graph is made, written down, run beside the network, and saved if both give the same answers."""

import os
from pathlib import Path
from typing import NamedTuple

from minighost.arguments import choice
from minighost.exporting.comparison import Comparison, compare
from minighost.exporting.formats import FORMATS
from minighost.exporting.lowering import graph_of
from minighost.exporting.subject import subject_of
from minighost.files import check_target, write_atomic

__all__ = ["Exported", "export"]


class Exported(NamedTuple):
    """What was written.

    Attributes
    ----------
    files : dict of Path to int
        Bytes of each.
    comparison : Comparison or None
        With the network itself; None where the program that would run it is not installed.
    notes : list of (str, str)
        What the user should know: a word, and what is said of it.
    """

    files: dict
    comparison: Comparison | None
    notes: list


def export(source, path, to="onnx", *, which="last", model=None, size=None, overwrite=False, **meaning):
    """Write a network for other programs.

    Parameters
    ----------
    source : path, LoadedRun or Module
        A run's folder, what `minighost.load` returns, or a model.
    path : path
        The file; its suffix, .onnx, .py or .npz, is added where it lacks.
    to : {"onnx", "torch", "npz"}
        ONNX, checked and run by ONNX Runtime; PyTorch code, with the weights in a safetensors file beside it; or arrays
        for NumPy (`exporting.numpy_graph`).
    which : {"last", "best"}
        Which weights, of a run's folder.
    model : str, Module, class or function, optional
        The network of a run's folder, if its own file has moved; see `minighost.load`.
    size : int or (int, int), optional
        H, W of the images; by default those that the run was trained on. A model needs it.
    overwrite : bool
        Whether a file that is there already may be replaced.
    classes : sequence of str, optional
        Names of the classes of a model.
    mean, std : array_like, shape (C,), optional
        What a model's images, from 0 to 1, are normalised with; by default they are not.
    images : ndarray, shape (N, H, W, C), uint8, optional
        With which answers are compared; by default test images of the run, or random ones.

    Returns
    -------
    Exported

    Raises
    ------
    AnswersDiffer
        The other program's answers are not the network's. Nothing is written.
    ValueError
        A layer that cannot be exported, which is named; a `path` that is there already.
    ModuleNotFoundError
        ONNX is not installed.

    Notes
    -----
    Batch norm is folded into the convolutions before it, as in `nn.fold`. The number of images is free, their size is
    fixed. A network that was evaluated on several views of each image (``train.views``) is exported for one.

    Examples
    --------
    >>> import tempfile
    >>> from minighost import models
    >>> model = models.create("resnet20", num_classes=3, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = export(model, f"{folder}/net.npz", to="npz", size=8)
    >>> done.comparison.equal == done.comparison.total
    True
    """
    format = FORMATS[choice("export", "to", to, FORMATS)]
    path = Path(path) if Path(path).suffix == format.suffixes[0] else Path(f"{os.fspath(path)}{format.suffixes[0]}")
    for target in map(path.with_suffix, format.suffixes):
        check_target("export:", target)
        if os.path.lexists(target) and not overwrite:
            raise ValueError(f"export: {target} is there already; overwrite=True (--overwrite) replaces it")
    subject = subject_of(source, which, model, size, **meaning)
    graph = graph_of(subject.model, subject.shape, subject.mean, subject.std)
    written, comparison = format.write(graph, subject, path), None
    if written.run is not None:
        comparison = compare(written, subject)
    for file, content in written.files.items():
        write_atomic(file, content)
    sizes = {file: len(content) for file, content in written.files.items()}
    return Exported(sizes, comparison, [*written.notes, *([("note", subject.note)] if subject.note else [])])
