"""A picture of any ratio, whole, in one of a fixed size: scaled until it fits, in the middle of a grey border.

A classifier may look at the centre of a picture only; whoever looks for things must see all of it.
"""

from typing import NamedTuple

import numpy as np

from minighost.data import pictures
from minighost.detect.boxes import clip
from minighost.type_aliases import Array, Images

__all__ = ["Letterbox", "fit_whole"]

GREY = 114  # of the border, about the mean of photographs


class Letterbox(NamedTuple):
    """Where a picture lies in the one that a network sees.

    Attributes
    ----------
    whole : (int, int)
        Height and width of the picture.
    size : (int, int)
        Height and width of what the network sees.
    """

    whole: tuple[int, int]
    size: tuple[int, int]

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the scaled picture."""
        scale = min(self.size[0] / self.whole[0], self.size[1] / self.whole[1])
        h, w = (min(most, max(1, round(scale * side))) for side, most in zip(self.whole, self.size, strict=True))
        return h, w

    @property
    def border(self) -> tuple[int, int]:
        """Rows above it and columns to its left."""
        (H, W), (h, w) = self.size, self.inner
        return (H - h) // 2, (W - w) // 2

    def _scale(self) -> tuple[Array, Array]:
        """Factor and summand of x0, y0, x1, y1. Up to a pixel is cut off at the sides, for whole pixels on both."""
        (h, w), (top, left) = self.inner, self.border
        width, height = pictures.largest_part(self.whole[::-1], self.inner)
        x, y = (self.whole[1] - width) // 2, (self.whole[0] - height) // 2
        factor = np.array([w / width, h / height] * 2)
        return factor, np.array([left, top] * 2) - factor * np.array([x, y] * 2)

    def boxes(self, boxes: Array) -> Array:
        """Boxes (n, 4) of the picture as those of what the network sees; what lies beyond the picture is cut off."""
        factor, summand = self._scale()
        return clip(clip(boxes.astype(np.float64), self.whole) * factor + summand, self.size).astype(np.float32)

    def back(self, boxes: Array) -> Array:
        """The inverse: boxes that the network has found, in pixels of the picture."""
        factor, summand = self._scale()
        return clip((boxes.astype(np.float64) - summand) / factor, self.whole).astype(np.float32)

    def place(self, image: Images) -> Images:
        """A picture that has been scaled to `inner`, with its border."""
        (top, left), (h, w) = self.border, self.inner
        out = np.full((*self.size, 3), GREY, np.uint8)
        out[top : top + h, left : left + w] = image
        return out


def fit_whole(picture: Images, size: tuple[int, int]) -> tuple[Images, Letterbox]:
    """An array (H, W, 3) or (H, W, 1) of uint8, whole at `size`; errors as of `pictures.fit`."""
    box = Letterbox((picture.shape[0], picture.shape[1]), size) if picture.ndim == 3 and picture.size else None
    inner = size if box is None else box.inner  # where `fit` complains
    image, _ = pictures.fit(picture, inner)
    assert box is not None
    return box.place(image), box
