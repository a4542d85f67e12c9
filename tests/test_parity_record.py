"""PyTorch's own run of the record recipe: what it computes, and that a stopped run ends with the same numbers."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from versus import pareto

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def airbench():
    pytest.importorskip("torch").set_num_threads(1)
    from versus import airbench

    return airbench


@pytest.fixture(scope="module")
def record(airbench):
    from versus import record

    return record


def few(n, seed=0):
    """Images and labels as `minighost.data` reads them."""
    rng = np.random.default_rng(seed)
    return SimpleNamespace(images=rng.integers(0, 256, (n, 32, 32, 3), np.uint8), labels=rng.integers(0, 10, n))


def drawn(seed=0):
    import torch

    return torch.Generator().manual_seed(seed)


def test_the_network_has_the_published_size_and_start(airbench):
    import torch

    network = airbench.Network(drawn())
    assert sum(p.numel() for p in network.parameters()) == 1_972_792
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert network.head.weight.std().item() == pytest.approx(1, abs=1e-6)
    first = network.blocks[0][0].weight  # (64, 24, 3, 3): the first 24 filters pass their channel on
    expected = torch.zeros(24, 24, 3, 3)
    expected[range(24), range(24), 1, 1] = 1
    assert torch.equal(first[:24], expected) and 0 < first[24:].abs().max() <= 1 / np.sqrt(24 * 9)


def test_whitened_patches_have_unit_covariance_and_every_filter_its_opposite(airbench):
    import torch

    x = airbench.normalize(torch.from_numpy(few(50).images))
    filters = airbench.whitening(x, eps=0)
    assert torch.equal(filters[12:], -filters[:12])
    answers = torch.nn.functional.conv2d(x, filters[:12]).permute(0, 2, 3, 1).reshape(-1, 12)
    torch.testing.assert_close(answers.T @ answers / len(answers), torch.eye(12), atol=1e-4, rtol=0)


def test_a_crop_is_a_window_of_the_reflected_image(airbench):
    import torch

    images = few(3).images
    flipped = torch.tensor([False, True, False])
    found = airbench.crop_and_flip(
        airbench.padded(torch.from_numpy(images), flipped), torch.tensor([[0, 0], [2, -1], [-2, 2]]), flip=False
    )
    np.testing.assert_array_equal(found[0], images[0])
    for k, (y, x) in ((1, (2, -1)), (2, (-2, 2))):
        one = images[k][:, ::-1] if k == 1 else images[k]
        wide = np.pad(one, ((2, 2), (2, 2), (0, 0)), "reflect")
        np.testing.assert_array_equal(found[k], wide[2 + y : 34 + y, 2 + x : 34 + x])


def test_muons_step_has_singular_values_around_one_and_scales_filters_to_the_root_of_their_number(airbench):
    import torch

    p = torch.randn(8, 3, 3, 3, generator=drawn())
    before, p.grad = p.clone(), torch.randn(p.shape, generator=drawn(1))
    airbench.Muon([p], rate=0.1).step(factor=0.5)
    step = (before * np.sqrt(8) / before.norm() - p) / 0.05
    values = torch.linalg.svdvals(step.reshape(8, -1))
    assert 0.3 < values.min() and values.max() < 1.3


def test_biases_of_the_stem_learn_for_their_epochs_only(airbench):
    import torch

    network = airbench.Network(drawn())
    trainer = airbench.Trainer(network, steps=4, stem_steps=2, batch=4)
    x, labels = airbench.normalize(torch.from_numpy(few(4).images)), torch.arange(4)
    biases = []
    for _ in range(4):
        trainer.train(x, labels)
        biases.append(network.stem.bias.clone())
    assert not torch.equal(biases[0], biases[1]) and torch.equal(biases[1], biases[3])


def test_six_views_of_a_symmetrical_answer_are_that_answer(airbench):
    import torch

    x = torch.randn(2, 3, 32, 32, generator=drawn())
    torch.testing.assert_close(airbench.six_views(lambda view: view.mean((2, 3)) * 0 + 3, x), torch.full((2, 3), 3.0))
    weights = []
    airbench.six_views(lambda view: weights.append(view) or view[:, :1, 16, 16], x)
    assert len(weights) == 6 and torch.equal(weights[2][:, :, 1:, 1:], x[:, :, :-1, :-1])


def test_a_restored_run_ends_with_the_same_numbers(record):
    def run(stop):
        one = record.Run(few(40), few(10, 1), seed=3, epochs=2, batch=20)
        one.epoch()
        if stop:
            state, one = one.state(), record.Run(few(40), few(10, 1), seed=3, epochs=2, batch=20)
            one.restore(state)
        one.epoch()
        one.views()
        return one

    straight, resumed = run(False), run(True)
    for name, value in straight.trainer.network.state_dict().items():
        assert (value == resumed.trainer.network.state_dict()[name]).all(), name
    assert [e["train_loss"] for e in straight.record["epochs"]] == [e["train_loss"] for e in resumed.record["epochs"]]
    assert straight.trainer.step == 4


@pytest.fixture
def command(record, monkeypatch, tmp_path, capsys):
    """Run the command on a few images; returns its status, what it wrote and what it printed."""
    monkeypatch.setattr(record.data, "cifar10", lambda split, directory: few(40 if split == "train" else 10))
    monkeypatch.setattr(record.airbench, "BATCH", 20)

    def call(*argv):
        out = tmp_path / "record.json"
        status = record.main(["--data-dir", "x", "--threads", "1", "--epochs", "2", "--out", str(out), *argv])
        return status, json.loads(out.read_text()) if out.exists() else None, capsys.readouterr()

    return call


def test_a_stopped_command_goes_on_after_the_epoch_that_was_done(command, record, monkeypatch, tmp_path):
    epoch = record.Run.epoch

    def stopped(self):
        if self.record["epochs"]:
            raise KeyboardInterrupt
        epoch(self)

    monkeypatch.setattr(record.Run, "epoch", stopped)
    status, outcome, printed = command()
    assert status == 130 and outcome["runs"] == [] and "the same command goes on" in printed.err
    monkeypatch.setattr(record.Run, "epoch", epoch)
    status, outcome, printed = command("--seeds", "0", "1")
    assert status == 0 and "seed 0: 1 of 2 epochs are done" in printed.out
    assert [(run["seed"], len(run["epochs"])) for run in outcome["runs"]] == [(0, 2), (1, 2)]
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
    runs = pareto.read(tmp_path / "record.json").runs
    assert len(runs) == 2 and runs[0][-1][1] == 100 * outcome["runs"][0]["test_accuracy"]


def test_a_finished_seed_is_not_repeated_and_other_conditions_are_refused(command):
    before = command()[1]
    status, outcome, printed = command()
    assert status == 0 and outcome == before and "seed 0 is in" in printed.out
    status, outcome, printed = command("--epochs", "3")
    assert status == 2 and outcome == before
    assert "has epochs 2, not 3; choose another file" in printed.err and printed.err.count("\n") == 1
