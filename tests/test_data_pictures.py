"""Reading whatever picture a person has."""

import io

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageOps

from minighost.data.pictures import read
from minighost.errors import FormatError


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def turned(by=6):
    exif = Image.Exif()
    exif[0x0112] = by
    return exif


def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path):
    image, note = read(save(tmp_path / "a.png", noise(32, 32)), 32)
    assert_array_equal(image, noise(32, 32))
    assert note == "32x32"


@pytest.mark.parametrize(
    "height, width, note",
    [
        (48, 64, "64x48, centre 48x48 scaled to 32x32"),
        (64, 32, "32x64, centre 32x32"),
        (7, 7, "7x7 scaled to 32x32"),
        (1, 1000, "1000x1, centre 1x1 scaled to 32x32"),
    ],
)
def test_any_other_size_is_cut_and_scaled_and_says_so(tmp_path, height, width, note):
    image, said = read(save(tmp_path / "a.png", noise(height, width)), 32)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8 and said == note


@pytest.mark.parametrize("height, width", [(700, 500), (300, 811)])
def test_reading_in_bands_gives_the_bits_of_scaling_the_whole(tmp_path, height, width):
    whole = noise(height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(whole[top : top + side, left : left + side]).resize((32, 32), Image.Resampling.BICUBIC)
    assert_array_equal(read(save(tmp_path / "a.png", whole), 32)[0], np.asarray(square))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_every_exif_orientation_is_turned_upright_and_the_note_says_the_upright_size(tmp_path, kind, turn):
    picture = Image.fromarray(np.kron(noise(3, 4), np.ones((8, 8, 1), np.uint8)))
    path = tmp_path / f"a.{kind}"
    picture.save(path, exif=turned(turn), **({"lossless": True} if kind == "webp" else {"quality": 100}))
    upright = ImageOps.exif_transpose(Image.open(path))
    image, note = read(path, 24)
    assert note == f"{upright.width}x{upright.height}, centre 24x24"
    side = [slice((length - 24) // 2, (length + 24) // 2) for length in (upright.height, upright.width)]
    assert_array_equal(image, np.asarray(upright)[side[0], side[1]])


def test_the_centre_is_what_is_kept(tmp_path):
    wide = noise(32, 96)
    assert_array_equal(read(save(tmp_path / "a.png", wide), 32)[0], wide[:, 32:64])


def test_scaling_down_averages_instead_of_dropping_pixels(tmp_path):
    board = np.zeros((64, 64, 3), np.uint8)
    board[::2] = 255
    assert_allclose(read(save(tmp_path / "a.png", board), 16)[0], 127.5, atol=15)


def test_grey_palette_and_sixteen_bits_become_rgb(tmp_path):
    grey = np.arange(1024, dtype=np.uint8).reshape(32, 32)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    assert_array_equal(read(save(tmp_path / "a.png", grey), 32)[0], rgb)
    assert_array_equal(read(save(tmp_path / "b.png", grey.astype(np.uint16) * 256), 32)[0], rgb)
    Image.fromarray(grey).convert("P").save(tmp_path / "c.gif")
    assert_array_equal(read(tmp_path / "c.gif", 32)[0], rgb)


def test_transparency_is_laid_on_white(tmp_path):
    clear = np.zeros((32, 32, 4), np.uint8)
    assert (read(save(tmp_path / "a.png", clear), 32)[0] == 255).all()


def test_a_photo_is_turned_upright_by_its_exif_note(tmp_path):
    flipped = noise(32, 32)[::-1, ::-1].copy()
    assert_array_equal(read(save(tmp_path / "a.png", flipped, exif=turned(by=3)), 32)[0], noise(32, 32))


def png():
    file = io.BytesIO()
    Image.fromarray(noise(32, 32)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><title>404</title>", "unknown format"),
        (png()[:900], "truncated"),
        (png()[:40], ""),
        (png()[:60] + bytes(40) + png()[100:], ""),
    ],
)
def test_what_is_no_image_says_so(tmp_path, content, reason):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(FormatError) as error:
        read(path, 32)
    assert str(error.value).startswith(f"{path}: not an image that can be read (")
    assert reason in str(error.value) and "give a PNG or JPEG file" in str(error.value)


def test_a_directory_is_no_image(tmp_path):
    with pytest.raises(FormatError, match="a directory, not an image"):
        read(tmp_path, 32)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a.png", 32)


@pytest.mark.parametrize("options", [{}, {"exif": turned()}])
def test_a_jpeg_that_is_too_large_is_decoded_smaller_and_looks_the_same(tmp_path, monkeypatch, options):
    ramp = np.add.outer(np.linspace(0, 120, 600), np.linspace(0, 120, 800)).astype(np.uint8)
    path = save(tmp_path / "a.jpg", np.stack([ramp, 255 - ramp, ramp // 2], 2), quality=95, **options)
    image, note = read(path, 32)
    monkeypatch.setattr("minighost.data.pictures.MEMORY", 800 * 600)
    smaller, same = read(path, 32)
    assert_allclose(smaller.astype(int), image, atol=2)
    assert same == note and ("600x800" in note) == bool(options)
    Image.open(path).save(path, progressive=True)
    with pytest.raises(FormatError, match="600: decoding it would take 5 MB, more than 0; scale it down"):
        read(path, 32)
