"""A test loss that explodes while the rate is high is explained by a measurement, which changes nothing."""

import dataclasses
import io

import numpy as np
import pytest
from training import TinyNet, outcome, settings

from minighost import data
from minighost.train import Trainer, evaluate, run
from minighost.train.lag import lagging, loss_with_batch_statistics


def layer(model, k):
    return list(model.children())[k]


@pytest.fixture
def loader():
    images = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3)).astype(np.uint8)
    return data.Loader(data.Dataset(images, np.arange(24) % 10, tuple("abcdefghij"), "noise"), 8, shuffle=False)


@pytest.fixture
def wrong_statistics():
    model = TinyNet()
    layer(model, 1).running_var.data[...] = 1e-8
    return model.eval()


def test_with_the_batches_own_statistics_the_loss_is_that_of_the_weights(loader, wrong_statistics):
    loss = evaluate(wrong_statistics, loader).loss
    assert loss > 100
    other = loss_with_batch_statistics(wrong_statistics, loader)
    assert 1 < other < 4
    assert lagging(wrong_statistics, loader, loss, 2.3) == other
    assert lagging(wrong_statistics, loader, 3.0, 2.3) is None  # nothing to explain
    assert lagging(wrong_statistics, loader, 6.0, 5.0) is None  # no worse than the training images


def test_the_model_is_as_it_was(loader, wrong_statistics):
    layer(wrong_statistics, 1).train()
    before, modes = wrong_statistics.state_dict(), [module.training for module in wrong_statistics.modules()]
    loss_with_batch_statistics(wrong_statistics, loader)
    assert all(before[path].tobytes() == value.tobytes() for path, value in wrong_statistics.state_dict().items())
    assert [module.training for module in wrong_statistics.modules()] == modes


def test_a_high_loss_that_the_statistics_do_not_explain_is_not_explained(loader):
    model = TinyNet().eval()
    layer(model, 5).bias.data[0] = 1000
    assert lagging(model, loader, evaluate(model, loader).loss, 2.3) is None


@pytest.mark.usefixtures("tinynet")
def test_a_run_says_so_once_below_the_row_and_its_bits_stay(straight, tmp_path, monkeypatch):
    kept = Trainer.evaluate
    monkeypatch.setattr(
        Trainer, "evaluate", lambda *args: dataclasses.replace(kept(*args), logits=1000 * kept(*args).logits)
    )
    stream = io.StringIO()
    run(settings(tmp_path / "run"), stream=stream)
    lines = stream.getvalue().splitlines()
    note = [k for k, line in enumerate(lines) if line.startswith("         with each batch's own mean and variance")]
    assert len(note) == 1 and lines[note[0] - 1].startswith("    1/3 ") and max(map(len, lines[note[0] :][:2])) <= 80
    assert outcome(tmp_path / "run")[0] == outcome(straight[0])[0]
