"""RetinaNet: its counts, the order of its predictions, weights shared by all maps, gradients, what does not fit."""

import copy
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minighost import analysis, detect, gradcheck, models, nn
from minighost.gradcheck.catalogue import perturbed
from minighost.nn import limit


def tiny(backbone="ghostnet", seed=0, **options):
    return detect.RetinaNet(
        backbone, **{"num_classes": 3, "fpn": 4, "levels": (8, 16), "anchors": 2, "width": 0.1, "rng": seed, **options}
    )


def pictures(N=2, H=32, W=32, seed=0):
    return np.random.default_rng(seed).normal(size=(N, H, W, 3)).astype(np.float32)


# Counts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, parts",
    [
        ({"num_classes": 80}, (2_515_908, 2_809_856, 4_019_920, 2_443_300)),
        ({"num_classes": 80, "p6_from": "P5"}, (2_515_908, 3_031_040, 4_019_920, 2_443_300)),
        ({"num_classes": 10, "fpn": 64}, (2_515_908, 260_096, 199_642, 168_484)),
    ],
)
def test_each_part_has_as_many_parameters_as_its_definition(options, parts):
    with nn.without_weights():
        model = models.create("ghostnet_retinanet", **options)
    found = [analysis.total_parameters(part) for part in (model.net, model.fpn, model.classes, model.boxes)]
    assert tuple(found) == parts
    assert analysis.total_parameters(model) == sum(parts)
    rows = analysis.count(model, (224, 224, 3))
    assert sum(row.params for row in rows) == sum(parts)
    blocks = {row.path: row for row in analysis.blocks(model, rows)}
    assert [blocks[f"classes.{k}"].output_shape[:2] for k in range(5)] == [(28, 28), (14, 14), (7, 7), (4, 4), (2, 2)]
    assert [blocks[f"boxes.{k}"].params for k in range(5)] == [parts[3], 0, 0, 0, 0]
    assert blocks["boxes.0"].macs == 28 * 28 * 9 * model.fpn.smooth[0].weight.shape[3] * (
        4 * model.fpn.smooth[0].weight.shape[3] + 36
    )


@pytest.mark.parametrize("name", models.detectors())
def test_a_detector_is_made_by_name_and_says_when_what_and_where(name):
    with nn.without_weights():
        model = models.create(name, width=0.25, num_classes=5, fpn=8, rng=0)
    assert isinstance(model, detect.RetinaNet) and models.made_by(model)[0] == name
    about = models.ABOUT[name]
    logits, offsets = model(np.empty((0, about.side, about.side, 3), np.float32))
    assert logits.shape[2] == 5 and offsets.shape[1:] == (*model.anchors(about.side, about.side).shape,)
    assert about.year >= 2017 and '"' in about.paper and len(about.idea.split()) <= 8
    assert name not in models.names() and models.takes(name, "stem_stride") and not models.takes(name, "ratio")
    with pytest.raises(ValueError, match=f"{name} has no option 'fnp' .did you mean 'fpn'"):
        models.create(name, fnp=8)


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"])
def test_other_networks_are_backbones_too(backbone):
    with nn.without_weights():
        model = tiny(backbone, levels=None, width=0.25)
    assert model.strides == (8, 16, 32, 64, 128)
    logits, _ = model(np.empty((0, 128, 128, 3), np.float32))
    assert logits.shape[1] == len(model.anchors(128, 128)) == 2 * (16**2 + 8**2 + 4**2 + 2**2 + 1)


def test_a_network_that_is_made_gives_its_layers_and_weights():
    network = models.create("ghostnet", width=0.1, rng=5)
    model = detect.RetinaNet(network, 3, fpn=4, levels=(8, 16), anchors=1)
    assert model.net.stages[0][0] is network.stem
    with pytest.raises(ValueError, match="width=0.5 and stem_stride=None are options of a network that is made by na"):
        detect.RetinaNet(network, 3, width=0.5)


def test_a_first_stride_of_one_halves_all_strides():
    model = tiny(stem_stride=1, levels=(4, 8, 16))
    assert model.strides == (4, 8, 16)
    assert model(pictures())[0].shape[1] == 2 * (8**2 + 4**2 + 2**2) == len(model.anchors(32, 32))
    assert tiny(stem_stride=1, levels=None).strides == (4, 8, 16, 32, 64)


# What it computes ----------------------------------------------------------------------------------------------


def test_at_first_every_anchor_says_one_percent():
    logits, offsets = tiny(width=0.5)(pictures())
    assert_allclose(1 / (1 + np.exp(-logits)), 0.01, atol=1e-4)
    assert abs(offsets).max() < 0.01
    assert_allclose(1 / (1 + np.exp(-tiny(prior=0.2)(pictures())[0])), 0.2, atol=1e-3)


def test_predictions_lie_where_their_anchors_do():
    """The gradient of one prediction reaches the map place of its anchor, and no other of its tower's output."""
    model = tiny(levels=(8, 16))
    x, anchors = pictures(1, 32, 48), model.anchors(32, 48)
    assert model.anchors_per_map(32, 48) == [2 * 4 * 6, 2 * 2 * 3]
    seen = []
    for tower in model.classes:
        forward = tower.forward
        tower.forward = lambda x, forward=forward: seen.append(forward(x)) or seen[-1]
    logits, _ = model(x)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    for k, row in enumerate(logits[0]):
        level = int(k >= 48)
        column, line = (centres[k] / (8 << level)).round().astype(int)
        assert_array_equal(row, seen[level][0, line, column].reshape(2, 3)[k % 2])


def test_a_picture_that_is_moved_by_the_coarsest_stride_moves_its_predictions():
    """In evaluation, away from the borders; GhostNet without gates, for these see the whole picture."""
    model = detect.RetinaNet(
        models.create("ghostnet", width=0.1, se=False, rng=0), 3, fpn=4, levels=(4, 8), anchors=1, rng=0
    ).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data + np.float32(0.05)
    x = np.zeros((1, 256, 256, 3), np.float32)
    x[:, 112:144, 112:144] = pictures(1)
    moved = np.roll(x, (8, 16), (1, 2))
    for here, there in zip(model(x), model(moved), strict=True):
        maps = [one[0, : 64 * 64].reshape(64, 64, -1) for one in (here, there)]
        assert_allclose(np.roll(maps[0], (2, 4), (0, 1))[24:42, 24:42], maps[1][24:42, 24:42], atol=1e-4)


def test_odd_sizes_work_and_anchors_follow():
    model = tiny(levels=(4, 8, 16, 32), p7_relu=True)
    logits, offsets = model(pictures(1, 39, 57))
    assert model.map_sizes(39, 57) == [(10, 15), (5, 8), (3, 4), (2, 2)]
    assert logits.shape[1] == offsets.shape[1] == len(model.anchors(39, 57))
    model.backward((np.ones_like(logits), np.ones_like(offsets)))
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_fused_or_not_it_computes_the_same(training):
    model, x, answers = tiny().astype(np.float64).train(training), pictures().astype(np.float64), []
    state = model.state_dict()
    for on in (True, False):
        model.load_state_dict(state)
        model.zero_grad()
        with nn.fusing(on):
            out = model(x)
            dx = model.backward(tuple(np.random.default_rng(k).normal(size=one.shape) for k, one in enumerate(out)))
        answers.append([*out, dx, *(parameter.grad for parameter in model.parameters())])
    for fused, plain in zip(*answers, strict=True):
        assert_allclose(fused, plain, rtol=1e-9, atol=1e-9 * abs(plain).max(initial=1e-3))


# Gradients -----------------------------------------------------------------------------------------------------


class Joined(nn.Module):
    """A detector's two outputs as one, for a gradient check."""

    def __init__(self, detector):
        self.detector = detector

    def forward(self, x):
        logits, offsets = self.detector(x)
        self._cache = logits.shape[2]
        return np.concatenate([logits, offsets], axis=2)

    def backward(self, dout):
        C = self._take_cache(dout)
        return self.detector.backward((dout[..., :C].copy(), dout[..., C:].copy()))


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"backbone": "mobilenet_v2", "levels": (8, 16, 32), "p6_from": "P5"}, marks=pytest.mark.long),
        pytest.param({"backbone": "mobilenet_v3_small", "levels": (16, 32), "anchors": 1}, marks=pytest.mark.long),
    ],
)
def test_the_backward_of_the_whole_detector_is_its_derivative(options):
    model = perturbed(tiny(**options), np.random.default_rng(3))
    gradcheck.check(Joined(model), pictures(2, 40, 32).astype(np.float64))


@pytest.mark.parametrize("p6_from, p7_relu", [("C5", True), ("P5", False)])
def test_the_backward_of_a_pyramid_is_its_derivative(p6_from, p7_relu):
    class Maps(nn.Module):
        """One row in, one row out."""

        def __init__(self):
            self.pyramid = detect.FeaturePyramid((1, 2), 1, 2, p6_from, p7_relu, rng=0)

        def forward(self, x):
            maps = self.pyramid([x[:, :15].reshape(-1, 5, 3, 1), x[:, 15:].reshape(-1, 3, 2, 2)])
            self._cache = [one.shape for one in maps]
            return np.concatenate([one.reshape(len(x), -1) for one in maps], axis=1)

        def backward(self, dout):
            shapes, start, douts = self._take_cache(dout), 0, []
            for shape in shapes:
                end = start + int(np.prod(shape[1:]))
                douts.append(np.ascontiguousarray(dout[:, start:end]).reshape(shape))
                start = end
            return np.concatenate([one.reshape(len(dout), -1) for one in self.pyramid.backward(douts)], axis=1)

    gradcheck.check(perturbed(Maps(), np.random.default_rng(0)), np.random.default_rng(1).normal(size=(1, 27)))


def test_nothing_but_the_gradient_of_the_pictures_can_be_spared():
    model = tiny()
    model.skip_input_gradient()
    logits, offsets = model(pictures())
    assert model.backward((np.ones_like(logits), np.ones_like(offsets))) is None
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_frozen_backbone_keeps_its_statistics_and_the_rest_learns():
    model = tiny()
    nn.freeze(model, "net")
    before = {path: value for path, value in model.state_dict().items() if path.startswith("net")}
    logits, offsets = model.train()(pictures())
    model.backward((np.ones_like(logits), np.ones_like(offsets)))
    for path, parameter in model.named_parameters():
        assert (parameter.grad is None) == path.startswith("net"), path
    for path, value in before.items():
        assert_array_equal(model.state_dict()[path], value)


# One set of weights for all maps -------------------------------------------------------------------------------


def test_towers_share_their_parameters_and_keep_doing_so():
    model = copy.deepcopy(tiny()).astype(np.float64)
    nn.flatten(model)
    first, second = model.classes
    assert first.out.weight is second.out.weight and first.layers[0].bias is second.layers[0].bias
    assert first.layers[0] is not second.layers[0]
    assert not any(path.startswith(("classes.1", "boxes.1")) for path, _ in model.named_parameters())


def test_weights_are_saved_once_and_loaded_into_all_towers():
    one, other = tiny(seed=0), tiny(seed=1)
    state = one.state_dict()
    assert not any(path.startswith(("classes.1", "boxes.1")) for path in state)
    assert sum(value.size for path, value in state.items() if "running" not in path) == analysis.total_parameters(one)
    other.load_state_dict(state)
    for found, expected in zip(other.eval()(pictures()), one.eval()(pictures()), strict=True):
        assert_array_equal(found, expected)
    del state["boxes.0.out.bias"]
    with pytest.raises(ValueError, match=r"missing: boxes\.0\.out\.bias"):
        other.load_state_dict(state)


def test_a_file_s_number_of_weights_is_enough_to_build_it():
    size = sum(value.size for value in tiny().state_dict().values())
    with limit.at_most(size):
        tiny()
    with (
        pytest.raises(ValueError, match="the network has more weights than there are values"),
        limit.at_most(size // 2),
    ):
        tiny()


# What does not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"num_classes": 0}, ValueError, "RetinaNet: num_classes=0 must be a whole number of at least 1"),
        ({"fpn": 0}, ValueError, "RetinaNet: fpn=0 must be a whole number of at least 1"),
        ({"p6_from": "C4"}, ValueError, "RetinaNet: p6_from='C4' is unknown; choose from 'C5', 'P5'"),
        ({"anchors": 0}, ValueError, "RetinaNet: anchors=0 must be a whole number of at least 1"),
        ({"base": 0}, ValueError, "RetinaNet: base must be finite and > 0, got 0"),
        ({"prior": 1}, ValueError, "RetinaNet: prior must be > 0 and < 1, got 1"),
        ({"backbone": "ghostnett"}, ValueError, "unknown model 'ghostnett' (did you mean 'ghostnet'?)"),
        (
            {"backbone": "resnet18", "stem_stride": 1},
            ValueError,
            "RetinaNet: resnet18 has no option stem_stride; leave",
        ),
        (
            {"levels": (8, 12)},
            ValueError,
            "levels=(8, 12) must be strides of GhostNet, ascending, out of (4, 8, 16, 32)",
        ),
        ({"levels": (16, 8)}, ValueError, "levels=(16, 8) must be strides of GhostNet, ascending"),
        ({"levels": (8, 16, 64)}, ValueError, "after the last of them may follow larger ones, 64, 128, ..."),
        ({"levels": ()}, ValueError, "levels=() must be strides of GhostNet, ascending"),
    ],
)
def test_impossible_options_are_named(options, error, message):
    with nn.without_weights(), pytest.raises(error, match=re.escape(message)):
        tiny(**options)


def test_a_picture_smaller_than_the_coarsest_stride_is_refused():
    with pytest.raises(
        ValueError, match=r"picture of 64x12 pixels is smaller than the coarsest stride, 16; give larger"
    ):
        tiny()(pictures(1, 64, 12))


def test_gradients_that_do_not_fit_are_refused():
    model = tiny()
    logits, offsets = model(pictures())
    with pytest.raises(TypeError, match="dout must be two gradients, of the logits and of the offsets; got ndarray"):
        model.backward(logits)
    with pytest.raises(ValueError, match=r"dout must have shape \(2, 40, 3\), got \(2, 40, 4\)"):
        model.backward((offsets, logits))
    model.backward((logits, offsets))
    with pytest.raises(RuntimeError, match=r"RetinaNet: backward\(\) needs a forward\(\) before it"):
        model.backward((logits, offsets))


def test_an_error_names_the_layer():
    with pytest.raises(ValueError, match=r"^net\.stages\.0\.0\.conv: "):
        tiny()(np.zeros((1, 32, 32, 4), np.float32))


def test_a_fold_calls_it_as_it_is():
    model, x = tiny().eval(), pictures()
    for folded, plain in zip(nn.fold(model)(x), model(x), strict=True):
        assert_array_equal(folded, plain)
