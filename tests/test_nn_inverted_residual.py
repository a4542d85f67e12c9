"""The inverted residual and the universal bottleneck: which layers they have, when the input is added,
and that fusing and folding change nothing."""

import numpy as np
import pytest
from networks import check_folds, check_fuses
from numpy.testing import assert_allclose

from minighost import models, nn


def names(block):
    return [name for name, _ in block.named_children()]


def test_it_expands_only_where_it_widens_and_gates_after_the_depthwise_activation():
    assert names(nn.InvertedResidual(4, 4, 6)) == ["depthwise", "project"]
    assert names(nn.InvertedResidual(4, 24, 4, se=nn.SqueezeExcite(24, 6))) == ["expand", "depthwise", "se", "project"]
    assert names(nn.InvertedResidual(4, 24, 4, drop=nn.Dropout(0.1))) == ["expand", "depthwise", "project", "drop"]


@pytest.mark.parametrize(
    "sizes, layers",
    [
        ((0, 3), ["expand", "middle", "project"]),
        ((5, 0), ["start", "expand", "project"]),
        ((3, 5), ["start", "expand", "middle", "project"]),
        ((0, 0), ["expand", "project"]),
    ],
)
def test_the_universal_bottleneck_is_four_blocks(sizes, layers):
    block = nn.UniversalBottleneck(4, 8, 4, *sizes, stride=2)
    assert names(block) == layers and not block.residual
    strided = [name for name, unit in block.named_children() if unit.conv.stride == (2, 2)]
    assert strided == [next(name for name in ("middle", "start", "expand") if name in layers)]
    assert nn.UniversalBottleneck(4, 8, 4, *sizes).residual and not nn.UniversalBottleneck(4, 8, 6, *sizes).residual
    if "start" in layers:
        assert block.start.act is None and not block.start.bn.relu  # no activation in few channels


@pytest.mark.parametrize("out, stride, added", [(4, 1, True), (4, 2, False), (6, 1, False), (6, 2, False)])
def test_the_input_is_added_where_nothing_changes_size(rng, out, stride, added):
    block = nn.InvertedResidual(4, 8, out, stride=stride, rng=0)
    block.project.bn.weight.data[...] = 0  # the branch gives nothing
    x = rng.normal(size=(2, 6, 6, 4)).astype(np.float32)
    y = block(x)
    assert_allclose(y, x if added else np.zeros_like(y))
    assert y.shape == (2, 6 // stride, 6 // stride, out)


def test_the_projection_is_linear_and_the_activation_is_within(rng):
    block = nn.InvertedResidual(4, 8, 6, act="relu6", rng=0)
    assert isinstance(block.expand.act, nn.ReLU6) and isinstance(block.depthwise.act, nn.ReLU6)
    assert block.project.act is None and not block.project.bn.relu
    assert np.asarray(block(rng.normal(size=(2, 6, 6, 4)).astype(np.float32))).min() < 0


BLOCKS = {
    "universal": lambda: nn.UniversalBottleneck(6, 12, 6, 3, 5, rng=0),
    "universal, strided at the start": lambda: nn.UniversalBottleneck(6, 12, 8, 5, 0, 2, rng=0),
    "expanding": lambda: nn.InvertedResidual(6, 12, 6, rng=0),
    "not expanding": lambda: nn.InvertedResidual(6, 6, 6, 5, act="relu", rng=0),
    "strided": lambda: nn.InvertedResidual(6, 12, 8, 3, 2, act="hard_swish", rng=0),
    "gated": lambda: nn.InvertedResidual(
        6, 10, 6, 5, act="silu", se=nn.SqueezeExcite(10, 3, "sigmoid", "silu", rng=1), rng=0
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_fused_and_folded_it_is_its_layers(name):
    check_fuses(BLOCKS[name](), (5, 7, 6, 6))
    check_folds(BLOCKS[name](), (5, 7, 6, 6))


def test_no_convolution_of_a_folded_block_is_left_with_its_batch_norm():
    became = nn.fold(BLOCKS["gated"]()).explain()
    assert [path for path, text in became.items() if " of its own" in text] == []
    assert all("part of" in became[f"{unit}.bn"] for unit in ("expand", "depthwise", "project"))


def test_the_squeezing_activation_is_chosen_by_name(rng):
    gate = nn.SqueezeExcite(4, 2, "sigmoid", "silu", rng=0)
    x = rng.normal(size=(2, 3, 3, 4)).astype(np.float32)
    hidden = x.mean((1, 2)) @ gate.reduce.weight.data
    logits = hidden / (1 + np.exp(-hidden)) @ gate.expand.weight.data
    assert_allclose(gate(x), x / (1 + np.exp(-logits))[:, None, None], rtol=1e-5)
    with pytest.raises(ValueError, match="SqueezeExcite: act='swish' is unknown; choose from 'relu', 'relu6', "):
        nn.SqueezeExcite(4, 2, act="swish")


def test_families_squeeze_to_widths_of_their_own():
    assert [models.squeeze_width("ghostnet", C) for C in (72, 120, 480)] == [20, 32, 120]
    large, small = (72, 120, 480, 672, 960), (16, 96, 240, 144, 288, 576)
    assert [models.squeeze_width("mobilenet_v3", C) for C in large] == [24, 32, 120, 168, 240]
    assert [models.squeeze_width("mobilenet_v3", C) for C in small] == [8, 24, 64, 40, 72, 144]
    assert [models.squeeze_width("efficientnet", C) for C in (32, 16, 24, 40, 112)] == [8, 4, 6, 10, 28]
    assert [models.squeeze_width("senet", C) for C in (64, 256, 8)] == [4, 16, 1]
    with pytest.raises(ValueError, match="unknown rule 'mobilenet'.*available: senet, ghostnet, mobilenet_v3, effic"):
        models.squeeze_width("mobilenet", 64)
