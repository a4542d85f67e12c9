"""The formats: what is written, as bytes by file name, and how another program runs it."""

import importlib.metadata
import importlib.util
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minighost.errors import one_line
from minighost.exporting import numpy_graph
from minighost.exporting.onnx_graph import OPSET, onnx_model
from minighost.exporting.torch_code import torch_code

__all__ = ["FORMATS", "Format", "Written"]


class Written(NamedTuple):
    """A network in some format.

    Attributes
    ----------
    files : dict of Path to bytes
    engine : str or None
        The program that can run it here, with its version.
    run : callable or None
        What that makes of images (N, H, W, C), float32 from 0 to 1.
    notes : list of (str, str)
        What the user should know.
    """

    files: dict
    engine: str | None
    run: Any
    notes: list


class Format(NamedTuple):
    """How a format is written, and the suffixes of its files."""

    write: Callable[..., Written]
    suffixes: tuple[str, ...]


def to_onnx(graph, subject, path):
    """One file, checked by onnx and run by ONNX Runtime."""
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f'export to ONNX needs {" and ".join(missing)}: pip install {" ".join(missing)} (the extra "onnx")'
        )
    import onnx
    import onnxruntime

    about = subject.about()
    preprocessing = {
        "colours": "RGB" if subject.shape[2] == 3 else "grey",
        "crop": "centre, of the shape of size",
        "scale": "bicubic, to size",
        "size": about.pop("size"),
        "range": [0, 1],
        "normalised": "inside" if subject.mean is not None else "no",
        "mean": about.pop("mean"),
        "std": about.pop("std"),
    }
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    metadata = {**texts, "preprocessing": json.dumps(preprocessing)}
    model = onnx_model(graph, subject.name, metadata)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal errors: others are exceptions
    try:
        onnx.checker.check_model(model, full_check=True)
        content = model.SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # both have kinds of their own, which have nothing in common
        raise ValueError(f"export: not accepted as ONNX; nothing was written. {one_line(error)}") from error

    def run(x):
        return session.run(["logits"], {"images": np.ascontiguousarray(x.transpose(0, 3, 1, 2))})[0]

    H, W, C = subject.shape
    notes = [
        ("format", f"ONNX, opset {OPSET}, {len(model.graph.node)} nodes; onnx {onnx.__version__} finds it valid"),
        *_ends(subject, ("N", C, H, W)),
    ]
    return Written({path: content}, f"ONNX Runtime {onnxruntime.__version__}", run, notes)


def to_torch(graph, subject, path):
    """A module's code, and its weights beside it; run if PyTorch is here."""
    from safetensors.numpy import save

    weights_path = path.with_suffix(".safetensors")
    code, weights = torch_code(graph, subject.name, weights_path.name, subject.about())
    files = {weights_path: save(weights), path: code.encode("utf-8")}
    H, W, C = subject.shape
    notes = [("format", "PyTorch, a module in Python and its weights"), *_ends(subject, ("N", C, H, W))]
    if importlib.util.find_spec("torch") is None:
        notes.append(("run by", "nobody: PyTorch is not installed here (pip install torch)"))
        return Written(files, None, None, notes)
    net = _loaded(files, path)
    return Written(files, f"PyTorch {importlib.metadata.version('torch')}", net, notes)


def _loaded(files, path):
    """The module that the code makes of the weights, as a function of images with channels last."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            (Path(folder) / file.name).write_bytes(content)
        namespace: dict = {"__name__": "exported", "__file__": str(Path(folder) / path.name)}
        exec(compile(files[path], path.name, "exec"), namespace)
        net = namespace["load"]()

    def run(x):
        with torch.no_grad():
            return net(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()

    return run


def to_npz(graph, subject, path):
    """Arrays by name, and what to do with them; run by `numpy_graph`."""
    about = {**subject.about(), "steps": [step._asdict() for step in graph.steps]}
    file = io.BytesIO()
    np.savez(file, about=np.array(json.dumps(about)), **graph.arrays)
    steps, arrays, _ = numpy_graph.read(io.BytesIO(file.getvalue()))
    H, W, C = subject.shape
    notes = [("format", f"NumPy, {len(steps)} steps and {len(arrays)} arrays"), *_ends(subject, ("N", H, W, C))]
    engine = f"NumPy {np.__version__}"
    return Written({path: file.getvalue()}, engine, lambda x: numpy_graph.run(steps, arrays, x), notes)


def _ends(subject, shape):
    """What goes in and what comes out."""
    colours = {1: "grey", 3: "RGB"}.get(subject.shape[2], "channels")
    inside = "" if subject.mean is None else "; normalised inside"
    return [
        ("input", f"images ({', '.join(map(str, shape))}), float32, {colours} from 0 to 1{inside}"),
        ("output", f"logits of {len(subject.classes) or 'as many'} classes"),
    ]


FORMATS = {
    "onnx": Format(to_onnx, (".onnx",)),
    "torch": Format(to_torch, (".py", ".safetensors")),
    "npz": Format(to_npz, (".npz",)),
}
