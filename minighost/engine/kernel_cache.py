"""Compiled kernels on disk, for the next process to load instead of compiling them again.

The cache can be done without. So whatever is wrong with it - a damaged file, a full disk, no place at all - costs a
compilation and one line on stderr, and never a result.

Each file holds one kernel for one signature: a digest, then what Numba compiled, pickled. Nothing is unpickled before
the digest fits, for a damaged pickle can do anything and damaged machine code ends the process. The digest includes
what the kernel was compiled for: a file under another file's name does not fit either.

Numba has a cache of its own. It trusts what it reads, and notices a change in a kernel's file but not in that of a
function which the kernel calls. Hence the folder: its name carries a hash of all sources that kernels can come from.
"""

import contextlib
import functools
import hashlib
import inspect
import os
import pickle
import re
import sys
from pathlib import Path

import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from minighost.engine.vectors import BYTES
from minighost.files import replacing

__all__ = ["KernelCache", "kernels_folder"]

_DIGEST = hashlib.sha256().digest_size
_LARGEST = 1 << 28  # bytes; ours have less than a thousandth
_VERSIONS = 4  # how many versions of the sources keep their folders
_FOLDER = re.compile(r"kernels-[0-9a-f]{12}")
_said: list[str] = []
# What this version and earlier ones have written, whole or half; nbi, nbc: those used Numba's cache.
_OURS = re.compile(r".*\.(kernel|nbi|nbc)(\.tmp\.?[0-9a-f]*)?|.*\.[0-9a-f]{8}\.tmp")


class KernelCache(_Cache):
    """What a Numba dispatcher asks before it compiles `function`, and tells when it has."""

    def __init__(self, function):
        self._function, self._folder = function, kernels_folder()
        try:
            self._source: bytes | None = Path(inspect.getfile(function)).read_bytes()  # before it is edited
        except OSError:  # typed at a prompt: there is no telling whether it is the same the next time
            self._source = None

    @property
    def cache_path(self):
        """The folder, or None."""
        return self._folder

    def load_overload(self, sig, target_context):
        """What was compiled for this signature, or None."""
        if self._folder is None or self._source is None:
            return None
        target_context.refresh()
        path = self._folder
        try:
            key, path = self._place(sig, target_context.codegen())
            return CompileResult._rebuild(target_context, *pickle.loads(_opened(_read(path), key)))
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever it is, there is another way
            _say(f"{path}: {_reason(error)}; compiled again")
            return None

    def save_overload(self, sig, cres):
        """Keep what was compiled."""
        if self._source is None or cres.library.has_dynamic_globals:
            return
        if self._folder is None:
            _say("no folder to keep compiled kernels in, so each process compiles them; NUMBA_CACHE_DIR can name one")
            return
        path = self._folder
        try:
            key, path = self._place(sig, cres.codegen)
            _write(path, _sealed(dumps(cres._reduce()), key))
        except Exception as error:
            _say(f"{path}: {_reason(error)}; this kernel is not kept, the next process compiles it again")

    def _place(self, sig, codegen):
        """The digest of all that the machine code depends on, and the file that it is kept in."""
        function = self._function
        told = (
            function.__module__,
            function.__qualname__,
            self._source,
            function.__code__.co_code,
            dumps([cell.cell_contents for cell in function.__closure__ or ()]),
            str(sig),
            codegen.magic_tuple(),
            numba.__version__,
            sys.version,
            numba.config.OPT,
            numba.config.BOUNDSCHECK,
            BYTES,
        )
        key, name = hashlib.sha256(repr(told).encode()), f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        return key.digest(), self._folder / f"{name}-{key.hexdigest()[:20]}.kernel"

    def enable(self):
        """Numba asks for this; the cache is always on."""

    def disable(self):
        """As `enable`."""

    def flush(self):
        """As `enable`."""


def _sealed(content, key):
    return hashlib.sha256(key + content).digest() + content


def _opened(sealed, key):
    digest, content = sealed[:_DIGEST], sealed[_DIGEST:]
    if hashlib.sha256(key + content).digest() != digest:
        raise ValueError("damaged")
    return content


def _read(path):
    # O_NONBLOCK: a pipe in a file's place must not make us wait for somebody to write into it
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        return file.read(_LARGEST)


def _write(path, content):
    """Under another name first, so that no process ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)  # a newer version of us may have removed it
    with replacing(path, durable=False) as file:
        file.write(content)


def _reason(error):
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _say(text):
    """Tell the user, once in a process."""
    if _said:
        return
    _said.append(text)
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        if sys.stderr is not None:
            print(f"minighost: {text}", file=sys.stderr, flush=True)


@functools.cache
def kernels_folder():
    """Where compiled kernels are kept, or None if there is no place for them.

    ``NUMBA_CACHE_DIR``; without it the package's ``__pycache__`` or, where that cannot be written to, the user's cache.
    In there the folder of this version of the sources. Where nothing can be written to, kernels may still be read
    from the package, whose owner may have compiled them ahead.
    """
    root = Path(__file__).parents[1]
    sources = b"".join(path.read_bytes() for room in ("engine", "ops") for path in sorted((root / room).rglob("*.py")))
    name, package = f"kernels-{hashlib.sha256(sources).hexdigest()[:12]}", root / "__pycache__"
    for place in _places(package):
        with contextlib.suppress(OSError):
            if _usable(folder := place.absolute() / name):
                return folder
    with contextlib.suppress(OSError):
        if not numba.config.CACHE_DIR and (package / name).is_dir():
            return package / name
    return None


def _places(package):
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
    else:
        yield package
        yield from _user_cache()


def _user_cache():
    import pooch

    with contextlib.suppress(RuntimeError):  # who has no home directory has no cache there
        yield Path(pooch.os_cache("minighost"))


def _usable(folder):
    """Whether the folder can be written to; it is made if need be, and then older versions' folders give way."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    with contextlib.suppress(OSError):
        os.utime(folder)  # it was used, says its time
    return True


def _tidy(folder):
    """Of folders beside this one, keep the few that were used last; remove from the others what was written by us.

    A process of an older version that still runs loses nothing but its cache: it makes the folder again.
    """
    beside = {}
    for other in _entries(folder.parent):
        with contextlib.suppress(OSError):  # another process may do the same
            if _FOLDER.fullmatch(other.name) and other != folder and not other.is_symlink():
                beside[other] = other.stat().st_mtime
    for old in sorted(beside, key=lambda other: beside[other], reverse=True)[_VERSIONS - 1 :]:
        for parent, _, files in os.walk(old, topdown=False):
            for name in filter(_OURS.fullmatch, files):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(parent, name))
            with contextlib.suppress(OSError):  # something else is in there
                os.rmdir(parent)


def _entries(folder):
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []
