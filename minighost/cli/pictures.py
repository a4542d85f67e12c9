"""Any picture a person has, as the small square that a network takes."""

import os
import struct

import numpy as np

from minighost.errors import FormatError
from minighost.inputs import open_regular

__all__ = ["read"]


def read(path, size):
    """Read an image file, cut out its centre square and scale that to `size` x `size`.

    It is turned upright by its EXIF note if it has one; transparency is laid on white; grey, palette, CMYK and 16-bit
    images become RGB; of an animation the first frame is taken. Scaling is bicubic over the whole area a pixel covers.

    Parameters
    ----------
    path : str or path-like
    size : int
        The side that the network was trained on.

    Returns
    -------
    image : ndarray, shape (size, size, 3), uint8
    note : str
        What was done, as in ``640x480, centre 480x480 scaled to 32x32``.

    Raises
    ------
    FormatError
        The file is not an image that Pillow reads.
    OSError
        The file cannot be opened.
    """
    from PIL import Image, ImageOps

    if os.path.isdir(path):
        raise FormatError(f"{path}: a directory, not an image; name the files in it")
    with open_regular(path) as file:  # opened here, so that what is missing differs from what is no image
        try:
            with Image.open(file) as opened:
                whole = _rgb(ImageOps.exif_transpose(opened))
        except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
            reason = _reason(path, error)
            raise FormatError(f"{path}: not an image that can be read ({reason}); give a PNG or JPEG file") from error
    width, height = whole.size
    square = ImageOps.fit(whole, (size, size), method=Image.Resampling.BICUBIC)
    return np.array(square), _note(width, height, size)


def _rgb(image):
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of grey: convert("RGB") would clip instead of scale
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _reason(path, error):
    if os.path.getsize(path) == 0:
        return "it is empty"
    return "unknown format" if "cannot identify" in str(error) else str(error) or type(error).__name__


def _note(width, height, size):
    side = min(width, height)
    steps = [f"{width}x{height}"]
    if width != height:
        steps.append(f"centre {side}x{side}")
    if side != size:
        steps[-1] += f" scaled to {size}x{size}"
    return ", ".join(steps)
