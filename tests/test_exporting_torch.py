"""PyTorch code of layers, networks and a run computes the same; PyTorch's authors say what the lines mean."""

import subprocess
import sys

import numpy as np
import pytest
from exports import LAYERS, OwnNet
from folds import calibrated, perturbed
from numpy.testing import assert_allclose
from PIL import Image

import minighost as mg
from minighost import exporting, models, nn
from minighost.data import pictures
from minighost.exporting import formats
from minighost.exporting.torch_code import torch_code

pytestmark = pytest.mark.parity


def loaded(model, shape, tmp_path):
    """The module that the written code defines."""
    code, weights = torch_code(
        exporting.graph_of(model, shape),
        "net",
        "net.safetensors",
        {"classes": [], "mean": None, "std": None, "size": shape[:2], "version": "0"},
    )
    from safetensors.numpy import save_file

    (tmp_path / "net.py").write_text(code)
    save_file(weights, tmp_path / "net.safetensors")
    return formats._loaded({p: p.read_bytes() for p in tmp_path.iterdir()}, tmp_path / "net.py")


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_the_same_in_pytorch(rng, tmp_path, name):
    model, shape = LAYERS[name]
    model, x = perturbed(model, np.float32).eval(), rng.normal(size=(3, *shape)).astype(np.float32)
    with nn.fusing(False):
        ours = model(x)
    theirs = np.moveaxis(loaded(model, shape, tmp_path)(x), 1, -1)
    assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("name", models.names())
def test_every_network_computes_the_same_in_pytorch(tmp_path, name):
    side, rng = max(32, models.ABOUT[name].side), np.random.default_rng(0)
    x = rng.random((8, side, side, 3), np.float32)
    model = calibrated(perturbed(models.create(name, width=0.25, num_classes=7, rng=0), np.float32), x).eval()
    with nn.fusing(False):
        ours = model(x[:3])
    assert_allclose(loaded(model, (side, side, 3), tmp_path)(x[:3]), ours, rtol=0, atol=2e-3 * np.abs(ours).max())


def test_the_code_needs_nothing_of_minighost_and_prepares_pictures_as_minighost_does(rng, tmp_path):
    done = mg.export(OwnNet(), tmp_path / "net.py", "torch", size=8, mean=[0.4] * 3, std=[0.2] * 3)
    assert done.comparison.engine.startswith("PyTorch ") and done.comparison.equal == 100
    picture = rng.integers(0, 256, (37, 50, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "cat.png")
    program = (
        "import sys, PIL.Image, numpy, net; assert 'minighost' not in sys.modules;"
        "x = net.preprocess(PIL.Image.open('cat.png')); numpy.save('x.npy', x.numpy()); print(net.load()(x).shape)"
    )
    environ = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    out = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert out.stdout == "torch.Size([1, 3])\n", out.stderr
    ours, _ = pictures.fit(picture, 8)
    assert_allclose(np.load(tmp_path / "x.npy"), ours.transpose(2, 0, 1)[None] / np.float32(255), rtol=1e-6)
