"""Reading a .tar.gz without extracting it.

An archive is a stranger's list of file names and links. Extraction trusts all of them; this reader trusts none: it
walks through the stream once, keeps the few members whose name and size are known beforehand, and skips the rest
unseen. No path is ever made from a member's name, nothing is written, and no number in the file makes it allocate
more than the sizes that the caller gave.
"""

import gzip
import tarfile
import zlib

from minighost.data.records import web_page_hint
from minighost.errors import FormatError
from minighost.inputs import open_regular

__all__ = ["read_members"]

BLOCK = 512
SPARE = 4 << 20  # bytes allowed beyond the wanted members: headers, notes, padding
MOST_MEMBERS = 1_000
_CHUNK = 1 << 16


def read_members(path, sizes, limit):
    """The contents of some members of a gzip-compressed tar archive.

    Parameters
    ----------
    path : str or path-like
    sizes : dict of str to int
        The members wanted: full name within the archive (a leading "./" is ignored), exact size in bytes.
    limit : int
        Sum of the sizes of all members that an honest archive may have; a stream that goes on for more than 4 MiB
        beyond it is refused.

    Returns
    -------
    dict of str to bytearray
        Those of the members that the archive has, by the names in `sizes`.

    Raises
    ------
    FormatError
        Not gzip, not tar, damaged or cut short (the gzip checksum is always verified), a wanted name twice, with
        another size, or as anything but a regular file; too many members or bytes.
    OSError
        The file cannot be read.
    """
    with open_regular(path) as file:
        head = file.read(1024)
        if not head.startswith(b"\x1f\x8b"):
            raise FormatError(f"{path}: not a gzip archive (a .tar.gz starts with the bytes 1f 8b, "
                              f"this with {head[:4].hex(' ') or 'nothing'}){web_page_hint(head)}")
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as stream:
            return _walk(_Stream(stream, path, limit + SPARE), path, sizes)


def _walk(stream, path, sizes):
    found = {}
    for _ in range(MOST_MEMBERS):
        member = _header(stream, path)
        if member is None:
            stream.drain()
            return found
        name = member.name.removeprefix("./")
        if name in sizes:
            _check_member(member, name, path, sizes[name], found)
            found[name] = stream.read(member.size)
        else:
            stream.skip(member.size)
        stream.skip(-member.size % BLOCK)
    raise FormatError(f"{path}: more than {MOST_MEMBERS:,} members in the archive; CIFAR-10's has fewer than ten")


def _header(stream, path):
    """The next member's TarInfo, or None at the end of the archive."""
    block = stream.read(BLOCK)
    try:
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.EOFHeaderError:  # a block of zeros
        return None
    except tarfile.HeaderError as error:
        raise FormatError(f"{path}: no tar header at byte {stream.position - BLOCK:,} of the unpacked stream "
                          f"({error}); the archive is damaged or not a .tar.gz") from error
    if member.size < 0:
        raise FormatError(f"{path}: member {member.name!r} declares the size {member.size}")
    return member


def _check_member(member, name, path, size, found):
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise FormatError(f"{path}: member {name} is not a regular file (tar type {member.type!r})")
    if name in found:
        raise FormatError(f"{path}: member {name} is there twice")
    if member.size != size:
        raise FormatError(f"{path}: member {name} has {member.size:,} bytes, expected {size:,}")


class _Stream:
    """The unpacked stream: exact reads, counted and capped, with every way to be damaged turned into FormatError."""

    def __init__(self, stream, path, cap):
        self._stream, self._path, self._cap = stream, path, cap
        self.position = 0

    def read(self, size):
        """Exactly `size` bytes."""
        data = bytearray()
        while len(data) < size:
            data += self._some(size - len(data))
        return data

    def skip(self, size):
        """Pass over `size` bytes."""
        while size > 0:
            size -= len(self._some(size))

    def drain(self):
        """Read to the end, where gzip keeps its checksum."""
        while self._chunk(_CHUNK):
            pass

    def _some(self, size):
        data = self._chunk(min(size, _CHUNK))
        if not data:
            raise FormatError(f"{self._path}: the archive ends in the middle of a member, after {self.position:,} "
                              "unpacked bytes; it was cut short")
        return data

    def _chunk(self, size):
        try:
            data = self._stream.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(f"{self._path}: damaged or cut short; unpacking fails after {self.position:,} bytes "
                              f"({error})") from error
        self.position += len(data)
        if self.position > self._cap:
            raise FormatError(f"{self._path}: unpacks to more than {self._cap:,} bytes; CIFAR-10's archive does not")
        return data
