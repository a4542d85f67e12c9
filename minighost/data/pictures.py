"""Any picture a person has, at the small size that a network takes."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from minighost.errors import FormatError
from minighost.inputs import open_regular, read_regular
from minighost.type_aliases import Images, IntArray, PathLike

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "FOREIGN",
    "FORMATS",
    "LARGEST",
    "MEMORY",
    "STANDARD_INPUT",
    "SUFFIXES",
    "fit",
    "largest_part",
    "measure_all",
    "pillow_version",
    "png",
    "read",
    "read_all",
    "read_whole",
    "rgb",
]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # Pillow's other readers start programs, or guess
SUFFIXES = frozenset(".bmp .dib .gif .jfif .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split())
FOREIGN = frozenset(".arw .avif .cr2 .cr3 .dng .heic .heif .jp2 .jxl .nef .orf .psd .raf .rw2 .svg".split())  # not read
LARGEST = 1 << 27  # bytes of a file
LONGEST = 2048  # pixels of a side of a picture that is read as a whole
MEMORY = 160_000_000  # bytes that decoding may take: 40 million pixels of a PNG, 10 of a WebP
BAND = 256  # rows that become RGB at a time
STANDARD_INPUT = "-"
THREADS, TOGETHER = 4, 64  # of `read_all`: pictures decoded at a time, and between two returns to its caller


def read(path: PathLike, size: int | tuple[int, int], channels: int = 3) -> tuple[Images, str]:
    """Read an image file, cut out its centre and scale that to `size`.

    The centre is the largest part that has the ratio of `size`: for a square the centre square.

    PNG, JPEG, GIF, BMP, TIFF, WebP and PPM (PBM, PGM) are read. The picture is rotated upright by its EXIF tag if it
    has one; transparency is laid on white; grey, palette, CMYK, YCbCr and LAB become RGB, and of 16 bits per sample the
    upper 8 are kept; colour profiles are not applied. Of an animation or a file of many pages the first is used.
    Scaling is bicubic over the whole area a pixel covers; a JPEG that is too large for `MEMORY` is decoded at half, a
    quarter or an eighth of its size.

    Parameters
    ----------
    path : str or path-like
        ``"-"`` is the standard input.
    size : int or (int, int)
        What the network was trained on: a side, or height and width.
    channels : {3, 1}
        1 makes grey of colours: 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), rounded.

    Returns
    -------
    image : ndarray, shape (H, W, channels), uint8
    note : str
        What was done, as in ``640x480, centre 480x480 scaled to 32x32``.

    Raises
    ------
    FormatError
        A file of another format, a damaged one, one of more than `LARGEST` bytes or for which `MEMORY` is too small,
        or one whose numbers do not say what is white: floating-point, signed, 12 or 32 bits, or 16 bits that count
        down to it.
    OSError
        The file cannot be opened.
    """
    name, content = _content(path)
    try:
        with _silence():
            image, width, height = _decode(content, _sides(size))
    except Exception as error:  # damaged files end in errors of every kind inside Pillow, KeyError and MemoryError too
        reason = _reason(content, error)
        raise FormatError(f"{name}: not an image that can be read ({reason}); give a PNG or JPEG file") from error
    return _channels(image, channels), _note(width, height, _sides(size))


def read_whole(path: PathLike) -> Images:
    """Read an image file, all of it, (H, W, 3) uint8; errors as of `read`.

    One with a side above `LONGEST` is scaled down to that.
    """
    name, content = _content(path)
    try:
        with _silence():
            return _decode(content, None)[0]
    except Exception as error:
        reason = _reason(content, error)
        raise FormatError(f"{name}: not an image that can be read ({reason}); give a PNG or JPEG file") from error


def read_all(
    paths: Sequence[PathLike], size: int | tuple[int, int] | list[tuple[int, int]]
) -> Iterator[tuple[Images | None, tuple[int, int], str]]:
    """Read many image files as `read` does, in a few threads: for each (image, (height, width) in the file, "").

    Of one that cannot be read: (None, (0, 0), why). At most `THREADS` pictures are decoded at a time. A list of sizes
    has one for each picture.
    """
    sizes = size if isinstance(size, list) else [_sides(size)] * len(paths)

    def attempt(path: PathLike, size: tuple[int, int]) -> tuple[Images | None, tuple[int, int], str]:
        content = b""
        try:
            content = read_regular(path, LARGEST)
            image, width, height = _decode(content, size)
            return image, (height, width), ""
        except Exception as error:
            return None, (0, 0), _foreign(path) or _reason(content, error)

    with ThreadPoolExecutor(max_workers=min(THREADS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(paths), TOGETHER):
            with _silence():
                some = slice(start, start + TOGETHER)
                found = list(pool.map(attempt, paths[some], sizes[some]))
            yield from found


def measure_all(paths: Sequence[PathLike]) -> IntArray:
    """Height and width (N, 2) of many image files when they stand upright; (0, 0) of one that cannot be read."""
    from PIL import ExifTags, Image

    sizes = np.zeros((len(paths), 2), np.int64)
    with _silence():
        for i, path in enumerate(paths):
            try:
                with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
                    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
                    sizes[i] = image.size if turn in _ON_ITS_SIDE else image.size[::-1]
            except Exception:  # `read_all` says why
                continue
    return sizes


def png(image: Images) -> bytes:
    """An image (H, W, 3) as the bytes of a PNG file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return content.getvalue()


def pillow_version() -> str:
    """Pillow's version: another one may scale to other bits."""
    from PIL import __version__

    return __version__


def fit(picture: Images, size: int | tuple[int, int], channels: int = 3) -> tuple[Images, str]:
    """Cut out the centre of a picture that is an array, and scale that to `size`, as `read` does.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 3) or (H, W, 1)
    size, channels
        As of `read`.

    Returns
    -------
    image, note
        As from `read`.

    Raises
    ------
    TypeError, ValueError
        Another dtype or shape, or no pixel at all.
    """
    from PIL import Image

    if picture.dtype != np.uint8:
        raise TypeError(f"picture: must be uint8, from 0 to 255, got {picture.dtype}")
    if picture.ndim != 3 or picture.shape[2] not in (1, 3) or not picture.size:
        raise ValueError(f"picture: must have shape (H, W, 1) or (H, W, 3) and at least one pixel, got {picture.shape}")
    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3))))
    return _channels(np.array(_centre(image, None, _sides(size))), channels), _note(*image.size, _sides(size))


def _sides(size):
    """(H, W) of a side, or of both."""
    return (size, size) if isinstance(size, (int, np.integer)) else tuple(size)


def _channels(image, channels):
    """RGB (H, W, 3) as it is, or as grey (H, W, 1); where red, green and blue are alike, their value stays."""
    from PIL import Image

    return image if channels == 3 else np.array(Image.fromarray(image).convert("L"))[:, :, None]


def _content(path):
    if os.fspath(path) != STANDARD_INPUT:
        try:
            return os.fsdecode(path), read_regular(path, LARGEST)
        except IsADirectoryError as error:
            raise FormatError(f"{os.fsdecode(path)}: a directory, not an image; name the files in it") from error
    name = "standard input"
    if sys.stdin is None or sys.stdin.isatty():
        raise FormatError(f"{name}: a terminal or closed; redirect a picture into it, e.g. ... - < cat.png")
    content = sys.stdin.buffer.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise FormatError(f"{name}: more than {LARGEST:,} bytes; a picture has fewer")
    return name, content


@contextlib.contextmanager
def _silence():
    """No warnings, log lines or words of libtiff: what they tell of is either read all the same, or an exception."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(), _stderr_to_nowhere():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _stderr_to_nowhere():
    """libtiff, which is not Python, writes to the file descriptor."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _decode(content, size):
    """The centre at `size` (H, W), or all of it; and the width and height of the picture when it stands upright."""
    from PIL import ExifTags, Image

    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        _check_memory(image, content, size or (LONGEST, LONGEST))
        _check_white(image)
        key = _transparent_colour(image)
        image.load()
        if image.format == "TIFF":  # by now it stands upright
            width, height = image.size
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        if size is None:
            scale = min(1, LONGEST / max(image.size))
            own = tuple(max(1, round(scale * side)) for side in image.size[::-1])
        else:
            own = size[::-1] if turn in _ON_ITS_SIDE else size
        centre = _centre(image, key, own)
    if turn is not None:
        centre = centre.transpose(Image.Transpose[turn])
    return np.array(centre), *((height, width) if turn in _ON_ITS_SIDE else (width, height))


_ON_ITS_SIDE = ("TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
_TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", **dict(enumerate(_ON_ITS_SIDE, 5))}


def _centre(image, key, size):
    """The centre, scaled to `size` (H, W). Bands of rows become RGB and narrow one by one; only the decoded picture is
    there as a whole.

    These are the two passes, and the bits, of resizing the whole at once.
    """
    from PIL import Image

    H, W = size
    width, height = largest_part(image.size, size)
    left, top = (image.size[0] - width) // 2, (image.size[1] - height) // 2
    narrow = Image.new("RGB", (W, height))
    for row in range(0, height, BAND):
        rows = min(BAND, height - row)
        band = rgb(image.crop((left, top + row, left + width, top + row + rows)), key)
        narrow.paste(band.resize((W, rows), Image.Resampling.BICUBIC), (0, row))
    return narrow.resize((W, H), Image.Resampling.BICUBIC)


def largest_part(whole, size):
    """Width and height of the largest part of a picture that has the ratio of `size` (H, W), in whole pixels."""
    (width, height), (H, W) = whole, size
    return (max(1, height * W // H), height) if width * H > height * W else (width, max(1, width * H // W))


BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION, TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT = 258, 262, 274, 322, 323, 339


def _check_memory(image, content, size):
    """ValueError if decoding would take too much; a large JPEG is asked to come smaller. Nothing is decoded yet."""
    width, height = image.size
    each, tile = {"PPM": 8, "WEBP": 16}.get(image.format, 4), 0
    if image.format in ("JPEG", "MPO") and not _in_one_scan(content, image.layers):
        each = 10  # the coefficients are kept
    elif image.format in ("JPEG", "MPO") and width * height * each > MEMORY:
        image.draft(None, (4 * max(size), 4 * max(size)))
    elif image.format == "TIFF":
        tags, sample = image.tag_v2, max(1, sum(image.tag_v2.get(BITS_PER_SAMPLE, (1,))) // 8)
        each += sample + 4 * (tags.get(ORIENTATION, 1) != 1)  # a strip may be the whole; Pillow turns it by itself
        tile = tags.get(TILE_WIDTH, 0) * tags.get(TILE_LENGTH, 0) * sample  # may be larger than the picture
    needed = max(image.size[0] * image.size[1] * each, tile)
    if needed > MEMORY:
        raise ValueError(
            f"{width}x{height}: decoding it would take {needed / 1e6:,.0f} MB, more than "
            f"{MEMORY / 1e6:,.0f}; scale it down"
        )


def _in_one_scan(jpeg, components):
    """Whether a JPEG's first scan holds all of every component, so that it is decoded row by row."""
    at = 2
    while at + 4 < len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] in _WITH_LENGTH:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == 0xDA:  # start of scan
            return jpeg[at + 4] == components and jpeg[at + 5 + 2 * components :][:2] == b"\0\x3f"
        at += 2 + length
    return False


_WITH_LENGTH = {*range(0xC0, 0xD0), *range(0xDA, 0xFF)}  # markers; any other before a scan is unusual


def _check_white(image):
    """ValueError if nothing says which number is white."""
    if image.format != "TIFF" or image.mode == "F":
        return
    tags = image.tag_v2
    bits, signed = tags.get(BITS_PER_SAMPLE, (1,)), 2 in tags.get(SAMPLE_FORMAT, (1,))
    if signed or 12 in bits or 32 in bits or (16 in bits and tags.get(PHOTOMETRIC, 0) == 0):
        raise ValueError(
            f"its pixels are {bits[0]}-bit numbers{', signed' if signed else ''}, and nothing says which value is white"
        )


def _transparent_colour(image):
    """The grey or colour that a PNG without an alpha channel declares transparent, as its decoded pixels have it.

    Pillow leaves it in the file's own bits, but scales pixels of 2 and 4 bits up to 8, and cuts colours of 16 bits.
    """
    key, stored = image.info.get("transparency"), image.tile[0][3] if image.tile else None
    if image.format != "PNG" or key is None:
        return key
    if stored in ("L;2", "L;4"):
        bits = int(stored[2:])
        return key * 255 // (2**bits - 1) if key < 2**bits else key
    if isinstance(stored, str) and stored.startswith("RGB;16"):
        raise ValueError("one of its 16-bit colours is declared transparent, which is not supported")
    return key


def rgb(image: Image.Image, key: Any = None) -> Image.Image:
    """A Pillow image of any mode as RGB on white; `key` is the colour that is transparent.

    Raises ValueError for floating-point pixels and those outside of 16 bits: nothing says which of them is white.
    """
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, and nothing says which value is white")
    if image.mode.startswith("I"):  # 16 bits of grey: convert("RGB") would clip instead of scale
        grey = np.asarray(image)
        if not (0 <= grey.min() and grey.max() <= 0xFFFF):
            raise ValueError("its pixels are 32-bit numbers, and nothing says which value is white")
        return Image.fromarray(np.where(grey == key, 0xFF, grey >> 8).astype(np.uint8)).convert("RGB")
    if key is not None:
        image.info["transparency"] = key
    if image.mode in ("La", "RGBa"):  # colours multiplied with their alpha
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _foreign(path):
    """What to say of a file that is a picture of a kind that is not read; "" of any other."""
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    return f"{suffix[1:].upper()} is not read; make a JPEG or PNG of it" if suffix in FOREIGN else ""


def _reason(content, error):
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if not content:
        return "it is empty"
    return "unknown format" if "cannot identify" in str(error) else str(error) or type(error).__name__


def _note(width, height, size):
    """What was done; width comes first, as everywhere where people speak of pictures."""
    H, W = size
    part = largest_part((width, height), size)
    steps = [f"{width}x{height}"]
    if part != (width, height):
        steps.append(f"centre {part[0]}x{part[1]}")
    if part != (W, H):
        steps[-1] += f" scaled to {W}x{H}"
    return ", ".join(steps)
