"""QuickNet and its whitening stem."""

import io

import numpy as np
import pytest
from gradients import assert_module_gradients
from numpy.testing import assert_allclose

from minighost import models, nn, ops, train
from minighost.cli import main
from minighost.train import PRESETS, Config


@pytest.mark.small
def test_whitened_patches_are_uncorrelated_and_of_size_one(rng):
    mixing = rng.normal(size=(3, 3))
    images = rng.normal(size=(40, 9, 9, 3)).cumsum(1).cumsum(2) @ mixing
    stem = nn.PatchWhitening(3, 2).astype(np.float64)
    stem.prepare(images, eps=0)
    answers = ops.im2col(images, 2) @ stem.weight.data.reshape(12, 12)
    assert_allclose(answers.T @ answers / len(answers), np.eye(12), atol=1e-6)


@pytest.mark.small
def test_the_stem_answers_with_both_signs_and_learns_its_bias_only(rng):
    stem = nn.PatchWhitening(2, 2)
    stem.prepare(rng.normal(size=(10, 5, 5, 2)))
    out = stem(rng.normal(size=(3, 5, 4, 2)).astype(np.float32))
    assert out.shape == (3, 4, 3, 16)
    assert (out >= 0).all() and (np.minimum(out[..., :8], out[..., 8:]) == 0).all()
    assert [path for path, _ in stem.named_parameters()] == ["bias"]
    assert "weight" in stem.state_dict()


@pytest.mark.small
def test_the_filters_kept_are_those_of_the_largest_variance(rng):
    images = rng.normal(size=(40, 9, 9, 2)).cumsum(1).cumsum(2)
    every, few = nn.PatchWhitening(2, 3), nn.PatchWhitening(2, 3, filters=5, padding=1)
    every.prepare(images), few.prepare(images)
    assert_allclose(few.weight.data, every.weight.data[..., :5])
    variances = (ops.im2col(images, 3) @ every.weight.data.reshape(18, 18).astype(float)).var(0)
    unscaled = np.linalg.norm(every.weight.data.reshape(18, 18), axis=0)  # 1 / standard deviation
    assert (np.diff(unscaled) > 0).all() and variances.max() < 1.1
    assert few(images.astype(np.float32)).shape == (40, 9, 9, 10)
    with pytest.raises(ValueError, match=r"filters=19 must lie between 1 and 18, .* \(.* = 3\*3\*2\)"):
        nn.PatchWhitening(2, 3, filters=19)


@pytest.mark.small
@pytest.mark.parametrize("options", [(2, 2), (2, 3, 5, 1), (2, 2, None, 0, "gelu"), (2, 2, 3, "same", "silu")])
def test_gradients_of_the_stem(rng, options):
    stem = nn.PatchWhitening(*options)
    stem.prepare(rng.normal(size=(10, 5, 5, 2)))
    stem.bias.data += rng.normal(size=stem.bias.shape)
    assert_module_gradients(stem, rng.normal(size=(2, 4, 3, 2)))


@pytest.mark.small
def test_with_another_activation_a_filter_and_its_negative_have_biases_of_their_own(rng):
    stem = nn.PatchWhitening(2, 2, 3, "same", "gelu").astype(np.float64)
    stem.prepare(rng.normal(size=(10, 5, 5, 2)))
    filters, opposite = np.split(stem.weight.data, 2, axis=3)
    assert_allclose(opposite, -filters)
    stem.bias.data[:] = rng.normal(size=6)
    x = rng.normal(size=(2, 4, 3, 2))
    padded = np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)])
    patches = ops.im2col(padded, 2).reshape(2, 4, 3, 8)
    expected = ops.gelu_forward(patches @ stem.weight.data.reshape(8, 6) + stem.bias.data)[0]
    assert_allclose(stem(x), expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match=r"PatchWhitening: act='tanh' is unknown; choose from 'crelu', 'relu', "):
        nn.PatchWhitening(2, 2, act="tanh")


@pytest.mark.small
def test_the_bias_learns_the_same_where_nobody_asks_for_the_gradient_of_the_image(rng):
    x, gradients = rng.normal(size=(2, 5, 4, 2)), []
    dout = rng.normal(size=(2, 4, 3, 16))
    for wanted in (True, False):
        stem = nn.PatchWhitening(2, 2).astype(np.float64)
        stem.dx_wanted = wanted
        stem(x)
        assert (stem.backward(dout) is None) is not wanted
        gradients.append(stem.bias.grad)
    assert_allclose(*gradients, rtol=1e-12)


@pytest.mark.parametrize("ratio, plain", [(1, 0), (2, 0), (2, 1)])
def test_gradients_of_quicknet_in_random_directions(rng, ratio, plain):
    model = models.create("quicknet", width=0.1, ratio=ratio, plain=plain).astype(np.float64)
    x, labels = rng.normal(size=(6, 16, 16, 3)), np.arange(6)
    model.prepare(x)
    for p in model.parameters():  # filters that hand on a channel see windows of zeros: ties of the maximum are kinks
        p.data += 0.1 * rng.normal(size=p.shape)

    def loss():
        return ops.softmax_cross_entropy(model(x), labels)[0]

    model.backward(ops.softmax_cross_entropy(model(x), labels)[1])
    for path, p in model.named_parameters():
        direction, h = rng.normal(size=p.shape), 1e-7  # short: maxima and ReLUs have kinks
        slope = (p.grad * direction).sum()
        p.data += h * direction
        above = loss()
        p.data -= 2 * h * direction
        numeric = (above - loss()) / (2 * h)
        p.data += h * direction
        assert_allclose(slope, numeric, rtol=1e-5, atol=1e-6, err_msg=path)


@pytest.mark.small
@pytest.mark.parametrize("ratio", [1, 2])
def test_the_first_filters_of_each_convolution_hand_on_a_channel(ratio, rng):
    model = models.create("quicknet", width=0.1, ratio=ratio)
    dense = [m for m in model.blocks.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    assert len(dense) == 6
    for conv in dense:
        x = rng.normal(size=(2, 5, 5, conv.weight.shape[2])).astype(np.float32)
        shared = min(conv.weight.shape[2:])
        assert_allclose(conv(x)[..., :shared], x[..., :shared], atol=1e-5)
        assert shared == conv.weight.shape[3] or conv.weight.data[..., shared:].std() > 0


def test_the_sizes_of_quicknet():
    for ratio, plain, parameters, macs in (
        (1, 0, 1_972_502, 146_278_912),
        (2, 3, 1_972_502, 146_278_912),
        (2, 0, 993_878, 73_472_512),
        (2, 1, 1_018_646, 85_121_536),
    ):
        model = models.create("quicknet", ratio=ratio, plain=plain)
        ghosts = [sum(isinstance(m, nn.GhostModule) for m in block.modules()) for block in model.blocks]
        assert ghosts == [0 if ratio == 1 or k < plain else 2 for k in range(3)]
        model(np.zeros((1, 32, 32, 3), np.float32))
        assert sum(p.size for p in model.parameters()) == parameters
        assert sum(m.macs for m in model.modules() if not list(m.children())) == macs


def test_quicknet_refuses_bad_numbers():
    with pytest.raises(ValueError, match="QuickNet: width must be finite and > 0, got 0"):
        models.create("quicknet", width=0)
    with pytest.raises(ValueError, match="QuickNet: num_classes=1.5 must be a whole number"):
        models.create("quicknet", num_classes=1.5)
    with pytest.raises(ValueError, match="QuickNet: plain=4 must be a whole number of blocks, 0 to 3"):
        models.create("quicknet", ratio=2, plain=4)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_resolves_and_flags_win_over_it(name):
    config = Config.resolve(preset=name)
    assert config.data.name == "cifar10" and config.model.name == "quicknet"
    for key, value in PRESETS[name].items():
        assert config.flat()[key] == value
    assert Config.resolve(preset=name, overrides={"train.epochs": "1"}).train.epochs == 1


def test_an_unknown_preset_is_named_with_its_nearest():
    with pytest.raises(ValueError, match=r"unknown preset 'cifar-wide' \(did you mean 'cifar10-wide'\?\); avail"):
        Config.resolve(preset="cifar-wide")


def test_a_run_prepares_the_stem_from_its_images(tmp_path):
    settings = {"model.name": "quicknet", "model.width": "0.05", "train.epochs": "1", "train.batch_size": "20"}
    sizes = {"data.train_size": "40", "data.test_size": "20", "threads": "1", "out": str(tmp_path / "run")}
    train.run(Config.resolve(overrides={**settings, **sizes}), stream=io.StringIO())
    weight = train.load_run(tmp_path / "run").model.stem.weight.data
    assert np.isfinite(weight).all() and np.abs(weight.reshape(27, 12) - np.eye(27, 12)).max() > 0.1


def test_a_run_that_goes_on_takes_no_preset(capsys):
    assert main.main(["train", "--resume", "--preset", "cifar10-wide", "--out", "nowhere"]) == 2
    assert "--preset: a resumed run keeps its settings; leave out --preset or --resume" in capsys.readouterr().err


def test_the_help_names_every_preset(capsys):
    main.main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(name in text for name in PRESETS)
