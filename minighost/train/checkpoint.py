"""Checkpoints: a pair of files that is either wholly the old one or wholly the new one.

``NAME.json`` holds the meta data and names its partner, ``NAME-<hash>.safetensors``, with size, SHA-256 and a
manifest of the tensors. The partner is written first, under a name of its own; replacing the JSON file is the one
moment that commits; only then is the previous partner removed. Nothing in either file is ever executed.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from minighost.errors import FormatError
from minighost.inputs import open_regular, read_regular
from minighost.train.files import remove_stale, write_atomic

__all__ = ["load_checkpoint", "portable", "save_checkpoint"]

FORMAT, VERSION = "minighost-checkpoint", 1
DTYPES = frozenset("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split())
LARGEST_JSON = 16 << 20


def portable(name, array):
    """`array` as safetensors stores it rightly: C-contiguous, little-endian, a known dtype.

    safetensors 0.8 writes the memory behind an array without looking at its strides, so a transposed or sliced view
    would be saved scrambled (safetensors#825). Every tensor goes through here.

    Raises
    ------
    TypeError
        A dtype other than bool, integers and float16/32/64.
    """
    array = np.asarray(array)
    if array.dtype.newbyteorder("=").name not in DTYPES:
        raise TypeError(f"{name}: cannot save dtype {array.dtype}; known: {', '.join(sorted(DTYPES))}")
    return np.array(array, dtype=array.dtype.newbyteorder("<"), order="C")


def save_checkpoint(path, tensors, meta):
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
    OSError
        Full disk and the like, in one message; the previous checkpoint still loads.
    """
    from safetensors.numpy import save

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for names in (f"{path.name}.json", f"{path.name}-*.safetensors"):
        remove_stale(path.parent, names)
    tensors = {name: portable(name, array) for name, array in tensors.items()}
    content = save(tensors)
    digest = hashlib.sha256(content).hexdigest()
    record = {
        "format": FORMAT,
        "version": VERSION,
        "file": f"{path.name}-{digest[:16]}.safetensors",
        "size": len(content),
        "sha256": digest,
        "tensors": {name: [array.dtype.name, list(array.shape)] for name, array in tensors.items()},
        "meta": meta,
    }
    text = json.dumps({**record, "self": _digest_of(record)}, indent=1, allow_nan=False)
    write_atomic(path.with_name(record["file"]), content)
    write_atomic(_json_of(path), text)
    for partner in path.parent.glob(f"{path.name}-*.safetensors"):
        if partner.name != record["file"]:
            partner.unlink(missing_ok=True)


def load_checkpoint(path):
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
    record = _read_record(_json_of(path))
    partner = Path(path).with_name(record["file"])
    try:
        with open_regular(partner) as file:
            content = file.read()
    except FileNotFoundError:
        newer = _read_record(_json_of(path))  # a save may have finished between the two reads
        if newer["file"] == record["file"]:
            raise FormatError(
                f"{partner}: missing; {_json_of(path).name} names it as the checkpoint's tensors"
            ) from None
        return load_checkpoint(path)
    if len(content) != record["size"]:
        raise FormatError(
            f"{partner}: {len(content)} bytes, expected {record['size']}; the file is truncated or not this one"
        )
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise FormatError(
            f"{partner}: SHA-256 differs from the one in {_json_of(path).name}; the file has been altered or damaged"
        )
    return _tensors_of(partner, content, record["tensors"]), record["meta"]


def _json_of(path):
    return Path(path).with_name(Path(path).name + ".json")


def _digest_of(record):
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def _read_record(path):
    content = read_regular(path, LARGEST_JSON)
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON ({error}); the file is truncated or not a checkpoint") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FormatError(f'{path}: not a checkpoint of minighost (no "format": "{FORMAT}")')
    if record.get("version") != VERSION:
        raise FormatError(f"{path}: checkpoint version {record.get('version')!r}; this program reads version {VERSION}")
    claimed = record.pop("self", None)
    if claimed != _digest_of(record):
        raise FormatError(f"{path}: its own SHA-256 does not match; the file has been altered or damaged")
    if Path(record["file"]).name != record["file"]:
        raise FormatError(f"{path}: names {record['file']!r} as its tensors; expected a file in the same folder")
    return record


def _tensors_of(path, content, manifest):
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
