"""Pictures with boxes: in each any number of things, each with its box and class. Checked once on the way in."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minighost.detect.boxes import Target, target
from minighost.type_aliases import BoolArray, Images
from minighost.wording import counted

__all__ = ["DetectionSet", "Origin"]


class Origin(NamedTuple):
    """What pictures were in the file that they come from.

    Attributes
    ----------
    ids : tuple of int
        Of the pictures.
    categories : dict of str to int
        Ids of the classes, by name.
    sizes : tuple of (int, int)
        Height and width of each picture before it was scaled.
    """

    ids: tuple[int, ...]
    categories: dict[str, int]
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """Pictures of one size, held in memory as bytes, and what is to be found in each.

    Parameters
    ----------
    images : ndarray, shape (N, H, W, 3), uint8
    targets : sequence of Target
        Of each picture boxes (n, 4) in its pixels and labels (n,); n may be 0.
    classes : tuple of str
        Names of the classes, in the order of their labels.
    name : str
    origin : Origin, optional

    Raises
    ------
    TypeError
        Images that are not uint8.
    ValueError
        Wrong rank, different lengths, a box without area or beyond its picture, a label outside the classes.
    """

    images: Images
    targets: tuple[Target, ...]
    classes: tuple[str, ...]
    name: str
    origin: Origin | None = None

    def __post_init__(self) -> None:
        images = np.ascontiguousarray(self.images)
        if images.dtype != np.uint8:
            raise TypeError(f"{self.name}: images must be uint8 (0..255), got {images.dtype}")
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"{self.name}: images must have shape (N, H, W, 3), got {images.shape}")
        if len(self.targets) != len(images):
            raise ValueError(
                f"{self.name}: {counted(len(images), 'image')} need as many targets, got {len(self.targets)}"
            )
        H, W = images.shape[1:3]
        targets = []
        for i, (boxes, labels) in enumerate(self.targets):
            where = f"{self.name}, image {i}"
            one = target(boxes, labels, len(self.classes), where)
            outside = (one.boxes < 0).any(axis=1) | (one.boxes[:, 2:] > (W, H)).any(axis=1)
            if outside.any():
                k = int(outside.argmax())
                raise ValueError(f"{where}: boxes[{k}]={one.boxes[k].tolist()} reaches beyond the picture's {H}x{W}")
            targets.append(one)
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "targets", tuple(targets))
        object.__setattr__(self, "classes", tuple(self.classes))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width (H, W) of the images, in pixels."""
        H, W = self.images.shape[1:3]
        return H, W

    @property
    def channels(self) -> int:
        """3, RGB."""
        return 3

    def visible(self) -> "DetectionSet":
        """The images as bytes, to look at: here the set itself."""
        return self

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What a run learns from, as arrays: "images", and "boxes" (n, 6) with picture, label and corners of each."""
        rows = [
            np.column_stack([np.full(len(labels), i), labels, boxes.astype(np.float64)])
            for i, (boxes, labels) in enumerate(self.targets)
        ]
        return {"images": self.images, "boxes": np.concatenate(rows) if rows else np.empty((0, 6))}

    def counts(self) -> np.ndarray[Any, Any]:
        """How many boxes each class has, shape (C,)."""
        return np.bincount(np.concatenate([one.labels for one in self.targets]), minlength=len(self.classes))

    def joined(self, other: "DetectionSet") -> "DetectionSet":
        """The pictures of this set and then those of another, of the same classes."""
        images, origin = np.concatenate([self.images, other.images]), None
        if self.origin is not None and other.origin is not None:
            (ids, categories, sizes), (others, _, other_sizes) = self.origin, other.origin
            origin = Origin(ids + others, categories, sizes + other_sizes)
        return DetectionSet(images, self.targets + other.targets, self.classes, self.name, origin)

    def first(self, n: int) -> "DetectionSet":
        """The data set of the first `n` images; ValueError if there are fewer."""
        if not 0 < n <= len(self):
            raise ValueError(f"{self.name}: cannot take {n} images; this split has {len(self)}")
        return self.chosen(np.arange(len(self)) < n)

    def chosen(self, which: BoolArray) -> "DetectionSet":
        """The pictures of a mask (N,)."""
        indices, origin = np.flatnonzero(which), self.origin
        if origin is not None:
            ids, sizes = tuple(origin.ids[i] for i in indices), tuple(origin.sizes[i] for i in indices)
            origin = Origin(ids, origin.categories, sizes)
        targets = tuple(self.targets[i] for i in indices)
        return DetectionSet(self.images[which], targets, self.classes, self.name, origin)

    def resized(self, size: tuple[int, int] | None) -> "DetectionSet":
        """The same pictures as a network of that size sees them, whole, with a border where the ratio differs."""
        from minighost.data.letterbox import Letterbox, fit_whole  # which needs Pillow

        if size is None or size == self.size:
            return self
        images = np.stack([fit_whole(image, size)[0] for image in self.images])
        place = Letterbox(self.size, size)
        targets = tuple(Target(place.boxes(boxes), labels) for boxes, labels in self.targets)
        return DetectionSet(images, targets, self.classes, self.name, self.origin)

    def _repr_html_(self) -> str:
        """The first pictures with their boxes."""
        import html

        from minighost import notebook
        from minighost.plots.boxes import box_sheet
        from minighost.plots.figure import png

        H, W = self.size
        words = f"{self.name}: {len(self):,} pictures with boxes, {H}x{W}x3, {len(self.classes):,} classes"
        sheet = notebook.image(png(lambda path: box_sheet(self, path)), words)
        return f"<p><b>{html.escape(words)}</b></p>{sheet}"
