"""PNG and TIFF files written by hand, for the bit depths and kinds of pixels that Pillow reads but does not write."""

import struct
import zlib


def png(width, height, bits, colour, rows, *chunks):
    """A PNG of colour type `colour` (0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA); `chunks` come first."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
PALETTE, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSET, TILE_BYTES, EXTRA, KIND = 320, 322, 323, 324, 325, 338, 339


def tiff(width, height, pixels, tags, order="<"):
    """A TIFF of one strip; `tags` maps a number to its values, all of 16 bits, or to one int of 32."""
    where = {TILE_OFFSET: None, TILE_BYTES: len(pixels)} if TILE_WIDTH in tags else {273: None, 279: len(pixels)}
    tags = {WIDTH: width, HEIGHT: height, COMPRESSION: (1,), 278: height, **where, **tags}
    start = 8 + 2 + 12 * len(tags) + 4
    long = {
        tag: struct.pack(f"{order}{len(values)}H", *values)
        for tag, values in tags.items()
        if isinstance(values, tuple) and len(values) > 2
    }
    body, offsets = b"", {}
    for tag, content in long.items():
        offsets[tag] = start + len(body)
        body += content
    entries = b""
    for tag, values in sorted(tags.items()):
        values = start + len(body) if values is None else values
        if isinstance(values, int):
            entries += struct.pack(order + "HHII", tag, 4, 1, values)
        elif tag in long:
            entries += struct.pack(order + "HHII", tag, 3, len(values), offsets[tag])
        else:
            entries += struct.pack(f"{order}HHI{len(values)}H", tag, 3, len(values), *values).ljust(12, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "IH", 8, len(tags)) + entries + bytes(4) + body + pixels


def packed(values, bits):
    """Whole numbers as one row of `bits` each, the first in the highest bits."""
    text = "".join(format(value, f"0{bits}b") for value in values)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")
