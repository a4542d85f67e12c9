"""What exercise 41 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.checks.calls import on_shapes
from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "rows = -(-KH // SH) rounds up. Steps 1 and 2: zeros of (rows*SH, columns*SW, C, OC), w in their first "
    "corner, reshaped to (rows, SH, columns, SW, C, OC).",
    "Step 3 is [::-1, :, ::-1]. Step 4 is a transpose to (rows, columns, OC, SH, SW, C) and a reshape: DCR wants "
    "the phases (row, column, channel) with the channel fastest.",
    "transposed: padding=(rows - 1, columns - 1) for the convolution, depth to space with the stride as block, "
    "then [:, PH : PH + H, PW : PW + W].",
)

WRONG = {
    "zeros at the kernel's start": ("padded[:KH, :KW] = w", "padded[-KH:, -KW:] = w", r"zeros .* at the end"),
    "not flipped": ("[::-1, :, ::-1]\n", "\n", r"t axes are not flipped"),
    "the phases flipped as well": ("[::-1, :, ::-1]\n", "[::-1, ::-1, ::-1, ::-1]\n", r"phases are flipped"),
    "neighbouring taps kept together": (
        "padded.reshape(rows, SH, columns, SW, C, OC)[::-1, :, ::-1]",
        "padded.reshape(SH, rows, SW, columns, C, OC).transpose(1, 0, 3, 2, 4, 5)[::-1, :, ::-1]",
        r"u = r\*rows \+ t",
    ),
    "phases in PyTorch's order": (
        "split.transpose(0, 2, 5, 1, 3, 4)",
        "split.transpose(0, 2, 5, 4, 1, 3)",
        r"CRD order",
    ),
    "rounded down": (
        "rows, columns = -(-KH // SH), -(-KW // SW)",
        "rows, columns = KH // SH, KW // SW",
        r"ceil\(KH/SH\)",
    ),
    "as many taps as the stride": (
        "rows, columns = -(-KH // SH), -(-KW // SW)",
        "rows, columns = KH, KW",
        r"rounded up",
    ),
    "right for the strides that divide": (
        "rows, columns = -(-KH // SH), -(-KW // SW)",
        "rows, columns = KH // SH + 1, KW // SW + 1",
        r"rounded up",
    ),
    "not padded": (", padding=(rows - 1, columns - 1)", "", r"y must be padded"),
    "padding cut off at the end only": (
        "blocks[:, PH : PH + H, PW : PW + W]",
        "blocks[:, :H, :W]",
        r"PH rows .* first",
    ),
    "padding not cut off": (
        "blocks[:, PH : PH + H, PW : PW + W]",
        "blocks[:, : H + 2 * PH, : W + 2 * PW]",
        r"padding is not cut off",
    ),
    "nothing cut off": ("blocks[:, PH : PH + H, PW : PW + W]", "blocks", r"nothing is cut off"),
}


@on_shapes("Each axis has ceil(KH/SH) taps (rounded up), ceil(KH/SH)*SH with the zeros that fill the last phase.")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    regroup, transposed = function(mine, "regroup"), function(mine, "transposed")
    cases = list(_cases(np.random.default_rng(41)))
    for _, w, stride, _ in cases:
        what, given = f"regroup(w {_words(w)}, stride {stride})", w.copy()
        taps = regroup(given, stride)
        untouched(w, given, f"{what}: w")
        want = _sorted(w, stride)
        if np.shape(taps)[:2] != want.shape[:2]:
            raise AssertionError(
                f"{what}: returned shape {np.shape(taps)}, must be {want.shape}: ceil(KH/SH) taps along an axis, "
                "that is KH/SH rounded up"
            )
        same(taps, want, what, hints=_mistakes(w, stride))
    for y, w, stride, padding in cases:
        K = w.shape[:2]
        what = f"transposed(y of {y.shape}, taps of w {_words(w)}, kernel_size {K}, stride {stride}, padding {padding})"
        taps, want = _sorted(w, stride), _cut(_scattered(y, w, stride), padding)
        known = _mistakes_of_place(y, w, stride, padding, taps)
        same(transposed(*frozen(y, taps), K, stride, padding), want, what, hints=known)


def _words(w):
    return "= the row 1 10 100" if w.size == 3 else f"of {w.shape}"


def _cases(rng):
    """Kernels smaller than the stride, equal, multiples and not; padding up to where the first phases are cut off."""
    yield np.array([1.0, 2.0]).reshape(1, 1, 2, 1), np.array([1.0, 10, 100]).reshape(1, 3, 1, 1), (1, 2), (0, 0)
    cases = [
        ((4, 4), (2, 2), (1, 1)),
        ((3, 3), (2, 2), (1, 1)),
        ((5, 3), (3, 2), (2, 0)),
        ((2, 3), (3, 1), (0, 1)),
        ((2, 6), (2, 3), (0, 3)),
        ((7, 1), (3, 1), (3, 0)),
    ]
    for _ in range(6):
        KH, KW, SH, SW = (int(k) for k in rng.integers((2, 2, 1, 1), (8, 8, 5, 5)))
        cases.append(((KH, KW), (SH, SW), (int(rng.integers((KH + 1) // 2)), int(rng.integers((KW + 1) // 2)))))
    for kernel_size, stride, padding in cases:
        N, OH, OW = (int(side) for side in rng.integers((1, 2, 2), (3, 5, 5)))
        yield rng.normal(size=(N, OH, OW, 2)), rng.normal(size=(*kernel_size, 3, 2)), stride, padding


def _scattered(y, w, stride):
    """Exercise 20, without padding."""
    (N, OH, OW, _), (KH, KW, C, _), (SH, SW) = y.shape, w.shape, stride
    image = np.zeros((N, (OH - 1) * SH + KH, (OW - 1) * SW + KW, C))
    for u, v in np.ndindex(KH, KW):
        image[:, u : u + OH * SH : SH, v : v + OW * SW : SW] += y @ w[u, v].T
    return image


def _cut(image, padding):
    (_, H, W, _), (PH, PW) = image.shape, padding
    return image[:, PH : H - PH, PW : W - PW]


def _sorted(w, stride, flipped=True, start=False, apart=True, phases=1, order="DCR"):
    """The taps, one by one; the keywords make the usual mistakes."""
    (KH, KW, C, OC), (SH, SW) = w.shape, stride
    rows, columns = -(-KH // SH), -(-KW // SW)
    taps = np.zeros((rows, columns, OC, SH, SW, C))
    for u, v in np.ndindex(KH, KW):
        place = []
        for tap, K, S, count in ((u, KH, SH, rows), (v, KW, SW, columns)):
            tap += count * S - K if start else 0
            t, r = divmod(tap, S) if apart else divmod(tap, count)[::-1]
            place.append((count - 1 - t if flipped else t, r))
        (row, r), (column, s) = place
        taps[row, column, :, r, s] = w[u, v].T
    taps = taps[:, :, :, ::phases, ::phases]
    taps = taps if order == "DCR" else np.moveaxis(taps, 5, 3)
    return taps.reshape(rows, columns, OC, -1)


def _mistakes(w, stride):
    right = _sorted(w, stride)
    known = [
        (
            _sorted(w, stride, flipped=False),
            "the t axes are not flipped: the convolution reads x[i + t], and y[q - t] is meant",
        ),
        (
            _sorted(w, stride, start=True),
            "the zeros that fill up the kernel must be at the end, or all taps change phase",
        ),
        (_sorted(w, stride, phases=-1), "the phases are flipped as well; only the t axes are"),
        (_sorted(w, stride, apart=False), "this splits u = r*rows + t; taps of one phase lie SH apart, u = t*SH + r"),
        (
            _sorted(w, stride, order="CRD"),
            "the phases are in CRD order; in DCR the C channels of a phase lie side by side",
        ),
    ]
    return [(a, words) for a, words in known if not np.array_equal(a, right)]


def _mistakes_of_place(y, w, stride, padding, taps):
    whole, (rows, columns) = _scattered(y, w, stride), taps.shape[:2]
    right = _cut(whole, padding)
    phases, _ = ops.conv2d_forward_reference(y, taps, padding=(rows - 1, columns - 1))
    blocks, _ = ops.depth_to_space_forward_reference(phases, stride)
    known = [
        (blocks[:, : right.shape[1], : right.shape[2]], "PH rows and PW columns must be cut off first, at the start"),
        (whole, "the padding is not cut off"),
        (
            blocks,
            "nothing is cut off: the zeros that filled the last phase, and the padding, do not belong to the image",
        ),
    ]
    if rows <= y.shape[1] and columns <= y.shape[2]:
        few, _ = ops.conv2d_forward_reference(y, taps)
        blocks, _ = ops.depth_to_space_forward_reference(few, stride)
        (PH, PW), (H, W) = padding, right.shape[1:3]
        known.append((blocks[:, PH : PH + H, PW : PW + W], "too small: y must be padded, step 5"))
    return [(a, words) for a, words in known if a.shape != right.shape or not np.allclose(a, right)]
