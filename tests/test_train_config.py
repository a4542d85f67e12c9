"""Configuration: the order of its sources, and what it says to a slip of the finger."""

import json
import re
import subprocess
import sys

import pytest
from commands import printed

from minighost.errors import FormatError
from minighost.train import RECIPES, Config, config, resume_config


def resolve(**values):
    return Config.resolve(overrides={key.replace("__", "."): value for key, value in values.items()})


def test_every_recipe_resolves():
    for name, recipe in RECIPES.items():
        flat = Config.resolve(dataset=name).flat()
        assert {key: flat[key] for key in recipe} == recipe
        assert flat["data.name"] == name


def test_later_sources_override_earlier_ones(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('seed = 3\n[data]\nname = "cifar10"\n[train]\nepochs = 7\nlr = 1\n[model]\nratio = 4\n')
    resolved = Config.resolve("shapes10", file, {"train.lr": "0.25", "train.flip": "alternate"})
    assert resolved.train.momentum == 0.9  # default
    assert resolved.model.width == RECIPES["cifar10"]["model.width"]  # recipe, of the data set that the file names
    assert (resolved.seed, resolved.train.epochs, resolved.model.options["ratio"]) == (3, 7, 4)  # file
    assert (resolved.train.lr, resolved.train.flip) == (0.25, "alternate")  # override


def test_a_recipe_keeps_its_shape_when_only_its_length_or_its_network_is_changed(monkeypatch):
    recipe = {"train.epochs": 8, "train.warmup_epochs": 2.0, "model.width": 0.5, "model.stem_stride": 1}
    monkeypatch.setitem(RECIPES, "shapes10", recipe)
    assert resolve().train.warmup_epochs == 2
    assert resolve(train__epochs="2").train.warmup_epochs == 0.5
    assert resolve(train__epochs=2, train__warmup_epochs=1).train.warmup_epochs == 1
    assert resolve(model__name="ghostnet").model.options == {"stem_stride": 1}
    assert resolve(model__name="other", model__depth=3).model == config.ModelConfig("other", 0.5, {"depth": 3})


def test_text_and_typed_values_mean_the_same():
    text = resolve(train__epochs="3", train__lr="1e-2", train__flip="no", model__dropout="0.1", data__train_size="none")
    typed = resolve(train__epochs=3, train__lr=0.01, train__flip=False, model__dropout=0.1, data__train_size=None)
    assert text == typed
    steps = resolve(train__schedule="step", train__milestones="2, 3.5")
    assert steps.train.milestones == (2.0, 3.5)
    assert resolve(model__stage_strides="[1, 2]").model.options["stage_strides"] == [1, 2]
    assert resolve(model__primary="plain").model.options["primary"] == "plain"


def test_what_is_saved_is_what_comes_back(tmp_path):
    made = resolve(
        train__schedule="step", train__milestones=(2, 3), model__gate="clip", data__dir="some where", out="x"
    )
    path = tmp_path / "config.json"
    path.write_text(json.dumps(made.to_dict()))
    assert Config.load(path) == made


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("train.epochs", "abc", "train.epochs: expected a whole number >= 1, got 'abc'"),
        ("train.epochs", "0", "train.epochs: expected a whole number >= 1, got '0'"),
        ("train.epochs", 2.5, "train.epochs: expected a whole number >= 1, got 2.5"),
        ("train.epochs", True, "train.epochs: expected a whole number >= 1, got True"),
        ("train.batch_size", "1", "train.batch_size: expected a whole number >= 2, got '1'"),
        ("train.lr", "0", "train.lr: expected a number > 0, got '0'"),
        ("train.lr", "inf", "train.lr: expected a number > 0, got 'inf'"),
        ("model.width", "-1", "model.width: expected a number > 0, got '-1'"),
        ("train.momentum", "1", "train.momentum: expected a number >= 0 and < 1, got '1'"),
        ("train.label_smoothing", 1, "train.label_smoothing: expected a number >= 0 and < 1, got 1"),
        ("train.nesterov", "maybe", "train.nesterov: expected true or false, got 'maybe'"),
        ("train.flip", "both", "train.flip: expected true, false or alternate, got 'both'"),
        ("train.optimizer", "adam", "train.optimizer: expected one of sgd, adamw, muon, got 'adam'"),
        ("train.milestones", "5,2", "train.milestones: expected ascending numbers >= 0, such as 6,9, got '5,2'"),
        ("data.name", "", "data.name: expected text, got ''"),
        ("data.name", ["a"], "data.name: expected text, got ['a']"),
        ("seed", "-1", "seed: expected a whole number >= 0, got '-1'"),
        ("model.num_classes", 3, "model.num_classes: is decided by the data set; leave it out"),
        ("model.rng", 3, "model.rng: is decided by seed; leave it out"),
        ("train.momentum", 0, "train.nesterov: needs train.momentum > 0, got 0; set train.nesterov=false"),
        ("train.sgd_factor", 5, "train.sgd_factor: has no effect with train.optimizer=sgd; leave it out"),
        (
            "train.schedule",
            "step",
            "train.milestones: schedule=step needs at least one epoch, e.g. train.milestones=6,9",
        ),
        (
            "train.milestones",
            "1,2",
            "train.milestones: has no effect with train.schedule=onecycle; set train.schedule=step",
        ),
        (
            "train.warmup_epochs",
            "99",
            "train.warmup_epochs: must be shorter than the run, got 99 of "
            f"train.epochs={RECIPES['shapes10']['train.epochs']}; lower it",
        ),
    ],
)
def test_a_wrong_value_is_named_with_the_rule(key, value, message):
    with pytest.raises(ValueError) as error:
        Config.resolve(overrides={key: value})
    assert str(error.value) == message


@pytest.mark.parametrize(
    "key, hint",
    [("train.epoch", "did you mean train.epochs"), ("epochs", "did you mean train.epochs?"), ("tarin.lr", "train.lr")],
)
def test_an_unknown_key_names_its_neighbours_and_all_others(key, hint):
    with pytest.raises(ValueError) as error:
        Config.resolve(overrides={key: "1"})
    assert str(error.value).startswith(f"unknown key '{key}'; did you mean") and hint in str(error.value)
    assert all(known in str(error.value) for known in config.keys())


def test_an_error_in_a_file_names_the_file(tmp_path):
    file = tmp_path / "run.toml"
    for text, kind, message in (
        ("[train]\nepochs = 0\n", ValueError, r"run.toml: train.epochs: expected a whole number >= 1, got 0"),
        ("[train]\nepoch = 1\n", ValueError, r"run.toml: unknown key 'train.epoch'"),
        ("[train.sgd]\nlr = 1\n", ValueError, r"run.toml: unknown key 'train.sgd'"),
        ("epochs 3", FormatError, r"run.toml: not a TOML file: .*line 1"),
        ("\x00", FormatError, r"run.toml: not a TOML file"),
    ):
        file.write_text(text)
        with pytest.raises(kind, match=message):
            Config.resolve(toml_path=file)
    with pytest.raises(FileNotFoundError):
        Config.resolve(toml_path=tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"train": {"epochs": 0}}', '{"nonsense": 1}', "[" * 100_000])
def test_a_broken_config_json_is_named(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=re.escape(f"{path}: not the configuration of a run: ")):
        Config.load(path)


@pytest.mark.parametrize("brackets", [500, 50_000])
def test_lists_nested_too_deep_are_named(tmp_path, brackets):
    path, deep = tmp_path / "c.toml", "[" * brackets + "]" * brackets
    path.write_text(f"[model]\nratio = {deep}")
    with pytest.raises(ValueError, match=rf"^{path}: (not a TOML file|model.ratio: expected a number)"):
        Config.resolve(toml_path=path)
    with pytest.raises(ValueError, match="^model.ratio: expected a number within"):
        Config.resolve(overrides={"model.ratio": deep})


@pytest.mark.parametrize(
    "value",
    ["2020-01-01", "1e999", "nan", str(2**31), str(10**30), "{a = 1}", [[[[[1]]]]], ["x"] * 101, "x" * 101, {"a": 1}],
)
def test_an_option_of_the_network_is_a_plain_value(value):
    with pytest.raises(
        ValueError, match="model.ratio: expected a number within 2.*31, true or false, a short text, or"
    ):
        Config.resolve(overrides={"model.ratio": value})
    assert Config.resolve(overrides={"model.name": "ghostnet", "model.stage_strides": "[1, 2]"}).model.options[
        "stage_strides"
    ] == [1, 2]


def test_resuming_keeps_the_settings_of_the_run(tmp_path):
    began = resolve(train__epochs=9, train__schedule="step", train__milestones="3", seed=5)
    (tmp_path / "config.json").write_text(json.dumps(began.to_dict()))
    again = resume_config(overrides={"out": str(tmp_path), "threads": "1", "train.milestones": "3"})
    assert again == began.replace(out=str(tmp_path), threads=1)
    with pytest.raises(ValueError, match="no run to resume here"):
        resume_config(overrides={"out": str(tmp_path / "nothing")})


def test_reading_a_configuration_imports_neither_numba_nor_matplotlib():
    code = (
        "import sys; from minighost import train; train.Config.resolve(); train.SGD; train.read_log; "
        "print(sorted({'numba', 'matplotlib', 'safetensors', 'tqdm', 'pooch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_setting_is_explained_on_the_command_line(capsys):
    text = printed(capsys, "train", "--help-settings")
    assert all(f"\n{key} = " in text for key in config.keys())
    assert (
        "\ntrain.epochs = 5  [shapes10: 5, cifar10: 20, shapes-detect: 15]\n    passes over the training images\n"
        in text
    )
    assert max(map(len, text.splitlines())) <= 80 and text.isascii()
