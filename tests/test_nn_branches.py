"""Convolutions that are trained as several: merged they compute the same, and so do folded sums of any convolutions."""

import numpy as np
import pytest
from folds import SEEDS, assert_folds, nodes_of, perturbed
from gradients import assert_module_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn
from minighost.nn import functional
from minighost.nn.fold_nodes import Add, Affine, Convolution

pytestmark = pytest.mark.small

KINDS = {"dense": (6, 6, 1), "wider": (4, 6, 1), "grouped": (4, 8, 2), "depthwise": (6, 6, 6)}


def unit(kind="dense", kernel_size=3, stride=1, seed=0, **options):
    C, OC, groups = KINDS[kind]
    return perturbed(nn.ConvBranches(C, OC, kernel_size, stride, groups, rng=0, **options), seed=seed)


def numbers(module, x):
    """What its layers compute in evaluation."""
    with nn.fusing(False):
        return module.eval()(x)


@given(
    SEEDS,
    st.sampled_from(list(KINDS)),
    st.sampled_from([1, 3, 5, (1, 3), (5, 3)]),
    st.sampled_from([1, 2, (1, 2)]),
    st.integers(1, 3),
    st.sampled_from([0, 2]),
)
def test_merged_branches_compute_what_the_branches_do(seed, kind, kernel_size, stride, branches, se_hidden):
    module = unit(kind, kernel_size, stride, seed, branches=branches, se_hidden=se_hidden)
    module.kernels[0].conv.bias = nn.Parameter(
        np.random.default_rng(seed).normal(size=module.kernels[0].bn.weight.size)
    )
    x = np.random.default_rng(seed).normal(size=(2, 6, 5, KINDS[kind][0]))
    merged = nn.merge_branches(module)
    assert type(merged) is nn.ConvAct and merged.conv.weight.shape[:2] == module.kernels[0].conv.weight.shape[:2]
    expected = numbers(module, x)
    assert_allclose(numbers(merged, x), expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


@given(
    SEEDS,
    st.sampled_from(list(KINDS)),
    st.sampled_from([1, 3, (1, 5)]),
    st.sampled_from([1, 2]),
    st.integers(1, 3),
)
def test_folded_branches_are_one_convolution(seed, kind, kernel_size, stride, branches):
    module, (C, _, _) = unit(kind, kernel_size, stride, seed, branches=branches), KINDS[kind]
    f = assert_folds(module, np.random.default_rng(seed).normal(size=(3, 6, 5, C)))
    assert [type(node) for node in nodes_of(f)] == [Convolution]
    first, *others = f.explain().values()
    assert "convolution" in first or "product" in first
    assert set(others) == {"part of kernels.0.conv"}


class Parallel(nn.Module):
    """A user's sum of layers that see the same."""

    def __init__(self, *layers):
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        out, *others = [layer(x) for layer in self.layers]
        for other in others:
            out, _ = functional.add_forward(out, other)
        return out


SUMS = {  # layers, and how many nodes are left
    "one tap": ((nn.Conv2d(4, 4, 3, padding=1, rng=0), nn.Conv2d(4, 4, 1, rng=1)), 1),
    "no padding": ((nn.Conv2d(4, 4, 3, rng=0), nn.Conv2d(4, 4, 5, padding=1, rng=1)), 1),
    "dilated": ((nn.Conv2d(4, 4, 3, padding=2, dilation=2, rng=0), nn.Conv2d(4, 4, 3, padding=1, rng=1)), 3),
    "one tap of a dilated one": ((nn.Conv2d(4, 4, 3, padding=2, dilation=2, rng=0), nn.Conv2d(4, 4, 1, rng=1)), 1),
    "tall and wide": ((nn.Conv2d(4, 4, (3, 1), padding=(1, 0), rng=0), nn.Conv2d(4, 4, (1, 3), padding=(0, 1))), 3),
    "other groups": ((nn.Conv2d(4, 4, 3, padding=1, rng=0), nn.Conv2d(4, 4, 3, padding=1, groups=2, rng=1)), 3),
    "after an activation": ((nn.ConvBNAct(4, 4, 3, rng=0), nn.Conv2d(4, 4, 1, rng=1)), 3),
    "batch norm and a scaled centre": ((nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1, groups=2, rng=1)), 1),
    "batch norm and a window": ((nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1, dilation=1, rng=1)), 1),
    "two batch norms": ((nn.BatchNorm2d(4), nn.BatchNorm2d(4)), 3),
    "three": ((nn.Conv2d(4, 4, 1, rng=0), nn.BatchNorm2d(4), nn.ConvBNAct(4, 4, 3, act=None, rng=2)), 1),
    "strided": ((nn.Conv2d(4, 4, 3, 2, 1, rng=0), nn.Conv2d(4, 4, 1, 2, rng=1)), 1),
}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_of_convolutions_is_one_where_their_geometry_allows_it(rng, name):
    layers, left = SUMS[name]
    f = assert_folds(perturbed(Parallel(*layers)), rng.normal(size=(3, 7, 6, 4)))
    assert len(nodes_of(f)) == left


def test_a_branch_that_is_read_twice_stays(rng):
    class Reads(nn.Module):
        def __init__(self):
            self.a, self.b, self.c = (nn.Conv2d(4, 4, K, padding=K // 2, rng=K) for K in (3, 1, 1))

        def forward(self, x):
            y = self.a(x)
            out, _ = functional.add_forward(y, self.b(x))
            return functional.add_forward(self.c(out), y)[0]

    f = assert_folds(perturbed(Reads()), rng.normal(size=(3, 5, 5, 4)))
    assert sum(isinstance(node, Add) for node in nodes_of(f)) == 2


def test_what_follows_the_sum_vanishes_into_it(rng):
    chain = nn.Sequential(unit(act=None), nn.BatchNorm2d(6), nn.ReLU6(), unit("depthwise"))
    f = assert_folds(perturbed(chain), rng.normal(size=(3, 5, 5, 6)))
    assert [type(node) for node in nodes_of(f)] == [Convolution, Convolution]
    assert not any(isinstance(node, Affine) for node in nodes_of(f))


@pytest.mark.parametrize(
    "kind, kernel_size, stride, options",
    [("dense", 3, 1, {}), ("grouped", 3, 2, {"branches": 2}), ("depthwise", 1, 1, {"branches": 2, "se_hidden": 2})],
)
def test_gradients(rng, kind, kernel_size, stride, options):
    assert_module_gradients(unit(kind, kernel_size, stride, **options), rng.normal(size=(2, 4, 3, KINDS[kind][0])))


@pytest.mark.parametrize("act", ["relu", None, "hard_swish"])
@pytest.mark.parametrize("kind, stride", [("dense", 1), ("wider", 2), ("depthwise", 1)])
def test_fused_branches_equal_their_layers(rng, kind, stride, act):
    C, answers = KINDS[kind][0], []
    x = rng.normal(size=(3, 6, 5, C))
    for on in (False, True):
        model = nn.Sequential(
            nn.ConvBNAct(C, C, 3, rng=1).astype(np.float64), unit(kind, 3, stride, act=act, branches=2)
        )
        with nn.fusing(on):
            out = model(x)
            dx = model.backward(np.cos(out))
        answers.append({"out": out, "dx": dx, **{path: p.grad for path, p in model.named_parameters()}})
    for name, expected in answers[0].items():
        assert_allclose(answers[1][name], expected, rtol=1e-9, atol=1e-10, err_msg=name)


def test_the_images_gradient_can_be_spared(rng):
    model = nn.Sequential(unit("wider", branches=2)).skip_input_gradient()
    assert model.backward(model(rng.normal(size=(2, 4, 4, 4)))) is None


def test_merging_is_a_copy_of_the_same_mode_and_dtype_and_finds_a_unit_in_every_place(rng):
    shared = unit()
    model = nn.Sequential(shared, nn.ReLU6(), nn.Sequential(unit("depthwise"), shared)).astype(np.float32)
    before, x = model.state_dict(), rng.normal(size=(2, 4, 4, 6)).astype(np.float32)
    merged = nn.merge_branches(model)
    assert merged.training and merged[0] is merged[2][1] and type(merged[2][0]) is nn.ConvAct
    assert {p.data.dtype for p in merged.parameters()} == {np.dtype(np.float32)}
    for path, value in model.state_dict().items():
        assert_array_equal(value, before[path])
    assert_allclose(numbers(merged, x), numbers(model, x), atol=1e-4)
    assert not merged[0].training and nn.merge_branches(merged)[2][0].conv.weight is not merged[2][0].conv.weight


def test_a_merged_unit_has_as_many_numbers_as_a_convolution_with_bias():
    merged = nn.merge_branches(unit("wider", branches=3))
    assert sum(p.size for p in merged.parameters()) == 3 * 3 * 4 * 6 + 6
    built = nn.ConvAct(4, 6, 3, rng=0).astype(np.float64)
    built.load_state_dict(merged.state_dict())


def _replaced(part, layer):
    module = nn.Sequential(unit())
    if part == "kernel":
        module[0].kernels[0] = layer
    elif part == "conv":
        module[0].pointwise.conv = layer
    else:
        setattr(module[0], part, layer)
    return module


@pytest.mark.parametrize(
    "part, layer, message",
    [
        ("kernel", nn.Identity(), "0.kernels.0 must be a convolution with batch norm and nothing else, got Identity"),
        (
            "pointwise",
            nn.ConvBNAct(6, 6, 1),
            "0.pointwise must be a convolution with batch norm and nothing else, got ConvBNAct",
        ),
        ("identity", nn.Dropout(0.1), "0.identity must be a convolution with batch norm and nothing else, got Dropout"),
        (
            "conv",
            nn.Conv2d(6, 6, 1, padding=1, bias=False),
            "0.pointwise has stride, dilation, groups and centre ((1, 1)",
        ),
        (
            "conv",
            nn.Conv2d(6, 6, 1, groups=2, bias=False),
            "0.kernels.0 has ((1, 1), (1, 1), 1, (0, 0)); they must be equal",
        ),
    ],
)
def test_what_cannot_be_merged_is_named(part, layer, message):
    with pytest.raises(ValueError, match="^merge_branches: ") as caught:
        nn.merge_branches(_replaced(part, layer))
    assert message in str(caught.value)


def test_a_unit_of_another_class_with_its_own_forward_is_refused():
    class Halved(nn.ConvBranches):
        def forward(self, x):
            return super().forward(x) / 2

    with pytest.raises(ValueError, match=r"merge_branches: 1 has a forward of its own"):
        nn.merge_branches(nn.Sequential(nn.ReLU(), Halved(4, 4, 3)))
    with pytest.raises(TypeError, match="merge_branches: model must be a Module, got list"):
        nn.merge_branches([])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"kernel_size": 2}, "ConvBranches: kernel_size=2 must be odd, or it has no centre for a 1x1 kernel"),
        ({"kernel_size": 3, "branches": 0}, "ConvBranches: branches=0 must be a whole number of at least 1"),
        ({"kernel_size": 3, "groups": 3}, r"Conv2d: groups=3 must divide in_channels=4 \(4 % 3 = 1\)"),
        ({"kernel_size": 3, "act": "soft"}, "ConvBranches: act='soft' is unknown; choose from"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        nn.ConvBranches(4, 4, **options)
