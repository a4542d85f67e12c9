"""COCO's annotation format: pictures in a folder, and a JSON file that says what is in them and where.

    {"images": [{"id": 7, "file_name": "street.jpg", "width": 640, "height": 480}, ...],
     "categories": [{"id": 3, "name": "car"}, ...],
     "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [x, y, w, h]}, ...]}

Most programs that people draw boxes with write it (https://cocodataset.org/#format-data). Here the ids of categories
may have gaps. Boxes around crowds (``"iscrowd": 1``), which COCO neither rewards nor punishes, are left out, and so are
outlines. Pictures are scaled to one size as a whole (`letterbox`), and their boxes with them.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minighost.data import pictures
from minighost.data.detection_set import DetectionSet, Origin
from minighost.data.folder import divide
from minighost.data.letterbox import Letterbox
from minighost.data.remarks import about_faults
from minighost.data.sources import SPLIT, Opened, label
from minighost.detect.boxes import Detections, Target
from minighost.errors import FormatError, printable
from minighost.files import write_atomic
from minighost.inputs import read_regular
from minighost.terminal.console import Console
from minighost.type_aliases import PathLike
from minighost.wording import counted

__all__ = ["open_coco", "results", "survey_coco", "write_coco"]

LARGEST = 1 << 28  # bytes of a JSON file: twelve times COCO's own for validation
SIDE = 128  # pixels to which pictures are scaled unless it is said otherwise
LEAST = 1.0  # pixels of a box's shorter side, as the network sees it
LONGEST = 200  # characters of a name
PARTS = {"train": ("train",), "test": ("val", "test")}  # words in the name of a file or its folder


class _File(NamedTuple):
    """What a JSON file says. Boxes are (image, label, x0, y0, x1, y1), images are numbered from 0."""

    path: Path
    ids: list[int]
    names: list[str]
    sizes: list[tuple[int, int]]
    categories: dict[str, int]
    boxes: list[tuple[Any, ...]]
    notes: list[str]


def open_coco(
    source: PathLike, *, size: int | tuple[int, int] | None = None, split: float = SPLIT, split_seed: int = 0
) -> tuple[DetectionSet, DetectionSet]:
    """Training and test pictures with boxes.

    Parameters
    ----------
    source : path
        A folder with JSON files in it or in its ``annotations``: ``instances_train*.json`` and ``instances_val*.json``
        as COCO's own, a ``train`` and a ``valid`` folder with a JSON file each, or a single JSON file, whose pictures
        are divided. Or a JSON file. Pictures are beside it, in ``images`` or in a folder of its name.
    size : int or (int, int), optional
        A side, or height and width, to which pictures are scaled; by default 128.
    split : float
        Share of the pictures that is kept for testing, where nobody has divided them.
    split_seed : int
        Another one keeps others.

    Returns
    -------
    train, test : DetectionSet

    Raises
    ------
    FormatError, OSError
        What is wrong with which file, and where in it.
    """
    sides = (size, size) if isinstance(size, (int, np.integer)) else size
    found: Any = survey_coco(source, size=sides, split=split, split_seed=split_seed)
    return found.train, found.test


def survey_coco(
    source: PathLike,
    *,
    size: tuple[int, int] | None = None,
    split: float = SPLIT,
    split_seed: int = 0,
    train_size: int | None = None,
    test_size: int | None = None,
    progress: bool = True,
) -> Opened:
    """As `open_coco`, and all there is to say about it; parameters as of `sources.survey`."""
    path, size = Path(source).expanduser(), size or (SIDE, SIDE)
    files, notes = _find(path)
    read = {part: _read(file) for part, file in files.items()}
    if len(read) == 2 and read["train"].categories.keys() != read["test"].categories.keys():
        only = sorted(read["train"].categories.keys() ^ read["test"].categories.keys())
        raise FormatError(
            f"{read['test'].path}: other categories than in {read['train'].path.name}: {', '.join(only[:5])} "
            f"in one of them only"
        )
    name, opened, faults, sizes = label(str(path.absolute())), {}, [], []
    for part, file in read.items():
        notes += file.notes
        opened[part], kept, missing, lost = _load(file, path, size, name, progress)
        faults += missing
        sizes.append(np.array(file.sizes)[kept])
        if lost:
            notes.append(
                f"{counted(lost, 'box')} with a side below {LEAST:g} pixel at this size {_is(lost)} left out; "
                "a larger --size keeps them"
            )
    divided = len(opened) == 1
    if divided:
        whole = opened.pop("train")
        testing = divide([str(i) for i in _ids(whole)], np.zeros(len(whole), np.int64), split, split_seed, str(path))
        opened = {"train": whole.chosen(~testing), "test": whole.chosen(testing)}
        notes.append(f"{len(opened['test']):,} of {counted(len(whole), 'picture')} are kept for testing")
    train: Any = opened["train"] if train_size is None else opened["train"].first(train_size)
    test: Any = opened["test"] if test_size is None else opened["test"].first(test_size)
    for part, one in (("training", train), ("test", test)):
        if not one.counts().any():
            raise FormatError(f"{path}: the {part} pictures have no boxes at all")
    notes += about_faults(tuple(faults))
    return Opened(train, test, tuple(notes), ((), ()), np.concatenate(sizes), tuple(faults), divided)


# Finding -------------------------------------------------------------------------------------------------------------


def _find(path: Path) -> tuple[dict[str, Path], list[str]]:
    """The JSON files of training and test pictures, or one of both under "train", and what to say of others."""
    if not path.exists():
        raise FileNotFoundError(2, "no such file or folder; --data says where the pictures with boxes are", str(path))
    if not path.is_dir():
        return {"train": path}, []
    found = sorted(file for pattern in ("*.json", "annotations/*.json", "*/*.json") for file in path.glob(pattern))
    found = list(dict.fromkeys(found))
    if named := [file for file in found if file.name.startswith("instances")]:
        found = named  # COCO's own folder has captions and key points, too
    if not found:
        raise FormatError(
            f"{path}: no .json file in it or in its annotations; to detect takes COCO's format, see docs/detection.md"
        )
    if len(found) == 1:
        return {"train": found[0]}, []
    parts: dict[str, list[Path]] = {"train": [], "test": []}
    for part, words in PARTS.items():
        for word in words:  # of validation and test pictures the first
            parts[part] += [one for one in found if word in _tag(one, path) and one not in sum(parts.values(), [])]
    if not parts["train"] or not parts["test"] or len(parts["train"]) > 1:
        listed = ", ".join(str(file.relative_to(path)) for file in found[:5])
        raise FormatError(
            f"{path}: {len(found)} .json files, {listed}: one name must have train in it and another val or test, or "
            "give the path of one file"
        )
    chosen = {part: files[0] for part, files in parts.items()}
    unused = [str(file.relative_to(path)) for file in found if file not in chosen.values()]
    return chosen, [f"not used: {', '.join(unused[:5])}"] if unused else []


def _tag(file: Path, root: Path) -> str:
    """What may say whether it is of training pictures: its name, and that of its folder if it is below the root."""
    folder = "" if file.parent in (root, root / "annotations") else file.parent.name
    return f"{folder} {file.stem}".lower()


# Reading -------------------------------------------------------------------------------------------------------------


def _read(path: Path) -> _File:
    try:
        tree = json.loads(read_regular(path, LARGEST))
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: not JSON ({error})") from error
    if not isinstance(tree, dict):
        raise FormatError(f"{path}: not COCO's format: expected an object, got {type(tree).__name__}")
    categories = _categories(path, tree)
    number, images = {key: k for k, key in enumerate(sorted(categories.values()))}, _entries(path, tree, "images")
    index: dict[int, int] = {}
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    for where, one in images:
        key = _whole(where, one, "id", 0)
        if key in index:
            raise FormatError(f"{where}: id {key} is in images[{index[key]}], too; every image needs its own")
        index[key] = len(names)
        names.append(_file_name(where, one))
        sizes.append((_whole(where, one, "height", 1), _whole(where, one, "width", 1)))
    if not names:
        raise FormatError(f"{path}: images is empty")
    boxes, notes = _boxes(path, tree, index, number, sizes)
    by_number = dict(sorted(categories.items(), key=lambda pair: pair[1]))
    return _File(path, list(index), names, sizes, by_number, boxes, notes)


def _entries(path: Path, tree: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a list, and its place for messages."""
    entries = tree.get(key)
    if not isinstance(entries, list):
        got = "is missing" if key not in tree else f"is {type(entries).__name__}"
        raise FormatError(f"{path}: not COCO's format: {key} {got}; expected a list of objects")
    for i, one in enumerate(entries):
        if not isinstance(one, dict):
            raise FormatError(f"{path}: {key}[{i}]: expected an object, got {type(one).__name__}")
        yield f"{path}: {key}[{i}]", one


def _categories(path: Path, tree: dict[str, Any]) -> dict[str, int]:
    """Ids by name."""
    found: dict[str, int] = {}
    for where, one in _entries(path, tree, "categories"):
        key, name = _whole(where, one, "id", 0), one.get("name")
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST:
            raise FormatError(f"{where}: name must be a text of 1 to {LONGEST} characters, got {name!r:.80}")
        if name in found or key in found.values():
            raise FormatError(f"{where}: {name!r} with id {key}: another category has that name or id")
        found[name] = key
    if not found:
        raise FormatError(f"{path}: categories is empty")
    return found


def _file_name(where: str, one: dict[str, Any]) -> str:
    name = one.get("file_name")
    if not isinstance(name, str) or not name or "\0" in name:
        raise FormatError(f"{where}: file_name must be the name of a picture, got {name!r:.80}")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise FormatError(f"{where}: file_name {name!r} leads out of the folder; give a path below it")
    return name


def _whole(where: str, one: dict[str, Any], key: str, least: int) -> int:
    value = one.get(key)
    if type(value) is not int or not least <= value < 2**63:
        got = f"got {value!r:.80}" if key in one else "it is missing"
        raise FormatError(f"{where}: {key} must be a whole number of at least {least}, {got}")
    return value


def _boxes(
    path: Path, tree: dict[str, Any], index: dict[int, int], number: dict[int, int], sizes: list[tuple[int, int]]
) -> tuple[list[tuple[Any, ...]], list[str]]:
    found: list[tuple[Any, ...]] = []
    seen: set[int] = set()
    crowds, flat, cut = 0, 0, 0
    for where, one in _entries(path, tree, "annotations"):
        key = _whole(where, one, "id", 0)
        if key in seen:
            raise FormatError(f"{where}: id {key} is that of another annotation, too")
        seen.add(key)
        image, category = _whole(where, one, "image_id", 0), _whole(where, one, "category_id", 0)
        if image not in index:
            raise FormatError(f"{where}: image_id {image} is in no entry of images")
        if category not in number:
            raise FormatError(f"{where}: category_id {category} is in no entry of categories")
        if one.get("iscrowd"):
            crowds += 1
            continue
        box = one.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(_is_number(v) for v in box):
            raise FormatError(f"{where}: bbox must be four finite numbers [x, y, width, height], got {box!r:.80}")
        x, y, w, h = map(float, box)
        if w < 0 or h < 0:
            raise FormatError(f"{where}: bbox {box} has a width or height below 0; it must be [x, y, width, height]")
        (H, W), x1, y1 = sizes[index[image]], x + w, y + h
        if w == 0 or h == 0:
            flat += 1
            continue
        if x >= W or y >= H or x1 <= 0 or y1 <= 0:
            raise FormatError(f"{where}: bbox {box} lies outside its picture, which is {W} wide and {H} high")
        cut += x < -1 or y < -1 or x1 > W + 1 or y1 > H + 1
        found.append((index[image], number[category], x, y, x1, y1))
    notes = [
        f"{counted(crowds, 'box')} around crowds {_is(crowds)} left out",
        f"{counted(flat, 'box')} without area {_is(flat)} left out",
        f"{counted(cut, 'box')} {'reaches' if cut == 1 else 'reach'} beyond the picture and {_is(cut)} cut off there",
    ]
    return found, [f"{path.name}: {note}" for note, count in zip(notes, (crowds, flat, cut), strict=True) if count]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < 1e9


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _load(
    file: _File, root: Path, size: tuple[int, int], name: str, progress: bool
) -> tuple[DetectionSet, list[int], list[tuple[str, str]], int]:
    """The pictures at one size with their boxes, which of them could be read, why others could not, and how many boxes
    became too small."""
    paths = [_picture(file, root, one) for one in file.names]
    places = [Letterbox(whole, size) for whole in file.sizes]
    images: list[Any] = []
    kept, faults = [], []
    bar = Console(sys.stderr if progress else None).bar("reading pictures", len(paths))
    try:
        for i, (image, whole, fault) in enumerate(pictures.read_all(paths, [place.inner for place in places])):
            bar.step("")
            if image is None:
                faults.append((file.names[i], fault))
                continue
            if whole != file.sizes[i]:
                (h, w), (H, W) = whole, file.sizes[i]
                raise FormatError(
                    f"{paths[i]}: {w} wide and {h} high, but {file.path.name} says {W} and {H}; the boxes are of "
                    "another picture"
                )
            kept.append(i)
            images.append(places[i].place(image))
    finally:
        bar.close()
    if not kept:
        raise FormatError(f"{file.path}: none of its pictures can be read; {faults[0][0]}: {faults[0][1]}")
    rows: list[list[Any]] = [[] for _ in paths]
    for i, k, *corners in file.boxes:
        rows[i].append((k, corners))
    targets, lost = [], 0
    for i in kept:
        boxes = places[i].boxes(np.array([corners for _, corners in rows[i]], np.float64).reshape(-1, 4))
        labels = np.array([k for k, _ in rows[i]], np.int64)
        enough = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= LEAST
        lost += int((~enough).sum())
        targets.append(Target(boxes[enough], labels[enough]))
    origin = Origin(tuple(file.ids[i] for i in kept), file.categories, tuple(file.sizes[i] for i in kept))
    found = DetectionSet(np.stack(images), tuple(targets), tuple(file.categories), name, origin)
    return found, kept, faults, lost


def _picture(file: _File, root: Path, name: str) -> Path:
    """Where a picture is."""
    folder = root if root.is_dir() else file.path.parent
    tag = file.path.stem.removeprefix("instances_")
    roots = [file.path.parent, folder, folder / "images", file.path.parent / "images"]
    roots += [folder / tag, folder / "images" / tag]
    for one in dict.fromkeys(roots):
        if (one / name).is_file():
            return one / name
    raise FileNotFoundError(
        2, f"no such picture, which {file.path.name} names; looked in {folder}, its images and {tag}", printable(name)
    )


# Writing -------------------------------------------------------------------------------------------------------------


def write_coco(folder: PathLike, train: DetectionSet, test: DetectionSet) -> list[Path]:
    """Write pictures as PNG files and their boxes as ``annotations/instances_train.json`` and ``..._test.json``.

    Parameters
    ----------
    folder : path
        A new one, or an empty one.
    train, test : DetectionSet

    Returns
    -------
    list of Path
        The two JSON files.

    Raises
    ------
    ValueError
        There is something in the folder.
    OSError
        It cannot be written. The JSON file of a part is written after its pictures.
    """
    root, written = Path(folder), []
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(f"{root}: is there and not empty; give the name of a new folder")
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for part, dataset in (("train", train), ("test", test)):
        (root / part).mkdir()
        names = [f"{i:06d}.png" for i in range(len(dataset))]
        for name, image in zip(names, dataset.images, strict=True):
            (root / part / name).write_bytes(pictures.png(image))
        written.append(root / "annotations" / f"instances_{part}.json")
        write_atomic(written[-1], json.dumps(_tree(dataset, names)))
    return written


def _tree(dataset: DetectionSet, names: Sequence[str]) -> dict[str, Any]:
    H, W = dataset.size
    annotations: list[dict[str, Any]] = []
    for i, (boxes, labels) in enumerate(dataset.targets):
        for (x0, y0, x1, y1), k in zip(boxes.tolist(), labels.tolist(), strict=True):
            box = [x0, y0, x1 - x0, y1 - y0]
            about = {"image_id": i + 1, "category_id": k + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, **about})
    return {
        "info": {"description": f"{dataset.name}, written by minighost"},
        "images": [{"id": i + 1, "file_name": name, "width": W, "height": H} for i, name in enumerate(names)],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(dataset.classes)],
        "annotations": annotations,
    }


def results(found: Sequence[Detections], dataset: DetectionSet) -> list[dict[str, Any]]:
    """Detections as COCO's programs read them (https://cocodataset.org/#format-results).

    Parameters
    ----------
    found : sequence of Detections
        In the pictures of `dataset`.
    dataset : DetectionSet
        If it was read from COCO's format, ids are those of that file and boxes in pixels of the original pictures;
        otherwise they count from 1, as `write_coco` does.
    """
    origin, lines = dataset.origin, []
    for i, (one, key) in enumerate(zip(found, _ids(dataset), strict=True)):
        boxes = one.boxes if origin is None else Letterbox(origin.sizes[i], dataset.size).back(one.boxes)
        for (x0, y0, x1, y1), k, score in zip(boxes.tolist(), one.labels.tolist(), one.scores.tolist(), strict=True):
            category = k + 1 if origin is None else origin.categories[dataset.classes[k]]
            box = [x0, y0, x1 - x0, y1 - y0]
            lines.append({"image_id": key, "category_id": category, "bbox": box, "score": score})
    return lines


def _ids(dataset: DetectionSet) -> Sequence[int]:
    return range(1, len(dataset) + 1) if dataset.origin is None else dataset.origin.ids
