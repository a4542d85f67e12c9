"""Batches of pictures with boxes, as those of `loader` with a list of targets in place of labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minighost.data.loader import Loader
from minighost.detect.boxes import Target, clip
from minighost.type_aliases import BoolArray, Images, IntArray

__all__ = ["BoxAugment", "BoxLoader"]

LEAST = 0.5  # of a box's area that a shift must leave in the picture; of less nobody could tell what it was


@dataclass(frozen=True)
class BoxAugment:
    """Random left-right flip and shift of pictures with their boxes; each picture of a batch on its own.

    Parameters
    ----------
    flip : bool or "alternate"
        As of `Augment`.
    shift : int, >= 0
        By up to this many pixels each way. The border is repeated: reflected as in `Augment`, a thing would be there
        twice, with one box.
    """

    flip: bool | Literal["alternate"] = True
    shift: int = 4

    def __call__(
        self, images: Images, targets: Sequence[Target], rng: np.random.Generator, flips: BoolArray | None = None
    ) -> tuple[Images, list[Target]]:
        """Augmented copies.

        Parameters
        ----------
        images : ndarray, shape (N, H, W, 3), uint8
        targets : sequence of Target
            A box that a shift leaves less than half of is left out; others end at the border.
        rng : numpy.random.Generator
        flips : ndarray, shape (N,), bool, optional
            Which pictures to mirror, in place of the generator's choice.

        Returns
        -------
        images, targets
        """
        N, H, W, _ = images.shape
        down, right = rng.integers(-self.shift, self.shift + 1, (2, N))
        mirrored: BoolArray = np.zeros(N, bool)
        if self.flip:
            mirrored = np.asarray(rng.random(N) < 0.5 if flips is None else flips)
        rows = np.clip(np.arange(H) - down[:, None], 0, H - 1)
        columns = np.clip(np.arange(W) - right[:, None], 0, W - 1)
        columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
        out = images[np.arange(N)[:, None, None], rows[:, :, None], columns[:, None, :]]
        return out, [
            _moved(one, int(x), int(y), bool(flipped), (H, W))
            for one, x, y, flipped in zip(targets, right, down, mirrored, strict=True)
        ]


def _moved(one: Target, right: int, down: int, mirrored: bool, size: tuple[int, int]) -> Target:
    boxes = one.boxes + np.array([right, down, right, down], np.float32)
    seen = clip(boxes, size)
    area, left = ((b[:, 2:] - b[:, :2]).clip(0).prod(axis=1) for b in (boxes, seen))
    kept = left >= LEAST * area
    seen = seen[kept]
    if mirrored:
        seen[:, [0, 2]] = size[1] - seen[:, [2, 0]]
    return Target(seen, one.labels[kept])


class BoxLoader(Loader):
    """Batches of a `DetectionSet`: (images (B, H, W, 3) float32, list of B targets).

    Parameters
    ----------
    dataset : DetectionSet
    augment : BoxAugment, optional
        None for none.

    Others as of `Loader`, of which there are no shares here.
    """

    def _batch(self, epoch: int, order: IntArray, index: int) -> Any:
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        dataset: Any = self.dataset
        images, targets = dataset.images[chosen], [dataset.targets[i] for i in chosen]
        if isinstance(self.augment, BoxAugment):
            flips = self._sides()[chosen] ^ (epoch % 2 == 1) if self.augment.flip == "alternate" else None
            images, targets = self.augment(images, targets, self._augment_rng(epoch, index), flips)
        return self.normalized(images), targets
