"""From bytes to numbers for a network: every channel with mean 0 and standard deviation 1 over the training set."""

import numpy as np

from minighost.type_aliases import Array, ArrayLike, Images

__all__ = ["channel_statistics", "normalize"]


def channel_statistics(images: Images) -> tuple[Array, Array]:
    """Mean and standard deviation of each channel, over all images and pixels, on the scale 0..1.

    Parameters
    ----------
    images : ndarray, shape (N, H, W, C), uint8
        N >= 1. Not written to.

    Returns
    -------
    mean, std : ndarray, shape (C,), float32
        Of ``images / 255``; `std` is the population's (divisor N*H*W).

    Raises
    ------
    TypeError, ValueError
        Not uint8; not (N, H, W, 1) or (N, H, W, 3); empty.

    Notes
    -----
    The sums are exact, however many images there are.

    Examples
    --------
    >>> mean, std = channel_statistics(np.full((1, 2, 2, 3), 255, np.uint8))
    >>> mean.tolist(), std.tolist()
    ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    """
    images = _checked(images, "channel_statistics")
    if images.size == 0:
        raise ValueError(f"channel_statistics: no pixels in images of shape {images.shape}")
    sums, squares = np.zeros((2, *images.shape[1:]))  # (H, W, C) each
    for start in range(0, len(images), 256):  # 256 * 255**2 < 2**24: float32 still counts exactly, and is quick
        part = images[start : start + 256].astype(np.float32)
        sums += part.sum(axis=0)
        squares += np.square(part, out=part).sum(axis=0)
    pixels, sums, squares = images.size // images.shape[3], sums.sum(axis=(0, 1)), squares.sum(axis=(0, 1))
    # In Python's whole numbers, for the two terms cancel where all pixels are nearly alike.
    variance = [(pixels * int(s2) - int(s1) ** 2) / pixels**2 for s1, s2 in zip(sums, squares, strict=True)]
    return (sums / pixels / 255).astype(np.float32), (np.sqrt(variance) / 255).astype(np.float32)


def normalize(images: Images, mean: ArrayLike, std: ArrayLike) -> Array:
    """``(images / 255 - mean) / std``, channel by channel, as one multiplication and one subtraction.

    Parameters
    ----------
    images : ndarray, shape (N, H, W, C), uint8
        Not written to.
    mean, std : array_like, shape (C,)
        From `channel_statistics` of the *training* images, for test images too; `std` > 0.

    Returns
    -------
    ndarray, shape (N, H, W, C), float32
        New, C-contiguous.

    Raises
    ------
    TypeError, ValueError
        Not uint8; wrong shapes; a `std` that is not positive and finite (a channel that never changes has std 0).

    Examples
    --------
    >>> normalize(np.array([0, 255, 255], np.uint8).reshape(1, 1, 1, 3), [0, 0.5, 0.5], [1, 0.5, 0.25]).ravel().tolist()
    [0.0, 1.0, 2.0]
    """
    images = _checked(images, "normalize")
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    N, H, W, C = images.shape
    if mean.shape != (C,) or std.shape != (C,):
        raise ValueError(f"normalize: mean and std need shape ({C},), got {mean.shape} and {std.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError(f"normalize: mean {mean} and std {std} must be finite, and every std positive")
    scale, shift = (np.tile(v, H * W).astype(np.float32) for v in (1 / (255 * std), mean / std))
    out = np.multiply(images.reshape(N, H * W * C), scale, dtype=np.float32)  # long rows: a last axis of 3 is slow
    out -= shift
    return out.reshape(N, H, W, C)


def _checked(images: Images, name: str) -> Images:
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise TypeError(f"{name}: images must be uint8 (0..255), got {images.dtype}")
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(f"{name}: images must have shape (N, H, W, 1) or (N, H, W, 3), got {images.shape}")
    return images
