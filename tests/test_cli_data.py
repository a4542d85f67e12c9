"""`minighost data`: what is there, checked and counted."""

import numpy as np
import pytest
from commands import printed, refused
from PIL import Image

SMALL = ["--set", "data.train_size=200", "--set", "data.test_size=100"]


def test_it_counts_classes_and_measures_channels(capsys):
    out = printed(capsys, "data", *SMALL)
    assert out.startswith("shapes10: 200 training and 100 test images, 32x32 RGB")
    assert out.split("\nall")[1].split()[:2] == ["200", "100"]
    assert "standard deviation" in out and max(map(len, out.splitlines())) <= 80


def test_the_contact_sheet_is_a_picture(capsys, tmp_path):
    printed(capsys, "data", *SMALL, "--out", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert np.ptp(np.asarray(sheet.convert("RGB")), axis=(0, 1)).min() > 200


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--data", "cifar10", "--data-dir", "{tmp}/none"], "{tmp}/none does not exist"),
        (["--data", "cifar10", "--data-archive", "{tmp}/none.tar.gz"], "{tmp}/none.tar.gz does not exist"),
        (["--data", "cifar10", "--data-archive", "{tmp}/page.tar.gz"], "page.tar.gz"),
        (["--data", "cifar10", "--data-dir", "{tmp}"], "the train split needs data_batch_2.bin"),
        (["--data", "mnist"], "mnist"),
        (["--data-dir", "{tmp}"], "shapes10 is generated and reads no files"),
        (["--set", "data.train_size=0"], "data.train_size: expected a whole number >= 1 and <= 1,000,000, got '0'"),
        (["--set", "data.colour=9"], "unknown key 'data.colour'"),
        ([*SMALL, "--out", "{tmp}/none/sheet.png"], "--out {tmp}/none/sheet.png: no folder {tmp}/none"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, tmp_path, argv, message):
    (tmp_path / "page.tar.gz").write_text("<!DOCTYPE html><title>404 Not Found</title>")
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073 * 7))
    before = sorted(tmp_path.rglob("*"))
    argv = [arg.format(tmp=tmp_path) for arg in argv]
    assert message.format(tmp=tmp_path) in refused(capsys, "data", *argv)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_downloaded_unasked(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGHOST_DATA_DIR", str(tmp_path))
    assert f"no CIFAR-10 in {tmp_path}; --download fetches it" in refused(capsys, "data", "--data", "cifar10")
