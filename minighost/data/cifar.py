"""CIFAR-10: 60,000 photographs of ten kinds of things, 32x32 pixels (Krizhevsky 2009).

The images are not ours to distribute. They come from where you have them: a folder in the official binary or Python
layout, an archive file, or a download (`minighost.data.download`).
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from minighost.data import download, records
from minighost.data.archive import read_members
from minighost.data.dataset import Dataset, Split
from minighost.errors import FormatError
from minighost.inputs import open_regular
from minighost.type_aliases import PathLike

__all__ = ["PYTHON_ARCHIVE_SHA256", "cifar10", "existing_file"]

PYTHON_ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def cifar10(
    split: Split = "train",
    *,
    directory: PathLike | None = None,
    archive: PathLike | None = None,
    n: int | None = None,
    mirrors: Sequence[str] = (),
    progress: bool = True,
) -> Dataset:
    """Load one split of CIFAR-10.

    Parameters
    ----------
    split : {"train", "test"}
        50,000 or 10,000 images.
    directory : str or path-like, optional
        The folder with ``data_batch_1.bin`` ... ``test_batch.bin`` (binary layout) or ``data_batch_1`` ...
        ``test_batch`` (Python layout), or a folder that holds ``cifar-10-batches-bin``, ``cifar-10-batches-py`` or one
        of the two official archive files. The first one found, in this order, is read. If there is none, the same is
        looked for in the folders inside it.
    archive : str or path-like, optional
        A ``.tar.gz``, ``.tar.bz2``, ``.tar.xz`` or ``.tar`` of either layout, whatever the folder in it is called;
        read as a stream, never extracted. Of the Python layout only the official file.
    n : int, optional
        Only the first `n` images.
    mirrors : sequence of str, optional
        URLs of ``cifar-10-binary.tar.gz`` to try first, if it comes to a download.
    progress : bool
        Show a progress bar while downloading.

    Returns
    -------
    Dataset
        Images (N, 32, 32, 3) uint8 in the order of the files; labels 0..9.

    Raises
    ------
    FileNotFoundError
        Nothing there, or more than one below `directory`; lists what was looked for, what is there instead (CIFAR-100,
        CIFAR-10 one folder further up) and the ways to get the data.
    FormatError
        A file of the wrong size, a label above 9, a damaged archive, a web page in place of data, a Python batch whose
        checksum is not the official one.
    OSError
        A file that cannot be read; a download of which every mirror failed.

    Notes
    -----
    With neither `directory` nor `archive`, the data directory (``MINIGHOST_DATA_DIR``, else the system's cache) is
    searched in the same way, and only if it holds nothing is the archive downloaded into it. Binary batches are checked
    by size and labels, so that re-encoded copies load too; Python batches, which are pickles, by checksum.
    """
    if split not in ("train", "test"):
        raise ValueError(f"cifar10: unknown split {split!r}; available: 'train', 'test'")
    if directory is not None and archive is not None:
        raise ValueError("cifar10: give a directory or an archive, not both")
    if archive is not None:
        return _from_archive(existing_file(archive, "CIFAR-10"), split, n)
    if directory is None:
        directory = download.data_directory()
        if _find(directory) is None:
            return _from_archive(download.fetch(mirrors, directory, progress), split, n)
    source = _find(directory)
    if source is None:
        raise FileNotFoundError(_nothing_in(Path(directory)))
    path, layout = source
    return _from_archive(path, split, n) if layout is None else _from_folder(path, layout, split, n)


def _find(directory: PathLike) -> tuple[Path, records.Layout | None] | None:
    """Where the data are below `directory`: (folder, layout), (archive file, None), or None if nowhere."""
    found = _look_in(Path(directory))
    if found is not None:
        return found
    nested = [found for folder in _folders_in(directory) if (found := _look_in(folder)) is not None]
    if len(nested) > 1:
        places = ", ".join(str(path) for path, _ in nested)
        raise FileNotFoundError(f"{directory} holds CIFAR-10 more than once: {places}; choose one of them")
    return nested[0] if nested else None


def _look_in(directory: Path) -> tuple[Path, records.Layout | None] | None:
    for layout in records.LAYOUTS.values():
        for folder in (directory, directory / layout.folder):
            if any(os.path.isfile(folder / name) for names in layout.splits.values() for name in names):
                return folder, layout
    for layout in records.LAYOUTS.values():
        if os.path.isfile(directory / layout.archive):
            return directory / layout.archive, None
    return None


def _folders_in(directory: PathLike) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:
        return []


def _nothing_in(directory: Path) -> str:
    """What to say if `directory` holds no CIFAR-10."""
    above = Path(os.path.abspath(directory)).parent
    hints = [records.cifar100_hint(_names_in(folder)) for folder in (directory, *_folders_in(directory))]
    state = "has none of" if directory.is_dir() else "is not a directory" if directory.exists() else "does not exist"
    looked_for = [
        name
        for layout in records.LAYOUTS.values()
        for name in (layout.splits["train"][0], layout.folder + "/", layout.archive)
    ]
    tail = f" {', '.join(looked_for)}" if directory.is_dir() else f" (looked for {', '.join(looked_for)} in it)"
    elsewhere = f". It is one folder up: use --data-dir {above}" if _look_in(above) else ""
    return f"no CIFAR-10: {directory} {state}{tail}{elsewhere}{max(hints)}. {download.WAYS}"


def _names_in(folder: PathLike) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def existing_file(archive: PathLike, title: str) -> Path:
    """The archive that the user names, if there is one; `title` names the data set in the message if not."""
    archive = Path(archive)
    if archive.is_dir():
        raise IsADirectoryError(f"{archive} is a directory; --data-archive takes a .tar.gz, --data-dir a directory")
    if not archive.exists():
        raise FileNotFoundError(f"no {title} archive: {archive} does not exist. {download.WAYS}")
    return archive


# A folder ------------------------------------------------------------------------------------------------------------


def _from_folder(folder: Path, layout: records.Layout, split: Split, n: int | None) -> Dataset:
    missing = [name for name in layout.splits[split] if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder}: the {split} split needs {', '.join(missing)}, not found. {download.WAYS}")
    return _assemble(split, layout, n, lambda name: (_read_exactly(folder / name, layout.sizes[name]), folder / name))


def _read_exactly(path: Path, size: int) -> bytes:
    with open_regular(path) as file:
        found = file.seek(0, 2)
        file.seek(0)
        if found != size:
            raise FormatError(
                f"{path}: {found:,} bytes, expected {size:,} ({records.RECORDS:,} records); "
                f"{'truncated' if found < size else 'too long'}, or another file"
                f"{records.cifar100_hint([], found)}{records.web_page_hint(file.read(1024))}"
            )
        return file.read(size)


# An archive ----------------------------------------------------------------------------------------------------------


def _from_archive(path: Path, split: Split, n: int | None) -> Dataset:
    layouts = records.LAYOUTS.values()
    wanted = {name: layout.sizes[name] for layout in layouts for name in layout.splits[split]}
    members, names = read_members(path, wanted, max(sum(layout.sizes.values()) for layout in layouts))
    layout = next((layout for layout in layouts if any(name in members for name in layout.splits[split])), None)
    if layout is None:
        official = [f"{layout.folder}/{name}" for layout in layouts for name in layout.splits[split]]
        raise FormatError(
            f"{path}: no CIFAR-10 in this archive; none of its members is {' or '.join(official)}"
            f"{records.cifar100_hint(names)}"
        )
    missing = [f"{layout.folder}/{name}" for name in layout.splits[split] if name not in members]
    if missing:
        raise FormatError(f"{path}: the archive lacks {', '.join(missing)}")
    if layout is records.LAYOUTS["python"]:
        _check_python_archive(path)
    return _assemble(split, layout, n, lambda name: (members.pop(name), f"{path}: {name}"))


def _check_python_archive(path: Path) -> None:
    with open_regular(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != PYTHON_ARCHIVE_SHA256:
        raise FormatError(
            f"{path}: SHA-256 {found}, but the official Python archive has {PYTHON_ARCHIVE_SHA256}. It "
            "holds pickles and is opened only if it is the official one; use the binary archive, or "
            "unpack it and use --data-dir"
        )


# Both ----------------------------------------------------------------------------------------------------------------


def _assemble(
    split: Split, layout: records.Layout, n: int | None, read: Callable[[str], tuple[bytes | bytearray, PathLike]]
) -> Dataset:
    """One Dataset from the batches of a split; `read(name)` gives a batch's bytes and what to call it in an error."""
    names = layout.splits[split]
    images = np.empty((len(names), records.RECORDS, records.SIDE, records.SIDE, 3), np.uint8)
    labels = np.empty(images.shape[:2], np.int64)
    for i, name in enumerate(names):
        raw, where = read(name)
        if layout.md5:
            images[i], labels[i] = records.decode_python(raw, where, layout.md5[name])
        else:
            images[i], labels[i] = records.decode_binary(raw, where)
    data = Dataset(images.reshape(-1, *images.shape[2:]), labels.ravel(), records.CLASSES, "cifar10")
    return data if n is None else data.first(n)
