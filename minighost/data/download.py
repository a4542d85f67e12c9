"""Getting CIFAR-10 over the network: several mirrors, one checksum.

The official server has been slow for long stretches (an hour for 170 MB), so it is the last resort, not the first.
A mirror need not be trusted: only a file with the official SHA-256 is ever moved into place, in one atomic step.
pooch does the talking; it knows neither mirrors nor resuming, so the loop over the mirrors is here, and a broken
transfer is kept as ``.part`` and continued with an HTTP range request, by the next mirror or the next attempt.
"""

import os
import sys
from pathlib import Path

from minighost.data.records import web_page_hint

__all__ = ["ARCHIVE_BYTES", "ARCHIVE_SHA256", "MIRRORS", "WAYS", "data_directory", "fetch"]

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_BYTES = 170_052_171
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
MIRRORS = (
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
)
WAYS = ("To get the data: download it (no --data-dir), or point --data-dir to a folder with the batches, "
        "or --data-archive to the .tar.gz; --data shapes10 needs no files at all")


def data_directory():
    """Where downloads live: ``MINIGHOST_DATA_DIR`` if set, else the system's cache directory for minighost."""
    own = os.environ.get("MINIGHOST_DATA_DIR")
    if own:
        return Path(own).expanduser()
    import pooch

    return Path(pooch.os_cache("minighost"))


def fetch(mirrors=(), directory=None, progress=True):
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
    """
    urls = [*mirrors, os.environ.get("MINIGHOST_CIFAR10_URL"), *MIRRORS]
    urls = list(dict.fromkeys(url for url in urls if url))
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"mirror {url!r}: a URL that starts with http:// or https:// is needed; "
                             "for a file on this machine use --data-archive")
    directory = data_directory() if directory is None else Path(directory)
    target = directory / ARCHIVE
    if target.is_file():
        return target
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / (ARCHIVE + ".part")
    failures = []
    for url in urls:
        failure = _transfer(url, part, progress)
        if failure is None:
            os.replace(part, target)
            return target
        failures.append(f"{url}: {failure}")
    raise OSError(f"CIFAR-10 could not be downloaded. {'; '.join(failures)}. {WAYS}. "
                  "A mirror of your own: MINIGHOST_CIFAR10_URL=https://...")


def _transfer(url, part, progress):
    """Download `url` to `part`, continuing what is there. None if its checksum is right, else what went wrong."""
    import pooch

    if part.exists() and part.stat().st_size >= ARCHIVE_BYTES:
        part.unlink()
    with open(part, "ab") as file:
        resumed = file.tell()
        sink = _Sink(file)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={resumed}-"} if resumed else {})
        get = pooch.HTTPDownloader(progressbar=progress and sys.stderr.isatty(), chunk_size=1 << 16, headers=headers,
                                   hooks={"response": sink.begin})
        try:
            get(url, sink, None)
        except OSError as error:  # requests' exceptions are OSErrors too
            return f"{error} ({file.tell():,} of {ARCHIVE_BYTES:,} bytes received)"
    received = part.stat().st_size
    if received == ARCHIVE_BYTES and pooch.file_hash(str(part)) == ARCHIVE_SHA256:
        return None
    with open(part, "rb") as file:
        hint = web_page_hint(file.read(1024))
    part.unlink()
    if resumed:
        return _transfer(url, part, progress)  # the beginning may have come from a bad mirror
    if received == ARCHIVE_BYTES:
        return f"{received:,} bytes as expected, but the SHA-256 is not {ARCHIVE_SHA256}"
    return f"{received:,} bytes received, {ARCHIVE_BYTES:,} expected{hint}"


class _Sink:
    """Where the bytes go: starts over if the server ignores the range, and stops a server that never stops."""

    def __init__(self, file):
        self._file = file

    def begin(self, response, **_):
        if response.status_code == 200:
            self._restart()

    def write(self, chunk):
        if self._file.tell() + len(chunk) > ARCHIVE_BYTES:
            self._restart()
            raise OSError(f"the server sends more than the {ARCHIVE_BYTES:,} bytes of the archive")
        self._file.write(chunk)

    def flush(self):
        self._file.flush()

    def _restart(self):
        self._file.seek(0)
        self._file.truncate()
