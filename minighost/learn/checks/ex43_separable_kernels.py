"""What exercise 43 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "separate: the first columns of U, the first rows of V (it is already transposed), and s once, on one of the "
    "two: U[:, :terms] * s[:terms].",
    "error: the squares of s from `terms` on, over all squares; the root of the quotient. rank: count s > 1e-12 * "
    "s[0].",
    "correlate_separated: for each k, column columns[:, k] as a kernel of (KH, 1) - columns[:, k, None] - then "
    "row rows[k] as one of (1, KW), rows[k][None]. Add up the results.",
)

WRONG = {
    "V transposed once more": ("* s[:terms], V[:terms]", "* s[:terms], V.T[:terms]", r"V .* transposed already"),
    "the singular values left out": ("U[:, :terms] * s[:terms]", "U[:, :terms]", r"singular values .* left out"),
    "the singular values twice": (
        "* s[:terms], V[:terms]",
        "* s[:terms], s[:terms, None] * V[:terms]",
        r"singular values .* twice",
    ),
    "the smallest instead of the largest": (
        "return U[:, :terms] * s[:terms], V[:terms]",
        "return U[:, -terms:] * s[-terms:], V[-terms:]",
        r"the smallest",
    ),
    "first row and column of the kernel": (
        "U, s, V = np.linalg.svd(kernel, full_matrices=False)\n    return U[:, :terms] * s[:terms], V[:terms]",
        "from_corner = kernel[:, :terms], np.linalg.pinv(kernel[:terms, :terms]) @ kernel[:terms]\n"
        "    return from_corner",
        r"not the best",
    ),
    "one term whatever is asked": (
        "return U[:, :terms] * s[:terms], V[:terms]",
        "return U[:, :1] * s[:1], V[:1]",
        r"terms = 2",
    ),
    "error without squares": (
        "np.sqrt((s[terms:] ** 2).sum() / (s**2).sum())",
        "s[terms:].sum() / s.sum()",
        r"squares",
    ),
    "error without its root": (
        "np.sqrt((s[terms:] ** 2).sum() / (s**2).sum())",
        "(s[terms:] ** 2).sum() / (s**2).sum()",
        r"root",
    ),
    "error of the next number of terms": ("(s[terms:] ** 2)", "(s[terms + 1 :] ** 2)", r"terms \+ 1"),
    "an absolute error": (" / (s**2).sum())", ")", r"relative"),
    "rank counts what is not exactly zero": ("s > 1e-12 * s[0]", "s > 0", r"rounding"),
    "rank by a fixed bound": ("s > 1e-12 * s[0]", "s > 1e-12", r"largest"),
    "column and row applied in each other's direction": (
        "correlate(correlate(image, c[:, None]), r[None])",
        "correlate(correlate(image, c[None]), r[:, None])",
        r"column .* \(KH, 1\)",
    ),
    "only the first term": (
        "return sum(correlate(correlate(image, c[:, None]), r[None]) for c, r in zip(columns.T, rows, strict=True))",
        "return correlate(correlate(image, columns[:, :1]), rows[:1])",
        r"first term alone",
    ),
    "columns added up, and rows": (
        "return sum(correlate(correlate(image, c[:, None]), r[None]) for c, r in zip(columns.T, rows, strict=True))",
        "return correlate(correlate(image, columns.sum(1)[:, None]), rows.sum(0)[None])",
        r"every column with every row",
    ),
}

SOBEL = np.outer([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])


@on_shapes("A column is a kernel of (KH, 1), a row one of (1, KW).")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    names = "separate", "error", "rank", "correlate_separated"
    separate, error, rank, correlate_separated = (function(mine, name) for name in names)
    rng = np.random.default_rng(43)
    for name, kernel, terms in _cases(rng):
        _separated(separate, name, kernel, terms)
        what = f"error({name}, terms = {terms})"
        want = np.float64(_missing(kernel, terms))
        same(
            error(frozen(kernel), terms), want, what, tolerance=1e-6, hints=_errors(kernel, terms)
        )  # a root of rounding
    _ranks(rank, rng)
    for (H, W), (KH, KW), terms in (((5, 6), (3, 3), 1), ((6, 5), (2, 4), 2), ((7, 7), (5, 3), 3)):
        image, columns, rows = (rng.normal(size=shape) for shape in ((H, W), (KH, terms), (terms, KW)))
        what = f"correlate_separated(image of {H}x{W}, columns of {KH}x{terms}, rows of {terms}x{KW})"
        want = _correlated(image, columns @ rows)
        swapped = _correlated(image, (columns @ rows).T)
        known = [
            (swapped, "the column must be a kernel of (KH, 1), the row one of (1, KW); they are the other way round"),
            (_correlated(image, columns[:, :1] @ rows[:1]), "this is the first term alone: add up all"),
            (
                _correlated(image, np.outer(columns.sum(1), rows.sum(0))),
                "this is every column with every row; column k goes with row k",
            ),
        ]
        known = [(a, words) for a, words in known if a.shape != want.shape or not np.allclose(a, want)]
        same(correlate_separated(*frozen(image, columns, rows)), want, what, hints=known)


def _cases(rng):
    yield "Sobel's kernel", SOBEL, 1
    yield "[[2, 0], [0, 1]]", np.diag([2.0, 1.0]), 1
    for (KH, KW), terms in (((3, 4), 1), ((5, 3), 2), ((3, 3), 3), ((2, 5), 1)):
        yield f"a kernel of {KH}x{KW}", rng.normal(size=(KH, KW)), terms


def _separated(separate, name, kernel, terms):
    what = f"separate({name}, terms = {terms})"
    columns, rows = several(separate(frozen(kernel), terms), "columns, rows", what)
    for part, words, shape in ((columns, "columns", (len(kernel), terms)), (rows, "rows", (terms, kernel.shape[1]))):
        if np.shape(part) != shape:
            raise AssertionError(f"{what}: {words} has shape {np.shape(part)}, must have {shape}")
    U, s, V = np.linalg.svd(kernel, full_matrices=False)
    first, last = slice(terms), slice(len(s) - terms, None)
    want = (U[:, first] * s[first]) @ V[first]
    known = [
        (U[:, first] @ V[first], "the singular values s are left out"),
        ((U[:, first] * s[first] ** 2) @ V[first], "the singular values s are there twice: once is enough"),
        ((U[:, last] * s[last]) @ V[last], "these are the smallest terms; the largest come first in s"),
    ]
    if V.shape[0] == V.shape[1]:
        known.append(((U[:, first] * s[first]) @ V.T[first], "V comes transposed already: its rows are the rows"))
    known = [(a, words) for a, words in known if not np.allclose(a, want)]
    product = np.asarray(columns) @ np.asarray(rows)
    missing, best = (float(np.linalg.norm(kernel - a) / np.linalg.norm(kernel)) for a in (product, want))
    if missing > best + 1e-9:
        known.append(
            (product, f"it is not the best: it misses {missing:.3g} of the kernel, and {best:.3g} is possible")
        )
    same(product, want, f"{what}: columns @ rows", hints=known)


def _missing(kernel, terms):
    """From the best approximation itself."""
    U, s, V = np.linalg.svd(kernel)
    nearest = sum((s[k] * np.outer(U[:, k], V[k]) for k in range(terms)), np.zeros_like(kernel))
    return np.linalg.norm(kernel - nearest) / np.linalg.norm(kernel)


def _errors(kernel, terms):
    s, right = np.linalg.svd(kernel, compute_uv=False), _missing(kernel, terms)
    known = [
        (s[terms:].sum() / s.sum(), "sums of s; the error is a root of sums of squares"),
        (right**2, "the root is missing"),
        (right * np.linalg.norm(kernel), "the error is relative to the kernel: divide"),
        (
            _missing(kernel, terms + 1) if terms < len(s) else 9.0,
            "that is the error of terms + 1: what is left begins with s[terms]",
        ),
    ]
    return [(np.float64(a), words) for a, words in known if abs(a - right) > 1e-6]


def _ranks(rank, rng):
    cases = [("Sobel's kernel", SOBEL, 1), ("[[2, 0], [0, 1]]", np.diag([2.0, 1.0]), 2)]
    for KH, KW, terms in ((5, 4, 1), (5, 7, 2), (4, 4, 3), (3, 6, 3)):
        kernel = rng.normal(size=(KH, terms)) @ rng.normal(size=(terms, KW))
        cases += [(f"a sum of {terms} products, {KH}x{KW}", kernel, terms)]
        cases += [(f"that kernel times {scale:g}", kernel * scale, terms) for scale in (1e-20, 1e20)]
    for name, kernel, want in cases:
        got = rank(frozen(kernel))
        known = [(k, "singular values that are 0 but for rounding count; leave them out") for k in range(want + 1, 8)]
        if "times" in name:
            known = [(k, "the bound must be a share of the largest, s[0]: a factor changes no rank") for k in range(8)]
        same(got, want, f"rank({name})", hints=[(k, words) for k, words in known if k != want])


def _correlated(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return np.einsum("ijuv,uv->ij", windows, kernel)
