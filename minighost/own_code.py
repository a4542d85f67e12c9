"""A learner's own file: ``FILE.py:NAME`` names a class or function in it, and the file is run to get at it.

It runs as an ordinary program, with all permissions of whoever started minighost, so only what a user has named is run.
A file is imported under a name of its own that carries a hash of its content: an edited file is another module, and one
that raises leaves nothing behind.
"""

import ast
import contextlib
import hashlib
import os
import re
import sys
import traceback
from types import ModuleType
from typing import Any, NamedTuple

from minighost.inputs import read_regular
from minighost.registry import nearest
from minighost.type_aliases import PathLike

__all__ = ["Spec", "find", "parse", "place", "sha256", "sha256_as_run", "shown"]

LARGEST = 1 << 20  # bytes
_files: dict[str, str] = {}  # absolute paths of what has been run, and the SHA-256 that it had then


class Spec(NamedTuple):
    """``FILE.py:NAME`` in two parts."""

    file: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"

    @property
    def title(self) -> str:
        """As it is called in tables: without folders."""
        return f"{self.file.replace(os.sep, '/').rpartition('/')[2]}:{self.name}"

    def absolute(self) -> "Spec":
        """With the path from the root. A path of another system, ``C:\\nets.py``, stays as it is."""
        elsewhere = os.sep == "/" and re.match(r"[A-Za-z]:[\\/]", self.file)
        return self if elsewhere else Spec(os.path.abspath(os.path.expanduser(self.file)), self.name)


def parse(text: str) -> Spec | None:
    """The parts of ``FILE.py:NAME``; None for any other text.

    Raises
    ------
    ValueError
        A Python file without a name after the colon; the message lists the names that there are.
    """
    found = re.fullmatch(r"(.+\.py)(?::(.*))?", text, re.IGNORECASE | re.DOTALL)
    if found is None:
        return None
    file, name = found[1], found[2] or ""
    if not name.isidentifier():
        defined = _defined(file)
        listed = f"; it defines {', '.join(defined)}" if defined else ""
        raise ValueError(
            f"{file}: say which class or function is meant, as in {file}:{(defined or ['Net'])[0]}{listed}"
        )
    return Spec(file, name)


def _defined(file):
    """Classes and functions at the top of a file, read without running it; none if that cannot be done."""
    with contextlib.suppress(OSError, ValueError, SyntaxError):
        body = ast.parse(read_regular(file, LARGEST)).body
        kinds = (ast.ClassDef, ast.FunctionDef)
        return [node.name for node in body if isinstance(node, kinds) and not node.name.startswith("_")]
    return []


def sha256(file: PathLike) -> str:
    """SHA-256 of a file's content; OSError and FormatError as `inputs.read_regular`."""
    return hashlib.sha256(read_regular(file, LARGEST)).hexdigest()


def sha256_as_run(file: str) -> str:
    """SHA-256 that a file had when it was last run here, whatever has become of it since."""
    return _files[os.path.abspath(file)]


def find(spec: Spec) -> Any:
    """What a file defines under a name, after running the file if it has not been run with this content.

    What it prints goes to stderr, lest it mixes with what a command prints. Its folder can be imported from.

    Raises
    ------
    OSError, FormatError
        The file cannot be read.
    ValueError
        It is not Python, or raises (the message names the line), or does not define that name.
    """
    module = _run(os.path.abspath(os.path.expanduser(spec.file)))
    if not hasattr(module, spec.name):
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        listed = f"it defines {', '.join(own)}" if own else "it defines no class or function"
        raise ValueError(f"{spec.file} has no {spec.name!r}{nearest(spec.name, own)}; {listed}")
    return getattr(module, spec.name)


def _run(file):
    source = read_regular(file, LARGEST)
    stem = re.sub(r"\W", "_", os.path.basename(file)[:-3])
    name = f"own_{stem}_{hashlib.sha256(os.fsencode(file) + source).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = file
    _files[file] = hashlib.sha256(source).hexdigest()
    sys.modules[name] = module  # a dataclass looks here for its module while it is being defined
    sys.path.insert(0, os.path.dirname(file))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(source, file, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(_complaint(error, file)) from error
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(os.path.dirname(file))
    return module


def _complaint(error, file):
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{shown(file)}, line {error.lineno}: {error.msg} ({type(error).__name__})"
    if isinstance(error, SystemExit):
        return (
            f"{place(error) or shown(file)}: ends the program; put what is not a definition under "
            f"if __name__ == '__main__':"
        )
    return f"{place(error) or shown(file)}: {type(error).__name__}: {error}"


def place(error: BaseException) -> str | None:
    """Where in a learner's file an exception arose, ``my.py, line 12``: the innermost such line. None if in none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in _files]
    return f"{shown(frames[-1].filename)}, line {frames[-1].lineno}" if frames else None


def shown(file: str) -> str:
    """A path as a message shows it: from the current folder if it lies in there."""
    with contextlib.suppress(ValueError, OSError):  # another drive; a folder that is gone
        short = os.path.relpath(file)
        return file if short.startswith(os.pardir) else short
    return file
