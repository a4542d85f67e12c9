"""Images that are numbers already: normalised by their owner, with any number of channels."""

from typing import Any

import numpy as np

from minighost.data.augment import Augment
from minighost.data.dataset import Dataset

__all__ = ["FloatAugment", "FloatDataset", "channels_first"]


class FloatDataset(Dataset):
    """A `Dataset` whose images, (N, H, W, C), are finite numbers, float32, and go to the network as they are.

    Raises
    ------
    TypeError, ValueError
        As `Dataset`; the images are no floats, have not four axes, or hold a NaN or an infinity.
    """

    def _checked(self, images: np.ndarray) -> Any:
        if images.dtype.kind != "f":
            raise TypeError(f"{self.name}: images must be floats, got {images.dtype}")
        if images.ndim != 4:
            raise ValueError(f"{self.name}: images must have shape (N, H, W, C), got {images.shape}")
        if not np.isfinite(images).all():
            where = tuple(int(k) for k in np.argwhere(~np.isfinite(images))[0])
            raise ValueError(f"{self.name}: the number at {where} is {images[where]}; all numbers must be finite")
        return np.ascontiguousarray(images, np.float32)

    def visible(self) -> Dataset:
        """As bytes: the smallest number black, the largest white; as grey images where there are not three channels."""
        images = self.images if self.channels == 3 else self.images.mean(axis=3, keepdims=True)
        low, high = images.min(), images.max()
        bytes_ = ((images - low) * (255 / max(high - low, 1e-30))).round().astype(np.uint8)
        return Dataset(bytes_, self.labels, self.classes, self.name)


class FloatAugment(Augment):
    """`Augment` for float images; the square of cutout is painted over with the image's mean, channel by channel."""

    def _check_kind(self, images: np.ndarray) -> None:
        if images.dtype.kind != "f" or images.ndim != 4:
            raise TypeError(f"FloatAugment: images must be floats (N, H, W, C), got {images.dtype} {images.shape}")

    def _mean_colours(self, images: np.ndarray) -> np.ndarray:
        return images.mean(axis=(1, 2))


def channels_first(shape: tuple[int, ...]) -> str:
    """The end of an error message, if images of this shape seem to be (N, C, H, W): how to turn them."""
    fits = len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3)
    return "; it looks like NCHW: x.transpose(0, 2, 3, 1)" if fits else ""
