"""ONNX files of every network, every kind of layer and a run: valid, and run by ONNX Runtime to the same answers."""

import json

import numpy as np
import pytest
from commands import printed
from exports import LAYERS, OwnNet
from folds import calibrated, perturbed
from numpy.testing import assert_allclose

import minighost as mg
from minighost import exporting, models, nn
from minighost.cli.main import main
from minighost.exporting import onnx_graph
from minighost.exporting.onnx_graph import onnx_model

pytestmark = pytest.mark.onnx
onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")


def session(graph):
    model = onnx_model(graph, "test", {})
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(graph, x):
    """The result of ONNX Runtime, with channels last."""
    (out,) = session(graph).run(None, {"images": np.ascontiguousarray(x.transpose(0, 3, 1, 2))})
    return np.moveaxis(out, 1, -1)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_the_same_in_onnx(rng, name):
    model, shape = LAYERS[name]
    model = perturbed(model, np.float32).eval()
    graph = exporting.graph_of(model, shape)
    for N in (3, 1):
        x = rng.normal(size=(N, *shape)).astype(np.float32)
        with nn.fusing(False):
            ours = model(x)
        assert_allclose(run(graph, x), ours, rtol=1e-5, atol=1e-5 * np.abs(ours).max())


def check_network(model, side):
    rng = np.random.default_rng(0)
    x = rng.random((8, side, side, 3), np.float32)
    model = calibrated(perturbed(model, np.float32), x).eval()  # random statistics make rounding errors grow
    with nn.fusing(False):
        ours = model(x[:3])
    theirs = run(exporting.graph_of(model, (side, side, 3)), x[:3])
    assert_allclose(theirs, ours, rtol=0, atol=2e-3 * np.abs(ours).max())


@pytest.mark.parametrize("name", models.names())
def test_every_network_computes_the_same_in_onnx(name):
    check_network(models.create(name, width=0.25, num_classes=7, rng=0), max(32, models.ABOUT[name].side))


@pytest.mark.parametrize("name", ["ghostnetv3_cifar", "mobileone_cifar", "repvgg_cifar"])
def test_a_network_with_merged_branches_computes_the_same_in_onnx(name):
    check_network(nn.merge_branches(models.create(name, width=0.25, num_classes=7, rng=0).eval()), 32)


def test_a_network_of_ones_own_computes_the_same_in_onnx():
    check_network(OwnNet(), 8)


def test_a_run_becomes_an_onnx_file_that_says_what_its_input_and_output_mean(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = ["--set", "data.train_size=32", "--set", "data.test_size=40", "--set", "train.warmup_epochs=0"]
    assert main(["train", "--width", "0.1", "--epochs", "1", "--batch-size", "16", *tiny, "--out", "run"]) == 0
    out = printed(capsys, "export", "run")
    assert "opset 17, " in out and "on 40 test images of shapes10" in out and "40 of 40 predictions" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    meta = onnxruntime.InferenceSession("run.onnx", providers=["CPUExecutionProvider"]).get_modelmeta()
    said, loaded = meta.custom_metadata_map, mg.load("run")
    assert json.loads(said["classes"]) == list(loaded.classes) and meta.producer_name == "minighost"
    assert {"network": "ghostnet_cifar_fast", "run": "run", "data": "shapes10", "epochs": "1"}.items() <= said.items()
    preprocessing = json.loads(said["preprocessing"])
    assert preprocessing["mean"] == loaded.mean.tolist() and preprocessing["size"] == [32, 32]
    assert onnx.load("run.onnx").opset_import[0].version == 17


def test_a_node_that_is_wrong_is_found_before_anything_is_written(capsys, tmp_path, monkeypatch):
    writer = onnx_graph._Writer
    monkeypatch.setattr(writer, "clip", lambda self, x, low, high: self.node("Neg", x))
    with pytest.raises(exporting.AnswersDiffer, match="ONNX Runtime .* does not give the network's answers"):
        mg.export(OwnNet(), tmp_path / "net.onnx", size=8)
    monkeypatch.setattr(writer, "clip", lambda self, x, low, high: self.node("NoSuchOperator", x))
    with pytest.raises(ValueError, match="^export: not accepted as ONNX; nothing was written. .*NoSuchOperator"):
        mg.export(OwnNet(), tmp_path / "net.onnx", size=8)
    assert not list(tmp_path.iterdir())
