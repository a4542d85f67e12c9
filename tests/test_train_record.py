"""What the record recipe asks of a training: rates apart, a decay of its own, a stem that is done early."""

import io

import numpy as np
import pytest
from numpy.testing import assert_allclose
from training import at_step, ctrl_c, outcome

from minighost import models, nn, train
from minighost.train import PRESETS, SGD, Config, Interrupted, Muon, parameter_groups, resume_config
from minighost.train.groups import whitening_stem

RECORD = {
    **{key: value for key, value in PRESETS["cifar10-airbench"].items() if key != "data.name"},
    "model.width": 0.05,
    "data.train_size": 60,
    "data.test_size": 20,
    "train.batch_size": 20,
    "train.epochs": 3,
    "train.warmup_epochs": 0,
    "train.stem_epochs": 1.5,
    "train.views": "image",
    "threads": 1,
}


def record(out, **changes):
    overrides = {**RECORD, "out": out, **{key.replace("__", "."): value for key, value in changes.items()}}
    return Config.resolve("shapes10", overrides={key: f"{value}" for key, value in overrides.items()})


# The network -----------------------------------------------------------------------------------------------------


def test_the_record_network_is_the_published_one():
    options = {key[6:]: value for key, value in PRESETS["cifar10-airbench"].items() if key.startswith("model.")}
    model = models.create(options.pop("name"), **options)
    model(np.zeros((1, 32, 32, 3), np.float32))
    assert [m.output_shape for m in (model.stem, *model.blocks)] == [
        (31, 31, 24),
        (15, 15, 64),
        (7, 7, 256),
        (3, 3, 256),
    ]
    learnt = sum(p.size for p in model.parameters() if not p.frozen)
    filters, norms, stem, head = 1_967_616, 1_152, 24, 2_560
    assert learnt == filters + norms + stem + head
    assert all(not module.weight.data.std() for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    assert_allclose(model.classifier.weight.data.std(), 1 / 256, rtol=1e-5)
    assert model.classifier.bias is None


@pytest.mark.parametrize("name, value, words", [("stem", 4, "3, 2, '2x2 same'"), ("head", "sum", "'mean', 'max'")])
def test_the_record_network_refuses_what_it_does_not_know(name, value, words):
    with pytest.raises(ValueError, match=f"QuickNet: {name}={value!r} is unknown; choose from {words}"):
        models.create("quicknet", **{name: value})


# The optimizer ---------------------------------------------------------------------------------------------------


def test_what_muon_leaves_to_sgd_has_its_own_momentum_and_decay(rng):
    start, grads = rng.normal(size=(4, 3)), rng.normal(size=(3, 4, 3))
    one, two = nn.Parameter(start.copy()), nn.Parameter(start.copy())
    own = Muon(
        [one], lr=0.2, momentum=0.6, nesterov=True, weight_decay=9.0, sgd_factor=5.0, sgd_momentum=0.85, sgd_decay=0.01
    )
    same = SGD([two], lr=1.0, momentum=0.85, nesterov=True, weight_decay=0.01)
    for step, grad in enumerate(grads):
        one.grad, two.grad = grad.copy(), grad.copy()
        own.lr, same.lr = 0.2 / (1 + step), 1 / (1 + step)  # the decay is a share at the first rate, less at lower ones
        own.step()
        same.step()
        assert_allclose(one.data, two.data, rtol=1e-12)
    matrix = nn.Parameter(rng.normal(size=(1, 1, 4, 3)))
    matrix.grad = np.zeros(matrix.shape)
    Muon([matrix], lr=0.2, sgd_decay=0.5).step()
    assert_allclose(np.linalg.norm(matrix.data), np.sqrt(3))  # a matrix does not decay


@pytest.mark.parametrize(
    "options, words",
    [
        ({"sgd_momentum": -1}, "sgd_momentum must be finite and >= 0, got -1"),
        ({"sgd_momentum": 0, "nesterov": True, "momentum": 0.9}, "sgd_momentum must be finite and > 0, got 0"),
        ({"sgd_decay": -0.1}, "sgd_decay must be finite and >= 0, got -0.1"),
    ],
)
def test_muon_refuses_bad_numbers_for_the_rest(options, words):
    with pytest.raises(ValueError, match=f"Muon: {words}"):
        Muon([nn.Parameter(np.zeros(2))], lr=0.1, **options)


def test_settings_of_muon_are_refused_elsewhere():
    for key in ("sgd_factor", "sgd_momentum", "sgd_decay"):
        with pytest.raises(ValueError, match=rf"train.{key}: has no effect with train.optimizer=sgd; leave it out"):
            Config.resolve(overrides={f"train.{key}": "0.5"})


def test_head_and_stem_have_groups_of_their_own():
    model = models.create("quicknet", width=0.05, stem=2, act="gelu", head="max", scale=False)
    biases = [layer.bias for layer in whitening_stem(model).values()]
    head, decayed, others, stem = parameter_groups(model, 0.3, head_lr=0.25, apart=biases)
    assert head["params"] == [model.classifier.weight] and head["lr_factor"] == 0.25
    assert [group.get("lr_factor", 1) for group in (decayed, others, stem)] == [1, 1, 1]
    assert {p.data.ndim for p in decayed["params"]} == {4} and len(decayed["params"]) == 6
    assert all(p.data.ndim == 1 and p is not model.stem.bias for p in others["params"]) and len(others["params"]) == 6
    assert stem["params"] == [model.stem.bias] and stem["weight_decay"] == 0


# The training ----------------------------------------------------------------------------------------------------


def test_the_stem_learns_at_a_rate_that_falls_to_zero_and_then_stands_still(tmp_path, monkeypatch):
    seen, step = [], train.Trainer.train_step

    def watched(self, x, labels):
        result = step(self, x, labels)
        bias = self.model.stem.bias
        seen.append((self.optimizer.groups[-1]["lr"], bias.data.copy(), bias.frozen, result["lr"]))
        return result

    monkeypatch.setattr(train.Trainer, "train_step", watched)
    train.run(record(tmp_path / "run"), stream=io.StringIO())
    rates, biases, frozen, others = zip(*seen, strict=True)
    assert_allclose(rates[:5], [0.24 * (1 - k / 5) for k in range(5)])  # 1.5 epochs of 3 steps, rounded up
    assert_allclose(others, [0.24 * (1 - k / 9) for k in range(9)])
    assert frozen == (False,) * 5 + (True,) * 4
    assert all((a != b).any() for a, b in zip(biases[:4], biases[1:5], strict=True))
    assert all((biases[4] == b).all() for b in biases[5:])


@pytest.mark.parametrize("stop", [3, 7])  # before and after the stem stands still
def test_a_resumed_run_of_the_record_recipe_is_the_same_to_the_bit(tmp_path, monkeypatch, stop):
    train.run(record(tmp_path / "whole"), stream=io.StringIO())
    with monkeypatch.context() as patch:
        at_step(patch, stop, ctrl_c)
        with pytest.raises(Interrupted):
            train.run(record(tmp_path / "halted"), stream=io.StringIO())
    train.run(resume_config(overrides={"out": str(tmp_path / "halted")}), resume=True, stream=io.StringIO())
    assert outcome(tmp_path / "whole") == outcome(tmp_path / "halted")


def test_the_average_of_a_stem_that_stands_still_is_the_stem(tmp_path):
    train.run(record(tmp_path / "run", train__ema_decay=0.9), stream=io.StringIO())
    tensors, _ = train.load_checkpoint(tmp_path / "run" / "checkpoints" / "last")
    assert (tensors["ema/stem.bias"] == tensors["model/stem.bias"]).all()
    assert (tensors["ema/classifier.weight"] != tensors["model/classifier.weight"]).any()


def test_a_network_without_such_a_stem_refuses_epochs_for_it(tmp_path):
    words = (
        r"train.stem_epochs=1: GhostNet has no whitening stem whose biases could learn; leave it out, or choose quick"
    )
    config = {
        "model.name": "ghostnet",
        "model.width": 0.1,
        "train.stem_epochs": 1,
        "data.train_size": 40,
        "data.test_size": 20,
    }
    overrides = {key: f"{value}" for key, value in {**config, "train.batch_size": 20, "out": tmp_path / "run"}.items()}
    with pytest.raises(ValueError, match=words):
        train.run(Config.resolve("shapes10", overrides=overrides), stream=io.StringIO())
    assert not (tmp_path / "run").exists()
