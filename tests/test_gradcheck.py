"""The gradient checker: it passes what is right, and tells each usual mistake by its name."""

import numpy as np
import pytest

from minighost import nn, ops
from minighost.cli import main
from minighost.gradcheck import GradientError, check
from minighost.gradcheck.catalogue import NAMES, pieces

SMALL_NAMES = [name for name in NAMES if "net" not in name]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SMALL_NAMES)
def test_all_that_minighost_has_passes(name):
    for words, what, inputs in pieces(name, seed=1):
        report = check(what, inputs, name=words)
        assert all(finding.where == "every index" for finding in report.findings)


@pytest.mark.parametrize("name", [name for name in NAMES if "net" in name])
def test_whole_networks_pass(name):
    [(words, what, inputs)] = pieces(name)
    assert "8 directions of them together" in str(check(what, inputs, name=words))


class SlightlyWrong(nn.BatchNorm2d):
    def backward(self, dout):
        return super().backward(dout) * 1.001


def test_the_wrong_layer_of_a_network_is_named():
    [(_, network, x)] = pieces("quicknet")
    network.blocks[2][0].bn.__class__ = SlightlyWrong
    with nn.fusing(False), pytest.raises(GradientError, match=r"the gradient of blocks\.2\.0\.conv\.weight is wrong"):
        check(network, x)


class Silent(nn.Sequential):
    def backward(self, dout):
        for parameter in self.parameters():
            parameter.accumulate(np.zeros_like(parameter.data))
        return np.zeros(self.x_shape)

    def forward(self, x):
        self.x_shape = x.shape
        return super().forward(x)


def test_a_network_whose_gradients_are_all_zero_is_refused(rng):
    network = Silent(*(nn.ConvBNAct(3, 3, 3, rng=k) for k in range(4)), nn.Conv2d(3, 200, 3, rng=0))
    with pytest.raises(GradientError, match=r"the gradient of 4\.bias is wrong .*\n.*\nlikely: it is zero everywhere"):
        check(network, rng.normal(size=(2, 5, 5, 3)))


# The sharpest measure that a function allows -------------------------------------------------------------------


def how(report):
    return {finding.name: (finding.how, finding.error) for finding in report.findings}


@pytest.mark.small
def test_differences_are_exact_where_the_forward_is_linear_and_the_complex_step_where_it_is_analytic(rng):
    x, y = rng.normal(size=(3, 4)), rng.normal(size=4)
    found = how(
        check(
            lambda x, y: np.tanh(x) * y,
            [x, y],
            backward=lambda d, x, y: (d * y / np.cosh(x) ** 2, (d * np.tanh(x)).sum(0)),
        )
    )
    assert found["x"][0] == "complex step" and found["x"][1] < 1e-14
    assert found["y"][0] == "linear: exact differences" and found["y"][1] < 1e-14
    kinked = check(lambda x: np.abs(np.tanh(x)), x, backward=lambda d, x: d * np.sign(x) / np.cosh(x) ** 2)
    assert how(kinked)["x"][1] < 1e-8


@pytest.mark.small
def test_a_kink_close_by_is_looked_past_and_one_exactly_there_is_counted():
    relu = lambda x: np.maximum(x, 0), lambda d, x: d * (x > 0)  # noqa: E731
    assert check(relu, np.array([1e-4, -3e-4, 2e-6, 1.0, -1.0])).findings[0].kinks == 0
    assert check(relu, np.array([0.0, 1.0, -1.0, 2.0, 3.0])).findings[0].kinks == 1
    assert check((relu[0], lambda d, x: d * (x >= 0)), np.array([0.0, 1.0, -1.0, 2.0, 3.0])).findings[0].kinks == 1
    with pytest.raises(GradientError, match="5 of 6 places of x lie on a kink, where a gradient cannot be checked"):
        check(relu, np.array([0.0, 0, 0, 0, 0, 1]))
    with pytest.raises(GradientError, match=r"first wrong: x\[0\]: your gradient"):  # beyond both sides of the kink
        check((relu[0], lambda d, x: d * np.where(x == 0, 2.0, x > 0)), np.array([0.0, 1.0, -1.0, 2.0, 3.0]))


@pytest.mark.small
def test_an_upstream_gradient_drawn_with_the_seed_of_the_inputs_is_not_the_input():
    """Batch norm's gradient is zero along its own output: with dout = x a backward of zeros would look right."""
    x, seen = np.random.default_rng(0).normal(size=(3, 4, 5, 2)), []
    check((lambda x: 3 * x, lambda dout, x: seen.append(dout.copy()) or 3 * dout), x, seed=0)
    assert all(abs(np.corrcoef(dout.ravel(), x.ravel())[0, 1]) < 0.5 for dout in seen)


# What other checkers let through -------------------------------------------------------------------------------

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


# Faults that need no slope -------------------------------------------------------------------------------------


def _greedy_cache(dout, cache):
    cache *= 2
    return dout * cache


def _spoils_dout(dout, cache):
    dout *= cache
    return dout


def _spoils_x(x):
    x += 1
    return x * 2


counter = iter(range(1000))

FAULTS = {
    "changes its cache": (lambda x: (x * 3, np.full_like(x, 3.0)), _greedy_cache, "two different gradients of x"),
    "changes dout": (lambda x: (x * 3, np.full_like(x, 3.0)), _spoils_dout, "backward changed dout"),
    "changes x": (_spoils_x, lambda d, x: 2 * d, "forward gave two different results|forward changed its input x at"),
    "by chance": (lambda x: x * next(counter), lambda d, x: d, "forward gave two different results"),
    "infinite": (lambda x: x / 0.0, lambda d, x: d, "NaNs or infinities; give inputs"),
    "no dout": (lambda x: x**2, lambda d, x: 2 * x, "is not proportional to dout"),
    "none": (lambda x: x**2, lambda d, x: None, r"backward gave no gradient for x \(None\)"),
    "two of one": (lambda x: x**2, lambda d, x: (d, d), "backward returned 2 gradients for 1 inputs"),
    "NaN": (lambda x: x**2, lambda d, x: d * np.nan, "the gradient of x has NaNs"),
    "three values": (lambda x: (x, x, x), lambda d, x: d, r"forward returned 3 values; it must return \(out, cache\)"),
    "integers": (lambda x: x.astype(int), lambda d, x: d, "forward returned int64, not floats"),
}


@pytest.mark.small
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_faults_that_need_no_slope(name):
    forward, backward, message = FAULTS[name]
    with pytest.raises(GradientError, match=message):
        check((forward, backward), np.array([1.0, -2.0, 3.0]))


@pytest.mark.small
def test_what_cannot_be_checked_is_a_type_error():
    with pytest.raises(TypeError, match="no input is an array of floats, so there is no gradient to check"):
        check((lambda x: x * 1.0, lambda d, x: d), np.arange(3))
    with pytest.raises(TypeError, match=r"give a layer, a pair \(forward, backward\)"):
        check(np.square, np.ones(3))
    with pytest.raises(TypeError, match="a layer is checked with one input"):
        check(nn.ReLU(), [np.ones((1, 2, 2, 1))] * 2)


@pytest.mark.small
def test_labels_are_handed_on_and_have_no_gradient(rng):
    logits, labels = rng.normal(size=(3, 4)), np.array([0, 3, 1])
    report = check((ops.softmax_cross_entropy, lambda d, dlogits: (d * dlogits, None)), [logits, labels])
    assert [finding.name for finding in report.findings] == ["logits"]


@pytest.mark.small
def test_the_callers_layer_and_arrays_stay_as_they_are(rng):
    layer, x = nn.Sequential(nn.ConvBNAct(3, 2, 3, rng=0), nn.Dropout(0.5, rng=1)), rng.normal(size=(2, 4, 4, 3))
    before, x_before = layer.state_dict(), x.copy()
    state = layer[1].rng.bit_generator.state
    check(layer, x)
    after = layer.state_dict()
    assert all((value == after[path]).all() and after[path].dtype == np.float32 for path, value in before.items())
    assert (x == x_before).all() and layer[1].rng.bit_generator.state == state


@pytest.mark.small
def test_a_wrong_gradient_far_inside_a_large_array_is_found(rng):
    x = rng.normal(size=(50, 40))
    right = check((lambda x: np.sin(x), lambda d, x: d * np.cos(x)), x)
    assert right.findings[0].where == "8 directions and 32 indices"

    def slightly(d, x):
        dx = d * np.cos(x)
        dx[17, 23] *= 1.1
        return dx

    with pytest.raises(GradientError, match="at random, 8 directions and 32 indices: number"):
        check((lambda x: np.sin(x), slightly), x)


# Command line --------------------------------------------------------------------------------------------------

OWN = """
import numpy as np
inputs = [np.array([1.0, -2.0, 3.0])]
def forward(x):
    return x**2, x
def backward(dout, x):
    return {wrong} * x * dout
"""


def test_a_file_of_ones_own_is_checked_and_the_error_drawn(tmp_path, capsys):
    path, picture = tmp_path / "mine.py", tmp_path / "error.png"
    path.write_text(OWN.format(wrong="2"))
    assert main.main(["gradcheck", str(path)]) == 0
    assert "the backward is the derivative of the forward" in capsys.readouterr().out
    path.write_text(OWN.format(wrong="1"))
    assert main.main(["gradcheck", str(path), "--draw", str(picture)]) == 1
    out = capsys.readouterr().out
    assert "a factor of 2 is missing" in out and out.endswith(f"picture: {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_bad_names_and_files_are_one_line(tmp_path, capsys):
    assert main.main(["gradcheck", "grouppd"]) == 2
    message = "gradcheck: unknown name 'grouppd' (did you mean 'grouped'?); available: conv, strided"
    assert message in capsys.readouterr().err
    assert main.main(["gradcheck", "nowhere.py"]) == 2
    assert "nowhere.py: no such file" in capsys.readouterr().err
    path = tmp_path / "half.py"
    path.write_text("def forward(x): return x")
    assert main.main(["gradcheck", str(path)]) == 2
    assert "must define forward, backward and inputs (a list); missing: backward, inputs" in capsys.readouterr().err


def test_a_name_prints_a_line_an_array_for_both_twins(capsys):
    assert main.main(["gradcheck", "depthwise"]) == 0
    out = capsys.readouterr().out
    assert "depthwise: the backward is" in out and "depthwise_reference: the backward is" in out
    assert out.count("\n  x ") == out.count("\n  w ") == out.count("\n  b ") == 2
