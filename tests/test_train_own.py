"""A run of a network of one's own: its file's path and hash are in it, and it is run when and only when it may be."""

import hashlib
import shutil

import numpy as np
import pytest
from commands import printed, refused
from own_networks import NETWORK, written
from training import at_step, ctrl_c

import minighost as mg
from minighost import models, train
from minighost.cli.main import main
from minighost.data import Dataset
from minighost.errors import FormatError
from minighost.train import Config, config, load_checkpoint

RUN = "runs/shapes10-Net"
TINY = ["--epochs=1", "--batch-size=16", "--threads=1", "--set=data.train_size=48", "--set=data.test_size=20"]
EDITED = NETWORK + "\n# a word more\n"
OTHER_SHAPE = NETWORK.replace("int(4 * width)", "int(6 * width)")
SPY = NETWORK + "\nopen('executed', 'w').close()\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with my.py and a run of its Net."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minighost.plots.run.everything", lambda *args: [])
    written(tmp_path, NETWORK)
    assert main(["train", "--model", "my.py:Net", *TINY]) == 0
    return tmp_path


@pytest.fixture
def halted(tmp_path, monkeypatch):
    """As `here`, where the run was stopped after 2 of 3 steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minighost.plots.run.everything", lambda *args: [])
    written(tmp_path, NETWORK)
    with monkeypatch.context() as patch:
        at_step(patch, 2, ctrl_c)
        assert main(["train", "--model", "my.py:Net", *TINY]) == 130
    return tmp_path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_says_where_its_network_was_defined_and_with_what_hash(here):
    _, meta = load_checkpoint(here / RUN / "checkpoints" / "last")
    assert meta["code"] == {"file": str(here / "my.py"), "sha256": digest(here / "my.py")}
    model = Config.load(here / RUN / "config.json").model
    assert (model.name, model.width, model.options) == (f"{here}/my.py:Net", 0.5, {})  # no dropout of the recipe's


def test_a_run_is_read_from_any_folder(here, tmp_path_factory, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert f"{here / RUN}: my.py:Net after 1 epoch of shapes10" in printed(capsys, "eval", "--checkpoint", here / RUN)
    assert len(mg.load(here / RUN).predict(np.zeros((32, 32, 3), np.uint8))) == 3


def test_a_file_that_has_moved_is_named(here, capsys):
    weights = mg.load(RUN).model.state_dict()
    shutil.move("my.py", "new.py")
    error = refused(capsys, "eval", "--checkpoint", RUN)
    assert (
        f"{here}/my.py: this file defined the network of {RUN}, and is not here; name it with --model FILE.py:Net"
        in error
    )
    assert "new.py:Net after 1 epoch" in printed(capsys, "eval", "--checkpoint", RUN, "--model", "new.py:Net")
    net = models.create("new.py:Net", width=0.5)
    for model in ("new.py:Net", net, type(net)):
        found = mg.load(RUN, model=model).model.state_dict()
        assert all(np.array_equal(found[path], value) for path, value in weights.items())


def test_a_file_that_has_changed_is_used_with_a_warning_while_the_weights_fit(here, capsys):
    written(here, EDITED)
    with pytest.warns(UserWarning, match=r"my\.py has changed since this run was trained .* is used$"):
        assert mg.load(RUN).classes
    assert main(["eval", "--checkpoint", RUN]) == 0
    said = capsys.readouterr().err
    assert said.startswith("minighost: warning: my.py has changed since this run was trained (SHA-256 ")
    assert said.count("\n") == 1


def test_a_file_that_has_changed_too_much_is_refused(here, capsys):
    written(here, OTHER_SHAPE)
    error = refused(capsys, "predict", "x.png", "--checkpoint", RUN)
    assert "my.py has changed since this run was trained" in error
    assert "bring the old file back, or name it with --model FILE.py:NAME: " in error and "does not fit" in error
    with pytest.raises(FormatError, match=r"(?s)this checkpoint does not fit Linear: .*unknown: 0\.weight"):
        mg.load(RUN, model=mg.nn.Linear(3, 10))


def test_a_halted_run_goes_on_to_the_bits_of_one_that_was_not_halted(halted, capsys):
    assert main(["train", "--resume", "--out", RUN]) == 0
    assert main(["train", "--model", "my.py:Net", *TINY, "--out", "straight"]) == 0
    (one, _), (other, _) = (load_checkpoint(halted / run / "checkpoints" / "last") for run in (RUN, "straight"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_halted_run_goes_on_with_its_file_only(halted, capsys):
    shutil.move("my.py", "new.py")
    assert "name it with --model FILE.py:Net" in refused(capsys, "train", "--resume", "--out", RUN)
    written(halted, EDITED)
    for model in ((), ("--model", "my.py:Net")):
        error = refused(capsys, "train", "--resume", "--out", RUN, *model)
        assert f"{RUN}: my.py has changed since this run was trained" in error
        assert "or start over in another folder with --out" in error
    assert "model.name = 'FILE.py:Net' there" in refused(
        capsys, "train", "--resume", "--out", RUN, "--model", "my.py:small", "--width", "none"
    )
    assert main(["train", "--resume", "--out", RUN, "--model", "new.py:Net"]) == 0
    assert mg.load(RUN).config.model.name == f"{halted}/new.py:Net"  # and from now on it is there
    assert Config.load(halted / RUN / "config.json").model.name == f"{halted}/new.py:Net"


# Whose code is run -----------------------------------------------------------------------------------------------


@pytest.fixture
def sent(here):
    """The run as if somebody else had sent it, with code in its folder that leaves a trace when it is run."""
    _, meta = tensors = load_checkpoint(here / RUN / "checkpoints" / "last")
    path = written(here / RUN, SPY, "code.py")
    meta["config"]["model"]["name"] = f"{path}:Net"
    meta["code"] = {"file": str(path), "sha256": digest(path)}
    train.save_checkpoint(here / RUN / "checkpoints" / "last", tensors[0], meta)
    stored = Config.load(here / RUN / "config.json")
    (here / RUN / "config.json").write_text(config.json.dumps({**stored.to_dict(), "model": meta["config"]["model"]}))
    (here / RUN / "summary.json").unlink()
    return here


@pytest.mark.parametrize("link", [False, True])
def test_code_that_came_with_a_run_is_not_run_unasked(sent, capsys, link):
    run = RUN
    if link:
        (sent / "link").symlink_to(sent / RUN, target_is_directory=True)
        run = "link"
    for command in (["eval", "--checkpoint", run], ["train", "--resume", "--out", run]):
        error = refused(capsys, *command)
        assert f"{run}: its network is defined in its own folder, by {sent / RUN}/code.py; code that may have" in error
        assert "If you trust it, name it with --model FILE.py:Net" in error
    assert not (sent / "executed").exists()
    assert main(["eval", "--checkpoint", run, "--model", f"{run}/code.py:Net"]) == 0
    assert (sent / "executed").exists()


def test_a_run_that_names_its_file_by_a_path_from_the_current_folder_is_refused(sent):
    tensors, meta = load_checkpoint(sent / RUN / "checkpoints" / "last")
    meta["config"]["model"]["name"] = f"{RUN}/code.py:Net"
    train.save_checkpoint(sent / RUN / "checkpoints" / "last", tensors, meta)
    with pytest.raises(FormatError, match="is not a whole path; name it with --model FILE.py:Net"):
        mg.load(RUN)
    assert not (sent / "executed").exists()


# Before anything is written --------------------------------------------------------------------------------------


def no_images(*args, **kwargs):
    raise AssertionError("images were read")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "my.py:Net", "--set", "model.depth=3"], "has no option 'depth' (did you mean 'width'?); it takes"),
        (["--model", "my.py:small", "--width", "0.5"], "has no option 'width'; it takes num_classes"),
        (["--model", "resnet20", "--set", "model.dropout=0.1"], "resnet20 has no option 'dropout'"),
        (["--model", "resnet2"], "unknown model 'resnet2' (did you mean 'resnet20'?)"),
        (["--model", "my.py:Nett"], "my.py has no 'Nett' (did you mean 'Net'?)"),
    ],
)
def test_what_the_user_asks_of_a_network_that_it_lacks_is_an_error_before_images_are_read(
    tmp_path, monkeypatch, capsys, arguments, words
):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, NETWORK)
    monkeypatch.setattr("minighost.data.load", no_images)
    assert words in refused(capsys, "train", *arguments)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("return x * gate", "my.py, line 16: ZeroDivisionError: division by zero"),
        ("self.slope.accumulate(", "my.py:Net: backward adds nothing to the gradient of 2.slope"),
    ],
)
def test_a_network_that_cannot_be_trained_leaves_no_folder(tmp_path, monkeypatch, capsys, broken, words):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, NETWORK.replace(broken, {"return x * gate": "return 1 / 0"}.get(broken, "str(")))
    capsys.readouterr()
    assert main(["train", "--model", "my.py:Net", *TINY]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"minighost: error: {words}")
    assert not (tmp_path / "runs").exists()


# Recipes ---------------------------------------------------------------------------------------------------------


def test_a_recipe_sets_only_what_the_network_has(tmp_path):
    path = written(tmp_path, NETWORK)
    assert Config.resolve(overrides={"model.name": f"{path}:Net"}).model.given() == {"width": 0.5}
    assert Config.resolve(overrides={"model.name": f"{path}:small"}).model.given() == {}
    preset = Config.resolve(preset="cifar10-ghost", overrides={"model.name": "resnet20", "train.epochs": 6})
    assert preset.model.given() == {"width": 1.5} and preset.train.optimizer == "muon"  # no ghosts, no stem
    toml = written(tmp_path, f'[model]\nname = "{path}:small"\n', "run.toml")
    assert Config.resolve(toml_path=toml).model.given() == {}
    for name in models.names():
        for options in ({}, {"preset": "cifar10-wide"}, {"dataset": "cifar10"}):
            chosen = Config.resolve(overrides={"model.name": name}, **options).model
            models.check_options(chosen.name, chosen.given())


def test_images_of_any_channels_are_tried(tmp_path):
    grey = Dataset(np.zeros((20, 9, 7, 1), np.uint8), np.arange(20) % 2, ("a", "b"), "grey")
    text = NETWORK.replace("nn.Conv2d(3", "nn.Conv2d(1").replace("num_classes=10", "num_classes=2")
    model = models.create(f"{written(tmp_path, text)}:Net", num_classes=2)
    models.try_out(model, "Net", grey.images.shape[1:], 2)
