"""What exercise 31 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Work row by row: max and sum over axis 1, with keepdims=True, so that the results have shape (N, 1) and "
    "broadcast against (N, C).",
    "After z = logits - max comes log_p = z - log(sum of exp(z)). Everything else is made of log_p: the loss picks one "
    "number of each row, and p is exp(log_p).",
    "log_p[np.arange(N), labels] picks the right class of each row. Subtract 1 from p at the same places, divide by N.",
)

WRONG = {
    "overflows": ("z = logits - logits.max(axis=1, keepdims=True)", "z = logits", r"subtract the largest"),
    "logarithm of p": (
        "log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))",
        "log_p = np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))",
        r"logarithm of p",
    ),
    "largest of the whole batch": ("logits.max(axis=1, keepdims=True)", "logits.max()", r"each row its own"),
    "sum over the images": ("np.exp(z).sum(axis=1, keepdims=True)", "np.exp(z).sum(axis=0)", r"axis=1"),
    "sum instead of mean": ("labels].mean()", "labels].sum()", r"mean over the N"),
    "gradient not divided": ("dlogits / len(labels)", "dlogits", r"divide.* by N"),
    "gradient divided by N*C": ("dlogits / len(labels)", "dlogits / dlogits.size", r"by N"),
    "sign of the loss": ("return -log_p", "return log_p", r"the sign"),
    "no minus one": ("dlogits[rows, labels] -= 1", "dlogits[rows, labels] -= 0", r"p itself"),
    "plus one": ("labels] -= 1", "labels] += 1", r"subtract 1"),
    "logarithm to base 2": ("np.log(", "np.log2(", r"np\.log"),
    "writes into logits": ("z = logits - logits", "logits -= 0.5\n    z = logits - logits", r"in place"),
    "loss only": (", dlogits / len(labels)", "", r"must return 2: loss, dlogits"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    cross_entropy = function(mine, "cross_entropy")
    with np.errstate(all="ignore"):  # what overflows is said in words below
        _compare(cross_entropy, np.log([[1.0, 3.0]]), [0], "cross_entropy(logits = [[0, log 3]], labels = [0])")
        logits = np.log([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0]])
        _compare(cross_entropy, logits, [2, 0], "cross_entropy(logits = log [[1, 2, 5], [1, 1, 2]], labels = [2, 0])")
        _stable(cross_entropy, [[1000.0, 999.0, 0.0]], [1], "subtract the largest logit of the row before exp")
        words = "a p that is too small becomes 0, whose logarithm is -inf: log p = z - log(sum), not the logarithm of p"
        _stable(cross_entropy, [[0.0, 1000.0]], [0], words)
        words = "subtract from each row its own largest logit; that of the whole batch leaves other rows with sums of 0"
        _stable(cross_entropy, [[-1000.0, -1001.0], [1000.0, 1001.0]], [0, 0], words)
        rng = np.random.default_rng(31)
        logits, labels = rng.normal(size=(4, 6)), rng.integers(0, 6, 4)
        _compare(cross_entropy, logits, labels, "cross_entropy(logits of 4x6, labels)")
    pair = (lambda logits: cross_entropy(logits, labels)), (lambda dout, dlogits: dout * dlogits)
    gradcheck.check(pair, [logits], name="cross_entropy")


def _compare(cross_entropy, logits, labels, what):
    labels = np.array(labels)
    loss, dlogits = ops.softmax_cross_entropy_reference(logits, labels)
    got = several(cross_entropy(*frozen(logits, labels)), "loss, dlogits", what)
    N, C = logits.shape
    p, onehot = np.exp(logits) / np.exp(logits).sum(1, keepdims=True), np.eye(C)[labels]
    z = logits - logits.max(1, keepdims=True)
    known = [
        (-loss, "the sign: a loss is -log p, and a p is at most 1"),
        (loss * N, "the loss is the mean over the N images, not the sum"),
        (-(z - np.log(np.exp(z).sum(0)))[range(N), labels].mean(), "exp is summed over the images: axis=1"),
        (-(z - np.log2(np.exp(z).sum(1, keepdims=True)))[range(N), labels].mean(), "the logarithm must be np.log"),
        (loss / np.log(2), "the logarithm must be np.log"),
        (-p[range(N), labels].mean(), "the logarithm is missing: this is the mean of -p"),
        (loss / C, "divided by N*C; it is the mean over the N images"),
    ]
    same(got[0], loss, f"{what}: loss", hints=[(other, words) for other, words in known if not np.isclose(other, loss)])
    known = [
        (p - onehot, "divide by N, as the loss does"),
        ((p - onehot) / p.size, "divide by N alone, not by N*C"),
        (p / N, "this is p itself, over N; subtract 1 at the label of each row"),
        ((p + onehot) / N, "this is p + onehot; subtract 1 at the label of each row"),
        ((onehot - p) / N, "the sign: p - onehot"),
    ]
    same(got[1], dlogits, f"{what}: dlogits", hints=known)


def _stable(cross_entropy, logits, labels, words):
    """The values for large logits; where they are not finite, `words` say why."""
    logits, labels = np.array(logits), np.array(labels)
    loss, dlogits = ops.softmax_cross_entropy_reference(logits, labels)
    what = f"cross_entropy(logits = {logits.astype(int).tolist()}, labels = {labels.tolist()})"
    got = cross_entropy(*frozen(logits, labels))
    for name, mine, right in (("loss", got[0], loss), ("dlogits", got[1], dlogits)):
        if not np.isfinite(mine).all():
            raise AssertionError(f"{what}: {name} is {_text(mine)}, must be {_text(right)}: {words}")
        same(mine, right, f"{what}: {name}")


def _text(x):
    return f"{x:.6g}" if np.ndim(x) == 0 else np.array2string(np.asarray(x), precision=4, suppress_small=True)
