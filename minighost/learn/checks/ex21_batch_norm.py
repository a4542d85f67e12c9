"""What exercise 21 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import function, same, untouched

HINTS = (
    "Two cases differ only in which mean and variance they use. What is the same in both can go after the if.",
    "mean and var are taken over the axes (0, 1, 2), which leaves one number per channel. x.var is the biased one.",
    "running_var + momentum * (var * R / (R - 1) - running_var) makes a new array; += would write to the caller's.",
)

WRONG = {
    "statistics per pixel": (
        "x.mean((0, 1, 2)), x.var((0, 1, 2))",
        "x.mean(0), x.var(0)",
        r"over axis 0 only",
    ),
    "statistics per image": (
        "x.mean((0, 1, 2)), x.var((0, 1, 2))",
        "x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)",
        r"each image has its own",
    ),
    "statistics over the channels too": (
        "x.mean((0, 1, 2)), x.var((0, 1, 2))",
        "x.mean() + 0 * gamma, x.var() + 0 * gamma",
        r"over the channels too",
    ),
    "the batch is normalised by the unbiased variance": (
        "x.var((0, 1, 2))",
        "x.var((0, 1, 2), ddof=1)",
        r"biased",
    ),
    "the running variance is biased": ("var * R / (R - 1) - running_var", "var - running_var", r"R/\(R-1\)"),
    "the running arrays are written to": (
        "running_mean = running_mean + momentum * (mean - running_mean)",
        "running_mean += momentum * (mean - running_mean)",
        r"running_mean was written to",
    ),
    "momentum the other way round": (
        "momentum * (mean - running_mean)",
        "(1 - momentum) * (mean - running_mean)",
        r"momentum is the share of the batch",
    ),
    "evaluation uses the batch": (
        "mean, var = running_mean, running_var",
        "mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))",
        r"must not depend on the batch",
    ),
    "evaluation moves the running arrays": (
        "mean, var = running_mean, running_var",
        "mean, var = running_mean, running_var\n"
        "        running_mean = running_mean + momentum * (x.mean((0, 1, 2)) - running_mean)",
        r"does not change",
    ),
    "training uses the running arrays": (
        "xhat = (x - mean) / np.sqrt(var + eps)",
        "xhat = (x - running_mean) / np.sqrt(running_var + eps)",
        r"the batch's own",
    ),
    "eps beside the root": ("np.sqrt(var + eps)", "(np.sqrt(var) + eps)", r"under the root"),
    "divided by the variance": ("np.sqrt(var + eps)", "(var + eps)", r"square root"),
    "the mean stays": ("(x - mean) / np.sqrt", "x / np.sqrt", r"mean is not subtracted"),
    "beta is scaled too": ("return gamma * xhat + beta", "return gamma * (xhat + beta)", r"beta is added last"),
}

AXES = (0, 1, 2)


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward = function(mine, "batch_norm_forward")
    x, one = np.array([1.0, 3.0]).reshape(1, 1, 2, 1), np.ones(1)
    given = "(x: a row of two pixels 1 3, gamma 10, beta 5, running_mean 0, running_var 1"
    _compare(forward, (x, 10 * one, 5 * one, 0 * one, one, True, 0.5, 0.0), f"{given}, training, momentum 0.5, eps 0)")
    _compare(
        forward,
        (x, 10 * one, 5 * one, 0 * one, 4 * one, False, 0.5, 0.0),
        f"{given.replace('running_var 1', 'running_var 4')}, training=False, momentum 0.5, eps 0)",
    )

    rng = np.random.default_rng(21)
    for shape in ((2, 3, 4, 3), (4, 1, 2, 2), (1, 3, 3, 4), (3, 2, 2, 1)):
        C = shape[3]
        gamma, beta, running_mean = rng.uniform(0.5, 2.0, C), rng.normal(size=C), rng.normal(size=C)
        for training in (True, False):
            for momentum, eps in ((0.1, 1e-5), (0.3, 0.5)):
                x = rng.normal(1.0, 2.0, shape)
                arguments = x, gamma, beta, running_mean, rng.uniform(0.5, 2.0, C), training, momentum, eps
                what = f"(x of {shape}, four vectors of ({C},), training={training}, momentum={momentum}, eps={eps})"
                _compare(forward, arguments, what)
    _defaults(forward, rng)


def _compare(forward, arguments, what):
    arrays, (training, momentum, eps) = arguments[:5], arguments[5:]
    given, what = [a.copy() for a in arrays], f"batch_norm_forward{what}"
    with np.errstate(all="ignore"):  # 0/0 where eps = 0 meets a wrong variance: the comparison says it better
        found = forward(*given, training, momentum, eps)
    out, mean, var = several(found, "out, running_mean, running_var", what)
    for name, before, after in zip(("x", "gamma", "beta", "running_mean", "running_var"), arrays, given, strict=True):
        untouched(before, after, f"{what}: {name}")
    right = _right(arrays, training, momentum, eps)
    known = _wrong_outputs(arrays, training, momentum, eps)
    same(out, right[0], f"{what}: out", hints=[(a, words) for a, words in known if _off(a, right[0])])
    known = _wrong_statistics(arrays, training, momentum)
    for name, found, want, others in zip(("running_mean", "running_var"), (mean, var), right[1:], known, strict=True):
        same(found, want, f"{what}: {name}", hints=[(a, words) for a, words in others if _off(a, want)])


def _right(arrays, training, momentum, eps):
    x, gamma, beta, running_mean, running_var = (a.copy() for a in arrays)
    out, _ = ops.batch_norm_forward_reference(x, gamma, beta, running_mean, running_var, training, momentum, eps)
    return out, running_mean, running_var


def _off(a, right):
    return a.shape != right.shape or not np.allclose(a, right, rtol=1e-12)


def _wrong_outputs(arrays, training, momentum, eps):
    """Wrong outputs by their values."""
    x, gamma, beta, running_mean, running_var = arrays
    batch, running = (x.mean(AXES), x.var(AXES)), (running_mean, running_var)

    def out(mean, var, scale=gamma):
        with np.errstate(all="ignore"):
            return scale * (x - mean) / np.sqrt(var + eps) + beta

    mean, var = batch if training else running
    known = [
        (gamma * ((x - mean) / np.sqrt(var + eps) + beta), "beta is added last, and gamma does not scale it"),
        (gamma * (x - mean) / (var + eps) + beta, "divide by the square root of var + eps"),
        (gamma * (x - mean) / (np.sqrt(var) + eps) + beta, "eps belongs under the root: sqrt(var + eps)"),
        (gamma * (x - mean) / np.sqrt(max(eps, 1e-30) + 0 * var) + beta, "var is left out"),
        (gamma * x / np.sqrt(var + eps) + beta, "the mean is not subtracted"),
        (out(mean, var, 1), "gamma is left out"),
        (out(mean, var) - beta, "beta is left out"),
        ((x - mean) / np.sqrt(var + eps), "this is xhat: gamma and beta are left out"),
    ]
    if training:
        R, own = x.size // x.shape[3], "in training the batch's own mean and variance normalise it, not running ones"
        moved = [r + momentum * (s - r) for r, s in zip(running, (mean, var * R / (R - 1)), strict=True)]
        slow = running_var + momentum * (var - running_var)
        return known + [
            (
                out(batch[0], batch[1] * R / (R - 1)),
                "the batch is normalised by the biased variance, which divides by R",
            ),
            (out(*running), own),
            (out(*moved), own),
            (out(moved[0], slow), own),
            (out(x.mean(0), x.var(0)), "the statistics are taken over axis 0 only; R = N*H*W: axes (0, 1, 2)"),
            (
                out(x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)),
                "each image has its own statistics here; they are taken over the images too: axes (0, 1, 2)",
            ),
            (
                out(x.mean(), x.var()),
                "the statistics are taken over the channels too; axes (0, 1, 2) leave one number per channel",
            ),
        ]
    return known + [
        (out(*batch), "in evaluation the answer must not depend on the batch: use the running mean and variance")
    ]


def _wrong_statistics(arrays, training, momentum):
    """Wrong running means, and wrong running variances."""
    x, _, _, running_mean, running_var = arrays
    mean, biased, R = x.mean(AXES), x.var(AXES), x.size // x.shape[3]
    var = biased * R / (R - 1)
    if not training:
        stays = "in evaluation it does not change"
        moved = running_mean + momentum * (mean - running_mean), running_var + momentum * (var - running_var)
        return [(moved[0], stays)], [(moved[1], stays), (running_var + momentum * (biased - running_var), stays)]
    roles = "momentum is the share of the batch, 1 - momentum that of the old value"
    whole = "this is the batch's own; it must move only by the share momentum"
    images = x.mean((1, 2), keepdims=True)
    return [
        *(
            (
                running_mean + momentum * (a - running_mean),
                "each image has its own statistics here; they are taken over the images too: axes (0, 1, 2)",
            )
            for a in (images, images[:, 0], images[:, 0, 0])
        ),
        (momentum * running_mean + (1 - momentum) * mean, roles),
        (mean, whole),
        (running_mean, "it has not moved"),
        (running_mean + momentum * mean, "the old value must be multiplied by 1 - momentum"),
    ], [
        (running_var + momentum * (biased - running_var), "it moves towards the unbiased variance: var * R/(R-1)"),
        (momentum * running_var + (1 - momentum) * var, roles),
        (momentum * running_var + (1 - momentum) * biased, roles),
        (var, whole),
        (running_var, "it has not moved"),
        (running_var + momentum * var, "the old value must be multiplied by 1 - momentum"),
        (running_var + momentum * (biased * (R - 1) / R - running_var), "R/(R-1), which makes it larger, not (R-1)/R"),
    ]


def _defaults(forward, rng):
    """momentum=0.1, eps=1e-5 if they are not given."""
    x, vectors = rng.normal(size=(2, 2, 2, 2)), (np.ones(2), np.zeros(2), np.zeros(2), np.ones(2))
    what = "batch_norm_forward(x of (2, 2, 2, 2), gamma, beta, running_mean, running_var, True), no momentum and eps"
    found = several(forward(x, *vectors, True), "out, running_mean, running_var", what)
    for name, value, want in zip(
        ("out", "running_mean", "running_var"), found, _right((x, *vectors), True, 0.1, 1e-5), strict=True
    ):
        same(value, want, f"{what}: {name}")
