"""ResNet-20: the paper's table, its gradients, and that it trains like any other network here."""

import io

import numpy as np
import pytest
from commands import printed
from numpy.testing import assert_allclose

from minighost import analysis, models, nn, ops, train
from minighost.train import Config


def test_the_sizes_are_those_of_the_papers_table_with_projecting_shortcuts():
    model = models.create("resnet20")
    rows = analysis.count(model, (32, 32, 3))
    parameters, macs = sum(row.params for row in rows), sum(row.macs for row in rows)
    assert (parameters, macs) == (272_474, 40_813_184)
    shortcuts = [m.shortcut for m in model.modules() if isinstance(m, nn.ResidualBlock) and m.shortcut is not None]
    own = sum(p.size for shortcut in shortcuts for p in shortcut.parameters())
    assert len(shortcuts) == 2 and parameters - own == 269_722  # 0.27 M (table 6): option A, which has no parameters
    assert macs - 2 * 16 * 32 * 16 * 16 == 40_551_040


def test_there_are_twenty_layers_in_three_stages_of_halving_maps():
    model = models.create("resnet20")
    sizes, x = [], model.stem(np.zeros((1, 32, 32, 3), np.float32))
    for stage in model.stages:
        x = stage(x)
        sizes.append(np.asarray(x).shape[1:])
    assert sizes == [(32, 32, 16), (16, 16, 32), (8, 8, 64)]
    weights = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weights) - 2 == 20  # shortcuts are not counted


def test_deeper_and_narrower_ones_follow_the_same_table():
    assert sum(p.size for p in models.ResNet(blocks=9).parameters()) == 855_770  # ResNet-56: 0.85 M, and two shortcuts
    narrow = models.create("resnet20", width=0.25, num_classes=7)
    assert [stage[0].first.conv.weight.shape[3] for stage in narrow.stages] == [4, 8, 16]
    assert narrow(np.zeros((2, 16, 16, 3), np.float32)).shape == (2, 7)


def test_gradients_in_random_directions(rng):
    model = models.create("resnet20", width=0.25).astype(np.float64)
    x, labels = rng.normal(size=(4, 8, 8, 3)), np.arange(4)

    def loss():
        return ops.softmax_cross_entropy(model(x), labels)[0]

    model.backward(ops.softmax_cross_entropy(model(x), labels)[1])
    for path, p in model.named_parameters():
        direction, h = rng.normal(size=p.shape), 1e-7  # short: a ReLU has a kink
        slope, start = (p.grad * direction).sum(), p.data.copy()
        p.data[...] = start + h * direction
        above = loss()
        p.data[...] = start - h * direction
        numeric = (above - loss()) / (2 * h)
        p.data[...] = start
        assert_allclose(slope, numeric, rtol=1e-5, atol=1e-6, err_msg=path)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0}, "ResNet: width must be finite and > 0, got 0"),
        ({"num_classes": 1.5}, "ResNet: num_classes=1.5 must be a whole number of at least 1"),
        ({"blocks": 0}, "ResNet: blocks=0 must be a whole number of at least 1"),
    ],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        models.ResNet(**options)


def test_the_command_trains_it_by_name_and_its_run_can_be_loaded(tmp_path):
    settings = {"model.name": "resnet20", "model.width": "0.25", "train.epochs": "1", "train.batch_size": "20"}
    sizes = {"data.train_size": "40", "data.test_size": "20", "threads": "1", "out": str(tmp_path / "run")}
    summary = train.run(Config.resolve(overrides={**settings, **sizes}), stream=io.StringIO())
    assert summary["model"] == "resnet20" and np.isfinite(summary["train_loss"])
    assert isinstance(train.load_run(tmp_path / "run").model, models.ResNet)


def test_the_summary_counts_it(capsys):
    text = printed(capsys, "summary", "--model", "resnet20", "--input", "32", "--classes", "10")
    assert "272,474" in text and "40,813,184" in text
