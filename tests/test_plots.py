"""Pictures do not depend on the user's settings, and never end a training."""

import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import refused
from PIL import Image
from training import TinyNet, outcome, settings

import minighost
from minighost import gradcheck
from minighost.data import Dataset
from minighost.models import registry
from minighost.plots import run as plots
from minighost.plots import sheets
from minighost.plots.figure import picture
from minighost.train import read_log, run
from minighost.train.classification import Classification
from minighost.train.metrics import Evaluation
from minighost.train.settings import TrainConfig

ROOT = Path(minighost.__file__).parent.parent
PNG = b"\x89PNG"


def bent(path):
    with picture(path, 3, 2) as figure:
        axes = figure.subplots()
        axes.plot([1, 10, 100], [1, 2, 3])
        axes.set_xscale("log")
        axes.set_title("title")


def test_the_settings_of_the_user_do_not_matter_and_stay(tmp_path):
    import matplotlib

    bent(tmp_path / "plain.png")
    theirs = {
        "text.usetex": True,
        "font.family": ["Nowhere"],
        "savefig.dpi": 20.0,
        "savefig.format": "svg",
        "lines.linewidth": 9.0,
        "figure.facecolor": "black",
    }
    with matplotlib.rc_context(theirs):
        bent(tmp_path / "bent.png")
        assert {key: matplotlib.rcParams[key] for key in theirs} == theirs
    assert (tmp_path / "bent.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


@pytest.mark.parametrize("hostile", ["backend of a notebook", "no text", "in the current folder"])
def test_settings_with_which_matplotlib_cannot_even_be_imported_do_not_matter(tmp_path, hostile):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if hostile == "backend of a notebook":
        environment["MPLBACKEND"] = "module://matplotlib_inline.backend_inline_that_is_not_here"
    elif hostile == "no text":
        (tmp_path / "rc").write_bytes(b"\xff\xfe\x00")
        environment["MATPLOTLIBRC"] = str(tmp_path / "rc")
    else:
        (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe\x00")
    code = (
        "import os\nbefore = dict(os.environ), os.getcwd()\nfrom minighost.plots.figure import picture\n"
        "with picture('p.png', 2, 2) as figure:\n    figure.subplots().set_title('title')\n"
        "assert before == (dict(os.environ), os.getcwd())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)


def test_the_suffix_says_what_is_written_and_an_unknown_one_is_refused_before_the_work(tmp_path, capsys):
    for name, head in (("p", PNG), ("p.PNG", PNG), ("p.jpg", b"\xff\xd8"), ("p.pdf", b"%PDF"), ("p.svg", b"<?xml")):
        bent(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(head)
    message = refused(capsys, "data", "--out", tmp_path / "p.txt")
    assert f"--out {tmp_path}/p.txt: unknown format 'txt'; available: " in message and "png" in message


def test_names_are_not_mathematics_and_need_not_be_utf_8(tmp_path):
    image = np.zeros((32, 32, 3), np.uint8)
    items = [(name, image, [("a", 1.0)]) for name in ("cost $\\frac$.png", "50$ or \\ $x_.png", "\udcff中.png")]
    sheets.predictions(items, tmp_path / "sheet.png")
    with pytest.raises(gradcheck.GradientError) as error:
        gradcheck.check((lambda x: 2 * x, lambda dout, x: dout), [np.ones((2, 2))], name="$\\wrong_{ \udcff")
    error.value.draw(tmp_path / "wrong.png")
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_a_picture_that_fails_leaves_the_old_one(tmp_path):
    (tmp_path / "p.png").write_text("old")
    with pytest.raises(RuntimeError), picture(tmp_path / "p.png", 2, 2):
        raise RuntimeError
    assert os.listdir(tmp_path) == ["p.png"] and (tmp_path / "p.png").read_text() == "old"


# Training --------------------------------------------------------------------------------------------------------


def records(test_losses, accuracy=0.5):
    steps = [dict(kind="step", step=k, loss=2.0, accuracy=0.1, lr=0.1) for k in (1, 2, 3)]
    epochs = [
        dict(
            kind="epoch",
            epoch=k,
            step=3 * k,
            train_loss=1.0,
            train_accuracy=accuracy,
            test_loss=loss,
            test_accuracy=accuracy,
            lr=0.1,
        )
        for k, loss in enumerate(test_losses, 1)
    ]
    return steps + epochs


@pytest.mark.parametrize("losses", [[1.0, None, 2.0], [1.0, None], [None], [1e300, 1.0], [1.0, 1e30]])
def test_a_number_that_is_not_finite_is_a_gap_in_the_curves(tmp_path, losses):
    plots.curves(records(losses), tmp_path / "curves.png", "title")
    found = records(losses)
    found[0]["loss"] = found[-1]["train_loss"] = None
    plots.curves(found, tmp_path / "more.png", "title")
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_logits_that_are_not_finite_are_drawn_and_give_no_warning(tmp_path, recwarn):
    logits = np.zeros((6, 3), np.float32)
    logits[:3] = [[np.nan, 0, 0], [np.inf, 0, 0], [-np.inf] * 3]
    result = Evaluation(logits, np.array([0, 1, 2, 0, 1, 2]))
    assert math.isnan(result.loss) and 0 <= result.accuracy <= 1 and np.isnan(result.probabilities[0]).all()

    class Images:
        images, classes = np.zeros((6, 8, 8, 3), np.uint8), ("a", "b", "c")

    said = []
    drawings = Classification(TrainConfig()).drawings(result, Images, "title")
    names = plots.everything(records([None]), drawings, tmp_path, "title", said.append)
    assert names == ["curves.png", "confusion.png", "mistakes.png"] and not said
    assert not [warning for warning in recwarn if warning.category is RuntimeWarning]


@pytest.fixture
def drawn(monkeypatch):
    """The curves of runs are really drawn; the other pictures, a second each, are not."""
    monkeypatch.setitem(registry.MODELS, "tinynet", TinyNet)
    for name in ("confusion", "mistakes"):
        monkeypatch.setattr(plots, name, lambda *args: None)


def test_a_test_loss_that_is_not_finite_does_not_end_the_run(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(Evaluation, "loss", math.nan)
    stream = io.StringIO()
    summary = run(settings(tmp_path / "run"), stream=stream)
    assert summary["test_loss"] is None and summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "(loss not finite)" in stream.getvalue() and "warning" not in stream.getvalue()
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(PNG)
    assert [line["test_loss"] for line in read_log(tmp_path / "run" / "log.jsonl") if line["kind"] == "epoch"] == [
        None,
        None,
        None,
    ]


def test_a_picture_that_cannot_be_drawn_is_a_line_and_the_run_is_finished(drawn, straight, tmp_path, monkeypatch):
    monkeypatch.setattr("minighost.train.run_training.PLOT_EVERY", 0)  # also after each epoch

    def fails(*args):
        raise RuntimeError("Failed to process string with tex\nbecause latex could not be found")

    monkeypatch.setattr(plots, "curves", fails)
    stream = io.StringIO()
    run(settings(tmp_path / "run"), stream=stream)
    line = f"warning: {tmp_path}/run/curves.png could not be drawn: RuntimeError: Failed to process string with tex "
    assert stream.getvalue().count(line + "because latex could not be found\n") == 3
    assert outcome(tmp_path / "run") == outcome(straight[0])


def test_the_summary_is_there_before_the_pictures(tinynet, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(plots, "everything", lambda *args: seen.append((args[2] / "summary.json").exists()) or [])
    run(settings(tmp_path / "run"), stream=None)
    assert seen == [True]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe" * 99,
        b'{"kind": "epoch"',
        b'{"kind": "epoch"}\n',
        b"[" * 1500 + b"\n{}\n",
        b'{"kind": "st\n{"kind": "epoch", "epoch": "one", "train_loss": "x"}\n',
    ],
    ids=["empty", "binary", "cut", "bare", "deep", "broken"],
)
def test_a_damaged_log_does_not_keep_a_run_from_its_end(tinynet, straight, tmp_path, monkeypatch, content):
    folder, stream = tmp_path / "run", io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr("minighost.train.run_training.write_atomic", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(settings(folder), stream=None)
    (folder / "log.jsonl").write_bytes(content)
    summary = run(settings(folder), resume=True, stream=stream)
    assert summary["test_accuracy"] == straight[1]["test_accuracy"] and summary["steps"] == 18
    assert (folder / "summary.json").exists() and "warning: " in stream.getvalue()
    assert summary["train_loss"] is None and summary["images_per_second"] is None


@pytest.mark.parametrize("K, share", [(3, 0.1), (30, 0.004)])
def test_long_names_and_many_classes_leave_room_for_the_numbers(tmp_path, K, share):
    names = tuple(f"a $name{k} that goes on and on, for whoever named the folder had $time" for k in range(K))
    labels = np.arange(K)
    right = Evaluation(10 * np.eye(K, dtype=np.float32), labels)
    plots.confusion(right, names, tmp_path / "a.png", "net on mine")
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert max(pixels.shape) < 2400
    assert (abs(pixels - (0x2A, 0x6F, 0x97)).max(axis=2) < 8).mean() > share  # the diagonal: all are right
    if K > 3:
        return
    mine = Dataset(np.zeros((K, 12, 8, 1), np.uint8), labels, names, "mine")
    sheets.contact_sheet(mine, tmp_path / "b.png")
    plots.mistakes(right, mine, tmp_path / "c.png", "net on mine")
    with Image.open(tmp_path / "b.png") as sheet, Image.open(tmp_path / "c.png") as wrong:
        assert max(sheet.size) < 2000 and (np.asarray(wrong.convert("L")) == 0).any()
