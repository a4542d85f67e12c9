"""Folders of tiny pictures, as a person has them."""

import numpy as np
from PIL import Image


def picture(path, seed=0, size=(8, 8), grey=False, **options):
    """Write noise of that height and width; returns the array."""
    shape = size if grey else (*size, 3)
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return array


def folder(root, counts, size=(8, 8), grey=False, seed=0):
    """`counts` maps class folders, as "cat" or "train/cat", to how many pictures they get, each with pixels of its own.

    Pictures of class number k are darker the smaller k is, so that they can be told apart.
    """
    for k, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(root / name / f"{i}.png", seed + 1000 * k + i, size, grey)
    return root
