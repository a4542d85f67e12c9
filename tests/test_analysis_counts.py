"""Counting what layers cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minighost import analysis, models, nn

GOLDEN = [  # width, classes, side, stem stride: parameters, MACs; the official PyTorch code, counted
    (0.5, 1000, 224, 2, 2_587_292, 42_328_152),
    (1.0, 1000, 224, 2, 5_182_508, 141_150_512),
    (1.3, 1000, 224, 2, 7_358_820, 227_003_256),
    (0.5, 10, 32, 1, 1_319_102, 4_272_192),
    (1.0, 10, 32, 2, 3_914_318, 5_539_376),
]


@pytest.mark.parametrize("width, classes, side, stem_stride, parameters, macs", GOLDEN)
def test_ghostnet_counts_what_the_official_code_counts(width, classes, side, stem_stride, parameters, macs):
    model = models.create("ghostnet", width=width, num_classes=classes, stem_stride=stem_stride)
    rows = analysis.count(model, (side, side, 3))
    assert sum(row.params for row in rows) == analysis.total_parameters(model) == parameters
    assert sum(row.macs for row in rows) == macs


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2]), st.sampled_from([1, 3]), st.integers(3, 9))
def test_a_convolution_costs_one_product_per_weight_and_output_pixel(multiple, groups, stride, k, side):
    c_in, c_out = 2 * groups, multiple * groups
    model = nn.Sequential(nn.Conv2d(c_in, c_out, k, stride, padding=k // 2, groups=groups))
    (row,) = analysis.count(model, (side, side + 1, c_in))
    OH, OW = -(-side // stride), -(-(side + 1) // stride)
    assert row.output_shape == (OH, OW, c_out)
    assert row.params == k * k * 2 * c_out + c_out
    assert row.macs == OH * OW * k * k * 2 * c_out
    assert (row.path, row.kind) == ("0", "Conv2d")


def test_blocks_hold_all_that_their_layers_hold():
    model = models.create("ghostnet", width=0.5, num_classes=10)
    rows = analysis.count(model, (64, 64, 3))
    blocks = analysis.blocks(model, rows)
    assert sum(block.params for block in blocks) == sum(row.params for row in rows)
    assert sum(block.macs for block in blocks) == sum(row.macs for row in rows)
    assert sum(block.kind == "GhostBottleneck" for block in blocks) == 16
    assert [block.output_shape for block in blocks][-1] == (10,)


def test_counting_leaves_the_model_as_it_was():
    model = models.create("ghostnet", width=0.25, num_classes=10)
    before = model.state_dict()
    assert model.training
    analysis.count(model, (32, 32, 3))
    assert model.training and all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    analysis.count(model, (32, 32, 3))
    assert not any(module.training for module in model.modules())


def test_an_input_that_does_not_fit_names_the_layer():
    with pytest.raises(ValueError, match="stem.conv"):
        analysis.count(models.create("ghostnet", width=0.25), (32, 32, 4))


def test_summary_prints_the_commands_table(capsys):
    model = nn.Sequential(nn.ConvBNAct(3, 8, 3, stride=2, rng=0), nn.GlobalAvgPool(), nn.Linear(8, 10, rng=1))
    before = {path: value.tobytes() for path, value in model.state_dict().items()}
    model.summary((32, 32, 3))
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == "Sequential, input 32x32x3"
        and lines[2].split() == "block kind output parameters MACs of MACs".split()
    )
    assert [line.split()[:3] for line in lines[4:7]] == [
        ["0", "ConvBNAct", "16x16x8"],
        ["1", "GlobalAvgPool", "8"],
        ["2", "Linear", "10"],
    ]
    assert lines[8].split() == ["total", "322", "55,376", "100.0", "%"]
    model.summary((32, 32, 3), layers=True)
    assert "0.bn" in capsys.readouterr().out
    assert model.training and {path: value.tobytes() for path, value in model.state_dict().items()} == before


def test_summary_remembers_the_last_images(capsys):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, rng=0))
    with pytest.raises(ValueError, match=r"Sequential.summary: which images\? .* model.summary\(\(32, 32, 3\)\)"):
        model.summary()
    for mode in (True, False):
        model.train(mode)(np.zeros((2, 9, 7, 3), np.float32))
        model.summary()
        assert "Sequential, input 9x7x3" in capsys.readouterr().out
    with pytest.raises(ValueError, match="x has 4 channels"):
        model.summary((9, 7, 4))
    assert not model.training
