"""What torchvision says of boxes, anchors, losses, pyramid, towers and non-maximum suppression (make parity)."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minighost import detect, nn, ops

pytestmark = pytest.mark.parity


class Detector(nn.Module):
    """Everything after the backbone."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.fpn = detect.FeaturePyramid((6, 12), 8, 2, p7_relu=True, rng=rng)
        self.classes, self.boxes = (
            nn.ModuleList([tower, *(tower.with_same_parameters() for _ in range(3))])
            for tower in (detect.Tower(8, channels, 0.2, rng) for channels in (6, 8))
        )


@pytest.fixture(scope="module")
def cases():
    """Inputs, a few numbers of each."""
    rng = np.random.default_rng(0)

    def boxes(n):
        start = rng.uniform(0, 20, (n, 2))
        return np.concatenate([start, start + rng.uniform(2, 15, (n, 2))], axis=1)

    arrays = {"logits": rng.normal(0, 4, (40, 5)), "labels": rng.integers(-2, 5, 40)}
    arrays |= {"first": boxes(60), "second": boxes(60), "given_offsets": rng.normal(0, 1.5, (60, 4))}
    arrays |= {"scores": rng.permutation(60) / 60, "classes": rng.integers(0, 3, 60)}
    arrays |= {"map0": rng.normal(size=(2, 5, 7, 6)), "map1": rng.normal(size=(2, 3, 4, 12))}
    places = (35 + 12 + 4 + 1) * 2
    arrays |= {"dout_logits": rng.normal(size=(2, places, 3)), "dout_offsets": rng.normal(size=(2, places, 4))}
    model = Detector().astype(np.float64)
    return model, arrays


@pytest.fixture(scope="module")
def theirs(cases, tmp_path_factory):
    """The answers of one process."""
    folder, (model, arrays) = tmp_path_factory.mktemp("parity"), cases
    np.savez(folder / "cases.npz", **arrays, **{path: value.data for path, value in model.named_parameters()})
    oracle = Path(__file__).with_name("torch_detection.py")
    subprocess.run([sys.executable, oracle, folder / "cases.npz", folder / "answers.npz"], check=True, timeout=300)
    with np.load(folder / "answers.npz") as found:
        return {key: found[key] for key in found.files}


def test_the_focal_loss_agrees(cases, theirs):
    _, a = cases
    loss, dlogits = ops.sigmoid_focal_loss(a["logits"], a["labels"], alpha=0.3, gamma=1.5)
    assert_allclose(loss, theirs["focal"], rtol=1e-10)
    counted = a["labels"] > -2
    assert_allclose(dlogits[counted], theirs["dlogits"][counted], rtol=1e-9, atol=1e-14)


def test_overlaps_and_offsets_agree(cases, theirs):
    _, a = cases
    assert_allclose(detect.iou(a["first"], a["second"]), theirs["iou"], rtol=1e-12)
    assert_allclose(detect.encode(a["first"], a["second"]), theirs["offsets"], rtol=1e-12, atol=1e-12)
    assert_allclose(detect.decode(a["given_offsets"], a["second"]), theirs["boxes"], rtol=1e-12, atol=1e-12)


def test_anchors_agree(theirs):
    assert_allclose(detect.anchors([(8, 12), (4, 6), (2, 3)], [8, 16, 32]), theirs["anchors"], rtol=1e-5, atol=1e-4)


def test_pyramid_and_towers_agree_and_so_do_their_gradients(cases, theirs):
    model, a = cases
    maps = model.fpn([a["map0"], a["map1"]])
    outs = [[tower(one) for tower, one in zip(towers, maps, strict=True)] for towers in (model.classes, model.boxes)]
    logits, offsets = (
        np.concatenate([one.reshape(2, -1, numbers) for one in out], axis=1)
        for out, numbers in zip(outs, (3, 4), strict=True)
    )
    assert_allclose(logits, theirs["logits"], rtol=1e-9, atol=1e-12)
    assert_allclose(offsets, theirs["bbox"], rtol=1e-9, atol=1e-12)
    model.zero_grad()
    dmaps = [np.zeros_like(one) for one in maps]
    for towers, out, dout in zip((model.classes, model.boxes), outs, ("dout_logits", "dout_offsets"), strict=True):
        start = 0
        for k, (tower, one) in enumerate(zip(towers, out, strict=True)):
            end = start + one.size // 2 // a[dout].shape[2]
            dmaps[k] += tower.backward(a[dout][:, start:end].reshape(one.shape))
            start = end
    for k, dmap in enumerate(model.fpn.backward(dmaps)):
        assert_allclose(dmap, theirs[f"dmap{k}"], rtol=1e-8, atol=1e-11)
    for path, parameter in model.named_parameters():
        assert_allclose(parameter.grad, theirs[f"d{path}"], rtol=1e-8, atol=1e-10, err_msg=path)


@pytest.mark.parametrize("tenths", [0, 3, 5])
def test_non_maximum_suppression_agrees(cases, theirs, tenths):
    _, a = cases
    if f"kept{tenths}" not in theirs:
        pytest.skip("torchvision's compiled operators do not fit the installed PyTorch")
    found = detect.nms(a["first"], a["scores"], a["classes"], tenths / 10)
    assert_array_equal(found, theirs[f"kept{tenths}"])
