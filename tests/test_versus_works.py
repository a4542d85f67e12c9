"""What is timed against peers: networks, single operations, and the results by which peers are compared."""

import numpy as np
import pytest

from minighost import analysis, nn
from versus import compare, networks, suite, works
from versus.peers import minighost_peer


def test_the_vgg_costs_what_its_table_says():
    rows = analysis.count(networks.create("vgg"), (32, 32, 3))
    assert (sum(row.params for row in rows), sum(row.macs for row in rows)) == (1_148_874, 152_766_976)


@pytest.mark.parametrize("name", ["ghostnet", "resnet20", "vgg", "vgg16_cifar"])
def test_every_process_builds_the_same_network_with_batch_norms_that_matter(name):
    first, second = networks.create(name), networks.create(name)
    for path, value in first.state_dict().items():
        np.testing.assert_array_equal(value, second.state_dict()[path])
    norms = [module for module in first.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert np.ptp(value.data) > 0.01


def test_every_network_of_the_family_is_trained_and_serves_many_images_and_one():
    for name in works.FAMILY:
        found = [works.WORKS[f"{name}-{kind}"] for kind in ("train", "infer-128", "infer-1")]
        assert [work.shape for work in found] == [(128, 32, 32, 3), (128, 32, 32, 3), (1, 32, 32, 3)]
        assert {work.subject for work in found} == {f"{name}_cifar"}


@pytest.mark.parametrize("name", works.FAMILY)
def test_nothing_is_drawn_at_random_in_a_step(name):
    for kind in ("train", "infer-1"):
        model = networks.create(f"{name}_cifar", **{**works.WORKS[f"{name}-{kind}"].options, "width": 0.25})
        assert not [m for m in model.modules() if isinstance(m, (nn.Dropout, nn.StochasticDepth)) and m.p]


@pytest.mark.parametrize("name", works.FAMILY)
def test_logits_in_evaluation_depend_on_the_image(name):
    model = networks.create(f"{name}_cifar", **{**works.WORKS[f"{name}-infer-1"].options, "width": 0.25}).eval()
    with nn.fusing(False):
        logits = model(works.inputs(works.Work("tiny", "infer", name, (3, 32, 32, 3)))[0])
    assert 0.01 < np.abs(logits).max() < 1e3
    assert np.ptp(logits, axis=0).max() > 0.005 * np.abs(logits).max()


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
    "name", [*(f"{name}-train" for name in ("ghostnet-0.5", "resnet20", "vgg", *works.FAMILY)), "repvgg-infer-1"]
)
def test_the_twin_of_a_work_computes_the_same_in_training_and_in_evaluation(name):
    import torch

    from versus import torch_twin

    work = works.WORKS[name]
    narrow = {"width": 0.25} if work.subject.removesuffix("_cifar") in works.FAMILY else {}
    model = networks.create(work.subject, **{**narrow, **work.options})
    x, _ = works.inputs(works.Work("tiny", "train", name, (4, 32, 32, 3)))
    theirs, y = torch_twin.twin(model), torch.from_numpy(x).permute(0, 3, 1, 2)
    logits = {}
    for training in (True, False):
        logits[training] = {"logits": model.train(training)(x).copy()}
        found = theirs.train(training)(y)
        found.sum().backward()  # autograd objects if what it needs has been changed in place
        compare.difference({"logits": found.detach().numpy()}, logits[training], 1e-4)
    with torch.no_grad():
        folded = torch_twin.fold(theirs)(y).numpy()
    compare.difference({"logits": folded}, logits[False], 1e-4)
    kinds = {type(module) for module in theirs.modules()}
    assert name == "repvgg-train" or torch.nn.BatchNorm2d not in kinds


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
