"""Every mode and bit depth of the formats that are read: the picture in the file, or one line that refuses it."""

import io
import struct

import numpy as np
import pytest
from numpy.testing import assert_allclose
from picture_files import BITS, EXTRA, KIND, PALETTE, PHOTOMETRIC, SAMPLES, packed, png, tiff
from PIL import Image

from minighost.data import pictures
from minighost.errors import FormatError

N = 16
V = np.arange(256, dtype=np.uint8).reshape(N, N)  # a ramp; turned, it is a second one
ALPHA = V.T
COLOUR = np.stack([V, V.T, 255 - V], 2)
COLOUR_MAP = np.stack([np.arange(256), np.arange(256)[::-1], np.arange(256) // 2], 1).astype(np.uint8)
MAP_16 = tuple(int(v) * 257 for v in COLOUR_MAP.T.ravel())


def grey(values):
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)


def on_white(colours, alpha):
    alpha = np.asarray(alpha, float)[..., None] / 255
    return colours * alpha + 255 * (1 - alpha)


def ink(c, m, y, k):
    """CMYK as light: what ink leaves of it."""
    return np.stack([(255 - x) * (255.0 - k) / 255 for x in (c, m, y)], 2)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def of(array, mode=None):
    image = Image.fromarray(np.ascontiguousarray(array))
    return image if mode in (None, image.mode) else image.convert(mode)


def bands(mode, *planes):
    return Image.merge(mode, [Image.fromarray(np.ascontiguousarray(plane)) for plane in planes])


def palette(kind="RGB", colours=COLOUR_MAP):
    image = Image.fromarray(V, "L").copy()
    image.putpalette(colours.tobytes(), kind)
    return image


def rows(array, dtype=">u2"):
    return [row.astype(dtype).tobytes() for row in array]


def deep(array):
    """8 bits as the upper ones of 16, with something in the lower ones."""
    return array.astype(np.uint16) * 256 + 100


def tiffed(pixels, bits, photometric, order="<", dtype=np.uint8, **tags):
    extra = {EXTRA: (tags.pop("extra"),)} if "extra" in tags else {}
    kind = {KIND: (tags.pop("kind"),)} if "kind" in tags else {}
    colours = {PALETTE: MAP_16} if photometric == 3 else {}
    body = pixels.astype(np.dtype(dtype).newbyteorder(order)).tobytes()
    return tiff(
        N, N, body, {BITS: bits, PHOTOMETRIC: (photometric,), SAMPLES: (len(bits),)} | extra | kind | colours, order
    )


BLACK_WHITE = (V > 100) * np.uint8(255)
TWO, FOUR = V // 64, V // 16
UP = np.uint8(255) - V
PREMULTIPLIED = (COLOUR * (ALPHA[..., None] / 255)).round().astype(np.uint8)
FLAT = np.full((N, N), 255, np.uint8)
INKS = [(FLAT * 0 + v).astype(np.uint8) for v in (200, 100, 50, 30)]  # flat: JPEG blurs

RIGHT = {
    "png 1": (saved(of(BLACK_WHITE, "1"), "PNG"), grey(BLACK_WHITE)),
    "png 1, white transparent": (
        png(N, N, 1, 0, [packed(r, 1) for r in BLACK_WHITE // 255], (b"tRNS", b"\0\0")),
        grey(FLAT),
    ),
    "png 2 bits": (png(N, N, 2, 0, [packed(r, 2) for r in TWO]), grey(TWO * 85)),
    "png 2 bits, grey 1 transparent": (
        png(N, N, 2, 0, [packed(r, 2) for r in TWO], (b"tRNS", b"\0\1")),
        grey(np.where(TWO == 1, 255, TWO * 85)),
    ),
    "png 4 bits, grey 3 transparent": (
        png(N, N, 4, 0, [packed(r, 4) for r in FOUR], (b"tRNS", b"\0\3")),
        grey(np.where(FOUR == 3, 255, FOUR * 17)),
    ),
    "png L": (saved(of(V), "PNG"), grey(V)),
    "png L, grey 7 transparent": (saved(of(V), "PNG", transparency=7), grey(np.where(V == 7, 255, V))),
    "png LA": (saved(bands("LA", V, ALPHA), "PNG"), on_white(grey(V), ALPHA)),
    "png P": (saved(palette(), "PNG"), COLOUR_MAP[V]),
    "png P, an index transparent": (
        saved(palette(), "PNG", transparency=5),
        np.where(grey(V) == 5, 255, COLOUR_MAP[V]),
    ),
    "png P, bytes of alpha": (saved(palette(), "PNG", transparency=bytes(range(256))), on_white(COLOUR_MAP[V], V)),
    "png RGB": (saved(of(COLOUR), "PNG"), COLOUR),
    "png RGB, a colour transparent": (
        saved(of(COLOUR), "PNG", transparency=(3, 48, 252)),
        np.where((COLOUR == (3, 48, 252)).all(2, keepdims=True), 255, COLOUR),
    ),
    "png RGBA": (saved(bands("RGBA", *COLOUR.transpose(2, 0, 1), ALPHA), "PNG"), on_white(COLOUR, ALPHA)),
    "png 16 bits": (png(N, N, 16, 0, rows(deep(V))), grey(V)),
    "png 16 bits, a grey transparent": (
        png(N, N, 16, 0, rows(deep(V)), (b"tRNS", struct.pack(">H", 7 * 256 + 100))),
        grey(np.where(V == 7, 255, V)),
    ),
    "png 16 bits, no pixel of the transparent grey": (png(N, N, 16, 0, rows(deep(V)), (b"tRNS", b"\7\7")), grey(V)),
    "png 16-bit LA": (png(N, N, 16, 4, rows(deep(np.stack([V, ALPHA], 2)))), on_white(grey(V), ALPHA)),
    "png 16-bit RGB": (png(N, N, 16, 2, rows(deep(COLOUR))), COLOUR),
    "png 16-bit RGBA": (png(N, N, 16, 6, rows(deep(np.dstack([COLOUR, ALPHA])))), on_white(COLOUR, ALPHA)),
    "png animated": (saved(of(COLOUR), "PNG", save_all=True, append_images=[of(UP, "RGB")]), COLOUR),
    "jpeg L": (saved(of(FLAT // 3), "JPEG"), grey(FLAT // 3)),
    "jpeg RGB": (
        saved(of(np.broadcast_to(np.uint8([200, 100, 50]), (N, N, 3))), "JPEG", quality=100),
        np.broadcast_to([200, 100, 50], (N, N, 3)),
    ),
    "jpeg CMYK, inverted by Adobe": (saved(bands("CMYK", *INKS), "JPEG", quality=100), ink(*INKS)),
    "jpeg CMYK without Adobe's note, taken as inverted too, as browsers do": (
        saved(bands("CMYK", *INKS), "JPEG", quality=100).replace(b"Adobe", b"Other"),
        ink(*INKS),
    ),
    "gif P": (saved(palette(), "GIF"), COLOUR_MAP[V]),
    "gif P, an index transparent": (
        saved(palette(), "GIF", transparency=5),
        np.where(grey(V) == 5, 255, COLOUR_MAP[V]),
    ),
    "gif L": (saved(of(V), "GIF"), grey(V)),
    "gif L, a grey transparent": (saved(of(V), "GIF", transparency=9), grey(np.where(V == 9, 255, V))),
    "gif animated": (saved(palette(), "GIF", save_all=True, append_images=[of(UP, "P")]), COLOUR_MAP[V]),
    "bmp 1": (saved(of(BLACK_WHITE, "1"), "BMP"), grey(BLACK_WHITE)),
    "bmp L": (saved(of(V), "BMP"), grey(V)),
    "bmp P": (saved(palette(), "BMP"), COLOUR_MAP[V]),
    "bmp RGB": (saved(of(COLOUR), "BMP"), COLOUR),
    "bmp of 32 bits, the last 8 unused": (saved(bands("RGBA", *COLOUR.transpose(2, 0, 1), ALPHA), "BMP"), COLOUR),
    "webp RGB": (saved(of(COLOUR), "WEBP", lossless=True), COLOUR),
    "webp RGBA": (
        saved(bands("RGBA", *COLOUR.transpose(2, 0, 1), ALPHA), "WEBP", lossless=True, exact=True),
        on_white(COLOUR, ALPHA),
    ),
    "pbm": (b"P4 16 16\n" + b"".join(packed(r, 1) for r in BLACK_WHITE // 255), grey(255 - BLACK_WHITE)),
    "pgm": (b"P5 16 16 255\n" + V.tobytes(), grey(V)),
    "pgm of 15": (b"P5 16 16 15\n" + FOUR.tobytes(), grey(FOUR * 17)),
    "pgm of 1023": (b"P5 16 16 1023\n" + (V * np.uint16(4) + 3).astype(">u2").tobytes(), grey(V)),
    "pgm of 65535": (b"P5 16 16 65535\n" + deep(V).astype(">u2").tobytes(), grey(V)),
    "pgm in letters": (b"P2 16 16 255\n" + " ".join(map(str, V.ravel().tolist())).encode(), grey(V)),
    "ppm": (b"P6 16 16 255\n" + COLOUR.tobytes(), COLOUR),
    "tiff CMYK saved by Pillow": (saved(bands("CMYK", *INKS), "TIFF"), ink(*INKS)),
    "tiff RGBA, compressed": (
        saved(bands("RGBA", *COLOUR.transpose(2, 0, 1), ALPHA), "TIFF", compression="tiff_deflate"),
        on_white(COLOUR, ALPHA),
    ),
    "tiff F saved by Pillow": (saved(Image.fromarray(V / np.float32(255)), "TIFF"), "floating-point"),
    "tiff I saved by Pillow": (saved(Image.fromarray(V.astype(np.int32)), "TIFF"), "32-bit numbers, signed"),
    "pfm": (b"Pf 16 16\n-1.0\n" + (V / np.float32(255)).astype("<f4").tobytes(), "floating-point"),
    "png 16-bit RGB, a colour transparent": (
        png(N, N, 16, 2, rows(deep(COLOUR)), (b"tRNS", bytes(6))),
        "16-bit colours is declared transparent",
    ),
}
for order, end in (("<", "little"), (">", "big")):
    RIGHT |= {
        f"tiff {name}, {end} end first": case
        for name, case in {
            "L": (tiffed(V, (8,), 1, order), grey(V)),
            "L, 0 is white": (tiffed(V, (8,), 0, order), grey(UP)),
            "LA": (tiffed(np.stack([V, ALPHA], 2), (8, 8), 1, order, extra=2), on_white(grey(V), ALPHA)),
            "La": (
                tiffed(np.stack([PREMULTIPLIED[..., 0], ALPHA], 2), (8, 8), 1, order, extra=1),
                grey(PREMULTIPLIED[..., 0]) + 255.0 - grey(ALPHA),
            ),
            "LX": (tiffed(np.stack([V, ALPHA], 2), (8, 8), 1, order, extra=0), grey(V)),
            "P": (tiffed(V, (8,), 3, order), COLOUR_MAP[V]),
            "PA": (tiffed(np.stack([V, ALPHA], 2), (8, 8), 3, order, extra=2), on_white(COLOUR_MAP[V], ALPHA)),
            "RGB": (tiffed(COLOUR, (8,) * 3, 2, order), COLOUR),
            "RGBA": (tiffed(np.dstack([COLOUR, ALPHA]), (8,) * 4, 2, order, extra=2), on_white(COLOUR, ALPHA)),
            "RGBa": (
                tiffed(np.dstack([PREMULTIPLIED, ALPHA]), (8,) * 4, 2, order, extra=1),
                PREMULTIPLIED + 255.0 - grey(ALPHA),
            ),
            "RGBX": (tiffed(np.dstack([COLOUR, ALPHA]), (8,) * 4, 2, order, extra=0), COLOUR),
            "CMYK": (tiffed(np.stack(INKS, 2), (8,) * 4, 5, order), ink(*INKS)),
            "YCbCr": (tiffed(np.stack([V, V * 0 + 128, V * 0 + 128], 2), (8,) * 3, 6, order), grey(V)),
            "LAB": (
                tiffed(np.broadcast_to(np.uint8([138, 81, 70]), (N, N, 3)), (8,) * 3, 8, order),
                np.broadcast_to([255, 0, 0], (N, N, 3)),
            ),
            "16 bits": (tiffed(deep(V), (16,), 1, order, np.uint16), grey(V)),
            "16-bit RGB": (tiffed(deep(COLOUR), (16,) * 3, 2, order, np.uint16), COLOUR),
            "16-bit RGBA": (
                tiffed(deep(np.dstack([COLOUR, ALPHA])), (16,) * 4, 2, order, np.uint16, extra=2),
                on_white(COLOUR, ALPHA),
            ),
            "16 bits, 0 is white": (tiffed(deep(V), (16,), 0, order, np.uint16), "16-bit numbers|unknown format"),
            "12 bits": (
                tiff(
                    N,
                    N,
                    b"".join(packed(r, 12) for r in V * 16),
                    {BITS: (12,), PHOTOMETRIC: (1,), SAMPLES: (1,)},
                    order,
                ),
                "12-bit numbers|unknown format",
            ),
            "signed 8 bits": (tiffed(V, (8,), 1, order, kind=2), "8-bit numbers, signed"),
            "signed 16 bits": (tiffed(deep(V), (16,), 1, order, np.uint16, kind=2), "16-bit numbers, signed"),
            "32 bits": (tiffed(V, (32,), 1, order, np.uint32), "32-bit numbers|unknown format"),
            "signed 32 bits": (tiffed(V, (32,), 1, order, np.uint32, kind=2), "32-bit numbers, signed"),
            "floats": (tiffed(V / 255, (32,), 1, order, np.float32, kind=3), "floating-point"),
            "floats, 0 is white": (tiffed(V / 255, (32,), 0, order, np.float32, kind=3), "floating-point"),
        }.items()
    }


@pytest.mark.parametrize("name", RIGHT)
def test_every_kind_of_pixel_is_read_right_or_refused(tmp_path, name):
    content, expected = RIGHT[name]
    path = tmp_path / "picture"
    path.write_bytes(content)
    if isinstance(expected, str):
        with pytest.raises(FormatError, match=rf"^{path}: not an image that can be read \(.*({expected}).*\)"):
            pictures.read(path, N)
    else:
        try:
            image, note = pictures.read(path, N)
        except FormatError:  # Pillow 11 and before
            assert name.split(",")[0] in ("tiff La", "tiff LX", "tiff YCbCr")
            return
        lossy = 12 if "LAB" in name else 3 if "jpeg" in name else 1
        assert_allclose(image, expected, atol=lossy, err_msg=name)
        assert note == "16x16"


MODES = {
    "1": (of(BLACK_WHITE, "1"), grey(BLACK_WHITE)),
    "L": (of(V), grey(V)),
    "LA": (bands("LA", V, ALPHA), on_white(grey(V), ALPHA)),
    "La": (bands("LA", V, ALPHA).convert("La"), on_white(grey(V), ALPHA)),
    "P": (palette(), COLOUR_MAP[V]),
    "PA": (palette().convert("PA"), COLOUR_MAP[V]),
    "RGB": (of(COLOUR), COLOUR),
    "RGBX": (of(COLOUR, "RGBX"), COLOUR),
    "RGBA": (bands("RGBA", *COLOUR.transpose(2, 0, 1), ALPHA), on_white(COLOUR, ALPHA)),
    "RGBa": (bands("RGBA", *COLOUR.transpose(2, 0, 1), ALPHA).convert("RGBa"), on_white(COLOUR, ALPHA)),
    "CMYK": (bands("CMYK", *INKS), ink(*INKS)),
    "YCbCr": (of(COLOUR, "YCbCr"), COLOUR),
    "HSV": (of(COLOUR, "HSV"), COLOUR),
    "LAB": (bands("LAB", FLAT, FLAT // 2 + 1, FLAT // 2 + 1), grey(FLAT)),
    "I": (Image.fromarray(deep(V).astype(np.int32)), grey(V)),
    "I;16": (Image.fromarray(deep(V)), grey(V)),
    "I;16B": (Image.frombytes("I;16B", (N, N), deep(V).astype(">u2").tobytes()), grey(V)),
    "I;16L": (Image.frombytes("I;16L", (N, N), deep(V).astype("<u2").tobytes()), grey(V)),
    "I;16N": (Image.frombytes("I;16N", (N, N), deep(V).tobytes()), grey(V)),
    "F": (Image.fromarray(V / np.float32(255)), None),
}


@pytest.mark.parametrize("mode", sorted({*Image.MODES, *MODES}))
def test_every_mode_of_pillow_becomes_rgb_or_is_refused(mode):
    image, expected = MODES[mode]
    assert image.mode == mode
    if expected is None:
        with pytest.raises(ValueError, match="floating-point"):
            pictures.rgb(image)
    else:
        found = pictures.rgb(image)
        assert found.mode == "RGB"
        assert_allclose(np.asarray(found), expected, atol={"HSV": 7, "YCbCr": 3}.get(mode, 2))
