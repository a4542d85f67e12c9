"""Checkpoints: a pair of files that is either wholly the old one or wholly the new one.

``NAME.json`` holds the meta data and names its partner, ``NAME-<hash>.safetensors``, with size, SHA-256 and a
manifest of the tensors. The partner is written first, under a name of its own; replacing the JSON file is the one
moment that commits; only then is the previous partner removed. Nothing in either file is ever executed.
"""

import glob
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minighost.errors import FormatError
from minighost.files import remove_stale, write_atomic
from minighost.inputs import read_regular
from minighost.type_aliases import ArrayLike, PathLike, State

__all__ = ["load_checkpoint", "portable", "read_record", "save_checkpoint", "written"]

FORMAT, VERSION = "minighost-checkpoint", 1
DTYPES = frozenset("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split())
LARGEST_JSON = 4 << 20  # bytes; ten times what a GhostNet needs, and little enough to parse whatever it holds
HASH = 16  # characters of the hash in a partner's name


def portable(name: str, array: Any) -> npt.NDArray[Any]:
    """`array` as safetensors stores it rightly: C-contiguous, little-endian, a known dtype.

    safetensors 0.8 writes an array's memory without looking at its strides, so a transposed or sliced view
    would be saved scrambled (safetensors#825). Every tensor goes through here.

    Raises
    ------
    TypeError
        A dtype other than bool, integers and float16/32/64.
    """
    array = np.asarray(array)
    if array.dtype.newbyteorder("=").name not in DTYPES:
        raise TypeError(f"{name}: cannot save dtype {array.dtype}; known: {', '.join(sorted(DTYPES))}")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def save_checkpoint(path: PathLike, tensors: Mapping[str, ArrayLike], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint, atomically and durably.

    Parameters
    ----------
    path : path
        The checkpoint's name without suffix, e.g. ``run/checkpoints/last``. Its folder is made if it is missing.
    tensors : dict of str to ndarray
        Any layout and byte order.
    meta : dict
        What JSON can hold (no NaN, no infinity).

    Raises
    ------
    ValueError
        Meta data that JSON cannot hold, or more than `LARGEST_JSON`.
    OSError
        Full disk and the like, in one message; the previous checkpoint still loads.
    """
    from safetensors.numpy import save

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for pattern in _patterns(path):
        remove_stale(path.parent, pattern)
    stored = {name: portable(name, array) for name, array in tensors.items()}
    content = save(stored)
    digest = hashlib.sha256(content).hexdigest()
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "file": f"{path.name}-{digest[:HASH]}.safetensors",
        "size": len(content),
        "sha256": digest,
        "tensors": {name: [array.dtype.name, list(array.shape)] for name, array in stored.items()},
        "meta": meta,
    }
    text = json.dumps({**record, "self": _digest_of(record)}, indent=1, allow_nan=False)
    if len(text) > LARGEST_JSON:
        raise ValueError(f"{_json_of(path)}: {len(text)} bytes of meta data; a checkpoint has at most {LARGEST_JSON}")
    write_atomic(path.with_name(record["file"]), content)
    write_atomic(_json_of(path), text)
    for file in written(path):
        if file.name not in (record["file"], _json_of(path).name):
            file.unlink(missing_ok=True)


def _patterns(path: PathLike) -> tuple[str, str]:
    """Glob patterns of the two names that a save gives; a copy that somebody made beside them has another."""
    name = glob.escape(Path(path).name)
    return f"{name}.json", f"{name}-{'[0-9a-f]' * HASH}.safetensors"


def written(path: PathLike) -> list[Path]:
    """The files of checkpoint `path` that are there: its JSON, its partner, and partners that a crash left behind."""
    return [file for pattern in _patterns(path) for file in Path(path).parent.glob(pattern) if file.is_file()]


def load_checkpoint(path: PathLike) -> tuple[State, dict[str, Any]]:
    """Read a checkpoint and verify every byte of it.

    Parameters
    ----------
    path : path
        As given to `save_checkpoint`.

    Returns
    -------
    tensors : dict of str to ndarray
    meta : dict

    Raises
    ------
    FileNotFoundError
        No such checkpoint.
    FormatError
        Anything truncated, altered or not a checkpoint; the message names the file and what differs.
    """
    record = read_record(path)
    partner = Path(path).with_name(record["file"])
    try:
        found = partner.stat().st_size
        content = read_regular(partner, found) if found == record["size"] else b""
    except FileNotFoundError:
        newer = read_record(path)  # a save may have finished between the two reads
        if newer["file"] == record["file"]:
            raise FormatError(
                f"{partner}: missing; {_json_of(path).name} names it as the checkpoint's tensors"
            ) from None
        return load_checkpoint(path)
    if found != record["size"]:
        raise FormatError(f"{partner}: {found} bytes, expected {record['size']}; the file is truncated or another one")
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise FormatError(
            f"{partner}: SHA-256 differs from the one in {_json_of(path).name}; the file has been altered or damaged"
        )
    return _tensors_of(partner, content, record["tensors"]), record["meta"]


def _json_of(path: PathLike) -> Path:
    return Path(path).with_name(Path(path).name + ".json")


def _digest_of(record: Any) -> str:
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def read_record(path: PathLike) -> dict[str, Any]:
    """What a checkpoint's JSON says, verified: all of `load_checkpoint` except the tensors, which are not looked at.

    Returns
    -------
    dict
        ``file``, ``size`` (bytes) and ``sha256`` of the partner, ``tensors`` (name to [dtype, shape]), ``meta``.
    """
    file = _json_of(path)
    content = read_regular(file, LARGEST_JSON)
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{file}: not JSON ({error}); the file is truncated or not a checkpoint") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FormatError(f'{file}: not a checkpoint of minighost (no "format": "{FORMAT}")')
    if record.get("version") != VERSION:
        raise FormatError(f"{file}: checkpoint version {record.get('version')!r}; this program reads version {VERSION}")
    claimed = record.pop("self", None)
    try:
        digest = _digest_of(record)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{file}: holds what a checkpoint cannot hold ({error})") from error
    if claimed != digest:
        raise FormatError(f"{file}: its own SHA-256 does not match; the file has been altered or damaged")
    if problem := _misfit(file.stem, record):
        raise FormatError(f"{file}: {problem}")
    return record


def _misfit(name: str, record: dict[str, Any]) -> str | None:
    """What is wrong with the fields of a record, or None. Whoever can write a file can also give it a right SHA-256."""
    file, size, digest, tensors = (record.get(key) for key in ("file", "size", "sha256", "tensors"))
    if not isinstance(file, str) or Path(file).name != file:
        return f"names {file!r} as its tensors; expected a file in the same folder"
    if not re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{{HASH}}}\.safetensors", file):
        return (
            f"names {file!r} as its tensors, so it is not the checkpoint {name!r}; give the files their original names"
        )
    if not _whole(size):
        return f"its size is {size!r}; expected a number of bytes"
    if not isinstance(digest, str):
        return f"its sha256 is {digest!r}; expected text"
    if not isinstance(record.get("meta"), dict):
        return f"its meta data are {type(record.get('meta')).__name__}; expected an object"
    if not isinstance(tensors, dict):
        return f"its list of tensors is {type(tensors).__name__}; expected an object"
    for tensor, entry in tensors.items():
        pair = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        if not (isinstance(pair[0], str) and isinstance(pair[1], list) and all(map(_whole, pair[1]))):
            return f"tensor {tensor!r}: expected [dtype, shape], got {entry!r}"
    return None


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _tensors_of(path: Path, content: bytes, manifest: dict[str, Any]) -> State:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
    except (
        SafetensorError,
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:  # bf16 and its kin raise the last four
        raise FormatError(f"{path}: not a safetensors file of plain numbers: {error}") from error
    found = {name: [array.dtype.name, list(array.shape)] for name, array in tensors.items()}
    wrong = sorted(name for name in found.keys() | manifest.keys() if found.get(name) != manifest.get(name))
    if wrong:
        raise FormatError(
            f"{path}: tensors differ from the manifest: "
            + "; ".join(f"{name} {found.get(name)} for {manifest.get(name)}" for name in wrong[:5])
        )
    return tensors
