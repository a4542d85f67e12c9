"""Getting CIFAR-10 and CIFAR-100 over the network: several mirrors, one checksum.

The official server has been slow for long stretches (an hour for 170 MB), so it is the last resort, not the first.
A mirror need not be trusted: only a file with the official SHA-256 is ever moved into place, in one atomic step.
pooch does the talking; it knows neither mirrors nor resuming, so the loop over the mirrors is here, and a broken
transfer is kept as ``.part`` and continued with an HTTP range request, by the next mirror or the next attempt. One
process downloads at a time; the others wait for what it gets.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from minighost.data.records import web_page_hint
from minighost.files import alone, move
from minighost.terminal.console import Console
from minighost.type_aliases import PathLike

__all__ = ["ARCHIVE_BYTES", "ARCHIVE_SHA256", "CIFAR100", "MIRRORS", "WAYS", "Archive", "data_directory", "fetch"]


class Archive(NamedTuple):
    """An official archive and where to get it."""

    title: str  # of the data set
    name: str  # of the file
    size: int  # bytes
    sha256: str
    mirrors: tuple[str, ...]
    variable: str  # of the environment, with the URL of the user's own mirror


ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_BYTES = 170_052_171
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
MIRRORS = (
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
)
CIFAR100 = Archive(
    "CIFAR-100",
    "cifar-100-binary.tar.gz",
    168_513_733,
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
    "MINIGHOST_CIFAR100_URL",
)
WAYS = (
    "To get the data: download it (no --data-dir), or point --data-dir to a folder with the batches, "
    "or --data-archive to the .tar.gz; --data shapes10 needs no files at all"
)


def data_directory() -> Path:
    """Where downloads live: ``MINIGHOST_DATA_DIR`` if set, else the system's cache directory for minighost.

    Raises FileNotFoundError if that depends on a home directory and there is none.
    """
    own = os.environ.get("MINIGHOST_DATA_DIR")
    try:
        if own:
            return Path(own).expanduser()
        import pooch

        return Path(pooch.os_cache("minighost"))
    except RuntimeError as error:  # what pathlib and platformdirs say
        raise FileNotFoundError(
            f"no home directory for CIFAR-10 ({error}); set MINIGHOST_DATA_DIR to your own directory. {WAYS}"
        ) from error


def fetch(
    mirrors: Sequence[str] = (),
    directory: PathLike | None = None,
    progress: bool = True,
    archive: Archive | None = None,
) -> Path:
    """The binary archive's path, after downloading it if it is not yet there.

    Parameters
    ----------
    mirrors : sequence of str
        URLs to try first; then that in the environment (``MINIGHOST_CIFAR10_URL``), then the built-in ones.
    directory : str or path-like, optional
        Where to keep it; by default `data_directory`.
    progress : bool
        Show a progress bar, if standard error is a terminal.
    archive : Archive, optional
        By default CIFAR-10's.

    Raises
    ------
    ValueError
        A URL that is not http or https.
    OSError
        Every mirror failed: each with its URL and reason (sizes expected and received), and what else can be done.
        The directory cannot be made or written to.
    """
    if archive is None:
        archive = Archive("CIFAR-10", ARCHIVE, ARCHIVE_BYTES, ARCHIVE_SHA256, MIRRORS, "MINIGHOST_CIFAR10_URL")
    own = os.environ.get(archive.variable)
    urls = list(dict.fromkeys(url for url in (*mirrors, own, *archive.mirrors) if url))
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise ValueError(
                f"mirror {url!r}: must be a URL that starts with http:// or https://; "
                "for a local file use --data-archive"
            )
    directory = data_directory() if directory is None else Path(directory)
    target = directory / archive.name
    if target.is_file():
        return target
    directory.mkdir(parents=True, exist_ok=True)
    waiting = f"waiting: another process is downloading {archive.title} into {directory}"
    with alone(directory, lambda: progress and print(waiting, file=sys.stderr)):
        if not target.is_file():  # another process may have put it there meanwhile
            _download(urls, target, progress, archive)
    return target


def _download(urls, target, progress, archive):
    part, failures = target.with_name(target.name + ".part"), []
    if not _is_right(part, archive):
        for url in urls:
            failure = _transfer(url, part, progress, archive)
            if failure is None:
                break
            failures.append(f"{url}: {failure}")
        else:
            raise OSError(
                f"{archive.title} could not be downloaded. {'; '.join(failures)}. {WAYS}. "
                f"To use your own mirror: {archive.variable}=https://..."
            )
    move(part, target)


def _transfer(url, part, progress, archive):
    """Download `url` to `part`, continuing what is there. None if its checksum is right, else what went wrong."""
    import pooch

    if part.exists() and part.stat().st_size >= archive.size:
        part.unlink()
    with open(part, "ab") as file:
        resumed = file.tell()
        sink = _Sink(file, archive.size)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={resumed}-"} if resumed else {})
        bar = Console(sys.stderr if progress else None).transfer(archive.size)
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, headers=headers, hooks={"response": sink.begin})
        try:
            get(url, sink, None)
        except Exception as error:  # a server can send anything, and whatever it breaks, there are other mirrors
            return f"{error} ({file.tell():,} of {archive.size:,} bytes received)"
        finally:
            if bar is not None:
                bar.close()
    received = part.stat().st_size
    if received < archive.size:
        return f"{received:,} bytes received, {archive.size:,} expected"
    if _is_right(part, archive):
        return None
    part.unlink()
    if resumed:
        return _transfer(url, part, progress, archive)  # the beginning may have come from a bad mirror
    return f"{received:,} bytes as expected, but the SHA-256 is not {archive.sha256}"


def _is_right(part, archive):
    import pooch

    return part.is_file() and part.stat().st_size == archive.size and pooch.file_hash(str(part)) == archive.sha256


class _Sink:
    """Where the bytes go: keeps what is there from a server that sends something else or from elsewhere, starts over
    if the server ignores the range, and stops a server that never stops.
    """

    def __init__(self, file, size):
        self._file, self._size, self._start_over = file, size, False

    def begin(self, response, **_):
        """Look at the headers of an answer, before any of its bytes is written."""
        headers, start = response.headers, self._file.tell()
        if response.status_code == 200:
            self._start_over = True
            length = headers.get("Content-Length", str(self._size))
            if length != str(self._size):
                raise OSError(
                    f"{int(length):,} bytes offered, {self._size:,} expected{web_page_hint(response.raw.read(1024))}"
                )
        elif response.status_code == 206:
            part = headers.get("Content-Range", f"bytes {start}-{self._size - 1}/{self._size}")
            if not re.fullmatch(rf"bytes {start}-\d+/({self._size}|\*)", part):
                raise OSError(f"asked for the bytes from {start:,} of {self._size:,}, the server sent {part}")

    def write(self, chunk):
        if self._start_over:
            if hint := web_page_hint(chunk):
                raise OSError(f"this is not the archive{hint}")
            self._empty()
            self._start_over = False
        if self._file.tell() + len(chunk) > self._size:
            self._empty()
            raise OSError(f"the server sent more than the {self._size:,} bytes of the archive")
        self._file.write(chunk)

    def flush(self):
        self._file.flush()

    def _empty(self):
        self._file.seek(0)
        self._file.truncate()
