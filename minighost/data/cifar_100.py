"""CIFAR-100: 60,000 photographs of a hundred kinds of things, 32x32 pixels (Krizhevsky 2009), in the binary layout.

A record is the number of the coarse class, which is not used, the number of the fine one, and 3,072 pixels as in
CIFAR-10. 500 images of each class are for training, 100 for testing.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minighost.data import cifar, download, records
from minighost.data.archive import read_members
from minighost.data.dataset import Dataset, Split
from minighost.errors import FormatError
from minighost.inputs import open_regular
from minighost.type_aliases import PathLike

__all__ = ["CLASSES", "cifar100", "recognise"]

FOLDER = "cifar-100-binary"
IMAGES = {"train": 50_000, "test": 10_000}
RECORD = 2 + records.PIXELS
CLASSES = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm""".split()
)


def cifar100(
    split: Split = "train",
    *,
    directory: PathLike | None = None,
    archive: PathLike | None = None,
    n: int | None = None,
    mirrors: Sequence[str] = (),
    progress: bool = True,
) -> Dataset:
    """Load one split of CIFAR-100, with its hundred fine classes.

    Parameters
    ----------
    split : {"train", "test"}
        50,000 or 10,000 images.
    directory : str or path-like, optional
        The folder with ``train.bin`` and ``test.bin``, or one that holds ``cifar-100-binary`` or the archive.
    archive : str or path-like, optional
        ``cifar-100-binary.tar.gz``, or what is in it packed otherwise; read as a stream, never extracted.
    n : int, optional
        Only the first `n` images.
    mirrors : sequence of str, optional
        URLs to try first, if it comes to a download.
    progress : bool
        Show a progress bar while downloading.

    Returns
    -------
    Dataset
        Images (N, 32, 32, 3) uint8 in the order of the file; labels 0..99.

    Raises
    ------
    FileNotFoundError
        Nothing there; lists the ways to get the data.
    FormatError
        A file of the wrong size, a label above 99, a damaged archive.
    OSError
        A file that cannot be read; a download of which every mirror failed.

    Notes
    -----
    With neither `directory` nor `archive`, the data directory is searched (``MINIGHOST_DATA_DIR``, else the system's
    cache), and only if it holds nothing is the archive downloaded into it; its SHA-256 is checked.
    """
    if split not in IMAGES:
        raise ValueError(f"cifar100: unknown split {split!r}; available: 'train', 'test'")
    if directory is not None and archive is not None:
        raise ValueError("cifar100: give a directory or an archive, not both")
    if directory is None and archive is None:
        here = download.data_directory()
        source = _look_in(here) or download.fetch(mirrors, here, progress, download.CIFAR100)
    elif archive is not None:
        source = cifar.existing_file(archive, "CIFAR-100")
    else:
        found = _look_in(Path(directory or "."))
        if found is None:
            raise FileNotFoundError(
                f"no CIFAR-100: {directory} has none of train.bin, {FOLDER}/, {download.CIFAR100.name}. {download.WAYS}"
            )
        source = found
    name = f"{split}.bin"
    if source.is_dir():
        raw: bytes | bytearray = _read(source / name, IMAGES[split] * RECORD)
        where = source / name
    else:
        raw, where = _from_archive(source, name), source
    rows = np.frombuffer(raw, np.uint8).reshape(-1, RECORD)
    labels = rows[:, 1]
    if (labels >= len(CLASSES)).any():
        i = int((labels >= len(CLASSES)).argmax())
        raise FormatError(f"{where}: record {i} has label {labels[i]}; CIFAR-100's labels are 0..99")
    planes = rows[:n, 2:].reshape(-1, 3, records.SIDE, records.SIDE)
    data = Dataset(planes.transpose(0, 2, 3, 1), labels[:n], CLASSES, "cifar100")
    return data if n is None else data.first(n)


def recognise(path: Path) -> str | None:
    """Which data set a folder or an archive holds: ``"cifar10"``, ``"cifar100"``, or None."""
    if path.is_dir():
        if os.path.isfile(path / "train.bin") and os.path.isfile(path / "test.bin"):
            return "cifar100"
        files = [name for layout in records.LAYOUTS.values() for name in layout.splits["test"]]
        return "cifar10" if any(os.path.isfile(path / name) for name in files) else None
    if ".tar" not in "".join(path.suffixes).lower() and path.suffix.lower() != ".tgz":
        return None
    return "cifar100" if "100" in path.name else "cifar10"


def _look_in(directory: Path) -> Path | None:
    for folder in (directory, directory / FOLDER):
        if os.path.isfile(folder / "train.bin") or os.path.isfile(folder / "test.bin"):
            return folder
    archive = directory / download.CIFAR100.name
    return archive if archive.is_file() else None


def _read(path: Path, size: int) -> bytes:
    with open_regular(path) as file:
        content = file.read(size + 1)
    if len(content) != size:
        found = f"more than {size:,}" if len(content) > size else f"{len(content):,}"
        raise FormatError(
            f"{path}: {found} bytes, expected {size:,} ({size // RECORD:,} records); not CIFAR-100, or "
            f"truncated{records.web_page_hint(content)}"
        )
    return content


def _from_archive(path: Path, name: str) -> bytearray:
    sizes = {f"{part}.bin": count * RECORD for part, count in IMAGES.items()}
    members, found = read_members(path, {name: sizes[name]}, sum(sizes.values()))
    if name not in members:
        raise FormatError(
            f"{path}: no CIFAR-100 in this archive; it has {', '.join(found)[:200] or 'no file'}, but no "
            f"{FOLDER}/{name}"
        )
    return members[name]
