"""Runs that start from weights: which arrays are taken, which head is new, what is recorded, what is refused."""

import hashlib
import io
import shutil

import numpy as np
import pytest
from commands import printed
from numpy.testing import assert_array_equal
from picture_files import png
from training import TinyNet, at_step, ctrl_c, outcome, settings

from minighost import data, interop, models
from minighost.train import Config, Interrupted, load_checkpoint, load_run, resume_config, run
from minighost.train.start import IMAGENET, read_start, settings_of, start_from

pytestmark = pytest.mark.usefixtures("tinynet")

HEAD = ["5.weight", "5.bias"]


@pytest.fixture
def three_classes(monkeypatch):
    """shapes10, of which only the first three classes are left."""
    load = data.load

    def few(name, split, **options):
        found = load(name, split, **options)
        keep = found.labels < 3
        return data.Dataset(found.images[keep], found.labels[keep], found.classes[:3], "three")

    monkeypatch.setattr(data, "load", few)


def tuned(folder, start, **changes):
    few = dict(train__batch_size=8, train__epochs=1, train__start=str(start))
    return settings(folder, **{**few, **changes})


def first_of(folder, prefix="model/"):
    tensors, meta = load_checkpoint(folder / "checkpoints" / "last")
    return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}, meta


def test_another_number_of_classes_gets_a_new_head_and_all_else_is_the_run_s(straight, tmp_path, three_classes):
    folder, stream = tmp_path / "run", io.StringIO()
    run(tuned(folder, straight[0], train__freeze="body"), stream=stream)
    weights, meta = first_of(folder)
    before = load_run(straight[0])
    assert_array_equal(weights["0.weight"], before.model[0].weight.data)  # the averaged weights, which it evaluated
    assert_array_equal(weights["1.running_var"], before.model[1].running_var.data)
    assert weights["5.weight"].shape == (4, 3)
    assert_array_equal(np.float32(meta["mean"]), before.mean)
    tensors = next((straight[0] / "checkpoints").glob("last-*.safetensors"))
    assert meta["start"] == {
        "path": str(straight[0]),
        "sha256": hashlib.sha256(tensors.read_bytes()).hexdigest(),
        "names": "minighost",
        "head": "5.weight, 5.bias",
    }
    said = stream.getvalue()
    assert f"from     {straight[0]}: the run's last checkpoint, epoch 3, SHA-256 " in said
    assert "head     5.weight, 5.bias: 10 -> 3 classes, new\n" in said
    assert "trains   1 of 3 layers, 15 of 131 parameters\n" in said


def test_the_head_stays_where_the_classes_are_the_same_and_goes_where_they_have_other_names(straight):
    start, old = read_start(straight[0]), load_run(straight[0])
    for classes, new in ((old.classes, False), (old.classes[::-1], True)):
        model = TinyNet(rng=7)
        about = start_from(start, model, classes)
        assert (about.about["head"] == "5.weight, 5.bias") is new
        assert about.lines[1].endswith(": 10 classes of other names, new" if new else "kept: the classes fit")
        expected = TinyNet(rng=7) if new else old.model
        assert_array_equal(model[5].weight.data, expected[5].weight.data)
        assert_array_equal(model[0].weight.data, old.model[0].weight.data)


@pytest.mark.parametrize("names, official", [("timm", True), ("pytorch", False), ("minighost", False)])
def test_a_file_says_by_its_names_how_images_were_normalised(tmp_path, names, official):
    old = models.create("ghostnet_short", width=0.1, num_classes=4, rng=1)
    file = tmp_path / "weights.safetensors"
    interop.save(old, file, names)
    new = models.create("ghostnet_short", width=0.1, num_classes=3, rng=2)
    drawn = new.classifier.weight.data.copy()
    started = start_from(read_start(file), new, ["a", "b", "c"])
    assert started.normalisation == (IMAGENET if official else None)
    assert started.about["names"] == names and started.about["head"] == "classifier.weight, classifier.bias"
    assert started.about["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert started.lines[1] == "head     classifier.weight, classifier.bias: 4 -> 3 classes, new"
    assert_array_equal(new.classifier.weight.data, drawn)
    assert_array_equal(new.head.weight.data, old.head.weight.data)


def test_a_batch_norm_of_the_logits_is_part_of_the_new_head():
    old, new = (models.create("micronet_cifar", variant="M0", num_classes=k, rng=k) for k in (4, 3))
    path = "classifier.1.running_var"
    old.classifier[1].running_var.data[:] = 7
    interop.load(new, interop.state_dict(old, "pytorch"), new_head=True)
    assert_array_equal(new.state_dict()[path], np.ones(3, np.float32))
    assert_array_equal(new.head[0].weight.data, old.head[0].weight.data)


def test_without_new_head_and_in_anything_else_weights_must_fit():
    old, new = (models.create("ghostnet_short", width=0.1, num_classes=k, rng=k) for k in (4, 3))
    theirs = interop.state_dict(old, "timm")
    with pytest.raises(ValueError, match="2 differences:\n  shape of classifier.bias"):
        interop.load(new, theirs)
    narrow = {**theirs, "classifier.weight": theirs["classifier.weight"][:, 1:]}
    with pytest.raises(ValueError, match=r"shape of classifier.weight: \(4, 1279\), the model needs \(3, 1280\)"):
        interop.load(new, narrow, new_head=True)
    uneven = {**theirs, "classifier.bias": theirs["classifier.bias"][1:]}
    with pytest.raises(ValueError, match="shape of classifier.weight"):
        interop.load(new, uneven, new_head=True)
    with pytest.raises(ValueError, match="1 differences:\n  missing: conv_head.bias"):
        interop.load(new, {name: value for name, value in theirs.items() if name != "conv_head.bias"}, new_head=True)


def test_a_run_that_was_started_so_resumes_without_the_weights(straight, tmp_path, monkeypatch, three_classes):
    source = shutil.copytree(straight[0], tmp_path / "source")
    run(tuned(tmp_path / "whole", source), stream=None)
    with monkeypatch.context() as patch:
        at_step(patch, 2, ctrl_c)
        with pytest.raises(Interrupted):
            run(tuned(tmp_path / "halted", source), stream=None)
    shutil.rmtree(source)
    stream = io.StringIO()
    run(resume_config(overrides={"out": str(tmp_path / "halted")}), resume=True, stream=stream)
    assert outcome(tmp_path / "halted") == outcome(tmp_path / "whole")
    assert first_of(tmp_path / "halted")[1]["start"] == first_of(tmp_path / "whole")[1]["start"]
    assert f"from     {source}, when this run began\n" in stream.getvalue()


def test_the_network_is_the_run_s_unless_another_is_named_and_the_rates_are_lower(straight, tmp_path):
    asked = {"train.start": str(straight[0])}
    assert settings_of(straight[0]) == {"model.name": "tinynet", "data.size": (32, 32)}
    plain, config = Config.resolve(), Config.resolve(overrides=asked)
    assert (config.model.name, config.model.width, config.model.options) == ("tinynet", None, {})
    assert config.train.lr == plain.train.lr / 2 and config.train.body_lr == 0.5
    assert Config.resolve(overrides={**asked, "train.lr": 0.1}).train.lr == 0.1
    assert Config.resolve(overrides={**asked, "model.name": "resnet20"}).model.name == "resnet20"
    interop.save(TinyNet(), tmp_path / "w.safetensors", "pytorch")
    file = Config.resolve(overrides={"train.start": str(tmp_path / "w.safetensors")})
    assert (file.model, file.train.lr) == (plain.model, config.train.lr)


def test_what_cannot_be_started_from_is_refused_before_anything_is_written(straight, tmp_path):
    def error(start, **changes):
        with pytest.raises((ValueError, OSError)) as caught:
            run(Config.resolve(overrides={**settings(tmp_path / "run", **changes).flat(), "train.start": start}))
        assert not (tmp_path / "run").exists()
        return f"{caught.value} {getattr(caught.value, 'filename', '')}"

    (tmp_path / "pickle.pth").write_bytes(b"\x80\x02}q\x00.")
    interop.save(TinyNet(num_classes=4), tmp_path / "w.safetensors", "pytorch")
    assert "this is not the folder of a run" in error(str(tmp_path))
    assert "No such file" in error(str(tmp_path / "nowhere.safetensors"))
    assert "pickle.pth: not a safetensors file of plain numbers" in error(str(tmp_path / "pickle.pth"))
    wrong = error(str(tmp_path / "w.safetensors"), model__name="resnet20")
    assert wrong.startswith(f"{tmp_path / 'w.safetensors'}: these weights do not fit this ResNet (--model and --width")
    assert f"{straight[0]}: these weights do not fit this ResNet; nothing was loaded." in error(
        str(straight[0]), model__name="resnet20"
    )


def test_eval_and_predict_say_where_a_run_comes_from_and_what_was_trained(straight, tmp_path, three_classes, capsys):
    folder = tmp_path / "run"
    run(tuned(folder, straight[0], train__freeze="0"), stream=None)
    said = printed(capsys, "eval", "--checkpoint", folder)
    assert said.splitlines()[1:3] == [f"started from {straight[0]}", "trained 2 of 3 layers, 23 of 131 parameters"]
    picture = tmp_path / "a.png"
    picture.write_bytes(png(8, 8, 8, 2, [bytes(24)] * 8))
    said = printed(capsys, "predict", picture, "--checkpoint", folder)
    assert said.startswith(f"{folder}: started from {straight[0]}, trained 2 of 3 layers, 23 of 131 parameters\n\n")
    assert "trained" not in printed(capsys, "predict", picture, "--checkpoint", straight[0])
    assert not any(module.frozen for module in load_run(folder).model.modules())
