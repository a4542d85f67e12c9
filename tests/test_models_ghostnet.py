"""GhostNet: published counts, the official network's numbers, gradients of the whole."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minighost as mg

DATA = Path(__file__).parent / "data"


def _costs(model, size):
    rows = mg.analysis.count(model, (size, size, 3))
    return sum(row.params for row in rows), sum(row.macs for row in rows)


def _parameters(model):
    return sum(p.size for p in model.parameters())


COUNTS = [
    # options, image size, classes, parameters, MACs
    ({"width": 0.5, "rounding": "torch"}, 224, 1000, 2_587_292, 42_328_152),
    ({"width": 0.75, "rounding": "torch"}, 224, 1000, 3_730_906, 86_201_144),
    ({"width": 1.0, "rounding": "torch"}, 224, 1000, 5_182_508, 141_150_512),
    ({"width": 1.1, "rounding": "torch"}, 224, 1000, 5_855_650, 166_986_864),
    ({"width": 1.3, "rounding": "torch"}, 224, 1000, 7_358_820, 227_003_256),
    ({"width": 0.5, "rounding": "torch"}, 32, 10, 1_319_102, 1_819_608),
    ({"width": 0.5, "rounding": "torch", "stem_stride": 1}, 32, 10, 1_319_102, 4_272_192),
    ({"width": 0.5, "rounding": "torch", "stem_stride": 1, "stage2_stride": 1}, 32, 10, 1_319_102, 12_374_496),
    ({"width": 1.0, "rounding": "torch"}, 32, 10, 3_914_318, 5_539_376),
    ({"width": 1.0, "rounding": "torch", "stem_stride": 1}, 32, 10, 3_914_318, 13_935_872),
    ({"width": 1.0, "rounding": "torch", "stem_stride": 1, "stage2_stride": 1}, 32, 10, 3_914_318, 43_122_752),
    ({"width": 1.3, "rounding": "torch"}, 32, 10, 6_090_630, 8_668_920),
    ({"width": 1.3, "rounding": "torch", "stem_stride": 1}, 32, 10, 6_090_630, 22_235_616),
    ({"width": 1.3, "rounding": "torch", "stem_stride": 1, "stage2_stride": 1}, 32, 10, 6_090_630, 70_210_944),
    ({"width": 1.0, "rounding": "torch", "se": False}, 224, 1000, 3_678_640, 139_651_568),
    ({"width": 1.0, "rounding": "tf", "se_hidden": "floor"}, 224, 1000, 5_181_736, 141_149_744),
    ({"width": 1.1, "rounding": "tf", "se_hidden": "floor"}, 224, 1000, 5_857_129, 164_483_640),
    ({"width": 1.3, "rounding": "tf", "se_hidden": "floor"}, 224, 1000, 7_351_342, 226_995_784),
    (
        {"width": 1.0, "rounding": "torch", "se_hidden": "floor", "head": "bn_no_bias"},
        224,
        1000,
        5_183_016,
        141_149_744,
    ),
]


@pytest.mark.parametrize("options, size, classes, parameters, macs", COUNTS)
def test_counts_equal_the_published_ones(options, size, classes, parameters, macs):
    model = mg.models.create("ghostnet", **options, num_classes=classes)
    assert _costs(model, size) == (parameters, macs)


TF_WIDTHS = {  # width: stem, expansions, outputs, squeeze-and-excitation, tail of the TensorFlow code
    0.75: (
        12,
        [12, 36, 56, 56, 88, 180, 152, 136, 136, 360, 504, 504, 720, 720, 720, 720],
        [12, 16, 16, 32, 32, 60, 60, 60, 60, 84, 84, 120, 120, 120, 120, 120],
        [14, 22, 90, 126, 126, 180, 180],
        720,
    ),
    1.1: (
        16,
        [16, 52, 80, 80, 132, 264, 220, 200, 200, 528, 740, 740, 1056, 1056, 1056, 1056],
        [16, 24, 24, 44, 44, 88, 88, 88, 88, 124, 124, 176, 176, 176, 176, 176],
        [20, 33, 132, 185, 185, 264, 264],
        1056,
    ),
}


@pytest.mark.parametrize("width", TF_WIDTHS)
def test_channels_of_the_tensorflow_rounding_are_those_of_its_table(width):
    model = mg.models.create("ghostnet", width=width, rounding="tf", se_hidden="floor")
    blocks = [block for stage in model.stages for block in stage]
    assert (
        model.stem.conv.weight.shape[3],
        [block.ghost1.out_channels for block in blocks],
        [block.ghost2.out_channels for block in blocks],
        [block.se.reduce.weight.shape[1] for block in blocks if block.se is not None],
        model.tail.conv.weight.shape[3],
    ) == TF_WIDTHS[width]


def test_the_kernels_of_all_ghosts_are_as_large_as_asked_for():
    model = mg.models.create("ghostnet", width=0.1, dw_size=5, num_classes=10)
    cheap = [m.cheap.conv.kernel_size for m in model.modules() if isinstance(m, mg.nn.GhostModule)]
    assert set(cheap) == {(5, 5)} and len(cheap) == 32
    assert _costs(mg.models.create("ghostnet", dw_size=1), 224)[0] == 5_182_508 - 37_296 * 8 // 9
    assert mg.models.ghostnet_cifar(0.1, dw_size=1).stages[0][0].ghost1.cheap.conv.kernel_size == (1, 1)


@pytest.mark.parametrize(
    "width, parameters, macs",
    [(0.5, 1_319_102, 12_374_496), (1.0, 3_914_318, 43_122_752), (1.3, 6_090_630, 70_210_944)],
)
def test_the_cifar_variant_keeps_parameters_and_resolution(width, parameters, macs):
    model = mg.models.create("ghostnet_cifar", width=width)
    assert _costs(model, 32) == (parameters, macs)
    sizes = [model.stem.output_shape[0], *(stage.output_shape[0] for stage in model.stages)]
    assert sizes == [32, 32, 32, 32, 16, 16, 8, 8, 4, 4]


def test_the_fast_cifar_variant_halves_the_plane_one_stage_earlier():
    model = mg.models.create("ghostnet_cifar_fast", width=0.5)
    assert _costs(model, 32) == (1_319_102, 11_139_552)
    sizes = [model.stem.output_shape[0], *(stage.output_shape[0] for stage in model.stages)]
    assert sizes == [32, 32, 16, 16, 16, 16, 8, 8, 4, 4]


def test_the_short_variant_has_ten_bottlenecks_and_only_the_stem_at_full_size():
    model = mg.models.create("ghostnet_short")
    assert _costs(model, 32) == (1_161_770, 12_454_400)
    sizes = [model.stem.output_shape[0], *(stage.output_shape[0] for stage in model.stages)]
    assert sizes == [32, 16, 16, 8, 8, 4, 4]
    assert [len(stage) for stage in model.stages] == [1, 2, 1, 3, 1, 2]


def test_parameters_of_each_block_equal_the_table():
    model = mg.models.create("ghostnet")
    blocks = [_parameters(block) for stage in model.stages for block in stage]
    assert blocks == [
        464,
        2_564,
        2_352,
        9_636,
        13_672,
        22_920,
        17_820,
        16_436,
        16_436,
        175_792,
        306_992,
        362_840,
        160_880,
        622_880,
        160_880,
        622_880,
    ]
    assert [_parameters(m) for m in (model.stem, model.tail, model.head, model.classifier)] == [
        464,
        155_520,
        1_230_080,
        1_281_000,
    ]


def test_layers_are_as_many_as_in_the_official_network():
    modules = list(mg.models.create("ghostnet").modules())
    convolutions = [m for m in modules if isinstance(m, mg.nn.Conv2d)]
    linears = [m for m in modules if isinstance(m, mg.nn.Linear)]
    assert len(convolutions) + len(linears) - 1 == 95  # the official code writes all but the classifier as convolutions
    assert sum(c.groups > 1 for c in convolutions) == 41
    assert sum(isinstance(m, mg.nn.BatchNorm2d) for m in modules) == 80


FIXTURES = [("ghostnet_w010_stem1", 1e-9), ("ghostnet_w010_stem2", 1e-9), ("ghostnet_w010_stem1", 1e-4)]


def _relative(actual, expected, floor=0.0):
    """Largest difference as a share of the largest value; `floor` for arrays that are zero but for rounding."""
    return np.abs(actual - expected).max() / max(np.abs(expected).max(), floor)


@pytest.mark.parametrize("fixture, tolerance", FIXTURES)
def test_the_official_network_is_reproduced(fixture, tolerance):
    """Logits, loss, gradients, running statistics of the authors' PyTorch code, in double and in single precision."""
    dtype = np.float64 if tolerance < 1e-6 else np.float32
    with np.load(DATA / f"{fixture}.npz", allow_pickle=False) as archive:
        official = {name: archive[name] for name in archive.files}
    model = mg.models.create(
        "ghostnet",
        width=float(official["width"]),
        stem_stride=int(official["stem_stride"]),
        num_classes=10,
        dropout=0.0,
    ).astype(dtype)
    mg.interop.load_timm(model, _section(official, "param"))
    x = np.ascontiguousarray(official["x_nchw"].transpose(0, 2, 3, 1), dtype)
    assert _relative(model.eval()(x), official["logits_eval"]) <= tolerance
    logits = model.train()(x)
    assert _relative(logits, official["logits_train"]) <= tolerance
    loss, dlogits = mg.ops.softmax_cross_entropy(logits, official["labels"])
    assert abs(loss - official["loss"]) <= tolerance * official["loss"]
    dx = model.backward(dlogits)
    assert _relative(dx, official["grad_x_nchw"].transpose(0, 2, 3, 1)) <= tolerance
    grads, official_grads = mg.interop.gradients(model, "timm"), _section(official, "grad")
    assert grads.keys() == official_grads.keys()
    # A bias in front of another batch norm has gradient zero; what either code finds there is rounding.
    floor = 1e-3 * max(np.abs(g).max() for g in official_grads.values())
    for name, expected in official_grads.items():
        assert _relative(grads[name], expected, floor) <= tolerance, name
    after = mg.interop.to_timm(model)
    for name, expected in _section(official, "after").items():
        if not name.endswith("num_batches_tracked"):
            assert _relative(after[name], expected) <= tolerance, name


def _section(official, kind):
    return {name.removeprefix(f"{kind}/"): value for name, value in official.items() if name.startswith(f"{kind}/")}


def test_official_weights_survive_the_round_trip():
    a, b = (mg.models.create("ghostnet", width=0.1, num_classes=10, rng=seed) for seed in (0, 1))
    mg.interop.load_timm(b, mg.interop.to_timm(a))
    for path, value in b.state_dict().items():
        assert_array_equal(value, a.state_dict()[path])


def test_official_weights_of_another_network_are_refused_whole():
    state = mg.interop.to_timm(mg.models.create("ghostnet", width=0.1, num_classes=10))
    state["surprise"] = np.zeros(3)
    model = mg.models.create("ghostnet", width=0.2, num_classes=10)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"(?s)nothing was loaded.*shape of blocks\.1.*unknown: surprise \(3,\)"):
        mg.interop.load_timm(model, state)
    assert all((before[path] == value).all() for path, value in model.state_dict().items())


@pytest.mark.parametrize("options", [{}, {"head": "bn_no_bias", "dw_size": 5, "rounding": "tf"}])
def test_the_gradient_of_the_whole_network_along_a_random_direction(options):
    """Float64; all parameters and the image move together along one random direction."""
    options = {"width": 0.1, "num_classes": 7, "stem_stride": 1, "dropout": 0.0, **options}
    model = mg.models.create("ghostnet", **options).astype(np.float64)
    rng = np.random.default_rng(2)
    x, dout = rng.normal(size=(3, 16, 16, 3)), rng.normal(size=(3, 7))
    start = {path: p.data.copy() for path, p in model.named_parameters()}
    direction = {path: rng.normal(size=v.shape) * np.abs(v).mean() for path, v in start.items()}
    dx_direction = rng.normal(size=x.shape)

    def value(h):
        for path, p in model.named_parameters():
            p.data[...] = start[path] + h * direction[path]
        return (model(x + h * dx_direction) * dout).sum()

    value(0.0)
    dx = model.backward(dout)
    slope = (dx * dx_direction).sum() + sum((p.grad * direction[path]).sum() for path, p in model.named_parameters())
    h = 1e-7  # small, for a network has many kinks
    assert_allclose(slope, (value(h) - value(-h)) / (2 * h), rtol=1e-5)


def test_ratio_one_has_no_ghosts():
    plain = mg.models.create("ghostnet_cifar", width=0.5, ratio=1)
    assert not any("cheap" in path for path, _ in plain.named_parameters())
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    assert plain(x).shape == (2, 10)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0}, "GhostNet: width must be finite and > 0, got 0"),
        ({"width": float("nan")}, "GhostNet: width must be finite and > 0, got nan"),
        ({"width": float("inf")}, "GhostNet: width must be finite and > 0, got inf"),
        ({"num_classes": 0}, "num_classes=0 must be a whole number of at least 1"),
        ({"stage_strides": (1, 2)}, "must have 9 numbers, one per stage, not 2"),
        ({"stage_strides": 1}, "stage_strides=1 must have 9 numbers, one per stage, not 1"),
        ({"ratio": 0}, "ratio=0 must be a whole number of at least 1"),
        ({"gate": "soft"}, "gate='soft' is unknown"),
        ({"rounding": "up"}, "GhostNet: rounding='up' is unknown; choose from 'torch', 'tf'"),
        ({"se_hidden": "ceil"}, "GhostNet: se_hidden='ceil' is unknown; choose from 'round', 'floor'"),
        ({"head": "none"}, "GhostNet: head='none' is unknown; choose from 'bias', 'bn_no_bias'"),
        ({"dw_size": 2}, "GhostModule: dw_size=2 must be odd"),
        ({"stage2_stride": 1, "stage_strides": (1,) * 9}, "GhostNet: give stage2_stride=1 or stage_strides=(1, 1"),
        ({"widht": 1}, r"ghostnet has no option 'widht' (did you mean 'width'?); it takes width, num_classes"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        mg.models.create("ghostnet", **options)


def test_an_unknown_model_is_refused_with_the_list():
    with pytest.raises(
        ValueError, match=r"unknown model 'gostnet' \(did you mean 'ghostnet'\?\); available: .*ghostnet_cifar"
    ):
        mg.models.create("gostnet")
    assert "ghostnet" in mg.models.names()


def test_an_image_of_the_wrong_kind_names_the_layer():
    model = mg.models.create("ghostnet", width=0.1)
    with pytest.raises(ValueError, match=r"stem\.conv: conv2d: x has 4 channels"):
        model(np.zeros((1, 32, 32, 4), np.float32))
