"""A run that prunes on the way: one run, which can be stopped, resumed, loaded and started from at any point."""

import io
import json
import shutil

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from training import at_step, ctrl_c, outcome

import minighost as mg
from minighost.train import Config, Interrupted, load_run, resume_config, run

EPOCHS, AFTER, STEPS = 3, 2, 3


def settings(out, **changes):
    """3 epochs of 3 steps; the pruning comes before step 7."""
    return Config.resolve(
        overrides={
            "model.name": "resnet_cifar",
            "model.width": 0.25,
            "model.depth": 8,
            "model.inner": 0.5,
            "data.train_size": 48,
            "data.test_size": 20,
            "train.epochs": EPOCHS,
            "train.prune_after": AFTER,
            "train.batch_size": 16,
            "train.lr": 0.05,
            "train.ema_decay": 0.5,
            "threads": 1,
            "out": str(out),
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
    )


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minighost.plots.run.everything", lambda *args: [])
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without interruption, and what its terminal said; nobody may change it."""
    folder, stream = tmp_path_factory.mktemp("pruning") / "run", io.StringIO()
    run(settings(folder), stream=stream)
    return folder, stream.getvalue()


def parameters(network):
    return sum(p.size for p in network.parameters())


def sizes():
    """Parameters of the network with all filters, and of the pruned one."""
    options = {"depth": 8, "width": 0.25}
    return [parameters(mg.models.create("resnet_cifar", inner=inner, **options)) for inner in (1.0, 0.5)]


def test_the_result_is_the_pruned_network_and_the_terminal_says_when_it_became_that(whole):
    folder, said = whole
    dense, pruned = sizes()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["parameters"] == pruned == parameters(load_run(folder).model)
    assert parameters(load_run(folder, "best").model) == pruned and summary["best_epoch"] == EPOCHS
    lines = [line for line in said.splitlines() if line.startswith("prune ")]
    assert len(lines) == 1 and lines[0].startswith(f"prune    {dense:,} -> {pruned:,} parameters, ")
    assert lines[0].endswith(f" -> {summary['macs'] / 1e6:.1f} million multiply-adds") and len(lines[0]) <= 80
    rows = [line.split()[0] for line in said.splitlines() if line.split()[:1] and "/3" in line.split()[0]]
    assert rows == ["1/3", "2/3", "3/3"] and said.index("2/3") < said.index("prune ") < said.index("3/3")


@pytest.mark.parametrize("step", [2, 6, 7])  # before the pruning, at the end of the epoch before it, after it
def test_a_run_that_is_stopped_and_resumed_around_its_pruning_is_the_same_run(whole, monkeypatch, tmp_path, step):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, step, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(folder), stream=None)
    dense, pruned = sizes()
    assert parameters(load_run(folder).model) == (pruned if step > AFTER * STEPS else dense)
    run(resume_config(overrides={"out": str(folder)}), resume=True, stream=None)
    for mine, its in zip(outcome(folder), outcome(whole[0]), strict=True):
        assert mine == its


def test_a_run_can_start_from_anothers_weights_and_prune_them_at_once(tmp_path):
    first = tmp_path / "first"
    run(settings(first, model__inner=1.0, train__prune_after="none", train__ema_decay=0.0), stream=None)
    second = Config.resolve(
        overrides={
            "train.start": str(first),
            "model.inner": 0.5,
            "train.prune_after": 0,
            "train.lr": 1e-9,
            "train.epochs": 1,
            **{"data.train_size": 48, "data.test_size": 20, "train.batch_size": 16, "train.weight_decay": 0.0},
            **{"threads": 1, "out": str(tmp_path / "second")},
        }
    )
    run(second, stream=None)
    small = mg.models.create("resnet_cifar", depth=8, width=0.25, inner=0.5)
    expected = mg.nn.prune(load_run(first).model, small).state_dict()
    for path, value in load_run(tmp_path / "second").model.state_dict().items():
        if "running" not in path:
            np.testing.assert_allclose(value, expected[path], rtol=1e-5, atol=1e-6, err_msg=path)


def test_a_finished_run_can_be_extended_after_its_pruning(whole, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    config = resume_config(overrides={"out": str(folder), "train.epochs": EPOCHS + 1})
    run(config, resume=True, stream=None)
    assert parameters(load_run(folder).model) == sizes()[1]
    assert json.loads((folder / "summary.json").read_text())["epochs"] == EPOCHS + 1


def test_pruning_keeps_the_weights_of_nn_prune_and_forgets_the_best_epoch_before_it(monkeypatch, tmp_path):
    from minighost.train.trainer import Trainer

    seen, prune = [], Trainer.prune

    def watched(self):
        before = mg.models.create("resnet_cifar", depth=8, width=0.25)
        before.load_state_dict(self.model.state_dict())
        self.best = {"epoch": 1, "test_accuracy": 1.0}
        prune(self)
        small = mg.models.create("resnet_cifar", depth=8, width=0.25, inner=0.5)
        seen.append(
            (mg.nn.prune(before, small).state_dict(), {k: v.copy() for k, v in self.model.state_dict().items()})
        )

    monkeypatch.setattr(Trainer, "prune", watched)
    summary = run(settings(tmp_path / "run"), stream=None)
    assert summary["best_epoch"] == EPOCHS  # of the pruned network, however good the other was
    ((expected, found),) = seen
    for path in expected:
        assert_array_equal(found[path], expected[path], err_msg=path)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"model__inner": 1.0},
            "train.prune_after=2: down to what? Set model.inner to the share of filters that is to be",
        ),
        (
            {"train__prune_after": 3},
            "train.prune_after=3: must be less than train.epochs=3, or nothing is trained after",
        ),
        ({"train__prune_after": -1}, "train.prune_after: "),
        ({"train__freeze": "stem"}, "train.prune_after: does not go with train.freeze=stem; leave one out"),
    ],
)
def test_settings_that_do_not_go_with_pruning_are_refused(changes, message):
    with pytest.raises(ValueError) as error:
        settings("unused", **changes)
    assert str(error.value).startswith(message)


def test_fit_names_what_to_call_instead(rng):
    model = mg.models.create("resnet_cifar", depth=8, width=0.25)
    with pytest.raises(ValueError, match=r"^fit: prune_after: .*; call fit, then nn.prune\(model, smaller\), and fit"):
        mg.fit(model, mg.data.shapes10(20), epochs=2, prune_after=1)
