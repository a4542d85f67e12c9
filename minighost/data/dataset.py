"""What every data set here is: images, labels and the names of the classes, checked once on the way in."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from minighost.type_aliases import Images, IntArray
from minighost.wording import counted

__all__ = ["Dataset", "Split"]

Split = Literal["train", "test"]
SHOWN = 20  # classes in a notebook


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled set of images, grey or RGB, held in memory as bytes.

    Parameters
    ----------
    images : ndarray, shape (N, H, W, C), uint8
        C is 1 (grey) or 3 (RGB). C-contiguous (made so if it is not). CIFAR-10 and shapes10 are RGB with H = W = 32.
    labels : ndarray, shape (N,), int64
        Class of each image, ``0 <= label < len(classes)``.
    classes : tuple of str
        Names of the classes, in the order of their labels.
    name : str
        ``"shapes10"``, ``"cifar10"``, or what the user calls it.

    Raises
    ------
    TypeError
        Images that are not uint8, labels that are not integers.
    ValueError
        Wrong rank, different lengths, a label outside the classes (named with its position).
    """

    images: Images
    labels: IntArray
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        images, labels = self._checked(np.ascontiguousarray(self.images)), np.asarray(self.labels)
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{self.name}: labels must be integers, got {labels.dtype}")
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"{self.name}: {counted(len(images), 'image')} need labels of shape ({len(images)},), "
                f"got {labels.shape}"
            )
        wrong = (labels < 0) | (labels >= len(self.classes))
        if wrong.any():
            where = int(wrong.argmax())
            raise ValueError(
                f"{self.name}: label {labels[where]} of image {where} is outside 0..{len(self.classes) - 1}"
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", np.ascontiguousarray(labels, np.int64))
        object.__setattr__(self, "classes", tuple(self.classes))

    def _checked(self, images: np.ndarray) -> Images:
        if images.dtype != np.uint8:
            raise TypeError(f"{self.name}: images must be uint8 (0..255), got {images.dtype}")
        if images.ndim != 4 or images.shape[3] not in (1, 3):
            raise ValueError(f"{self.name}: images must have shape (N, H, W, 1) or (N, H, W, 3), got {images.shape}")
        return images

    def __len__(self) -> int:
        return len(self.images)

    def _repr_html_(self) -> str:
        """The first images of the first classes, and how many there are."""
        import html

        from minighost import notebook
        from minighost.plots.figure import png
        from minighost.plots.sheets import contact_sheet

        H, W = self.size
        words = f"{self.name}: {len(self):,} images, {H}x{W}x{self.channels}, {len(self.classes):,} classes"
        shown = self._of_classes(SHOWN).visible()
        more = f"<p>... and {len(self.classes) - SHOWN:,} more classes</p>" if len(self.classes) > SHOWN else ""
        sheet = notebook.image(png(lambda path: contact_sheet(shown, path)), words)
        return f"<p><b>{html.escape(words)}</b></p>{sheet}{more}"

    def _of_classes(self, most: int) -> "Dataset":
        """A dozen images of each of the first classes."""
        wanted = min(most, len(self.classes))
        chosen = np.concatenate([np.flatnonzero(self.labels == k)[:12] for k in range(wanted)])
        return type(self)(self.images[chosen], self.labels[chosen], self.classes[:wanted], self.name)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a run learns from, by name."""
        return {"images": self.images, "labels": self.labels}

    def visible(self) -> "Dataset":
        """The images as bytes, to look at: here the set itself."""
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width (H, W) of the images, in pixels."""
        H, W = self.images.shape[1:3]
        return H, W

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return self.images.shape[3]

    def joined(self, other: "Dataset") -> "Dataset":
        """The images of this set and then those of another, of the same classes."""
        images, labels = (
            np.concatenate([getattr(one, name) for one in (self, other)]) for name in ("images", "labels")
        )
        return Dataset(images, labels, self.classes, self.name)

    def rgb(self) -> "Dataset":
        """The same images with three channels, for a network that takes no grey ones; of RGB images the set itself."""
        if self.channels == 3:
            return self
        return Dataset(self.images.repeat(3, axis=3), self.labels, self.classes, self.name)

    def first(self, n: int) -> "Dataset":
        """The data set of the first `n` images (a view, nothing is copied); ValueError if there are fewer."""
        if not 0 < n <= len(self):
            raise ValueError(f"{self.name}: cannot take {n} images; this split has {len(self)}")
        return type(self)(self.images[:n], self.labels[:n], self.classes, self.name)
