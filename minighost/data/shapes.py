"""shapes10: ten shapes on busy backgrounds, drawn from a seed; a data set that is always there.

Nothing is stored or downloaded: an image is ten lines of geometry. Each shape is a *signed distance* — negative
inside, zero on the outline, positive outside — built from half-planes and circles by three rules:

    union = min(a, b)        intersection = max(a, b)        difference = max(a, -b)

A distance in pixels gives the anti-aliased coverage of a pixel at once: ``clip(1/2 - distance, 0, 1)``.

Colour, size, place, turn, light, texture, strokes and noise are all random, and the shape may be darker or brighter
than its background: no fixed template of pixels tells the classes apart, so a linear classifier stays near 20 %, while
a small convolutional network finds the outlines and reaches 99 % in five epochs.
"""

from math import cos, hypot, pi, sin, sqrt

import numpy as np

from minighost.data.dataset import Dataset, Split

__all__ = ["CLASSES", "SIZES", "shapes10"]

SIDE = 32
BLOCK = 100  # images drawn at once, 10 of each class; few enough that their planes stay in cache
SIZES = {"train": 10_000, "test": 2_000}
_STREAM = {"train": 11, "test": 12}  # the loader of the same seed uses others


def shapes10(n: int | None = None, seed: int = 0, split: Split = "train") -> Dataset:
    """Draw a data set of ten shapes.

    Parameters
    ----------
    n : int, optional
        Number of images; by default 10,000 for training and 2,000 for testing.
    seed : int, >= 0
        The whole set is a function of `seed` and `split`; a longer set begins with the shorter one.
    split : {"train", "test"}
        The two splits draw from separate random streams of the same seed.

    Returns
    -------
    Dataset
        Images (n, 32, 32, 3) uint8, labels (n,) int64. Every hundred images hold ten of each class.

    Notes
    -----
    Bit-equal on one machine and NumPy version. Another processor may round a sine differently and so change single
    pixels by one grey level.

    Examples
    --------
    >>> data = shapes10(500, seed=1)
    >>> data.images.shape, data.classes[data.labels[0]] in CLASSES
    ((500, 32, 32, 3), True)
    """
    if split not in _STREAM:
        raise ValueError(f"shapes10: unknown split {split!r}; available: {', '.join(map(repr, _STREAM))}")
    n = SIZES[split] if n is None else n
    if n < 1:
        raise ValueError(f"shapes10: n = {n} images; at least 1 is needed")
    if seed < 0:
        raise ValueError(f"shapes10: seed = {seed}; must be an integer >= 0")
    images, labels = np.empty((n, SIDE, SIDE, 3), np.uint8), np.empty(n, np.int64)
    for start in range(0, n, BLOCK):
        rng = np.random.default_rng([seed, _STREAM[split], start // BLOCK])
        drawn, classes = _draw_block(rng)
        images[start : start + BLOCK] = drawn[: n - start]
        labels[start : start + BLOCK] = classes[: n - start]
    return Dataset(images, labels, CLASSES, "shapes10")


# The shapes: signed distances in the unit frame, y upwards, none reaching further than REACH from the centre ---------

REACH = 1.08


def _circle(x, y, radius):
    return np.hypot(x, y) - radius


def _box(x, y, half_width, half_height):
    return np.maximum(abs(x) - half_width, abs(y) - half_height)


def _disc(x, y):
    return _circle(x, y, 0.85)


def _ring(x, y):
    return abs(_circle(x, y, 0.7)) - 0.22


def _square(x, y):
    return _box(x, y, 0.76, 0.76)


def _triangle(x, y):
    return np.maximum(-0.5 - y, (sqrt(3) * abs(x) + y - 1) / 2)  # three half-planes, two of them by symmetry


def _star(x, y, points=5, inner=0.42):
    sector = pi / points
    radius, angle = np.hypot(x, y), np.arctan2(x, y)
    angle = abs((angle + sector) % (2 * sector) - sector)  # folds all ten edges onto one, from a tip to the next notch
    normal_x, normal_y = inner * sin(sector), 1 - inner * cos(sector)
    edge = (radius * np.cos(angle) - 1.05) * normal_x + radius * np.sin(angle) * normal_y
    return edge / hypot(normal_x, normal_y)


def _cross(x, y):
    return np.minimum(_box(x, y, 0.95, 0.28), _box(x, y, 0.28, 0.95))


def _crescent(x, y):
    return np.maximum(_circle(x + 0.1, y, 0.95), -_circle(x - 0.4, y, 0.78))


def _heart(x, y):
    a = 0.54  # half the side of a square on its corner; a disc of radius a sits on each of its upper sides
    y = y + 0.12
    square = (abs(x) + abs(y)) / sqrt(2) - a
    return np.minimum(square, _circle(abs(x) - a / sqrt(2), y - a / sqrt(2), a))


def _arrow(x, y):
    head = np.maximum(0.05 - y, (0.95 * abs(x) + 0.8 * (y - 1)) / hypot(0.95, 0.8))
    return np.minimum(head, _box(x, y + 0.45, 0.24, 0.52))


def _hourglass(x, y):
    return np.maximum(abs(y) - 0.84, (abs(x) - 0.74 * abs(y) - 0.05) / hypot(1, 0.74))


_SHAPES = (_disc, _ring, _square, _triangle, _star, _cross, _crescent, _heart, _arrow, _hourglass)
CLASSES = tuple(shape.__name__[1:] for shape in _SHAPES)


# One block of images: letters B, 3, H, W, because long last axes are quick --------------------------------------------


def _draw_block(rng):
    """BLOCK images (B, H, W, 3) and labels (B,): ground, strokes, shape, noise, from back to front."""
    labels = rng.permutation(np.arange(BLOCK) % len(_SHAPES))
    ground_light, shape_light = _lights(rng)
    image = paint(rng, ground_light, swing=0.1)
    for _ in range(2):
        blend(image, _stroke(rng), colour(rng, (ground_light + shape_light) / 2))
    blend(image, _coverage(rng, labels), paint(rng, shape_light, swing=0.05))
    image += _each(rng.uniform(0.01, 0.07, BLOCK), 4) * rng.standard_normal(image.shape, np.float32)
    image *= 255
    image += 0.5
    return np.clip(image, 0, 255, out=image).astype(np.uint8).transpose(0, 2, 3, 1), labels


def _each(values, ndim):
    """One float32 number per image, (B,) -> (B, 1, ..., 1), ready to broadcast."""
    return values.astype(np.float32).reshape((len(values),) + (1,) * (ndim - 1))


def _lights(rng):
    """Mean brightness (B,) of ground and shape, at least 0.25 apart; the shape is the brighter one in three of four."""
    apart = rng.uniform(0.25, 0.5, BLOCK)
    darker = rng.uniform(0.12, 0.88 - apart)
    bright_shape = rng.random(BLOCK) < 0.75
    return np.where(bright_shape, darker, darker + apart), np.where(bright_shape, darker + apart, darker)


def colour(rng, light):
    """A random colour (B, 3, 1, 1) of mean brightness `light` (B,): hue and chroma are free."""
    hue, chroma = rng.uniform(0, 2 * pi, (len(light), 1)), rng.uniform(0.03, 0.25, (len(light), 1))
    colour = light[:, None] + chroma * np.cos(hue + np.array([0, 2, 4]) * pi / 3)
    return colour.astype(np.float32)[:, :, None, None]


def _along(angle, centre, side=SIDE):
    """Coordinate (B, H, W) in pixels along the direction `angle` (B,), zero at `centre` (2, B); y upwards."""
    pixels = np.arange(side) + 0.5
    x = (pixels - centre[0][:, None]) * np.cos(angle)[:, None]
    y = (centre[1][:, None] - pixels) * np.sin(angle)[:, None]
    return y.astype(np.float32)[:, :, None] + x.astype(np.float32)[:, None, :]


def _direction(rng, count, side):
    """A coordinate (B, H, W) in a random direction, for what runs across the picture: gradients and ripples."""
    angle, scale = rng.uniform(0, 2 * pi, count), side / SIDE
    return _along(angle, rng.uniform(10 * scale, 22 * scale, (2, count)), side)


def paint(rng, light, swing, side=SIDE):
    """A surface (B, 3, H, W): two colours running into each other, rippled by `swing` at most."""
    count, first, second = len(light), colour(rng, light), colour(rng, light)
    image = np.clip(_direction(rng, count, side) / (24 * side / SIDE) + 0.5, 0, 1)[:, None] * (second - first)
    image += first
    wave = _each(rng.uniform(0.25, 1.6, count), 3)  # radians per pixel: wave lengths of 4 to 25 pixels
    image += (_each(rng.uniform(0, swing, count), 3) * np.sin(wave * _direction(rng, count, side)))[:, None]
    return image


def _stroke(rng):
    """Coverage (B, H, W) of one straight stroke: thin, anywhere."""
    angle = rng.uniform(0, 2 * pi, BLOCK)
    return stroke(rng, angle, rng.uniform(2, SIDE - 2, (2, BLOCK)))


def stroke(rng, angle, centre):
    """Coverage (B, H, W) of straight strokes, thin, and shorter than 28 pixels."""
    half_length, half_width = (_each(rng.uniform(*span, len(angle)), 3) for span in ((4, 14), (0.5, 1.2)))
    return _inside(_box(_along(angle, centre), _along(angle + pi / 2, centre), half_length, half_width))


def _coverage(rng, labels):
    """Coverage (B, H, W) of each image's own shape, which lies wholly inside the frame."""
    radius = rng.uniform(7.5, 12.5, BLOCK)
    return coverage(rng, labels, radius, SIDE / 2 + rng.uniform(-1, 1, (2, BLOCK)) * (SIDE / 2 - 1 - REACH * radius))


def coverage(rng, labels, radius, centre):
    """Coverage (B, H, W) of shapes of a class and a radius in pixels (B,), turned and mirrored at random."""
    angle = rng.uniform(-pi / 4, pi / 4, len(labels))
    mirror = rng.choice([-1.0, 1.0], len(labels))  # makes left-right flips an exact symmetry of the data
    x = _along(angle, centre) * _each(mirror / radius, 3)
    y = _along(angle + pi / 2, centre) * _each(1 / radius, 3)
    distance = np.empty_like(x)
    for label, shape in enumerate(_SHAPES):
        mine = labels == label
        distance[mine] = shape(x[mine], y[mine])
    return _inside(distance * _each(radius, 3))


def _inside(distance):
    """Share of each pixel that lies inside, from the signed distance of its centre in pixels."""
    return np.clip(0.5 - distance, 0, 1)


def blend(image, cover, surface):
    """Lay a surface over `image` (B, 3, H, W) where `cover` (B, H, W) says; in place."""
    layer = surface - image
    layer *= cover[:, None]
    image += layer
