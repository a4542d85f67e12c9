"""What is timed against peers: networks, single operations, and the results by which peers are compared."""

import numpy as np
import pytest

from minighost import analysis, nn
from versus import networks, suite, works
from versus.peers import minighost_peer


def test_the_vgg_costs_what_its_table_says():
    rows = analysis.count(networks.create("vgg"), (32, 32, 3))
    assert (sum(row.params for row in rows), sum(row.macs for row in rows)) == (1_148_874, 152_766_976)


@pytest.mark.parametrize("name", ["ghostnet", "resnet20", "vgg"])
def test_every_process_builds_the_same_network_with_batch_norms_that_matter(name):
    first, second = networks.create(name), networks.create(name)
    for path, value in first.state_dict().items():
        np.testing.assert_array_equal(value, second.state_dict()[path])
    norms = [module for module in first.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert np.ptp(value.data) > 0.01


def test_the_input_of_batch_norm_keeps_off_the_kink_of_the_relu():
    work = works.Work("tiny", "both", "batch_norm_relu", (16, 16, 16, 8))
    x, weights, _ = minighost_peer.arrays(work)
    y = weights["gamma"] * (x - x.mean((0, 1, 2), np.float64)) / x.std((0, 1, 2), dtype=np.float64) + weights["beta"]
    assert np.abs(y).min() > 5e-5


@pytest.mark.parametrize(
    "subject, options, names",
    [
        ("conv", {"kernel": 3, "out": 4}, {"dx", "dw"}),
        ("depthwise", {"kernel": 3}, {"dx", "dw"}),
        ("pointwise", {"out": 4}, {"dx", "dw"}),
        ("batch_norm_relu", {}, {"dx", "dgamma", "dbeta"}),
    ],
)
def test_what_is_compared_is_the_output_and_every_gradient(subject, options, names):
    results = {}
    for kind in ("forward", "both"):
        work = works.Work("tiny", kind, subject, (2, 5, 5, 3), options)
        results[kind] = minighost_peer.build(work, 1, "").check()
    assert set(results["forward"]) == {"out"} and set(results["both"]) == {"out", *names}
    assert results["both"]["dx"].shape == (2, 5, 5, 3)


def test_a_trained_network_is_compared_before_and_after_a_step():
    work = works.Work("tiny", "train", "ghostnet", (4, 32, 32, 3), {"width": 0.25, "num_classes": 10, "dropout": 0.0})
    runner = minighost_peer.build(work, 1, "")
    found = runner.check()
    assert set(found) == {"logits", "loss", "logits after a step", "with running means"}
    assert np.abs(found["logits after a step"] - found["logits"]).max() > 0
    assert np.isfinite(runner.step())


# Parity --------------------------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize(
    "name, labels",
    [
        ("ghostnet-0.5-infer-1", ["torch-nchw", "torch-channels-last", "torch-folded"]),
        ("resnet20-infer-1", ["torch-channels-last", "torch-folded"]),
        ("vgg-infer-1", ["torch-channels-last", "torch-folded"]),
        ("ghostnet-0.5-train", ["torch-channels-last"]),
        ("resnet20-train", ["torch-channels-last"]),
        ("conv-3x3-both", ["torch-nchw"]),
        ("depthwise-3x3-both", ["torch-channels-last"]),
        ("pointwise-both", ["torch-channels-last"]),
        ("batch-norm-relu-both", ["torch-channels-last"]),
    ],
)
def test_pytorch_computes_the_same(name, labels):
    found = suite.do(works.WORKS[name], ["minighost", *labels], threads=1, rounds=1, seconds=0.001)["contestants"]
    assert [entry.get("absent") for entry in found.values()] == [None] * (1 + len(labels))
