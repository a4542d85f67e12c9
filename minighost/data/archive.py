"""Reading a .tar.gz, .tar.bz2, .tar.xz or .tar without extracting it.

An archive is a stranger's list of file names and links. Extraction trusts all of them; this reader trusts none: it
walks through the stream once, keeps the few members whose name and size are known in advance, in whatever folder, and
skips the rest unseen. No path is ever made from a member's name, nothing is written, and no number in the file makes
it allocate more than the sizes that the caller gave (for an .xz 100 MiB on top).
"""

import bz2
import gzip
import tarfile
import zlib
from collections.abc import Mapping

from minighost.data.records import web_page_hint
from minighost.errors import FormatError
from minighost.inputs import open_regular
from minighost.type_aliases import PathLike

__all__ = ["read_members"]

BLOCK = 512
SPARE = 4 << 20  # bytes allowed beyond the wanted members: headers, notes, padding
MOST_MEMBERS = 1_000
_XZ_MEMORY = 100 << 20  # bytes; xz -9 needs 65 MiB, and a file may ask for 4 GiB
_CHUNK = 1 << 16
_NOTES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.SOLARIS_XHDTYPE)


def read_members(path: PathLike, sizes: Mapping[str, int], limit: int) -> tuple[dict[str, bytearray], list[str]]:
    """The contents of some members of a tar archive: plain, or compressed with gzip, bzip2 or xz.

    Parameters
    ----------
    path : str or path-like
    sizes : dict of str to int
        The members wanted: name without the folder that they are in, exact size in bytes.
    limit : int
        Sum of the sizes of all members that an honest archive may have; a stream that goes on for more than 4 MiB
        beyond it is refused.

    Returns
    -------
    found : dict of str to bytearray
        Those of the members that the archive has, by the names in `sizes`.
    names : list of str
        The full names of all members.

    Raises
    ------
    FormatError
        Not such an archive, damaged or cut short (checksums of the compression are always verified), a wanted name
        twice, with another size, or as anything but a regular file; too many members or bytes.
    OSError
        The file cannot be read.
    ModuleNotFoundError
        An .xz, and a Python that was built without lzma.
    """
    with open_regular(path) as file:
        return _walk(_Stream(_unpacking(file, path), path, limit + SPARE), path, sizes)


def _unpacking(file, path):
    """What gives the bytes of the tar archive in `file`."""
    head = file.read(1024)
    file.seek(0)
    for magic, unpack in (
        (b"\x1f\x8b", lambda f: gzip.GzipFile(fileobj=f)),
        (b"BZh", bz2.BZ2File),
        (b"\xfd7zXZ\0", _Xz),
    ):
        if head.startswith(magic):
            return unpack(file)
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise FormatError(
            f"{path}: not a gzip archive (a .tar.gz starts with the bytes 1f 8b, this with "
            f"{head[:4].hex(' ') or 'nothing'}), a .tar, .tar.bz2 or .tar.xz"
            f"{web_page_hint(head)}"
        ) from error
    return file


def _walk(stream, path, sizes):
    found: dict[str, bytearray] = {}
    names: list[str] = []
    for _ in range(MOST_MEMBERS):
        member = _header(stream, path)
        if member is None:
            stream.drain()
            return found, names
        name = member.name.rpartition("/")[2]
        if member.type not in _NOTES:
            names.append(member.name)
        if name in sizes and member.type not in _NOTES:
            _check_member(member, name, path, sizes[name], found)
            found[name] = stream.read(member.size)
        else:
            stream.skip(member.size)
        stream.skip(-member.size % BLOCK)
    raise FormatError(f"{path}: more than {MOST_MEMBERS:,} members in the archive; CIFAR's has fewer than ten")


def _header(stream, path):
    """The next member's TarInfo, or None at the end of the archive."""
    block = stream.read(BLOCK)
    try:
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if not any(block):  # the block of zeros that ends an archive
            return None
        raise FormatError(
            f"{path}: no tar header at byte {stream.position - BLOCK:,} of the unpacked stream "
            f"({error}); the archive is damaged or not a .tar.gz"
        ) from error
    if member.size < 0:
        raise FormatError(f"{path}: member {member.name!r} declares the size {member.size}")
    return member


def _check_member(member, name, path, size, found):
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise FormatError(f"{path}: member {name} is not a regular file (tar type {member.type!r})")
    if name in found:
        raise FormatError(f"{path}: member {name} appears twice")
    if member.size != size:
        raise FormatError(f"{path}: member {name} has {member.size:,} bytes, expected {size:,}")


class _Xz:
    """lzma.LZMAFile, but with a bound on the memory that the file may ask for."""

    def __init__(self, file):
        import lzma  # which not every Python has

        self._file, self._unpacker = file, lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        self._error = lzma.LZMAError

    def read(self, size):
        while not self._unpacker.eof:
            packed = self._file.read(_CHUNK) if self._unpacker.needs_input else b""
            if self._unpacker.needs_input and not packed:
                raise EOFError("it ends before its end marker")
            try:
                if data := self._unpacker.decompress(packed, size):
                    return data
            except self._error as error:
                raise EOFError(error) from error
        return b""


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
            raise FormatError(
                f"{self._path}: the archive ends in the middle of a member, after {self.position:,} "
                "unpacked bytes; it is truncated"
            )
        return data

    def _chunk(self, size):
        try:
            data = self._stream.read(size)
        except (EOFError, OSError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the archive's
            raise FormatError(
                f"{self._path}: damaged or truncated; unpacking fails after {self.position:,} bytes ({error})"
            ) from error
        self.position += len(data)
        if self.position > self._cap:
            raise FormatError(f"{self._path}: unpacks to more than {self._cap:,} bytes; CIFAR's archive does not")
        return data
