"""`minighost train`, `eval` and `predict` on a run of two steps."""

import io
import json
import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from commands import printed, refused
from PIL import Image

import minighost
from minighost import data, models, nn, train
from minighost.cli.main import main
from minighost.train import RECIPES, Config
from minighost.train.restore import create_model

TINY = [
    "--width",
    "0.1",
    "--epochs",
    "1",
    "--batch-size",
    "16",
    "--threads",
    "1",
    "--set",
    "train.warmup_epochs=0",
    "--set",
    "data.train_size=32",
    "--set",
    "data.test_size=40",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run; nobody may change it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", *TINY, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run that a test may spoil."""
    return shutil.copytree(run, tmp_path / "copy")


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(data.shapes10(1, 0, "test").images[0]).save(path)
    return path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# train ---------------------------------------------------------------------------------------------------------------


def test_flags_reach_the_configuration_that_is_saved_with_the_run(run):
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["width"] == 0.1 and config["train"]["epochs"] == 1 and config["threads"] == 1
    assert config["train"]["batch_size"] == 16
    given = {"name": "shapes10", "dir": None, "archive": None, "train_size": 32, "test_size": 40}
    assert config["data"] == {**Config.resolve().to_dict()["data"], **given}


def test_a_finished_run_is_not_written_over_unasked(capsys, run):
    before = contents(run)
    assert "already holds this run, finished; use --overwrite" in refused(capsys, "train", *TINY, "--out", run)
    assert "cannot resume with another configuration: seed = 0 there, 7 now" in refused(
        capsys, "train", "--resume", "--seed", "7", "--out", run
    )
    assert contents(run) == before


def test_overwrite_starts_over_and_gives_the_same_weights(copy, run):
    (copy / "log.jsonl").write_text("")
    assert main(["train", *TINY, "--overwrite", "--out", str(copy)]) == 0
    weights = [next((folder / "checkpoints").glob("last-*.safetensors")).read_bytes() for folder in (run, copy)]
    assert weights[0] == weights[1]


def test_resume_of_a_finished_run_says_so(capsys, run):
    assert main(["train", "--resume", "--out", str(run)]) == 0
    assert "this run is finished" in capsys.readouterr().err


def test_resume_with_a_configuration_that_was_changed_by_hand_names_key_values_and_fix(capsys, copy, run):
    (copy / "summary.json").unlink()
    config = json.loads((copy / "config.json").read_text())
    config["model"]["width"] = 0.2
    (copy / "config.json").write_text(json.dumps(config))
    error = refused(capsys, "train", "--resume", "--out", copy)
    assert "config.json no longer belongs to this run: model.width = 0.1 in the checkpoint, 0.2 in" in error
    assert "Write the checkpoint's values back into it, or start over in another folder with --out" in error


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--width", "0"], "model.width: expected a number > 0, got '0'"),
        (["--epochs", "0"], "train.epochs: expected a whole number >= 1, got '0'"),
        (["--lr", "fast"], "train.lr: expected a number > 0, got 'fast'"),
        (["--seed", "-1"], "seed: expected a whole number >= 0, got '-1'"),
        (["--threads", "999"], "threads: n=999 must lie between 1 and"),
        (["--model", "resnet"], "unknown model 'resnet'"),
        (["--data", "mnist"], "unknown data set 'mnist'"),
        (["--data", "cifar10", "--data-dir", "{tmp}/none"], "{tmp}/none does not exist"),
        (["--set", "model.features_only=true"], "model.features_only: a network without logits cannot be trained"),
        (["--set", "model.groups=3"], "ghostnet_cifar_fast has no option 'groups'"),
        (["--set", "epochs=3"], "unknown key 'epochs'; did you mean train.epochs?"),
        (["--set", "train.epoch=3"], "unknown key 'train.epoch'; did you mean train.epochs"),
        (["--batch-size", "33"], "batch_size = 33 is larger than the data set 'shapes10' with 32 images"),
        (["--resume"], "no run to resume here"),
        (["--config", "{tmp}/none.toml"], "{tmp}/none.toml: No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_training_is_one_line_and_nothing_is_written(capsys, tmp_path, argv, message):
    argv = [arg.format(tmp=tmp_path) for arg in argv]
    error = refused(capsys, "train", *TINY, "--out", tmp_path / "run", *argv)
    assert message.format(tmp=tmp_path) in error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_refused(capsys, tmp_path):
    (tmp_path / "run").write_text("mine")
    assert str(tmp_path / "run") in refused(capsys, "train", *TINY, "--out", tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize("name", RECIPES)
def test_flags_alone_change_a_recipe_to_one_epoch_or_another_network(name):
    assert Config.resolve(overrides={"data.name": name, "train.epochs": "1"}).train.epochs == 1
    for model in models.names():
        with nn.without_weights():
            create_model(Config.resolve(overrides={"data.name": name, "model.name": model}), 10)


# eval ----------------------------------------------------------------------------------------------------------------


def test_eval_finds_what_the_training_found(capsys, run):
    summary = json.loads((run / "summary.json").read_text())
    text = printed(capsys, "eval", "--checkpoint", run)
    assert f"{100 * summary['test_accuracy']:.2f} % correct: {round(40 * summary['test_accuracy'])} of 40 test" in text
    assert f"loss {summary['test_loss']:.4f}" in text
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_eval_lists_every_class_with_its_share(capsys, run):
    table = printed(capsys, "eval", "--checkpoint", run).splitlines()[5:]
    classes = data.shapes10(1, 0, "test").classes
    right = json.loads((run / "summary.json").read_text())["accuracy_by_class"]
    assert [line.split()[0] for line in table] == list(classes)
    shares = [100 * right[name] for name in classes]
    assert [float(line.split()[3]) for line in table] == pytest.approx(shares, abs=0.06)


def test_eval_does_not_depend_on_the_batch_size_and_takes_the_training_images_too(capsys, run):
    whole, single = (printed(capsys, "eval", "--checkpoint", run, "--batch-size", n) for n in (40, 7))
    assert whole == single
    assert "of 32 train images" in printed(capsys, "eval", "--checkpoint", run, "--split", "train", "--best")


def test_eval_draws_the_confusion_matrix(capsys, run, tmp_path):
    printed(capsys, "eval", "--checkpoint", run, "--out", tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert min(picture.size) > 300


def test_eval_writes_nothing_into_the_run(capsys, run):
    before = contents(run)
    printed(capsys, "eval", "--checkpoint", run)
    assert contents(run) == before


def test_a_missing_checkpoint_says_what_is_there_instead(capsys, copy, tmp_path):
    assert f"{tmp_path}/none: no checkpoint 'last' here" in refused(capsys, "eval", "--checkpoint", tmp_path / "none")
    assert "this is not the folder of a run" in refused(capsys, "eval", "--checkpoint", tmp_path)
    (copy / "checkpoints" / "last.json").unlink()
    assert "this run has not saved one yet" in refused(capsys, "eval", "--checkpoint", copy)


def test_a_damaged_checkpoint_names_the_file(capsys, copy, image):
    tensors = next((copy / "checkpoints").glob("last-*.safetensors"))
    content = tensors.read_bytes()
    tensors.write_bytes(content[:1000])
    assert f"{tensors}: 1000 bytes, expected {len(content)}" in refused(capsys, "eval", "--checkpoint", copy)
    tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "SHA-256 differs" in refused(capsys, "predict", image, "--checkpoint", copy)


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--batch-size", "0"], "batch_size = 0"),
        (["--batch-size", "few"], "invalid int value: 'few'"),
        (["--threads", "999"], "threads: n=999"),
        (["--threads", "-1"], "threads: n=-1 must lie between 1 and"),
        (["--data-dir", "/none"], "shapes10 is generated and reads no files"),
        (["--split", "validation"], "invalid choice: 'validation'"),
    ],
)
def test_what_is_wrong_with_an_evaluation_is_one_line(capsys, run, argv, message):
    assert message in refused(capsys, "eval", "--checkpoint", run, *argv)


def test_threads_0_is_every_core(capsys, run, image):
    for command in (["eval", "--checkpoint", run], ["predict", image, "--checkpoint", run]):
        assert printed(capsys, *command, "--threads", "0") == printed(capsys, *command)


# predict -------------------------------------------------------------------------------------------------------------


def test_predict_shows_the_image_beside_its_three_most_probable_classes(capsys, run, image, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(capsys, "predict", image, "--checkpoint", run).splitlines()
    answers = [line[35:].split() for line in lines[2:18] if "%" in line[35:]]
    shares = [float(answer[-2]) for answer in answers]
    assert lines[0] == f"{image}: 32x32" and len(lines) == 2 + 16 + 1
    assert len(answers) == 3 and {answer[0] for answer in answers} <= set(data.shapes10(1, 0, "test").classes)
    assert shares == sorted(shares, reverse=True) and 10 <= shares[0] and sum(shares) <= 100.1
    assert max(map(len, lines[1:])) <= 80 and "\x1b" not in "".join(lines)


def test_a_narrow_terminal_gets_the_answers_below(capsys, run, image, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = printed(capsys, "predict", image, "--checkpoint", run).splitlines()
    assert max(map(len, lines[1:])) <= 40 and sum(line.endswith(" %") for line in lines[18:]) == 3


def test_an_image_of_another_size_says_what_was_done(capsys, run, tmp_path):
    Image.new("RGB", (64, 48), "red").save(tmp_path / "wide.jpg")
    text = printed(capsys, "predict", tmp_path / "wide.jpg", "--checkpoint", run)
    assert text.startswith(f"{tmp_path}/wide.jpg: 64x48, centre 48x48 scaled to 32x32\n")


def test_a_run_that_was_loaded_predicts_what_the_command_does(capsys, run, image):
    loaded = minighost.load(run)
    answers = loaded.predict(image)
    text = printed(capsys, "predict", image, "--checkpoint", run)
    for name, share in answers:
        assert any(name in line and f"{100 * share:5.1f} %" in line for line in text.splitlines())
    pixels = np.asarray(Image.open(image))
    assert loaded.predict(pixels) == answers == loaded.predict(str(image))
    everything = loaded.predict(np.tile(pixels, (2, 3, 1)), top=99)
    assert len(everything) == len(loaded.classes) and abs(sum(share for _, share in everything) - 1) < 1e-5
    assert [share for _, share in everything] == sorted((share for _, share in everything), reverse=True)


@pytest.mark.parametrize(
    "picture, message",
    [
        (np.zeros((4, 4, 3)), "picture: must be uint8, from 0 to 255, got float64"),
        (
            np.zeros((3, 4, 4), np.uint8),
            "picture: must have shape (H, W, 1) or (H, W, 3) and at least one pixel, got (",
        ),
        (
            np.zeros((0, 4, 3), np.uint8),
            "picture: must have shape (H, W, 1) or (H, W, 3) and at least one pixel, got (",
        ),
    ],
)
def test_an_array_that_is_no_picture_is_refused(run, picture, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        minighost.load(run).predict(picture)


def test_predict_takes_the_size_that_the_run_was_trained_on(capsys, run, image, monkeypatch):
    loaded = replace(train.load_run(run), size=(16, 16))
    monkeypatch.setattr(train, "load_run", lambda *_: loaded)
    assert printed(capsys, "predict", image, "--checkpoint", run).startswith(f"{image}: 32x32 scaled to 16x16\n")


def test_images_are_judged_one_by_one(capsys, run, image, tmp_path):
    Image.fromarray(np.full((32, 32, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    alone, together = (
        printed(capsys, "predict", *paths, "--checkpoint", run) for paths in ([image], [image, tmp_path / "grey.png"])
    )
    assert together.startswith(alone)


def test_predict_can_save_a_picture(capsys, run, image, tmp_path):
    text = printed(capsys, "predict", image, image, "--checkpoint", run, "--save", tmp_path / "answer.png")
    assert text.endswith(f"picture: {tmp_path}/answer.png\n")
    with Image.open(tmp_path / "answer.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize(
    "name, message",
    [
        ("none.png", "none.png: No such file or directory"),
        ("zero.png", "zero.png: not an image that can be read (it is empty)"),
        ("page.png", "page.png: not an image that can be read (unknown format)"),
        (".", "a directory, not an image"),
    ],
)
def test_a_bad_image_is_one_line_and_the_others_are_predicted(capsys, run, image, tmp_path, name, message):
    (tmp_path / "zero.png").touch()
    (tmp_path / "page.png").write_text("<!DOCTYPE html>")
    bad = tmp_path / name
    expected = printed(capsys, "predict", image, image, "--checkpoint", run)
    assert main([str(arg) for arg in ("predict", image, bad, image, "--checkpoint", run)]) == 2
    out, err = capsys.readouterr()
    assert out == expected
    assert err.startswith("minighost: error: ") and message in err and err.count("\n") == 1


def test_without_any_good_image_nothing_is_predicted(capsys, run, tmp_path):
    save = ("--checkpoint", run, "--save", tmp_path / "answer.png")
    assert "none.png: No such file" in refused(capsys, "predict", tmp_path / "none.png", *save)
    assert main([str(arg) for arg in ("predict", tmp_path / "a.png", tmp_path / "b.png", *save)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 2 and "a.png" in err and "b.png" in err
    assert not (tmp_path / "answer.png").exists()


def given(monkeypatch, content):
    """Put `content` on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_picture_may_come_from_standard_input(capsys, run, image, monkeypatch):
    expected = printed(capsys, "predict", image, "--checkpoint", run)
    given(monkeypatch, image.read_bytes())
    assert printed(capsys, "predict", "-", "--checkpoint", run) == expected.replace(str(image), "standard input")


def test_standard_input_is_read_up_to_a_bound_and_not_from_a_terminal(capsys, run, monkeypatch):
    given(monkeypatch, b"")
    assert "standard input: not an image that can be read (it is empty)" in refused(
        capsys, "predict", "-", "--checkpoint", run
    )
    monkeypatch.setattr("minighost.data.pictures.LARGEST", 1000)
    given(monkeypatch, bytes(5000))
    assert "standard input: more than 1,000 bytes" in refused(capsys, "predict", "-", "--checkpoint", run)
    assert len(sys.stdin.buffer.read()) == 5000 - 1001
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert "standard input: a terminal" in refused(capsys, "predict", "-", "--checkpoint", run)
    monkeypatch.setattr("sys.stdin", None)
    assert "standard input: a terminal or closed" in refused(capsys, "predict", "-", "--checkpoint", run)
