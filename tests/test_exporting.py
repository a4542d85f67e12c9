"""Exports, run by NumPy: steps compute what the network computes, and what cannot be exported is refused by name."""

import json
import re

import numpy as np
import pytest
from commands import printed, refused
from exports import LAYERS, OwnNet, answers
from folds import perturbed
from numpy.testing import assert_allclose
from own_networks import NETWORK, written

import minighost as mg
from minighost import exporting, models, nn
from minighost.cli.main import main
from minighost.exporting import formats, numpy_graph

QUICK = (
    "ghostnet_short",
    "ghostnetv2_cifar",
    "micronet_cifar",
    "mobileone_cifar",
    "shufflenet_v2_cifar",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run; nobody may change it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    tiny = ["--set", "data.train_size=32", "--set", "data.test_size=40", "--set", "train.warmup_epochs=0"]
    command = ["train", "--width", "0.1", "--epochs", "1", "--batch-size", "16", "--threads", "1", *tiny]
    assert main([*command, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.small
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_the_same_as_its_steps_in_numpy(rng, name):
    model, shape = LAYERS[name]
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    ours, theirs = answers(perturbed(model, np.float32), exporting.graph_of(model, shape), x)
    assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("name", QUICK)
def test_a_network_computes_the_same_as_its_steps_in_numpy(rng, name):
    model = perturbed(models.create(name, width=0.25, num_classes=5, rng=0), np.float32)
    side = models.ABOUT[name].side
    x = rng.random((2, side, side, 3), np.float32)
    ours, theirs = answers(model, exporting.graph_of(model, (side, side, 3)), x)
    assert_allclose(theirs, ours, rtol=0, atol=1e-3 * np.abs(ours).max())


@pytest.mark.small
def test_a_network_of_ones_own_needs_no_rule(rng):
    model, x = perturbed(OwnNet(), np.float32), rng.random((4, 8, 8, 3), np.float32)
    graph = exporting.graph_of(model, (8, 8, 3))
    ours, theirs = answers(model, graph, x)
    assert_allclose(theirs, ours, rtol=0, atol=1e-5 * np.abs(ours).max())
    assert [step.op for step in graph.steps].count("conv") == 2  # the batch norm is in the first


@pytest.mark.small
def test_normalisation_is_the_first_step(rng):
    model, x, mean, std = (
        nn.Conv2d(3, 2, 3, padding=1, rng=0),
        rng.random((2, 4, 4, 3), np.float32),
        [0.1, 0.2, 0.3],
        [1, 2, 4],
    )
    graph = exporting.graph_of(model, (4, 4, 3), mean, std)
    expected = model.eval()(((x - mean) / std).astype(np.float32))
    assert_allclose(graph.run(x), expected, rtol=0, atol=1e-6)


class Reader(nn.Module):
    def forward(self, x):
        return np.sort(x, axis=3)


class Shaped(nn.Module):
    def forward(self, x):
        return x.reshape(x.shape[0], -1)


class OverImages(nn.Module):
    def forward(self, x):
        return x - x.mean(0, keepdims=True)


class Mixed(nn.Module):
    def forward(self, x):
        return x * x.mean((1, 2))


class Squared(nn.Module):
    def forward(self, x):
        return np.cos(x)


@pytest.mark.small
@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Reader(), "1 (Reader) cannot be exported: it calls NumPy's sort"),
        (Shaped(), "1 (Shaped) cannot be exported: it reads the numbers"),
        (Squared(), "it calls NumPy's cos, which cannot be written down; absolute, add,"),
        (OverImages(), "takes a mean over axis=0, which cannot be exported"),
        (Mixed(), "combines planes (N, H, W, C) with rows (N, C)"),
        (nn.Softmax(0), "softmax over the images of a batch"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name_with_what_can(layer, reason):
    model = nn.Sequential(nn.Conv2d(3, 6, 3, rng=0), layer)
    with pytest.raises(ValueError, match="^export: ") as caught:
        exporting.graph_of(model, (6, 6, 3))
    assert reason in str(caught.value)
    if "cannot be exported: it" in reason:
        assert "AdaptiveAvgPool2d, " in str(caught.value) and "Softmax" in str(caught.value)


@pytest.mark.small
def test_images_that_the_network_does_not_take_are_refused_in_its_own_words():
    with pytest.raises(ValueError, match="x has 4 channels|4 channels"):
        exporting.graph_of(nn.Sequential(nn.Conv2d(3, 6, 3)), (6, 6, 4))


@pytest.mark.small
def test_a_rule_says_what_a_layer_computes(rng):
    class Sorted(nn.Module):
        def forward(self, x):
            return np.sort(x, axis=3)[..., ::-1] * 0 + np.asarray(x) * 2

    @exporting.rule(Sorted)
    def _(layer, graph, x):
        return graph("affine", x, arrays={"scale": 2, "shift": 0})

    x = rng.random((2, 3, 3, 4), np.float32)
    ours, theirs = answers(Sorted(), exporting.graph_of(Sorted(), (3, 3, 4)), x)
    assert_allclose(theirs, ours, rtol=1e-6)


@pytest.mark.small
def test_the_model_is_not_modified(rng):
    model = nn.Sequential(nn.Conv2d(3, 6, 3, rng=0), nn.BatchNorm2d(6), nn.Dropout(0.5)).train()
    before, dout = model.state_dict(), np.ones((2, 4, 4, 6), np.float32)
    model(rng.random((2, 6, 6, 3), np.float32))
    before = model.state_dict()
    exporting.graph_of(model, (6, 6, 3))
    assert all(module.training for module in model.modules())
    model.backward(dout)  # what its forward kept is still there
    assert all(np.array_equal(before[path], value) for path, value in model.state_dict().items())


# Files ---------------------------------------------------------------------------------------------------------


def test_a_run_becomes_an_npz_that_numpy_reads_and_runs(capsys, run, here):
    out = printed(capsys, "export", run, "--to", "npz")
    assert re.search(r"run by   NumPy \S+, on 40 test images of shapes10\n", out), out
    assert "40 of 40 predictions are the same" in out and "wrote    tiny.npz, " in out
    assert all(len(line) <= 80 for line in out.splitlines())
    steps, arrays, about = numpy_graph.read("tiny.npz")
    loaded = mg.load(run)
    image = mg.data.shapes10(1, 0, "test").images
    logits = numpy_graph.run(steps, arrays, image.astype(np.float32) / 255)
    assert about["classes"][logits.argmax()] == loaded.predict(image[0])[0][0]
    assert about["size"] == [32, 32] and about["mean"] == loaded.mean.tolist() and about["version"] == mg.__version__
    summary = json.loads((run / "summary.json").read_text())
    assert float(about["test_accuracy"]) == pytest.approx(summary["test_accuracy"], abs=1e-4)


def test_numpy_graph_needs_nothing_but_numpy():
    imported = re.findall(r"^(?:import|from) (\w+)", open(numpy_graph.__file__, encoding="utf-8").read(), re.M)
    assert set(imported) <= {"collections", "json", "math", "typing", "numpy"}


def test_a_file_is_replaced_only_when_asked(capsys, run, here):
    (here / "tiny.npz").write_bytes(b"mine")
    error = refused(capsys, "export", run, "--to", "npz")
    assert "tiny.npz is there already; overwrite=True (--overwrite) replaces it" in error
    assert (here / "tiny.npz").read_bytes() == b"mine"
    printed(capsys, "export", run, "--to", "npz", "--overwrite")
    assert (here / "tiny.npz").read_bytes() != b"mine"


def test_answers_that_differ_end_with_status_1_and_no_file(capsys, run, here, monkeypatch):
    monkeypatch.setitem(numpy_graph.OPERATIONS, "linear", lambda x, w, b: x @ w + b + 0.5)
    assert main(["export", str(run), "--to", "npz"]) == 1
    error = capsys.readouterr().err
    assert "NumPy" in error and "does not give the network's answers" in error and error.count("\n") == 1
    assert not list(here.iterdir())


def test_a_learners_network_on_a_learners_grey_pictures_goes_from_training_to_a_file(capsys, here, rng):
    written(
        here,
        NETWORK.replace("Conv2d(3,", "Conv2d(in_channels,").replace(
            "num_classes=10,", "num_classes=10, in_channels=3,"
        ),
    )
    np.savez("mine.npz", images=rng.integers(0, 256, (40, 12, 9), np.uint8), labels=np.arange(40) % 2)
    few = ["--set", "train.warmup_epochs=0", "--batch-size", "8", "--epochs", "1"]
    assert main(["train", "--model", "my.py:Net", "--data", "mine.npz", *few, "--out", "run"]) == 0
    out = printed(capsys, "export", "run", "--to", "npz")
    assert "images (N, 12, 9, 1), float32, grey from 0 to 1" in out and "on 8 test images\n" in out
    assert "8 of 8 predictions are the same" in out
    (here / "mine.npz").unlink()
    out = printed(capsys, "export", "run", "--to", "npz", "--overwrite")
    assert "on 100 random images\n" in out and "note     the run's images cannot be had: " in out


def test_other_sizes_and_the_best_weights_export(capsys, run, here):
    out = printed(capsys, "export", run, "--best", "--to", "npz", "--size", "40x24", "--out", "other")
    assert "images (N, 40, 24, 3)" in out and "on 100 random images" in out and (here / "other.npz").exists()
    assert numpy_graph.read("other.npz")[2]["weights"] == "best"


def test_pytorch_code_without_pytorch_says_that_it_was_not_compared(capsys, run, here, monkeypatch):
    find_spec = formats.importlib.util.find_spec
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    out = printed(capsys, "export", run, "--to", "torch", "--out", "net.py")
    assert "nobody: PyTorch is not installed here (pip install torch)" in out
    code = (here / "net.py").read_text()
    compile(code, "net.py", "exec")
    assert 'CLASSES = ["disc", ' in code and "nn.Conv2d(3, " in code and "minighost" not in code.split('"""', 2)[2]
    from safetensors.numpy import load_file

    assert load_file("net.safetensors")["stem_conv.weight"].shape[1:] == (3, 3, 3)


def test_onnx_without_its_packages_says_what_to_install(capsys, run, here, monkeypatch):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    assert "pip install onnx onnxruntime" in refused(capsys, "export", run)
    assert not list(here.iterdir())


def test_a_model_without_a_run_needs_a_size(tmp_path):
    model = OwnNet()
    with pytest.raises(ValueError, match="a model alone does not say how large its images are; give size=32"):
        mg.export(model, tmp_path / "net.npz", "npz")
    with pytest.raises(ValueError, match="export: size must be|export: size"):
        mg.export(model, tmp_path / "net.npz", "npz", size=0)
    done = mg.export(model, tmp_path / "net.npz", "npz", size=8, classes=["a", "b", "c"], mean=[0.5] * 3, std=[0.2] * 3)
    assert done.comparison.total == 100 and numpy_graph.read(tmp_path / "net.npz")[2]["classes"] == ["a", "b", "c"]


def test_names_of_classes_cannot_leave_their_quotes(tmp_path):
    names = ['"', "\\", "a\nb"]
    mg.export(OwnNet(), tmp_path / "net.py", "torch", size=8, classes=names)
    line = re.search(r"^CLASSES = (.*)$", (tmp_path / "net.py").read_text(), re.M)[1]
    assert json.loads(line) == names
