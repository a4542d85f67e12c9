"""Training with frozen layers and with two rates: what must not move does not, and a resumed run is the same run."""

import numpy as np
import pytest
from training import TinyNet, at_step, ctrl_c, outcome, settings

from minighost import nn
from minighost.models import registry
from minighost.train import SGD, AdamW, Interrupted, Muon, load_checkpoint, parameter_groups, resume_config, run
from minighost.train.groups import trained

pytestmark = pytest.mark.usefixtures("tinynet")

HARD = dict(train__freeze="1", train__weight_decay=0.1, train__ema_decay=0.5, train__epochs=2)


class Written(TinyNet):
    """Its forward is its own, so that it is not known to be a chain."""

    def forward(self, x):
        return super().forward(x)


@pytest.mark.parametrize("optimizer, network", [("sgd", TinyNet), ("adamw", TinyNet), ("muon", Written)])
def test_frozen_arrays_and_statistics_do_not_move_by_a_bit(tmp_path, monkeypatch, optimizer, network):
    monkeypatch.setitem(registry.MODELS, "tinynet", network)
    run(settings(tmp_path / "run", train__optimizer=optimizer, **HARD), stream=None)
    tensors, _ = load_checkpoint(tmp_path / "run" / "checkpoints" / "last")
    first = network().state_dict()
    for path, value in first.items():
        stays = not path.startswith("5.")
        for part in ("model", "ema"):
            assert (tensors[f"{part}/{path}"].tobytes() == value.tobytes()) is stays, (part, path)
    assert {tensors[name].shape for name in tensors if name.startswith(("optimizer/mo", "optimizer/mean"))} == {
        (4, 10),
        (10,),
    }


def test_a_run_with_frozen_layers_resumes_bit_for_bit(tmp_path, monkeypatch):
    changes = {**HARD, "train__body_lr": 0.5, "train__freeze": "0"}
    run(settings(tmp_path / "straight", **changes), stream=None)
    with monkeypatch.context() as patch:
        at_step(patch, 8, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(tmp_path / "halted", **changes), stream=None)
    run(resume_config(overrides={"out": str(tmp_path / "halted")}), resume=True, stream=None)
    assert outcome(tmp_path / "halted") == outcome(tmp_path / "straight")


def test_the_multiply_adds_of_frozen_layers_are_counted(tmp_path, straight):
    assert run(settings(tmp_path / "run", **HARD), stream=None)["macs"] == straight[1]["macs"]


def test_an_unknown_layer_ends_the_run_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="freeze: TinyNet has no layer 'stem'"):
        run(settings(tmp_path / "run", train__freeze="stem"), stream=None)
    assert not (tmp_path / "run").exists()


def test_the_words_say_what_is_trained():
    model = TinyNet()
    assert trained(model) == ""
    nn.freeze(model, "1")
    assert trained(model) == "1 of 3 layers, 50 of 166 parameters"


# Two rates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SGD, AdamW, Muon])
def test_a_group_with_a_factor_moves_as_at_that_multiple_of_the_rate(kind, rng):
    one, two, plain = (TinyNet() for _ in range(3))
    optimizers = [kind(parameter_groups(one, 0.1, 0.25), lr=0.5), kind(parameter_groups(two, 0.1), lr=0.125)]
    optimizers.append(kind(parameter_groups(plain, 0.1), lr=0.5))
    for rate in (0.5, 0.25):
        optimizers[0].lr, optimizers[1].lr, optimizers[2].lr = rate, rate / 4, rate
        for p in zip(*(model.parameters() for model in (one, two, plain)), strict=True):
            grad = rng.normal(size=p[0].shape).astype(np.float32)
            for own in p:
                own.grad = grad.copy()
        for optimizer in optimizers:
            optimizer.step()
    assert optimizers[0].lr == 0.25 and [group["lr"] for group in optimizers[0].groups] == [0.25, 0.25, 0.0625, 0.0625]
    for path, p in one.named_parameters():
        same = dict((plain if path.startswith("5.") else two).named_parameters())[path]
        assert p.data.tobytes() == same.data.tobytes(), path


def test_a_factor_holds_from_the_start_and_must_be_positive():
    groups = [{"params": [nn.Parameter(np.zeros(2))], "lr_factor": 0.5}]
    assert SGD(groups, lr=0.5).lr == 0.25
    assert SGD([{**groups[0], "lr": 1.0}], lr=0.5).lr == 1.0
    with pytest.raises(ValueError, match="SGD: lr_factor must be finite and > 0, got 0"):
        SGD([{**groups[0], "lr_factor": 0}], lr=0.5)


def test_without_a_factor_the_groups_are_those_of_before():
    model = TinyNet()
    assert parameter_groups(model, 0.3, 1.0) == parameter_groups(model, 0.3)
    assert [len(group["params"]) for group in parameter_groups(model, 0.3, 0.1)] == [1, 1, 1, 2]
    nn.freeze(model, "body")
    assert [len(group["params"]) for group in parameter_groups(model, 0.3, 0.1)] == [1, 1]


def test_the_trainer_gives_the_body_its_share_of_the_rate(tmp_path, monkeypatch):
    seen = []
    at_step(monkeypatch, 5, lambda self: seen.append([self.optimizer.lr, *(g["lr"] for g in self.optimizer.groups)]))
    run(settings(tmp_path / "run", train__body_lr=0.1, train__epochs=1), stream=None)
    ((nominal, *rates),) = seen
    assert rates == [nominal, nominal, nominal * 0.1, nominal * 0.1]
