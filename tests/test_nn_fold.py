"""What folds: every layer, block and network computes the same when folded, and batch norms vanish."""

import numpy as np
import pytest
from folds import NETWORKS, SEEDS, TOLERANCE, Doubled, assert_folds, calibrated, network, nodes_of, perturbed, steps_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import minighost as mg
from minighost import nn
from minighost.engine.inference.step import CONV, WINOGRAD
from minighost.nn import fold_nodes
from minighost.nn.activations import LAYERS


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_computes_the_same_when_folded(rng, name, dtype):
    model = network(name, dtype)
    for N in (1, 3, 40):
        x = rng.normal(size=(N, 32, 32, 3)).astype(dtype)
        if dtype == np.float32 and N == 40:  # random statistics cost the layers themselves up to 1e-3 of it
            model = calibrated(model, x)
        assert_folds(model, x)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_layer_of_a_network_is_left_unfolded(name):
    assert not any(isinstance(node, fold_nodes.Plain) for node in nodes_of(nn.fold(network(name))))


@pytest.mark.parametrize("options", [{"ratio": 1}, {"ratio": 3, "dw_size": 5}, {"gate": "clip"}, {"width": 0.3}])
def test_ghostnets_of_other_kinds_fold(rng, options):
    model = perturbed(mg.models.create("ghostnet_short", **{"width": 0.2, **options}))
    assert_folds(model, rng.normal(size=(3, 16, 16, 3)))


GEOMETRY = {"K": st.integers(1, 5), "stride": st.integers(1, 3), "padding": st.integers(0, 3)}
ACTS = st.sampled_from([None, "relu", "relu6", "hard_swish", "hard_sigmoid"])


@pytest.mark.small
@given(
    seed=SEEDS,
    N=st.sampled_from([1, 2, 9]),
    act=ACTS,
    kind=st.sampled_from(["dense", "grouped", "depthwise", "doubled"]),
    dilation=st.integers(1, 2),
    pool=st.sampled_from([1, 2]),
    **GEOMETRY,
)
def test_convolution_pooling_batch_norm_and_activation_fold(seed, N, act, kind, K, stride, padding, dilation, pool):
    rng = np.random.default_rng(seed)
    C, OC = rng.integers(1, 9, 2).tolist()
    C, OC, groups = {"dense": (C, OC, 1), "grouped": (2 * C, 2 * OC, 2), "depthwise": (C, C, C)}.get(
        kind, (C, 2 * C, C)
    )
    H, W = (dilation * (K - 1) + 1 + (pool - 1) * stride + rng.integers(0, 6, 2)).tolist()
    layer = nn.ConvBNAct(C, OC, K, stride, padding, dilation, groups, act, pool=pool, rng=0)
    perturbed(layer, seed=seed).bn.weight.data *= rng.choice([-1, 1], OC)  # a negative scale turns maxima into minima
    assert_folds(layer, rng.normal(size=(N, H, W, C)))


@pytest.mark.small
@pytest.mark.parametrize("W", [1, 2, 31, 32])
@pytest.mark.parametrize("C", [1, 3, 300])
def test_depthwise_lines_of_any_length_fold(rng, W, C):
    for stride in (1, 2):
        layer = perturbed(nn.ConvBNAct(C, C, 3, stride, groups=C, rng=0))
        assert_folds(layer, rng.normal(size=(2, 5, W, C)))


@pytest.mark.small
@pytest.mark.parametrize("act", [None, *LAYERS])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("K", [3, 5])
def test_depthwise_folds_with_any_activation(rng, act, stride, K):
    layer = perturbed(nn.ConvBNAct(6, 6, K, stride, groups=6, act=act, rng=0))
    assert_folds(layer, 5 * rng.normal(size=(2, 7, 6, 6)))


@pytest.mark.small
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize("plane", [(3, 3), (3, 6), (8, 9)])
def test_wide_3x3_convolutions_fold_into_winograds(rng, plane, padding):
    layer = perturbed(nn.ConvBNAct(16, 17, 3, padding=padding, rng=0))
    for N in (1, 5):
        assert [step.op for step in steps_of(assert_folds(layer, rng.normal(size=(N, *plane, 16))))] == [WINOGRAD]


@pytest.mark.small
@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}, {"groups": 2}])
def test_other_wide_3x3_convolutions_fold_into_windows(rng, options):
    layer = perturbed(nn.ConvBNAct(32, 32, 3, **options, rng=0))
    assert [step.op for step in steps_of(assert_folds(layer, rng.normal(size=(2, 5, 6, 32))))] == [CONV]


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [
            nn.GhostModule(3, 6, 1, rng=0),
            nn.Conv2d(6, 256, 1, rng=1),
        ],  # two parts, which read rows of their own
        lambda: [nn.Conv2d(3, 512, 3, 2, padding=1, rng=0)],
        lambda: [nn.Conv2d(3, 4, 1, rng=0), nn.Conv2d(4, 256, 3, groups=2, rng=1)],
        lambda: [nn.Conv2d(3, 4, 1, rng=0), nn.GlobalAvgPool(), nn.Linear(4, 1024, rng=1)],
    ],
)
def test_rows_of_weights_with_gaps_between_them_fold(rng, layers):
    """Rows of 256 numbers and multiples lie apart, or they would compete for the same places of the cache."""
    assert_folds(nn.Sequential(*layers()).astype(np.float64), rng.normal(size=(3, 5, 4, 3)))


def test_winograds_products_have_rows_enough_for_their_weights(rng):
    f = nn.fold(nn.ConvBNAct(160, 160, 3, rng=0))
    f(rng.normal(size=(400, 8, 8, 160)).astype(np.float32))
    (stages,) = f._plans.values()
    (_, run), *_ = stages[0].written[1]
    assert run.args[-1] * 4 == 256  # images at a time, of four tiles each


@pytest.mark.small
@given(seed=SEEDS, maximum=st.booleans(), N=st.sampled_from([1, 5]), ceil_mode=st.booleans(), **GEOMETRY)
def test_pooling_folds(seed, maximum, N, ceil_mode, K, stride, padding):
    rng = np.random.default_rng(seed)
    side = min(padding, K // 2)
    padding = [side, ((side, 0), (0, side)), "same"][rng.integers(3)]
    layer = (nn.MaxPool2d if maximum else nn.AvgPool2d)(K, stride, padding, ceil_mode)
    if not maximum:
        layer = nn.Sequential(layer, nn.AvgPool2d(1, 2, 0, ceil_mode), nn.AvgPool2d(2, 1, 1, False, False))
    x = rng.normal(size=(N, *(K + rng.integers(0, 5, 2)), int(rng.integers(1, 6)))) - 5
    assert_folds(layer, x)


@pytest.mark.small
@given(SEEDS, st.integers(1, 4), st.integers(1, 11), st.sampled_from([3, 5]), st.booleans(), st.integers(1, 2))
def test_ghost_modules_fold_whatever_the_ratio(seed, ratio, OC, dw_size, act, pool):
    rng = np.random.default_rng(seed)
    K = int(rng.choice([1, 3]))
    module = perturbed(nn.GhostModule(5, OC, K, ratio, dw_size, act=act, pool=pool, rng=0), seed=seed)
    assert_folds(module, rng.normal(size=(3, 5, 4, 5)))


@pytest.mark.small
def test_ghosts_that_are_cut_off_leave_the_others_with_their_channel(rng):
    """Of 2 maps with 2 ghosts each the first 2 are kept: both are ghosts of the first map."""
    assert_folds(perturbed(nn.GhostModule(5, 4, 1, ratio=3, rng=0)), rng.normal(size=(3, 5, 4, 5)))


@pytest.mark.small
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"se_hidden": 4}, {"stride": 2, "se_hidden": 4, "dw_size": 5}])
def test_ghost_bottlenecks_fold(rng, options):
    for in_channels in (6, 8):
        block = perturbed(nn.GhostBottleneck(in_channels, 10, 6, **options, rng=0))
        assert_folds(block, rng.normal(size=(5, 7, 6, in_channels)))


@pytest.mark.small
@pytest.mark.parametrize("out_channels, stride", [(6, 1), (8, 1), (6, 2)])
def test_residual_blocks_fold(rng, out_channels, stride):
    block = perturbed(nn.ResidualBlock(6, out_channels, stride, rng=0))
    assert_folds(block, rng.normal(size=(5, 7, 6, 6)))
    assert_folds(nn.Sequential(block, nn.ReLU6()), rng.normal(size=(2, 7, 6, 6)))


CHAINS = {
    "batch norm first": lambda: [nn.BatchNorm2d(6), nn.ReLU6(), nn.Conv2d(6, 4, 1)],
    "batch norm twice": lambda: [nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4, relu=True)],
    "activation between": lambda: [nn.Conv2d(6, 4, 1), nn.HardSwish(), nn.BatchNorm2d(4), nn.HardSigmoid()],
    "two activations": lambda: [nn.ReLU(), nn.ClipGate(), nn.HardSwish()],
    "crelu": lambda: [nn.Conv2d(6, 4, 3, padding=1), nn.CReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 5, 3)],
    "crelu last": lambda: [nn.CReLU(), nn.CReLU()],
    "crelu before a product": lambda: [nn.CReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 3, 1, bias=False)],
    "gate": lambda: [nn.CReLU(), nn.SqueezeExcite(12, 3), nn.Identity()],
    "classifier": lambda: [
        nn.CReLU(),
        nn.GlobalAvgPool(),
        nn.Dropout(0.5),
        nn.Linear(12, 9),
        nn.ReLU6(),
        nn.Linear(9, 3, bias=False),
    ],
    "flatten": lambda: [nn.Flatten(), nn.Linear(120, 5), nn.ReLU6(), nn.Flatten(), nn.Linear(5, 2)],
    "flatten after a convolution": lambda: [nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(24, 3)],
    "flatten of two parts, last": lambda: [nn.CReLU(), nn.Flatten()],
    "flatten alone": lambda: [nn.Flatten()],
    "response norm": lambda: [nn.CReLU(), nn.LocalResponseNorm(4, 0.5), nn.StochasticDepth(0.5), nn.Conv2d(12, 3, 1)],
    "response norm, last": lambda: [nn.LocalResponseNorm(3, 0.5, 1.2, form="caffe")],
    "softmax": lambda: [nn.Conv2d(6, 4, 1), nn.Softmax(1), nn.Conv2d(4, 3, 1)],
    "padding": lambda: [nn.CReLU(), nn.Pad2d(((0, 2), (1, 0))), nn.Conv2d(12, 3, 2), nn.Pad2d((1, 2), "edge")],
    "adaptive pooling": lambda: [
        nn.CReLU(),
        nn.AdaptiveMaxPool2d((3, 7)),
        nn.AdaptiveAvgPool2d((2, 3)),
        nn.Conv2d(12, 3, 1),
    ],
    "global maximum": lambda: [nn.CReLU(), nn.GlobalMaxPool(), nn.Linear(12, 9)],
    "global maximum, last": lambda: [nn.GlobalMaxPool()],
    "padding alone": lambda: [nn.Pad2d(((0, 2), (1, 0)), "edge")],
    "chain in a chain": lambda: [nn.Sequential(nn.Conv2d(6, 4, 1)), nn.Sequential(nn.BatchNorm2d(4, relu=True))],
    "nothing": lambda: [nn.Identity(), nn.Dropout(0.5)],
}


@pytest.mark.small
@pytest.mark.parametrize("name", CHAINS)
def test_chains_fold(rng, name):
    model = perturbed(nn.Sequential(*CHAINS[name]()))
    for N in (1, 7):
        assert_folds(model, rng.normal(size=(N, 4, 5, 6)))


@pytest.mark.small
@pytest.mark.parametrize("shape", [(), (5,), (5, 3), (2, 3, 4), (2, 3, 4, 5), (2, 1, 3, 2, 2)])
def test_activations_fold_for_arrays_of_any_shape(rng, shape):
    assert_folds(nn.Sequential(nn.ReLU(), nn.HardSwish()), np.array(rng.normal(size=shape)))


@pytest.mark.small
def test_nan_passes_through_as_it_does_in_the_layers(rng):
    model = perturbed(nn.Sequential(*(nn.ConvBNAct(3, 3, 3, groups=g, act="relu6", rng=0) for g in (1, 3)), nn.ReLU()))
    x = rng.normal(size=(1, 9, 9, 3))
    x[0, 0, 0] = np.nan
    for layers in (model, nn.MaxPool2d(3), nn.AvgPool2d(3, 1, 1), nn.HardSwish(), nn.ClipGate(), nn.CReLU()):
        with nn.fusing(False):
            assert_array_equal(np.isnan(nn.fold(layers)(x)), np.isnan(layers.eval()(x)))


@pytest.mark.small
def test_a_batch_norm_is_folded_into_its_convolution():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(), nn.ConvBNAct(4, 4, 3, groups=4))
    assert [type(node) for node in nodes_of(nn.fold(model))] == [fold_nodes.Convolution] * 2


@pytest.mark.small
def test_deep_networks_fold(rng):
    layers = [layer for _ in range(300) for layer in (nn.MaxPool2d(1), nn.ReLU())]
    assert_folds(nn.Sequential(*layers), rng.normal(size=(1, 2, 2, 1)))


@pytest.mark.small
@pytest.mark.parametrize("n", [3, 4, 6, 8, 9])
def test_the_first_channels_of_anything_fold(rng, n):
    """Of two values side by side: within the first, at its end, within the second, and all of them."""

    class First(nn.Module):
        def __init__(self, second):
            self.first, self.second = nn.ConvBNAct(6, 4, 3), second

        def forward(self, x):
            y = self.first(x)
            y, _ = nn.functional.concat_forward(y, self.second(y))
            return nn.functional.first_channels_forward(y, n)[0]

    for second in (nn.ConvBNAct(4, 4, 3), nn.ConvBNAct(4, 4, 3, groups=2), nn.ReLU6(), Doubled(4)):
        assert_folds(perturbed(First(second)), rng.normal(size=(3, 5, 4, 6)))
