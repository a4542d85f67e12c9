"""Pictures that are damaged, lie, or want another reader: an array of the right form or a FormatError, in silence."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, TILE_HEIGHT, TILE_WIDTH, tiff
from PIL import EpsImagePlugin, Image

from minighost.data import pictures
from minighost.errors import FormatError

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8))


def saved(kind, image=NOISE, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif():
    note = Image.Exif()
    note[0x0112], note[0x010E] = 6, "somewhere"
    return note


SEEDS = {
    "png": saved("PNG", exif=exif(), icc_profile=bytes(200)),
    "png palette": saved("PNG", NOISE.quantize(16), transparency=bytes(range(16))),
    "png animated": saved("PNG", save_all=True, append_images=[NOISE.rotate(180)]),
    "jpeg": saved("JPEG", exif=exif(), icc_profile=bytes(200)),
    "jpeg progressive": saved("JPEG", progressive=True),
    "jpeg cmyk": saved("JPEG", NOISE.convert("CMYK")),
    "mpo": saved("MPO", save_all=True, append_images=[NOISE]),
    "gif": saved("GIF", save_all=True, append_images=[NOISE.rotate(180)], transparency=3),
    "bmp": saved("BMP"),
    "tiff": saved("TIFF"),
    "tiff lzw": saved("TIFF", compression="tiff_lzw"),
    "tiff deflate": saved("TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": saved("TIFF", compression="jpeg"),
    "tiff fax": saved("TIFF", NOISE.convert("1"), compression="group3"),
    "webp": saved("WEBP", exif=exif()),
    "webp lossless": saved("WEBP", NOISE.convert("RGBA"), lossless=True),
    "pgm": saved("PPM", NOISE.convert("L")),
    "ppm": b"P3 16 16 255 # in letters\n" + b" ".join(b"%d" % (k % 256) for k in range(3 * 16 * 16)),
}
EDITS = st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile") / "picture.jpg"


def read_or_refused(path, content):
    """Whether it was read. In silence: warnings are errors, and nothing may come out of standard error."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image, note = pictures.read(path, 32)
        except FormatError as refusal:
            assert str(refusal).startswith(f"{path}: ") and "\n" not in str(refusal)
            return False
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8 and "32x32" in note
    return True


@pytest.mark.parametrize("name", SEEDS)
def test_a_mutated_picture_is_read_or_refused_in_silence(name, path, capfd):
    content = SEEDS[name]
    assert read_or_refused(path, content)

    @given(EDITS, st.floats(0, 1) | st.just(1.0))
    def law(edits, kept):
        changed = bytearray(content)
        for in_head, where, new in edits:
            at = int(where * min(len(changed), 200 if in_head else len(changed)))
            changed[at : at + len(new)] = new
        read_or_refused(path, bytes(changed[: int(kept * len(changed))]))

    law()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", SEEDS)
def test_a_picture_that_is_cut_short_anywhere_is_read_or_refused_in_silence(name, path, capfd):
    content = SEEDS[name]
    for length in range(0, len(content), max(1, len(content) // 40)):
        read_or_refused(path, content[:length])
    assert capfd.readouterr().err == ""


def others():
    """A picture in each format that Pillow can write and that is not read here."""
    Image.init()
    for kind in sorted({*Image.SAVE} - {*pictures.FORMATS, "MPO", "DIB"}):
        for mode in ("RGB", "P", "1"):
            with contextlib.suppress(OSError, ValueError, KeyError), warnings.catch_warnings(action="ignore"):
                yield kind, saved(kind, NOISE.resize((32, 32)).convert(mode))
                break


OTHERS = {**dict(others()), "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PDF": b"%PDF-1.4\n"}


@pytest.mark.parametrize("kind", OTHERS)
def test_only_the_formats_that_are_named_have_a_reader(kind, path, monkeypatch):
    assert {"EPS", "DDS", "BLP", "TGA", "ICO"} < OTHERS.keys()
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("a program was started"))
    path.write_bytes(OTHERS[kind])
    with pytest.raises(FormatError, match="unknown format"):
        pictures.read(path, 32)


# Memory --------------------------------------------------------------------------------------------------------------


def deflated(length, piece=bytes(1 << 20)):
    packer = zlib.compressobj(1)
    return (
        b"".join(packer.compress(piece[: min(len(piece), length - at)]) for at in range(0, length, len(piece)))
        + packer.flush()
    )


def large_png(side, bits, colour, samples=1):
    header = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    pixels = deflated(side * (1 + side * samples * bits // 8))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def large_webp(side):
    """Of one colour, so that the size in its header is all that there is to it."""
    small = bytearray(saved("WEBP", Image.new("RGBA", (16, 16)), lossless=True))
    at = small.index(b"VP8L") + 9
    rest = int.from_bytes(small[at : at + 4], "little") >> 28
    small[at : at + 4] = (rest << 28 | (side - 1) << 14 | (side - 1)).to_bytes(4, "little")
    return bytes(small)


def large_jpeg(side, scans):
    """Of one colour: two bits of zero are a block. One scan for all components, or three."""

    def segment(marker, content):
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    blocks = ((side + 7) // 8) ** 2
    start = segment(0xDB, b"\0" + b"\1" * 64)
    start += segment(0xC0, struct.pack(">BHHB", 8, side, side, 3) + b"".join(bytes([k, 0x11, 0]) for k in (1, 2, 3)))
    start += b"".join(segment(0xC4, bytes([table, 1, *[0] * 15, 0])) for table in (0x00, 0x10))
    parts = [(1, 2, 3)] if scans == 1 else [(1,), (2,), (3,)]
    body = b"".join(
        segment(0xDA, bytes([len(part), *(n for k in part for n in (k, 0)), 0, 63, 0]))
        + bytes(blocks * len(part) // 4 + 1)
        for part in parts
    )
    return b"\xff\xd8" + start + body + b"\xff\xd9"


def large_tile(side):
    return tiff(
        16,
        16,
        deflated(side * side),
        {BITS: (8,), PHOTOMETRIC: (1,), SAMPLES: (1,), COMPRESSION: (8,), TILE_WIDTH: side, TILE_HEIGHT: side},
    )


LARGE = {  # what is in the file, and whether it is read
    "png of 144 million pixels": (lambda: large_png(12_000, 1, 0), False),
    "png of 400 million pixels": (lambda: large_png(20_000, 1, 0), False),
    "png of 39 million pixels": (lambda: large_png(6_300, 8, 6, samples=4), True),
    "webp of 34 million pixels": (lambda: large_webp(5_800), False),
    "webp of 9 million pixels": (lambda: large_webp(3_000), True),
    "jpeg of 144 million pixels": (lambda: large_jpeg(12_000, scans=1), True),
    "jpeg of 144 million pixels in three scans": (lambda: large_jpeg(12_000, scans=3), False),
    "tiff with a tile of 256 million pixels": (lambda: large_tile(16_000), False),
}
MEASURE = """\
import resource, sys
from PIL import ImageCms, TiffImagePlugin
from minighost.data import pictures
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)
before, answers = peak(), []
for path in sys.argv[1:]:
    try:
        answers.append(pictures.read(path, 32)[1])
    except ValueError as error:
        answers.append(f"refused: {error}")
    print(peak() - before, answers[-1])
"""


@pytest.mark.skipif(os.name == "nt", reason="resource is for Unix")
def test_no_picture_takes_more_than_200_megabytes(tmp_path):
    paths = [tmp_path / name for name in LARGE]
    for path, (make, _) in zip(paths, LARGE.values(), strict=True):
        path.write_bytes(make())
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, *paths],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert answer.stderr == ""
    for name, line, (_, read) in zip(LARGE, answer.stdout.splitlines(), LARGE.values(), strict=True):
        megabytes, said = line.split(" ", 1)
        assert int(megabytes) < 200, f"{name}: {line}"
        assert ("scaled to 32x32" in said) == read and ("pixels" in said or "MB" in said or read), line
