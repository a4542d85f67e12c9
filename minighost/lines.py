"""How much there is to read: the lines of minighost's own files.

A line of code is one that holds something other than white space, a comment or a docstring.
"""

import ast
import functools
import io
import tokenize
from pathlib import Path
from typing import NamedTuple

__all__ = ["ENGINE", "FAMILY", "WEEKEND", "Lines", "count", "count_file"]

PACKAGE = Path(__file__).parent


def _files(folder, names):
    return tuple(f"{folder}/{name}.py" for name in names.split())


# What "read in a weekend" means: GhostNet, from the image to the trained network. Files below the package, by part.
WEEKEND = {
    "ops": _files(
        "ops",
        "activations add avg_pool batch_norm bias concat conv2d crelu cross_entropy depthwise dropout elementwise "
        "global_avg_pool im2col linear max_pool pointwise scale windows",
    ),
    "nn": (
        *_files(
            "nn",
            "activations blocks checksums containers flat fold_graph fold_nodes fold_state folded folding ghost hooks "
            "initial kept_fold layers limit module normalization parameter pooling residual whitening",
        ),
        "nn/functional/*.py",
    ),
    "models": _files("models", "ghostnet ghostnet_small network registry rounding initialize"),
    "trainer": (
        "train/trainer.py",
        "train/optim*.py",
        "train/muon.py",
        "train/schedules.py",
        "train/clip.py",
        "train/ema.py",
    ),
}
FAMILY = "ops/*.py", "nn/**/*.py", "models/*.py"  # with all other operations, layers and networks
ENGINE = ("engine/**/*.py",)  # the second book

NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


class Lines(NamedTuple):
    """Lines of code, and all lines with comments, docstrings and blank ones, and the number of files."""

    files: int
    code: int
    total: int


@functools.cache  # a file belongs to several rows
def count_file(text):
    """The lines of one file, from its text.

    Examples
    --------
    >>> count_file('def half(x):  # of a number\\n    \"\"\"Half of x.\"\"\"\\n\\n    return x / 2\\n')
    Lines(files=1, code=2, total=4)
    """
    code: set = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            code -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return Lines(1, len(code), len(text.splitlines()))


def count(*patterns):
    """The lines of the files that match any of these patterns, such as "ops/*.py", below the package.

    Returns
    -------
    dict of str to Lines
        By the file's path below the package, sorted.
    """
    paths = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    return {path.relative_to(PACKAGE).as_posix(): count_file(path.read_text("utf-8")) for path in sorted(paths)}
