"""The gradient checker: it passes what is right, by the sharpest measure that a function allows."""

import numpy as np
import pytest
from folds import NETWORKS

from minighost import models, nn
from minighost.cli import main
from minighost.gradcheck import GradientError, check
from minighost.gradcheck.catalogue import NAMES, pieces

SMALL_NAMES = [name for name in NAMES if name not in models.names()]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SMALL_NAMES)
def test_all_that_minighost_has_passes(name):
    for words, what, inputs in pieces(name, seed=1):
        report = check(what, inputs, name=words)
        assert all(finding.where == "every index" for finding in report.findings)


@pytest.mark.parametrize("name", [*NETWORKS, "mobilenet_v2"])
def test_whole_networks_pass(name):
    """Of a MobileNetV2 the gradients of biases before batch norms are 0, but for the rounding of large numbers."""
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
