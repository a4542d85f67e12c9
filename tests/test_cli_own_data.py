"""Own images from folder to answer: `minighost data`, `train`, `eval`, `predict` and resuming."""

import json
import shutil

import numpy as np
import pytest
from commands import printed, refused
from numpy.testing import assert_array_equal
from own_images import folder, picture
from PIL import Image
from training import TinyNet

from minighost import data, models, train
from minighost.cli.main import main
from minighost.data import sources
from minighost.models import registry
from minighost.train import load_checkpoint, load_run

TINY = ["--model", "tinynet", "--epochs", "2", "--batch-size", "4", "--threads", "1", "--set", "train.warmup_epochs=0"]
COUNTS = {"ant": 10, "bee": 10, "a class with a name that goes on for longer than a column": 10}
LONG = list(COUNTS)[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with pets/, a folder of images, and mine/, a run on it."""
    root = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIGHOST_DATA_DIR", str(root / "cache"))
        patch.setitem(registry.MODELS, "tinynet", TinyNet)
        patch.chdir(root)
        folder(root / "pets", COUNTS, size=(20, 14))
        assert main(["train", "--data", "pets", "--size", "16x12", "--out", "mine", *TINY]) == 0
        yield root


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr("minighost.plots.run.everything", lambda *args: [])  # one run has drawn them


def test_the_run_knows_where_its_images_are_and_what_they_look_like(place):
    config = json.loads((place / "mine" / "config.json").read_text())
    assert config["data"]["name"] == str(place / "pets") and config["data"]["size"] == [16, 12]
    loaded = load_run(place / "mine")
    assert loaded.size == (16, 12) and set(loaded.classes) == set(COUNTS) and loaded.channels == 3
    assert (place / "mine" / "confusion.png").exists() and (place / "mine" / "mistakes.png").exists()


def test_eval_measures_the_images_that_were_kept_for_testing(capsys, place):
    out = printed(capsys, "eval", "--checkpoint", "mine", "--threads", 1)
    assert "of 6 test images; loss" in out and "of pets\n" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "of 24 train images" in printed(capsys, "eval", "--checkpoint", "mine", "--threads", 1, "--split", "train")


def test_images_that_have_moved_are_recognised(capsys, place, tmp_path):
    shutil.copytree(place / "pets", tmp_path / "moved")
    words = [
        printed(capsys, "eval", "--checkpoint", "mine", "--threads", 1, *where)
        for where in ([], ["--data", tmp_path / "moved"])
    ]
    assert words[0].replace("of pets\n", "of moved\n") == words[1]


def test_other_images_are_measured_all_and_said_to_be_others(capsys, place, tmp_path):
    folder(tmp_path / "other", {"bee": 3, "ant": 4}, grey=True)
    out = printed(capsys, "eval", "--checkpoint", "mine", "--threads", 1, "--data", tmp_path / "other")
    assert "of 7 images, which are not those of the run" in out
    assert [line.split()[2] for line in out.splitlines() if line.startswith(("ant", "bee"))] == ["4", "3"]
    folder(tmp_path / "third", {"bee": 3, "wasp": 4})
    error = refused(capsys, "eval", "--checkpoint", "mine", "--data", tmp_path / "third")
    assert "this run was trained on the 3 classes" in error and "third has 2: bee, wasp" in error
    error = refused(capsys, "eval", "--checkpoint", "mine", "--data", tmp_path / "none")
    assert f"{tmp_path}/none: no such file or folder; --data says where the images are" in error


def test_a_picture_is_cut_as_the_images_were(capsys, place):
    out = printed(capsys, "predict", "pets/ant/0.png", "--checkpoint", "mine", "--threads", 1)
    assert out.startswith("pets/ant/0.png: 14x20, centre 14x18 scaled to 12x16\n")
    assert len(load_run("mine").predict("pets/ant/0.png")) == 3


@pytest.mark.parametrize("where", [[], ["--data", "moved"]])
def test_a_run_is_continued_bit_for_bit_also_on_moved_images(capsys, place, tmp_path, where):
    command = ["train", "--data", "pets", "--size", "16x12", *TINY, "--out", str(tmp_path / "run")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Trainer, "finished", property(lambda self: self.epoch >= 1))
        main(command)
    (tmp_path / "run" / "summary.json").unlink()
    if where:
        shutil.copytree(place / "pets", place / "moved")
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), *where]) == 0
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last")[0] for run in (tmp_path / "run", place / "mine"))
    for name in ours:
        assert_array_equal(ours[name], theirs[name])


def test_a_run_is_not_continued_on_other_images(capsys, place, tmp_path):
    shutil.copytree(place / "mine", tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    folder(tmp_path / "other", COUNTS, size=(20, 14), seed=5)
    capsys.readouterr()
    assert main(["train", "--resume", "--out", str(tmp_path / "run"), "--data", str(tmp_path / "other")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the training images are not those that this run began with" in error
    assert f"{tmp_path}/other has changed since; put it back, or give its old copy with --data" in error


def test_data_lists_counts_sizes_and_problems_in_eighty_columns(capsys, tmp_path):
    root = folder(tmp_path / "photos", {"a": 12, "b": 3, LONG: 3}, size=(20, 14), grey=True)
    (root / "a" / "broken.png").write_bytes(b"x")
    out = printed(capsys, "data", root, "--size", "8x6", "--out", tmp_path / "sheet.png")
    assert out.startswith("photos: 14 training and 4 test images, 8x6 grey\npictures: all 20x14 (height x width)\n")
    for words in ("1 file cannot be read and is left out: a/broken.png", "uneven classes", "mean  ", "4 of 18 images"):
        assert words in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("contact sheet")) <= 80
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 100


@pytest.mark.parametrize(
    "argv, words",
    [
        (["pets", "--data", "mine"], "pets and --data mine: name one data set"),
        (
            ["pest"],
            "unknown data set 'pest'; available: shapes10, cifar10, cifar100, shapes-detect; or the path of your own",
        ),
        (["./pest"], "./pest: no such file or folder"),
        (
            ["pets", "--size", "0"],
            "data.size: expected a side or HxW in whole pixels from 1 to 4,096, such as 64 or 48x64",
        ),
        (["pets", "--split", "1"], "data.split: expected a number > 0 and < 1, got '1'"),
        (["pets", "--data-dir", "."], "--data-dir and --data-archive are for data sets with names"),
        (["mine/config.json"], "not a file of images; give a folder with a folder of images for each class, an .npz"),
        (["my.py"], "my.py: say which class or function is meant"),
        (["my.py:load"], "my.py: No such file or directory"),
    ],
)
def test_a_wrong_source_is_one_line(capsys, argv, words):
    assert words in refused(capsys, "data", *argv)


def test_the_recipe_fits_how_many_images_there_are(tmp_path):
    picture(tmp_path / "x" / "a" / "0.png")
    for count, batch in ((10, 2), (60, 15), (500, 32), (5000, 64)):
        images = data.Dataset(np.zeros((count, 32, 32, 3), np.uint8), np.arange(count) % 2, ("a", "b"), "x")
        config = train.Config.resolve(str(tmp_path / "x"), images=images)
        assert config.train.batch_size == batch and 10 <= config.train.epochs <= 100
        assert config.data.size == (32, 32)
        model = models.create(config.model.name, num_classes=2, width=0.1)
        assert model.eval()(np.zeros((1, 32, 32, 3), np.float32)).shape == (1, 2)


def test_a_network_without_grey_is_shown_rgb_and_says_so(capsys, tmp_path):
    root = folder(tmp_path / "grey", {"a": 10, "b": 10}, grey=True)
    assert main(["train", "--data", str(root), *TINY, "--out", str(tmp_path / "run")]) == 0
    assert "note: the images are grey; tinynet has no in_channels, so they are shown as RGB" in capsys.readouterr().err
    assert load_run(tmp_path / "run").channels == 3
    assert "of 4 test images; loss" in printed(capsys, "eval", "--checkpoint", tmp_path / "run", "--threads", 1)


def test_code_that_came_with_a_run_is_not_run_unasked(capsys, place, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "my.py").write_text(
        "import numpy as np\nx = np.arange(8 * 64, dtype=np.uint8).reshape(8, 8, 8)\n"
        "def load():\n    return (x, np.arange(8) % 2), (x, np.arange(8) % 2)\n"
    )
    source = f"{tmp_path}/run/my.py:load"
    assert main(["train", "--data", source, *TINY, "--out", str(tmp_path / "run")]) == 0
    for command in (["eval", "--checkpoint"], ["train", "--resume", "--out"]):
        error = refused(capsys, *command, tmp_path / "run")
        assert f"its images come from code in its own folder, {source}" in error
    assert "of 8 test images" in printed(capsys, "eval", "--checkpoint", tmp_path / "run", "--data", source)


def test_the_name_of_a_run_is_that_of_its_folder(place):
    assert [sources.label(name) for name in ("cifar10", "/a/b.c/pets", "/a/pets.npz", "/a/my.py:load")] == [
        "cifar10",
        "pets",
        "pets",
        "my",
    ]
