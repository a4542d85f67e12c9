"""What other checkers let through: each usual mistake in a backward is refused, and called by its name."""

import numpy as np
import pytest

from minighost import ops
from minighost.gradcheck import GradientError, check

GAMMA, BETA = np.array([0.8, 1.3]), np.array([0.1, -0.4])


def batch_norm(x, gamma, beta):
    return ops.batch_norm_forward_reference(x, gamma, beta, np.zeros(2), np.ones(2), True)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def normed(change):
    """Batch norm's backward with its dx changed: ``change(dout, xhat, dx, dgamma, dbeta, scale)``."""

    def backward(dout, cache):
        xhat, _, gamma, inv_std, *_ = cache
        dx, dgamma, dbeta = ops.batch_norm_backward_reference(dout, cache)
        return change(dout, xhat, dx, dgamma, dbeta, gamma * inv_std), dgamma, dbeta

    return backward


def conv(x, w, b):
    return ops.conv2d_forward_reference(x, w, b, padding=1)


def conv_backward(change):
    """The convolution's backward with its gradients changed: ``change(dout, x, w, dx, dw, db)``."""

    def backward(dout, cache):
        return change(dout, *cache[:2], *ops.conv2d_backward_reference(dout, cache))

    return backward


def grouped(x, w, b):
    return ops.conv2d_forward_reference(x, w, b, padding=1, groups=2)


def assigning_col2im(dout, cache):
    """col2im with = for +=."""
    dx = np.zeros((2, 6, 5, 3))
    for i, j in np.ndindex(dout.shape[1:3]):
        dx[:, i : i + 3, j : j + 2] = dout[:, i, j].reshape(2, 3, 2, 3)
    return dx


def windows(x):
    return np.stack([[x[:, i : i + 3, j : j + 2].reshape(2, -1) for j in range(4)] for i in range(4)]).transpose(
        2, 0, 1, 3
    ), None


def one_image_only(dout, x, w, dx, dw, db):
    last = ops.conv2d_backward_reference(dout[-1:], ops.conv2d_forward_reference(x[-1:], w, db, padding=1)[1])
    return dx, last[1], db


def uncropped(dout, x, w, dx, dw, db):
    return np.pad(dx, [(0, 0), (1, 1), (1, 1), (0, 0)]), dw, db


def badly_cropped(dout, x, w, dx, dw, db):
    wide = ops.conv2d_backward_reference(
        dout, ops.conv2d_forward_reference(np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), w, db)[1]
    )[0]
    return wide[:, :-2, :-2], dw, db


def flipped_kernel(dout, x, w, dx, dw, db):
    other = ops.conv2d_forward_reference(x, np.ascontiguousarray(w[::-1, ::-1]), db, padding=1)[1]
    return ops.conv2d_backward_reference(dout, other)[0], dw, db


R = np.random.default_rng(3)
X, W, B = R.normal(size=(2, 5, 4, 3)), R.normal(size=(3, 3, 3, 4)), R.normal(size=4)
XG, WG = R.normal(size=(2, 4, 4, 6)), R.normal(size=(3, 3, 3, 4))
XN, XS, M = R.normal(size=(3, 4, 5, 2)), R.normal(size=(3, 4)), R.normal(size=(4, 4))

WRONG = {
    "batch norm whose dx is 0": (
        batch_norm,
        normed(lambda d, xhat, dx, dg, db, s: 0 * dx),
        [XN, GAMMA, BETA],
        "it is zero everywhere",
    ),
    "softmax whose gradient is 0": (softmax, lambda d, x: 0 * x, [XS], "it is zero everywhere"),
    "batch norm without the mean's term": (
        batch_norm,
        normed(lambda d, xhat, dx, dg, db, s: s * (d - xhat * dg / 60)),
        [XN, GAMMA, BETA],
        "off by a constant: the term through the mean is missing",
    ),
    "batch norm without the variance's term": (
        batch_norm,
        normed(lambda d, xhat, dx, dg, db, s: s * (d - db / 60)),
        [XN, GAMMA, BETA],
        "off by a multiple of x - mean: the term through the variance is missing",
    ),
    "batch norm as if in evaluation": (
        batch_norm,
        normed(lambda d, xhat, dx, dg, db, s: s * d),
        [XN, GAMMA, BETA],
        "the terms through mean and variance are missing",
    ),
    "batch norm without gamma": (
        batch_norm,
        normed(lambda d, xhat, dx, dg, db, s: dx / GAMMA),
        [XN, GAMMA, BETA],
        "each channel lacks the factor gamma",
    ),
    "batch norm with gamma twice": (
        batch_norm,
        normed(lambda d, xhat, dx, dg, db, s: dx * GAMMA),
        [XN, GAMMA, BETA],
        "each channel has the factor gamma once too often",
    ),
    "a factor of 2": (lambda x: x**2, lambda d, x: d * x, [XS], "0.5 times the right one: a factor of 2 is missing"),
    "a sign": (lambda x: 1 / x, lambda d, x: d / x**2, [XS], "the negative of the right one"),
    "a mean instead of a sum": (
        conv,
        conv_backward(lambda d, x, w, dx, dw, db: (dx, dw, d.mean((0, 1, 2)))),
        [X, W, B],
        "1/40 of the right one, that is 1/(N*H*W) of the output: a mean instead of a sum",
    ),
    "divided by the batch": (
        conv,
        conv_backward(lambda d, x, w, dx, dw, db: (dx, dw / 2, db)),
        [X, W, B],
        "0.5 times the right one",
    ),
    "no sum over the batch": (
        conv,
        conv_backward(lambda d, x, w, dx, dw, db: (dx, dw, d.sum((1, 2)))),
        [X, W, B],
        "a sum over the first axis is missing",
    ),
    "the last image only": (conv, conv_backward(one_image_only), [X, W, B], "only the last of the 2 images counts"),
    "= for += in col2im": (
        windows,
        assigning_col2im,
        [R.normal(size=(2, 6, 5, 3))],
        "each place holds only the last of its contributions: = instead of +=",
    ),
    "padding left on": (conv, conv_backward(uncropped), [X, W, B], "larger by [0, 2, 2, 0]: is padding not cut off?"),
    "padding cut off on one side": (
        conv,
        conv_backward(badly_cropped),
        [X, W, B],
        "moved by (-1, -1) along axes 1 and 2: is the padding",
    ),
    "weight gradient flipped": (
        conv,
        conv_backward(lambda d, x, w, dx, dw, db: (dx, dw[::-1, ::-1], db)),
        [X, W, B],
        "flipped along axes 0 and 1: a flipped kernel",
    ),
    "kernel flipped": (
        conv,
        conv_backward(flipped_kernel),
        [X, W, B],
        "it would be right for w flipped along axes 0 and 1",
    ),
    "weight not transposed": (
        lambda x, w: x @ w,
        lambda d, x, w: (d @ w, x.T @ d),
        [XS, M],
        "it would be right for w with axes 0 and 1 swapped",
    ),
    "gradient transposed": (
        lambda x, w: x @ w,
        lambda d, x, w: (d @ w.T, d.T @ x),
        [XS, M],
        "with axes 0 and 1 swapped: a transposed",
    ),
    "axes in another order": (
        lambda x, w: x @ w,
        lambda d, x, w: (d @ w.T, d.T @ x),
        [XS, M[:, :3].copy()],
        "the axes are in another order",
    ),
    "wrong group": (
        grouped,
        conv_backward(lambda d, x, w, dx, dw, db: (np.roll(dx, 3, 3), dw, db)),
        [XG, WG, B],
        "along axis 3 it holds the right channels [3, 4, 5, 0, 1, 2]",
    ),
    "no mask": (lambda x: np.maximum(x, 0), lambda d, x: d, [XS], "it is dout itself"),
    "the last column forgotten": (
        lambda x: (x[:, :, :-1] * x[:, :, 1:], x),
        lambda d, x: np.pad(d * x[:, :, 1:], [(0, 0), (0, 0), (0, 1), (0, 0)]),
        [X],
        "is wrong at 90 of 120 places",
    ),
    "an output column left out": (
        lambda x: x**2,
        lambda d, x: 2 * d * x * (np.arange(4) > 0)[:, None],
        [R.normal(size=(2, 5, 4, 3))],
        "the first of the 4 output positions along axis 2 does not count: a loop too short?",
    ),
    "an input row left out": (
        conv,
        conv_backward(lambda d, x, w, dx, dw, db: (dx * (np.arange(5) > 0)[:, None, None], dw, db)),
        [X, W, B],
        "only index [0] of axis 1 is wrong, and it is zero there: a border, a loop's end?",
    ),
}


@pytest.mark.small
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_backward_is_refused_and_the_mistake_named(name):
    forward, backward, inputs, cause = WRONG[name]
    with pytest.raises(GradientError) as error:
        check((forward, backward), inputs)
    assert cause in str(error.value)
    assert "shape" in str(error.value) or "first wrong: " in str(error.value)


@pytest.mark.small
def test_the_message_holds_index_and_both_numbers():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(GradientError) as error:
        check((lambda x: 3 * x, lambda d, x: d * np.array([[3, 3], [4, 3]])), x, name="thrice")
    text, finding = str(error.value), error.value.finding
    assert text.startswith(
        "gradcheck thrice: the gradient of x is wrong at 1 of 4 places (linear: exact differences)\n"
        "first wrong: x[1, 0]: "
    )
    assert finding.wrong.tolist() == [[False, False], [True, False]]
    assert f"your gradient {finding.given[1, 0]:.10g}, numerical gradient {finding.measured[1, 0]:.10g}" in text
    assert finding.given[1, 0] / finding.measured[1, 0] == pytest.approx(4 / 3)
