"""shapes-detect: the shapes of shapes10, several in a picture, each with its exact box; drawn from a seed.

A picture is a ground with strokes across it and one to five shapes of any class, size and colour, which hardly overlap.
Everything is painted by the brushes of `shapes`; a shape is drawn on a patch of its own, and laid over the picture.
While that is done, a map of the same size notes which shape owns each pixel. The box of a shape is read off that map:
the smallest that has all pixels of which the shape covers at least half and no later shape hides more.
"""

import numpy as np

from minighost.data.dataset import Split
from minighost.data.detection_set import DetectionSet
from minighost.data.shapes import CLASSES, REACH, SIDE, blend, colour, coverage, paint, stroke
from minighost.detect.boxes import Target

__all__ = ["SIZES", "shapes_detect"]

PICTURE = 64  # pixels of a side
PATCH = SIDE  # of a shape's own canvas
BLOCK = 50  # pictures that are drawn at once
MOST, STROKES = 5, 4  # in a picture
SMALLEST, LARGEST = 6.0, 13.5  # radius of a shape in pixels; the largest fits its patch
APART = 0.9  # of two shapes' centres, as a multiple of both radii together
TRIES = 20  # to find a place for a shape; then the picture has one fewer
SIZES = {"train": 4_000, "test": 500}
_STREAM = {"train": 21, "test": 22}


def shapes_detect(n: int | None = None, seed: int = 0, split: Split = "train") -> DetectionSet:
    """Draw a data set of pictures with several shapes.

    Parameters
    ----------
    n : int, optional
        Number of pictures; by default 4,000 for training and 500 for testing.
    seed : int, >= 0
        The whole set is a function of `seed` and `split`; a longer set begins with the shorter one.
    split : {"train", "test"}

    Returns
    -------
    DetectionSet
        Images (n, 64, 64, 3) uint8, each with 1 to 5 boxes, whose intersection over union is below 0.25.

    Notes
    -----
    Bit-equal on one machine and NumPy version, as `shapes10` is.

    Examples
    --------
    >>> data = shapes_detect(10, seed=1)
    >>> data.images.shape, data.targets[0].boxes.shape[1]
    ((10, 64, 64, 3), 4)
    """
    if split not in _STREAM:
        raise ValueError(f"shapes-detect: unknown split {split!r}; available: {', '.join(map(repr, _STREAM))}")
    n = SIZES[split] if n is None else n
    if n < 1:
        raise ValueError(f"shapes-detect: n = {n} images; at least 1 is needed")
    if seed < 0:
        raise ValueError(f"shapes-detect: seed = {seed}; must be an integer >= 0")
    images, targets = np.empty((n, PICTURE, PICTURE, 3), np.uint8), []
    for start in range(0, n, BLOCK):
        drawn, found = _draw_block(np.random.default_rng([seed, _STREAM[split], start // BLOCK]))
        images[start : start + BLOCK] = drawn[: n - start]
        targets += found[: n - start]
    return DetectionSet(images, tuple(targets), CLASSES, "shapes-detect")


def _draw_block(rng):
    """BLOCK pictures (B, H, W, 3) and their targets, from back to front."""
    ground = rng.uniform(0.15, 0.85, BLOCK)
    inside = paint(rng, ground, swing=0.1, side=PICTURE)
    canvas = np.pad(inside, [(0, 0), (0, 0), (PATCH, PATCH), (PATCH, PATCH)])  # a patch may reach over the border
    owner = np.full((BLOCK, *canvas.shape[2:]), -1, np.int16)
    for _ in range(STROKES):
        middle = np.full((2, BLOCK), PATCH / 2)
        cover = stroke(rng, rng.uniform(0, 2 * np.pi, BLOCK), middle)
        surface = colour(rng, np.clip(ground + rng.uniform(-0.3, 0.3, BLOCK), 0.1, 0.9))
        places = rng.uniform(0, PICTURE, (BLOCK, 2))
        for b in range(BLOCK):
            blend(_window(canvas, b, places[b]), cover[b : b + 1], surface[b : b + 1])
    which, radius, centres = _arrange(rng)
    labels = rng.integers(0, len(CLASSES), len(which))
    corner = np.floor(centres)
    cover = coverage(rng, labels, radius, (PATCH / 2 + centres - corner).T)
    surface = paint(rng, _beside(rng, ground[which]), swing=0.05)
    for k, b in enumerate(which):
        blend(_window(canvas, b, corner[k]), cover[k : k + 1], surface[k : k + 1])
        _window(owner[:, None], b, corner[k])[0, 0][cover[k] >= 0.5] = k
    image = canvas[:, :, PATCH:-PATCH, PATCH:-PATCH]
    noise = rng.uniform(0.01, 0.07, (BLOCK, 1, 1, 1)).astype(np.float32)
    image = image + noise * rng.standard_normal(image.shape, np.float32)
    pixels = np.clip(255 * image + 0.5, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    boxes = np.array([_box_of(owner[b, PATCH:-PATCH, PATCH:-PATCH] == k) for k, b in enumerate(which)], np.float32)
    return pixels, [Target(boxes[which == b], labels[which == b]) for b in range(BLOCK)]


def _arrange(rng):
    """Picture, radius and centre (x, y) of every shape: (M,), (M,) and (M, 2)."""
    which, radii, centres = [], [], []
    for b in range(BLOCK):
        mine: list[tuple[float, float, float]] = []
        for radius in rng.uniform(SMALLEST, LARGEST, rng.integers(1, MOST + 1)):
            free = REACH * radius + 1
            for x, y in rng.uniform(free, PICTURE - free, (TRIES, 2)):
                if all(np.hypot(x - u, y - v) >= APART * (radius + other) for u, v, other in mine):
                    mine.append((x, y, radius))
                    break
        which += [b] * len(mine)
        centres += [(x, y) for x, y, _ in mine]
        radii += [radius for *_, radius in mine]
    return np.array(which), np.array(radii), np.array(centres)


def _beside(rng, ground):
    """A brightness at least 0.25 from each of `ground`: brighter or darker, as there is room."""
    apart = rng.uniform(0.25, 0.5, len(ground))
    brighter = np.where(
        ground + apart > 0.9, False, np.where(ground - apart < 0.1, True, rng.random(len(ground)) < 0.5)
    )
    return np.clip(np.where(brighter, ground + apart, ground - apart), 0.05, 0.95)


def _window(canvas, b, centre):
    """The patch (1, ., PATCH, PATCH) of picture `b` in the middle of which (x, y) lies; a view."""
    x, y = (int(place) + PATCH // 2 for place in centre)
    return canvas[b : b + 1, :, y : y + PATCH, x : x + PATCH]


def _box_of(mask):
    """The smallest box around the pixels of a mask (H, W): x0, y0, x1, y1."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
