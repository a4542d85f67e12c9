"""Images of one channel and of any height and width, from the data set to the run that is loaded."""

import io

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from training import TinyNet, settings

from minighost import data, nn
from minighost.data import pictures
from minighost.models import registry
from minighost.train import load_checkpoint, load_run, run
from minighost.train.meta import RunMeta


def grey(n=12, size=(9, 12), seed=0):
    rng = np.random.default_rng(seed)
    return data.Dataset(rng.integers(0, 256, (n, *size, 1), np.uint8), np.arange(n) % 3, ("a", "b", "c"), "grey")


@pytest.mark.small
def test_grey_images_are_augmented_and_normalised_as_the_channels_of_rgb(rng):
    one = grey()
    augment = data.Augment(crop_padding=2, cutout=3)
    kept = [data.Loader(part, 4, augment=augment, seed=5).epoch(1).__next__()[0] for part in (one, one.rgb())]
    assert kept[0].shape == (4, 9, 12, 1)
    assert_array_equal(np.broadcast_to(kept[0], kept[1].shape), kept[1])


@pytest.mark.small
@pytest.mark.parametrize("channels", [0, 2, 4])
def test_other_numbers_of_channels_are_refused(channels):
    with pytest.raises(ValueError, match=r"must have shape \(N, H, W, 1\) or \(N, H, W, 3\)"):
        data.Dataset(np.zeros((1, 4, 4, channels), np.uint8), [0], ("a",), "x")


@pytest.mark.parametrize(
    "size, note",
    [((20, 30), "90x100, centre 90x60 scaled to 30x20"), ((30, 20), "90x100, centre 66x100 scaled to 20x30")],
)
def test_a_picture_is_cut_to_the_ratio_of_the_size(tmp_path, size, note):
    whole = np.random.default_rng(0).integers(0, 256, (100, 90, 3), np.uint8)
    Image.fromarray(whole).save(tmp_path / "a.png")
    image, said = pictures.read(tmp_path / "a.png", size)
    assert image.shape == (*size, 3) and said == note
    H, W = (60, 90) if size == (20, 30) else (100, 66)
    top, left = (100 - H) // 2, (90 - W) // 2
    part = Image.fromarray(whole[top : top + H, left : left + W]).resize(size[::-1], Image.Resampling.BICUBIC)
    assert_array_equal(image, np.asarray(part))
    assert_array_equal(pictures.fit(whole, size)[0], image)


def test_a_turned_picture_is_cut_upright(tmp_path):
    whole = np.random.default_rng(0).integers(0, 256, (30, 60, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(whole).save(tmp_path / "a.png", exif=exif)
    image, note = pictures.read(tmp_path / "a.png", (60, 20))
    assert note == "30x60, centre 20x60"
    assert_array_equal(image, np.rot90(whole, -1)[:, 5:25])


def test_a_grey_picture_keeps_its_values_in_one_channel(tmp_path):
    whole = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(whole).save(tmp_path / "a.png")
    assert_array_equal(pictures.read(tmp_path / "a.png", 16, 1)[0], whole[..., None])
    assert_array_equal(pictures.fit(whole[..., None], 16)[0], np.repeat(whole[..., None], 3, axis=2))


class GreyNet(nn.Sequential):
    """TinyNet with the option that a network for grey images has."""

    def __init__(self, num_classes=10, in_channels=3, rng=0):
        super().__init__(nn.Conv2d(in_channels, 4, 3, rng=rng), nn.GlobalAvgPool(), nn.Linear(4, num_classes, rng=rng))


@pytest.mark.parametrize("net, channels", [(TinyNet, 3), (GreyNet, 1)])
def test_a_run_on_grey_images_is_loaded_with_their_size_and_channels(tmp_path, monkeypatch, net, channels):
    monkeypatch.setattr("minighost.plots.run.everything", lambda *args: [])
    monkeypatch.setitem(registry.MODELS, "greynet", net)
    monkeypatch.setattr(data, "load", lambda name, split, **_: grey(40), raising=False)
    stream, config = io.StringIO(), settings(tmp_path / "run", model__name="greynet", train__epochs=1, train__crop=2)
    run(config, stream=stream)
    loaded = load_run(tmp_path / "run")
    assert (loaded.size, loaded.channels, len(loaded.std)) == ((9, 12), channels, channels)
    assert ("shown as RGB" in stream.getvalue()) == (channels == 3)
    assert [name for name, _ in loaded.predict(grey(1).images[0])] != []
    Image.fromarray(np.zeros((50, 40, 3), np.uint8)).save(tmp_path / "a.png")
    assert len(loaded.predict(tmp_path / "a.png")) == 3


def test_a_checkpoint_that_does_not_say_the_size_has_that_of_its_data_set(straight, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.MODELS, "tinynet", TinyNet)
    _, meta = load_checkpoint(straight[0] / "checkpoints" / "last")
    assert meta.pop("size") == [32, 32]
    assert RunMeta.from_dict(meta, "x").size is None
    monkeypatch.setattr(RunMeta, "size", None)
    assert load_run(straight[0]).size == (32, 32)


@pytest.mark.parametrize(
    "key, value, words",
    [("mean", [0.5, 0.5], "one or three numbers"), ("std", [0.5], "one number per channel"), ("size", [0, 9], "4,096")],
)
def test_meta_data_of_no_image_are_refused(straight, key, value, words):
    _, meta = load_checkpoint(straight[0] / "checkpoints" / "last")
    with pytest.raises(ValueError, match=f"x: {key}: expected .*{words}"):
        RunMeta.from_dict({**meta, key: value}, "x")
