"""What exercise 34 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import data, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same, untouched

LR, MOST = 0.1, 60

HINTS = (
    "first_loss and accuracy are one line each. Two arrays compared give True and False; their mean is a share.",
    "In the loop `params` must take the new parameters: the next round's forward uses them. A list comprehension over "
    "zip(params, grads) makes all four.",
    "Order inside the loop: forward, loss, append, stop if accuracy is 1, backward, params = [p - lr * g ...]. Return "
    "params and losses after the loop.",
)

WRONG = {
    "uphill": ("[p - lr * g", "[p + lr * g", r"uphill"),
    "lr forgotten": ("[p - lr * g", "[p - g", r"lr is left out"),
    "new parameters never used": ("params = [p - lr", "_ = [p - lr", r"never used"),
    "in place": (
        "params = [p - lr * g for p, g in zip(params, grads, strict=True)]",
        "for p, g in zip(params, grads, strict=True):\n            p -= lr * g",
        r"written to",
    ),
    "only the last layer learns": (
        "p - lr * g for p, g in zip(params, grads, strict=True)",
        "p - lr * g * (k > 1) for k, (p, g) in enumerate(zip(params, grads, strict=True))",
        r"only w2 and b2",
    ),
    "goes on and on": ("if accuracy(logits, labels) == 1:", "if accuracy(logits, labels) > 1:", r"went on"),
    "stops too early": ("if accuracy(logits, labels) == 1:", "if accuracy(logits, labels) > 0.5:", r"too early"),
    "one round": ("        params = [p - lr", "        break\n        params = [p - lr", r"one per round"),
    "no limit": ("range(most)", "range(10 * most)", r"`most` rounds"),
    "argmax over the images": ("(logits.argmax(axis=1)", "(logits.argmax(axis=0)", r"axis=1"),
    "a count for a share": ("== labels).mean()", "== labels).sum()", r"share"),
    "first loss of one class": ("return np.log(classes)", "return 1 / classes", r"-log of it"),
    "the old parameters": ("    return params, losses", "    return [p - p for p in params], losses", r"of 10 labels"),
    "losses that are NaN": ("losses.append(loss)", "losses.append(loss * np.nan)", r"the first loss is nan"),
    "losses of one round only": ("losses.append(loss)", "losses[:] = [loss]", r"one per round"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    first_loss, accuracy, overfit = (function(mine, name) for name in ("first_loss", "accuracy", "overfit"))
    for classes in (2, 10):
        known = [(1 / classes, "this is the probability; the loss is -log of it"), (-np.log(classes), "the sign")]
        same(first_loss(classes), np.log(classes), f"first_loss({classes})", hints=known)
    _accuracy(accuracy)
    ten = data.shapes10(10, seed=34, split="train")
    x, labels = ten.images.reshape(10, -1) / 127.5 - 1, ten.labels.astype(np.int64)
    params = mine.start(x.shape[1], 32, 10, np.random.default_rng(34))
    _overfit(overfit, params, x, labels)


def _accuracy(accuracy):
    logits = np.array([[1.0, 5.0, 2.0, 0.0], [7.0, 0.0, 3.0, 1.0], [0.0, 1.0, 2.0, 4.0], [4.0, 6.0, 9.0, 2.0]])
    what = f"accuracy(logits = {logits.astype(int).tolist()}, labels = [1, 0, 3, 0])"
    known = [
        (3, "the number of correct ones; divide by N for the share"),
        (0.25, "the share of wrong ones"),
        (0.5, "the largest of each column; an image is a row: argmax(axis=1)"),
    ]
    labels = np.array([1, 0, 3, 0])
    same(accuracy(*frozen(logits, labels)), 0.75, what, hints=known)


def _overfit(overfit, params, x, labels):
    what = f"overfit(params, ten images, labels, lr = {LR}, most = {MOST})"
    before, right = [p.copy() for p in params], _descend(params, x, labels, LR, MOST)
    learnt, losses = several(overfit(params, *frozen(x, labels), LR, MOST), "params, losses", what)
    for name, old, new in zip(("w1", "b1", "w2", "b2"), before, params, strict=True):
        untouched(old, new, f"{what}: {name}")
    losses = np.array([float(loss) for loss in losses])
    _follows(losses, right, before, x, labels, what)
    if len(learnt) != 4 or any(np.shape(p) != q.shape for p, q in zip(learnt, before, strict=True)):
        raise AssertionError(f"{what}: the params returned must be four arrays of the shapes of those given")
    count = int((_logits(learnt, x).argmax(1) == labels).sum())
    if count < 10:
        early = len(losses) < len(right)
        reason = f"it stopped too early, {len(right)} are needed" if early else "return the params of the last round"
        raise AssertionError(
            f"{what}: after {len(losses)} rounds {count} of 10 labels are right with the params returned: {reason}"
        )
    if len(losses) > len(right) + 1:
        raise AssertionError(
            f"{what}: in round {len(right)} all labels were right, but it went on to round {len(losses)}: stop there"
        )
    short = overfit(before, *frozen(x, labels), LR, 3)[1]
    if len(short) != 3:
        raise AssertionError(f"overfit(..., most = 3): {len(short)} losses; it must end after `most` rounds, with 3")


def _follows(losses, right, params, x, labels, what):
    """The losses are those of plain descent, from the first one on."""
    if len(losses) < 2:
        raise AssertionError(f"{what}: losses has length {len(losses)}, must have one per round, {len(right)} in all")
    if not abs(losses[0] - right[0]) <= 1e-9:
        raise AssertionError(
            f"{what}: the first loss is {losses[0]:.6f}, must be {right[0]:.6f} (log 10 is 2.302585): that of the "
            "params given, before any step"
        )
    for k in range(1, min(len(losses), len(right))):
        if not abs(losses[k] - right[k]) <= 1e-7:
            raise AssertionError(
                f"{what}: the loss of round {k + 1} is {losses[k]:.6f}, must be {right[k]:.6f}"
                f"{_why(losses, k, params, x, labels)}"
            )


def _why(losses, k, params, x, labels):
    if k > 1:
        return " (the rounds before were right)"
    mistakes = (
        (lambda p, g, _: p + LR * g, "it goes uphill: p - lr * g"),
        (lambda p, g, _: p - g, "lr is left out"),
        (lambda p, g, _: p, "it is the same in every round: the new params are never used"),
        (lambda p, g, n: p - LR * g * (n > 1), "only w2 and b2 learn; w1 and b1 do not"),
        (lambda p, g, n: p - LR * g * (n < 2), "only w1 and b1 learn; w2 and b2 do not"),
        (lambda p, g, n: p - LR * g * (n % 2 == 0), "the biases do not learn"),
        (lambda p, g, n: p - LR * g * 10, "the gradient is too large by N; the loss is a mean already"),
    )
    grads = _gradients(params, x, labels)[1]
    for step, words in mistakes:
        moved = [step(p, g, n) for n, (p, g) in enumerate(zip(params, grads, strict=True))]
        if abs(_gradients(moved, x, labels)[0] - losses[1]) < 1e-9:
            return f"\n  likely: {words}"
    return ""


# Plain descent, written out -------------------------------------------------------------------------------------


def _logits(params, x):
    w1, b1, w2, b2 = params
    return np.maximum(x @ w1 + b1, 0) @ w2 + b2


def _gradients(params, x, labels):
    w1, b1, w2, _ = params
    hidden = np.maximum(x @ w1 + b1, 0)
    loss, dlogits = ops.softmax_cross_entropy(_logits(params, x), labels)
    dhidden = (dlogits @ w2.T) * (hidden > 0)
    return loss, [x.T @ dhidden, dhidden.sum(0), hidden.T @ dlogits, dlogits.sum(0)]


def _descend(params, x, labels, lr, most):
    """The losses of plain descent."""
    losses = []
    for _ in range(most):
        loss, grads = _gradients(params, x, labels)
        losses.append(loss)
        if (_logits(params, x).argmax(1) == labels).all():
            break
        params = [p - lr * g for p, g in zip(params, grads, strict=True)]
    return losses
