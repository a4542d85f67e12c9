"""Batch normalisation in training: two sums forward, two sums backward, and why `dx` has three terms."""

import numpy as np

from minighost import ops
from minighost.stepper.arrays import nonzero, size_words
from minighost.stepper.frames import Array, Script, Source
from minighost.stepper.words import say, spelled

__all__ = ["batch_norm_script", "build"]

FORWARD, BACKWARD = Source(ops.batch_norm_forward_reference), Source(ops.batch_norm_backward_reference)


def build(op, x, w, chosen, rng):
    """The only script, its index, and the shapes in words."""
    R, C = x.size // x.shape[3], x.shape[3]
    if R < 2:
        raise ValueError("step batchnorm: a single value per channel has variance 0; take more images, rows or columns")
    gamma, beta = rng.choice([0.5, 1.0, 2.0], C), rng.choice([-1.0, 0.5, 1.0], C)
    script = batch_norm_script(x, gamma, beta, nonzero(rng, *x.shape))
    return [script], 0, f"x {size_words(x)}: R = {R} values per channel"


def batch_norm_script(x, gamma, beta, dout, eps=1e-5):
    """The steps of batch normalisation, forward and backward.

    Parameters
    ----------
    x, dout : ndarray, shape (N, H, W, C), float64
    gamma, beta : ndarray, shape (C,)
    """
    N, _, _, C = x.shape
    R = x.size // C
    out, cache = ops.batch_norm_forward_reference(x, gamma, beta, np.zeros(C), np.ones(C), True, eps=eps)
    dx, dgamma, dbeta = ops.batch_norm_backward_reference(dout, cache)
    script = Script("batch norm")
    titles = [f"image {n}, channel {c}" for c in range(C) for n in range(N)]

    def batch(name, note, values=np.nan):
        return Array(name, note, np.broadcast_to(values, x.shape), (3, 0, 1, 2), titles, across=N)

    def vector(name, note, values=np.nan):
        return Array(name, note, np.broadcast_to(values, (1, C)), (0, 1), rows=[""])

    a = {
        "x": batch("x", "input", x),
        "xhat": batch("xhat", "normalised"),
        "out": batch("out", "output"),
        "gamma": vector("gamma", "scale", gamma),
        "beta": vector("beta", "shift", beta),
        "mean": vector("mean", "per channel", 0),
        "var": vector("var", "per channel, biased", 0),
        "inv_std": vector("inv_std", "1 / sqrt(var + eps)"),
        "dout": batch("dout", "gradient of out, given", dout),
        "dx": batch("dx", "gradient of x"),
        "dgamma": vector("dgamma", "gradient of gamma", 0),
        "dbeta": vector("dbeta", "gradient of beta", 0),
    }
    # (channel, image, row, column): one channel after the other, as each has its own statistics
    pixels = [[(n, i, j, c) for n, i, j in np.ndindex(x.shape[:3])] for c in range(C)]

    script.phase("forward", "statistics", [a["x"], a["mean"], a["var"], a["inv_std"]])
    _statistics(script, a, pixels, R, eps)
    script.phase("forward", "out", [a[k] for k in ("x", "mean", "inv_std", "xhat", "gamma", "beta", "out")])
    _normalise(script, a, pixels)
    script.same(a["xhat"], cache[0], "batch_norm_forward")
    script.same(a["out"], out, "batch_norm_forward")
    script.phase("backward", "two sums", [a["dout"], a["xhat"], a["dbeta"], a["dgamma"]])
    _sums(script, a, pixels)
    script.same(a["dgamma"], dgamma, "batch_norm_backward")
    script.same(a["dbeta"], dbeta, "batch_norm_backward")
    script.phase("backward", "dx", [a[k] for k in ("dout", "xhat", "gamma", "inv_std", "dbeta", "dgamma", "dx")])
    _three_terms(script, a, pixels, R)
    script.same(a["dx"], dx, "batch_norm_backward")
    return script


def _statistics(script, a, pixels, R, eps):
    x, mean, var, inv_std = (a[k] for k in ("x", "mean", "var", "inv_std"))
    line, root = FORWARD.line("mean, var = x.mean(axes"), FORWARD.line("inv_std = 1 / np.sqrt")
    for c, cells in enumerate(pixels):
        here = (0, c)
        script.scope(("scope", x, cells))
        total = 0.0
        for p in cells:
            old, total = total, total + x[p]
            script.step(
                line,
                say("Sum over channel {}: all images, all rows, all columns.", c),
                [say("sum = {} + {x} = {new}", old, x[p], total)],
                [(mean, here, total)],
                [("x", x, [p]), ("new", mean, [here])],
            )
        mu = total / R
        script.step(
            line,
            say("Divided by R = {}, the number of values in channel {}: its mean.", R, c),
            [say("{} = {} / {} = {new}", spelled("mean", c), total, R, mu)],
            [(mean, here, mu)],
            [("new", mean, [here])],
            landmark=True,
        )
        total = 0.0
        for p in cells:
            old, total = total, total + (x[p] - mu) ** 2
            script.step(
                line,
                say("Sum of the squared distances from the mean, channel {}.", c),
                [say("sum = {} + ({x} - {w})^2 = {new}", old, x[p], mu, total)],
                [(var, here, total)],
                [("x", x, [p]), ("w", mean, [here]), ("new", var, [here])],
            )
        v = total / R
        script.step(
            line,
            say("Divided by R = {}, not R - 1: the biased variance of channel {}.", R, c),
            [say("{} = {} / {} = {new}", spelled("var", c), total, R, v)],
            [(var, here, v)],
            [("new", var, [here])],
            landmark=True,
        )
        s = 1 / np.sqrt(v + eps)
        script.step(
            root,
            say("One over the standard deviation; eps = {} keeps it finite where a channel is constant.", f"{eps:g}"),
            [say("{} = 1 / sqrt({} + eps) = {new}", spelled("inv_std", c), v, s)],
            [(inv_std, here, s)],
            [("x", var, [here]), ("new", inv_std, [here])],
            landmark=True,
        )


def _normalise(script, a, pixels):
    x, mean, inv_std, xhat, out = (a[k] for k in ("x", "mean", "inv_std", "xhat", "out"))
    line, affine = FORWARD.line("xhat = ((x - mean) * inv_std)"), FORWARD.line("y = gamma * xhat + beta")
    for c, cells in enumerate(pixels):
        mu, s, scale, shift = (a[k][0, c] for k in ("mean", "inv_std", "gamma", "beta"))
        script.scope(("scope", x, cells))
        for p in cells:
            value = (x[p] - mu) * s
            script.step(
                line,
                say("Channel {}: subtract the mean, divide by the standard deviation.", c),
                [say("{} = ({x} - {w}) * {w} = {new}", spelled("xhat", *p), x[p], mu, s, value)],
                [(xhat, p, value)],
                [("x", x, [p]), ("w", mean, [(0, c)]), ("w", inv_std, [(0, c)]), ("new", xhat, [p])],
                landmark=p == cells[-1],
            )
        script.scope(("scope", xhat, cells))
        for p in cells:
            value = scale * xhat[p] + shift
            script.step(
                affine,
                say("Channel {}: its learnt scale and shift.", c),
                [say("{} = {w} * {x} + {w} = {new}", spelled("out", *p), scale, xhat[p], shift, value)],
                [(out, p, value)],
                [("x", xhat, [p]), ("w", a["gamma"], [(0, c)]), ("w", a["beta"], [(0, c)]), ("new", out, [p])],
                landmark=p == cells[-1],
            )
    script.scope()
    script.step(
        FORWARD.line("return (result if out is None"),
        say("out is complete: these are the numbers that the operation returns."),
        landmark=True,
    )


def _sums(script, a, pixels):
    dout, xhat, dbeta, dgamma = (a[k] for k in ("dout", "xhat", "dbeta", "dgamma"))
    line = BACKWARD.line("dbeta, dgamma = dy.sum")
    for c, cells in enumerate(pixels):
        here = (0, c)
        script.scope(("scope", dout, cells), ("scope", xhat, cells))
        for p in cells:
            old, older = dbeta[here], dgamma[here]
            new, newer = old + dout[p], older + dout[p] * xhat[p]
            script.step(
                line,
                say(
                    "Channel {}: beta was added everywhere, so it collects dout; gamma multiplied xhat, so it "
                    "collects dout times xhat.",
                    c,
                ),
                [
                    say("{} = {} + {d} = {new}", spelled("dbeta", c), old, dout[p], new),
                    say("{} = {} + {d} * {x} = {new}", spelled("dgamma", c), older, dout[p], xhat[p], newer),
                ],
                [(dbeta, here, new), (dgamma, here, newer)],
                [("d", dout, [p]), ("x", xhat, [p]), ("new", dbeta, [here]), ("new", dgamma, [here])],
                landmark=p == cells[-1],
            )


def _three_terms(script, a, pixels, R):
    dout, xhat, dx = (a[k] for k in ("dout", "xhat", "dx"))
    line = BACKWARD.line("return gamma * inv_std * (dy - dbeta / R")
    for c, cells in enumerate(pixels):
        scale, s, db, dg = (a[k][0, c] for k in ("gamma", "inv_std", "dbeta", "dgamma"))
        vectors = [("w", a[k], [(0, c)]) for k in ("gamma", "inv_std", "dbeta", "dgamma")]
        script.scope(("scope", dout, cells), ("scope", xhat, cells))
        for p in cells:
            by_mean, by_var = db / R, xhat[p] * dg / R
            value = scale * s * (dout[p] - by_mean - by_var)
            script.step(
                line,
                say("Channel {}: x acts directly, through the mean, and through the variance.", c),
                [
                    say("directly:              dout = {d}", dout[p]),
                    say("through the mean:      dbeta / R = {} / {} = {}", db, R, by_mean),
                    say("through the variance:  xhat * dgamma / R = {x} * {} / {} = {}", xhat[p], dg, R, by_var),
                    say(
                        "{} = {w} * {w} * ({d} - {} - {}) = {new}",
                        spelled("dx", *p),
                        scale,
                        s,
                        dout[p],
                        by_mean,
                        by_var,
                        value,
                    ),
                ],
                [(dx, p, value)],
                [("d", dout, [p]), ("x", xhat, [p]), *vectors, ("new", dx, [p])],
                landmark=p == cells[-1],
            )
    script.scope()
    script.step(
        line,
        say(
            "dx is complete. It sums to 0 over each channel, because the mean would have removed a "
            "shift of all its values."
        ),
        landmark=True,
    )
