"""What exercise 45 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "dfc_forward: cut x to [:, : 2 * GH, : 2 * GW], reshape to (N, GH, 2, GW, 2, C), take the mean over axes 2 "
    "and 4. Then one line for each line of the task.",
    "gate_forward: h = np.arange(H)[:, None] * GH // H and w = np.arange(W) * GW // W are numbers of gates; "
    "gate[:, h, w] is then as large as y.",
    "gate_backward: in zeros of the gate's shape, add dout[:, i, j] * y[:, i, j] for every pixel (i, j) to the "
    "place of its gate; then times gate * (1 - gate).",
)

WRONG = {
    "every other pixel instead of a mean": (
        "x[:, : 2 * GH, : 2 * GW].reshape(N, GH, 2, GW, 2, C).mean((2, 4))",
        "x[:, : 2 * GH : 2, : 2 * GW : 2]",
        r"one pixel of each block",
    ),
    "the largest instead of a mean": (
        ".mean((2, 4))",
        ".max((2, 4))",
        r"largest of each block",
    ),
    "the sum instead of a mean": (".mean((2, 4))", ".sum((2, 4))", r"4 times the right one"),
    "no row": (
        "rows, _ = ops.depthwise_forward_reference(small @ w, across, padding=(0, K // 2))",
        "rows = small @ w",
        r"`across` is left out",
    ),
    "no column": (
        "return ops.depthwise_forward_reference(rows, down, padding=(K // 2, 0))[0]",
        "return rows",
        r"`down` is left out",
    ),
    "a ReLU between": ("reference(rows, down", "reference(np.maximum(rows, 0), down", r"no activation between"),
    "a sum of both instead of one after the other": (
        "return ops.depthwise_forward_reference(rows, down, padding=(K // 2, 0))[0]",
        "return rows + ops.depthwise_forward_reference(small @ w, down, padding=(K // 2, 0))[0]",
        r"one convolution comes after the other",
    ),
    "padding the other way round": ("across, padding=(0, K // 2)", "across, padding=(K // 2, 0)", r"axis \d has"),
    "gates of even planes": (
        "np.arange(H)[:, None] * rows // H, np.arange(W) * columns // W",
        "np.minimum(np.arange(H)[:, None] // 2, rows - 1), np.minimum(np.arange(W) // 2, columns - 1)",
        r"i\*GH // H, not i // 2",
    ),
    "no sigmoid": ("1 / (1 + np.exp(-z))", "z * 1.0", r"sigmoid is missing"),
    "the sigmoid mirrored": ("np.exp(-z)", "np.exp(z)", r"sigmoid\(-z\)"),
    "hard sigmoid": ("1 / (1 + np.exp(-z))", "np.clip(z / 6 + 0.5, 0, 1)", r"hard sigmoid"),
    "the gate added": ("return y * gate[:, h, w],", "return y + gate[:, h, w],", r"times"),
    "+= where indices repeat": (
        "for i, j in np.ndindex(y.shape[1:3]):\n        dgate[:, h[i, 0], w[j]] += dout[:, i, j] * y[:, i, j]",
        "dgate[:, h, w] += dout * y",
        r"last pixel .* np\.add\.at",
    ),
    "dgate without y": ("+= dout[:, i, j] * y[:, i, j]", "+= dout[:, i, j]", r"y is left out"),
    "no slope of the sigmoid": ("dgate * gate * (1 - gate)", "dgate", r"slope .* missing"),
    "half of the slope": ("dgate * gate * (1 - gate)", "dgate * gate", r"slope is gate \* \(1 - gate\)"),
    "dy without its gate": ("return dout * gate[:, h, w], dgate", "return dout, dgate", r"dy is dout times its gate"),
    "dz first": (
        "return dout * gate[:, h, w], dgate * gate * (1 - gate)",
        "return dgate * gate * (1 - gate), dout * gate[:, h, w]",
        r"order is dy, dz",
    ),
}


@on_shapes("gate[:, h, w] is as large as y if h is (H, 1) and w is (W,).")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    dfc_forward, forward, backward = (function(mine, name) for name in ("dfc_forward", "gate_forward", "gate_backward"))
    rng = np.random.default_rng(45)
    for shape, OC, K in (((2, 4, 6, 2), 3, 3), ((1, 7, 5, 3), 2, 5), ((2, 2, 3, 2), 2, 1), ((1, 12, 9, 1), 2, 5)):
        x, w, across, down = (rng.normal(size=s) for s in (shape, (shape[3], OC), (1, K, OC, 1), (K, 1, OC, 1)))
        what, want = f"dfc_forward(x of {shape}, OC = {OC}, K = {K})", _attention(x, w, across, down)
        same(dfc_forward(*frozen(x, w, across, down)), want, what, hints=_mistakes(x, w, across, down, want))
    small = np.array([3.0, 5.0]).reshape(1, 1, 2, 1), np.zeros((1, 1, 1, 1)), np.array([1.0, 10.0]).reshape(1, 1, 2, 1)
    _gates(forward, backward, "the task's y = [3, 5], z = 0", *small)
    for (N, H, W, C), (GH, GW) in (((2, 4, 6, 3), (2, 3)), ((1, 5, 7, 2), (2, 3)), ((2, 3, 5, 2), (1, 2))):
        y, z, dout = (rng.normal(size=s) for s in ((N, H, W, C), (N, GH, GW, C), (N, H, W, C)))
        _gates(forward, backward, f"y of {y.shape}, z of {z.shape}", y, 2 * z, dout)
        gradcheck.check((forward, backward), [y, z], name=f"gates, y of {y.shape}, z of {z.shape}")


def _attention(x, w, across, down, pool=np.mean, between=lambda a: a, parts=("across", "down")):
    """z; the keywords make the usual mistakes."""
    (N, H, W, C), K = x.shape, len(down)
    GH, GW = H // 2, W // 2
    blocks = x[:, : 2 * GH, : 2 * GW].reshape(N, GH, 2, GW, 2, C).transpose(0, 1, 3, 5, 2, 4).reshape(N, GH, GW, C, 4)
    z = pool(blocks, -1) @ w
    if "across" in parts:
        z = between(ops.depthwise_forward_reference(z, across, padding=(0, K // 2))[0])
    return ops.depthwise_forward_reference(z, down, padding=(K // 2, 0))[0] if "down" in parts else z


def _mistakes(x, w, across, down, want):
    given = x, w, across, down
    alone = [_attention(*given, parts=parts) for parts in (("across",), ("down",))]
    known = [
        (
            _attention(*given, pool=lambda a, axis: a[..., 0]),
            "this takes one pixel of each block; take the mean of all four",
        ),
        (_attention(*given, pool=np.max), "this takes the largest of each block; take the mean"),
        (_attention(*given, between=lambda a: np.maximum(a, 0)), "there is no activation between the convolutions"),
        (alone[0], "`down` is left out"),
        (alone[1], "`across` is left out"),
        (alone[0] + alone[1], "rows and columns are added up; one convolution comes after the other"),
    ]
    return [(a, words) for a, words in known if not np.allclose(a, want)]


def _gates(forward, backward, words, y, z, dout):
    what, gate = f"gate_forward({words})", 1 / (1 + np.exp(-z))
    out, cache = several(forward(*frozen(y, z)), "out, cache", what)
    same(out, y * _near(gate, y), f"{what}: out", hints=_mistakes_of_gates(y, z, gate))
    what = f"gate_backward(dout{' = [1, 10]' if y.size == 2 else ''}, cache of {words})"
    dy, dz = several(backward(frozen(dout), cache), "dy, dz", what)
    if np.shape(dy) == z.shape != y.shape:
        raise AssertionError(f"{what}: dz comes first; the order is dy, dz")
    same(dy, dout * _near(gate, y), f"{what}: dy", hints=[(dout, "dy is dout times its gate")])
    slope, used = gate * (1 - gate), _collected(dout * y, z)
    known = [
        (
            _collected(dout * y, z, last=True) * slope,
            "only the last pixel of each gate counts: add in a loop, or with np.add.at",
        ),
        (_collected(dout, z) * slope, "y is left out: dgate is the sum of dout * y"),
        (used, "the sigmoid's slope is missing, gate * (1 - gate)"),
        (used * gate, "the sigmoid's slope is gate * (1 - gate)"),
        (used * z * (1 - z), "the slope is gate * (1 - gate), with the gate, not z"),
    ]
    same(dz, used * slope, f"{what}: dz", hints=[(a, w) for a, w in known if not np.allclose(a, used * slope)])


def _places(shape, GH, GW):
    for i, j in np.ndindex(shape[1:3]):
        yield i, j, i * GH // shape[1], j * GW // shape[2]


def _near(gate, y):
    out = np.empty_like(y)
    for i, j, h, w in _places(y.shape, *gate.shape[1:3]):
        out[:, i, j] = gate[:, h, w]
    return out


def _collected(products, z, last=False):
    dgate = np.zeros_like(z)
    for i, j, h, w in _places(products.shape, *z.shape[1:3]):
        dgate[:, h, w] = products[:, i, j] + (0 if last else dgate[:, h, w])
    return dgate


def _mistakes_of_gates(y, z, gate):
    (_, H, W, _), (_, rows, columns, _) = y.shape, z.shape
    halved = gate[:, np.minimum(np.arange(H)[:, None] // 2, rows - 1), np.minimum(np.arange(W) // 2, columns - 1)]
    known = [
        (y * halved, "the gate's row is i*GH // H, not i // 2: they differ where H is odd; columns likewise"),
        (y * _near(z, y), "the sigmoid is missing"),
        (y * _near(1 - gate, y), "this is sigmoid(-z): 1 / (1 + exp(-z)), with a minus"),
        (
            y * _near(np.clip(z / 6 + 0.5, 0, 1), y),
            "this is the hard sigmoid of exercise 26; here it is 1 / (1 + exp(-z))",
        ),
        (y + _near(gate, y), "the gate is added; it must be y times the gate"),
        (_near(gate, y), "these are the gates alone: y times the gate"),
    ]
    return [(a, words) for a, words in known if not np.allclose(a, y * _near(gate, y))]
