"""A state that no network may have is never saved over a good one, and never mistaken for a network."""

import numpy as np
import pytest
from training import at_step, ctrl_c, outcome, settings

from minighost.cli.main import main
from minighost.errors import FormatError, NonFiniteError
from minighost.train import load_checkpoint, load_run, run, save_checkpoint
from minighost.train.parallel import Single
from minighost.train.trainer import Trainer

pytestmark = pytest.mark.usefixtures("tinynet")


def spoil(trainer, name, value=np.nan):
    """Put `value` into one of the tensors that make up the state."""
    prefix, _, path = name.partition("/")
    if prefix == "model":
        tensor = next(v.data for key, v in trainer.model._named(object) if key == path)
    elif prefix == "ema":
        tensor = trainer.ema.shadow[path]
    else:
        slot, number = path.split(".")
        tensor = trainer.optimizer._state[int(number)][slot]
    tensor.flat[0] = value


STATE = ["model/0.weight", "model/5.bias", "model/1.running_var", "optimizer/momentum.2", "ema/1.running_mean"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", STATE)
def test_a_spoilt_state_is_not_saved_and_the_run_goes_on_from_the_one_before(straight, tmp_path, monkeypatch, name):
    folder, kept = tmp_path / "run", {}

    def spoil_last(trainer):  # the last step of the second epoch: no other step meets it before it is saved
        spoil(trainer, name)
        kept.update(contents(folder / "checkpoints"))

    with monkeypatch.context() as patch:
        at_step(patch, 12, spoil_last)
        with np.errstate(all="ignore"), pytest.raises(NonFiniteError) as error:
            run(settings(folder), stream=None)
    assert str(error.value).startswith(f"after step 12, whose gradient was finite: {name}: 1 of ")
    assert "This state was not saved; the last checkpoint is good. Lower train.lr" in str(error.value)
    assert kept and contents(folder / "checkpoints") == kept
    run(settings(folder), resume=True, stream=None)
    assert outcome(folder) == outcome(straight[0])


@pytest.mark.parametrize("when", ["in between", "Ctrl-C", "end of the first epoch"])
def test_no_way_of_saving_lets_a_spoilt_state_through(tmp_path, monkeypatch, when):
    def action(trainer):
        spoil(trainer, "model/5.weight")
        if when == "Ctrl-C":
            ctrl_c()

    at_step(monkeypatch, 6 if when == "end of the first epoch" else 4, action)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="was not saved; no checkpoint exists yet"):
        run(settings(tmp_path, train__checkpoint_steps=4 * (when == "in between")), stream=None)
    assert not list((tmp_path / "checkpoints").glob("*")) and not (tmp_path / "lock.json").exists()


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("1.running_mean", np.inf, "1.running_mean: 1 of 4 values are not finite"),
        ("1.running_var", -1e-3, "1.running_var: 1 of 4 values are negative"),
        ("0.weight", np.nan, "0.weight: 1 of 108 values are not finite"),
    ],
)
def test_a_file_with_impossible_values_is_no_network(straight, tmp_path, capsys, name, value, message):
    tensors, meta = load_checkpoint(straight[0] / "checkpoints" / "last")
    for prefix in ("model/", "ema/"):
        tensors[prefix + name].flat[0] = value
    save_checkpoint(tmp_path / "checkpoints" / "last", tensors, meta)
    with pytest.raises(FormatError, match=rf"last.json: .*{message}"):
        load_run(tmp_path)
    trainer = object.__new__(Trainer)
    trainer.ranks = Single()
    with pytest.raises(FormatError, match=rf"last.json: cannot continue from this checkpoint: .*{message}"):
        trainer.load(tmp_path / "checkpoints" / "last")
    assert main(["eval", "--checkpoint", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
