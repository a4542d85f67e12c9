"""Getting CIFAR-10 over the network: several mirrors, one checksum.

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

from minighost.data.records import web_page_hint
from minighost.files import alone, move
from minighost.terminal.console import Console
from minighost.type_aliases import PathLike

__all__ = ["ARCHIVE_BYTES", "ARCHIVE_SHA256", "MIRRORS", "WAYS", "data_directory", "fetch"]

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_BYTES = 170_052_171
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
MIRRORS = (
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
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


def fetch(mirrors: Sequence[str] = (), directory: PathLike | None = None, progress: bool = True) -> Path:
    """The binary archive's path, after downloading it if it is not yet there.

    Parameters
    ----------
    mirrors : sequence of str
        URLs to try first; then ``MINIGHOST_CIFAR10_URL``, then the built-in ones.
    directory : str or path-like, optional
        Where to keep it; by default `data_directory`.
    progress : bool
        Show a progress bar, if standard error is a terminal.

    Raises
    ------
    ValueError
        A URL that is not http or https.
    OSError
        Every mirror failed: each with its URL and reason (sizes expected and received), and what else can be done.
        The directory cannot be made or written to.
    """
    own = os.environ.get("MINIGHOST_CIFAR10_URL")
    urls = list(dict.fromkeys(url for url in (*mirrors, own, *MIRRORS) if url))
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise ValueError(
                f"mirror {url!r}: must be a URL that starts with http:// or https://; "
                "for a local file use --data-archive"
            )
    directory = data_directory() if directory is None else Path(directory)
    target = directory / ARCHIVE
    if target.is_file():
        return target
    directory.mkdir(parents=True, exist_ok=True)
    with alone(
        directory,
        lambda: (
            progress and print(f"waiting: another process is downloading CIFAR-10 into {directory}", file=sys.stderr)
        ),
    ):
        if not target.is_file():  # another process may have put it there meanwhile
            _download(urls, target, progress)
    return target


def _download(urls, target, progress):
    part, failures = target.with_name(target.name + ".part"), []
    if not _is_right(part):
        for url in urls:
            failure = _transfer(url, part, progress)
            if failure is None:
                break
            failures.append(f"{url}: {failure}")
        else:
            raise OSError(
                f"CIFAR-10 could not be downloaded. {'; '.join(failures)}. {WAYS}. "
                "To use your own mirror: MINIGHOST_CIFAR10_URL=https://..."
            )
    move(part, target)


def _transfer(url, part, progress):
    """Download `url` to `part`, continuing what is there. None if its checksum is right, else what went wrong."""
    import pooch

    if part.exists() and part.stat().st_size >= ARCHIVE_BYTES:
        part.unlink()
    with open(part, "ab") as file:
        resumed = file.tell()
        sink = _Sink(file)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={resumed}-"} if resumed else {})
        bar = Console(sys.stderr if progress else None).transfer(ARCHIVE_BYTES)
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, headers=headers, hooks={"response": sink.begin})
        try:
            get(url, sink, None)
        except Exception as error:  # a server can send anything, and whatever it breaks, there are other mirrors
            return f"{error} ({file.tell():,} of {ARCHIVE_BYTES:,} bytes received)"
        finally:
            if bar is not None:
                bar.close()
    received = part.stat().st_size
    if received < ARCHIVE_BYTES:
        return f"{received:,} bytes received, {ARCHIVE_BYTES:,} expected"
    if _is_right(part):
        return None
    part.unlink()
    if resumed:
        return _transfer(url, part, progress)  # the beginning may have come from a bad mirror
    return f"{received:,} bytes as expected, but the SHA-256 is not {ARCHIVE_SHA256}"


def _is_right(part):
    import pooch

    return part.is_file() and part.stat().st_size == ARCHIVE_BYTES and pooch.file_hash(str(part)) == ARCHIVE_SHA256


class _Sink:
    """Where the bytes go: keeps what is there from a server that sends something else or from elsewhere, starts over
    if the server ignores the range, and stops a server that never stops.
    """

    def __init__(self, file):
        self._file, self._start_over = file, False

    def begin(self, response, **_):
        """Look at the headers of an answer, before any of its bytes is written."""
        headers, start = response.headers, self._file.tell()
        if response.status_code == 200:
            self._start_over = True
            length = headers.get("Content-Length", str(ARCHIVE_BYTES))
            if length != str(ARCHIVE_BYTES):
                raise OSError(
                    f"{int(length):,} bytes offered, {ARCHIVE_BYTES:,} expected{web_page_hint(response.raw.read(1024))}"
                )
        elif response.status_code == 206:
            part = headers.get("Content-Range", f"bytes {start}-{ARCHIVE_BYTES - 1}/{ARCHIVE_BYTES}")
            if not re.fullmatch(rf"bytes {start}-\d+/({ARCHIVE_BYTES}|\*)", part):
                raise OSError(f"asked for the bytes from {start:,} of {ARCHIVE_BYTES:,}, the server sent {part}")

    def write(self, chunk):
        if self._start_over:
            if hint := web_page_hint(chunk):
                raise OSError(f"this is not the archive{hint}")
            self._empty()
            self._start_over = False
        if self._file.tell() + len(chunk) > ARCHIVE_BYTES:
            self._empty()
            raise OSError(f"the server sent more than the {ARCHIVE_BYTES:,} bytes of the archive")
        self._file.write(chunk)

    def flush(self):
        self._file.flush()

    def _empty(self):
        self._file.seek(0)
        self._file.truncate()
