"""The loader: shuffled, augmented, normalised batches, prepared by one thread while the kernels compute.

What a batch holds is a pure function of (seed, epoch, batch index): each use of chance has its own generator,
seeded with those numbers, and no state is carried along. So a run resumed in the middle of an epoch sees bit for bit
the batches that it would have seen, and nothing needs to be saved for it.
"""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np

from minighost.data.augment import Augment
from minighost.data.dataset import Dataset
from minighost.data.statistics import channel_statistics, normalize
from minighost.type_aliases import Array, ArrayLike, BoolArray, Images, IntArray
from minighost.wording import counted

__all__ = ["Loader"]

Augmentation = Callable[..., Images]  # of (images, rng); an `Augment`, too, takes flips besides
Batch = tuple[Array, IntArray]  # normalised images and their labels

_ORDER, _AUGMENT, _SIDES = 1, 2, 3  # streams of the seed: no two uses of chance share one


class Loader:
    """Batches of a `Dataset` for training or testing.

    Parameters
    ----------
    dataset : Dataset
        At least one image, and at least `batch_size` of them.
    batch_size : int, >= 1
    seed : int, >= 0
        Of order and augmentation.
    shuffle : bool
        A new order each epoch; False keeps the data set's own.
    augment : Augment or callable, optional
        ``augment(images_u8, rng) -> images_u8``; None for none.
    mean, std : array_like, shape (C,), optional
        What `normalize` uses. None: `channel_statistics` of this data set; so give the *training* set's to a loader
        of test images.
    drop_last : bool
        Leave out the last, smaller batch of an epoch.
    share : (int, int)
        ``(k, n)``: of every batch only the k-th of n parts, counted from 0, with the images that this part has in the
        whole batch. What another part shows is not prepared; an `augment` of your own is given the whole batch.
    prefetch : int, >= 1
        Batches kept ready. Each costs ``batch_size * H * W * C * 4`` bytes.

    Raises
    ------
    ValueError
        An empty data set, a batch larger than the data set, arguments outside their range.

    Examples
    --------
    >>> from minighost.data import Augment, shapes10
    >>> loader = Loader(shapes10(1000), 100, augment=Augment())
    >>> len(loader), [x.shape for x, labels in loader.epoch(0, start=8)]
    (10, [(100, 32, 32, 3), (100, 32, 32, 3)])
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        augment: Augmentation | None = None,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        drop_last: bool = False,
        share: tuple[int, int] = (0, 1),
        prefetch: int = 2,
    ) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("prefetch", prefetch, 1), ("seed", seed, 0)):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"Loader: {name} = {value!r}; must be an integer >= {least}")
        if len(dataset) == 0:
            raise ValueError(f"Loader: the data set {dataset.name!r} is empty")
        if batch_size > len(dataset):
            raise ValueError(
                f"Loader: batch_size = {batch_size} is larger than the data set "
                f"{dataset.name!r} with {counted(len(dataset), 'image')}; use at most {len(dataset)}"
            )
        if (mean is None) != (std is None):
            raise ValueError("Loader: give both mean and std, or neither")
        if mean is None or std is None:
            mean, std = channel_statistics(dataset.images)
        self.dataset, self.batch_size, self.seed, self.shuffle = dataset, batch_size, seed, shuffle
        self.augment, self.mean, self.std = augment, mean, std
        self.drop_last, self.share, self.prefetch = drop_last, share, prefetch

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self, epoch: int) -> IntArray:
        """Indices (N,) of the images in the order of that epoch: a permutation that depends on (seed, epoch) only."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return self._rng(_ORDER, epoch).permutation(len(self.dataset))

    def epoch(self, index: int, start: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches ``start, start + 1, ... len(self) - 1`` of epoch `index`.

        Yields
        ------
        x : ndarray, shape (B, H, W, C), float32
            Normalised; yours to keep.
        labels : ndarray, shape (B,), int64

        Notes
        -----
        One thread works ahead from the first batch on and ends with the iterator, also when that is left early, closed
        or forgotten. What it raises is raised here.

        Raises
        ------
        ValueError
            `index` < 0, or `start` outside ``0..len(self)``.
        """
        if index < 0 or not 0 <= start <= len(self):
            raise ValueError(
                f"Loader: epoch {index}, start {start}; epochs count from 0 "
                f"and start must be in 0..{len(self)}, the number of batches"
            )
        return self._batches(index, start)

    def _batches(self, epoch: int, start: int) -> Generator[Batch, None, None]:
        order = self.order(epoch)
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="minighost-loader")
        todo = (worker.submit(self._batch, epoch, order, index) for index in range(start, len(self)))
        try:
            ready = deque(islice(todo, self.prefetch))
            while ready:
                batch = ready.popleft().result()
                ready.extend(islice(todo, 1))
                yield batch
        finally:
            worker.shutdown(wait=True, cancel_futures=True)

    def _batch(self, epoch: int, order: IntArray, index: int) -> Batch:
        whole = order[index * self.batch_size : (index + 1) * self.batch_size]
        (k, n), N = self.share, len(whole)
        mine = slice(N * k // n, N * (k + 1) // n)
        chosen, rng = whole[mine], self._augment_rng(epoch, index)
        if self.augment is None:
            images = self.dataset.images[chosen]
        elif isinstance(self.augment, Augment):
            flips = self._sides()[chosen] ^ (epoch % 2 == 1) if self.augment.flip == "alternate" else None
            images = self.augment(self.dataset.images[chosen], rng, flips, (mine, N))
        else:
            images = self.augment(self.dataset.images[whole], rng)[mine]
        return self.normalized(images), self.dataset.labels[chosen]

    def normalized(self, images: Any) -> Array:
        """Images (N, H, W, C) as a network takes them; floats are normalised already."""
        return images if images.dtype.kind == "f" else normalize(images, self.mean, self.std)

    def _sides(self) -> BoolArray:
        """Which side (N,) each image shows in even epochs; odd epochs show the other one."""
        return self._rng(_SIDES).random(len(self.dataset)) < 0.5

    def _augment_rng(self, epoch: int, index: int) -> np.random.Generator:
        return self._rng(_AUGMENT, epoch, index)

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *numbers])
