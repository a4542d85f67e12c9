"""mg.fit: images and labels as people have them, the command line's training, and the history that it returns."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from training import TinyNet, at_step, ctrl_c, outcome

import minighost as mg
from minighost import data, nn
from minighost.errors import FormatError
from minighost.models import registry
from minighost.train import Callback, Config, StopTraining, Trainer, read_log, run

QUICK = {"batch_size": 16, "lr": 0.05, "log_every": 2, "threads": 1, "seed": 3}


@pytest.fixture(scope="module")
def shapes():
    return data.shapes10(100), data.shapes10(40, split="test")


@pytest.fixture(scope="module", autouse=True)
def undrawn():
    """Runs draw no pictures here: each run's would take a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minighost.plots.run.everything", lambda *args: [])
        yield


@pytest.fixture(scope="module")
def fitted(shapes, tmp_path_factory):
    """A network, its history and its folder."""
    out, model = tmp_path_factory.mktemp("fit") / "run", TinyNet()
    history = mg.fit(model, *shapes, epochs=3, out=out, ema_decay=0.9, **QUICK)
    return model, history, out


# The same training ------------------------------------------------------------------------------------------------


def test_it_is_the_training_of_the_command_line(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.MODELS, "tinynet", lambda num_classes=10, rng=0: TinyNet())
    values = {f"train.{key}": value for key, value in QUICK.items() if key not in ("threads", "seed")}
    base = Config.resolve(
        overrides={
            "model.name": "tinynet",
            "train.epochs": 3,
            "train.ema_decay": 0.9,
            "data.train_size": 100,
            "data.test_size": 40,
            "threads": 1,
            "seed": 3,
            "out": tmp_path / "run",
            **values,
        },
        base=Config(),
    )
    summary = run(base)
    _, history, out = fitted
    assert outcome(tmp_path / "run") == outcome(out)
    assert summary["test_accuracy"] == history.evaluation.accuracy


def test_the_network_is_left_as_it_was_evaluated_and_ready_to_predict(fitted, shapes):
    model, history, _ = fitted
    assert not any(module.training for module in model.modules()) and all(
        module.dx_wanted for module in model.modules()
    )
    images = data.normalize(shapes[1].images, *data.channel_statistics(shapes[0].images))
    assert_allclose(model(images), history.evaluation.logits, rtol=1e-4, atol=1e-5)


def test_without_a_folder_nothing_is_written_and_nothing_changes(fitted, shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = TinyNet()
    history = mg.fit(model, *shapes, epochs=3, ema_decay=0.9, **QUICK)
    assert not list(tmp_path.iterdir())
    assert_array_equal(history["test_loss"], fitted[1]["test_loss"])
    assert {p: v.tobytes() for p, v in model.state_dict().items()} == {
        p: v.tobytes() for p, v in fitted[0].state_dict().items()
    }


# What it is given -------------------------------------------------------------------------------------------------


class Items:
    """Anything with __len__ and __getitem__, of no class that is known."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], self.labels[i]


WAYS = {
    "pair": lambda d: (d.images, d.labels),
    "list": lambda d: [d.images, list(d.labels)],
    "items": lambda d: Items(d.images, d.labels),
    "column": lambda d: (d.images, d.labels[:, None].astype(np.uint8)),
    "tuples": lambda d: list(zip(d.images, d.labels.tolist(), strict=True)),
    "names": lambda d: (d.images, [f"class {k}" for k in d.labels]),
    "years": lambda d: (d.images, 2000 + d.labels),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_images_and_labels_may_come_in_many_ways(shapes, way):
    usual, other = (mg.fit(TinyNet(), *sets, epochs=1, **QUICK) for sets in (shapes, map(way, shapes)))
    assert_array_equal(usual["test_loss"], other["test_loss"])


def test_floats_are_taken_as_they_are(shapes):
    mean, std = data.channel_statistics(shapes[0].images)
    usual = mg.fit(TinyNet(), *shapes, epochs=2, flip=True, crop=2, **QUICK)
    floats = [(data.normalize(d.images, mean, std), d.labels) for d in shapes]
    own = mg.fit(TinyNet(), *floats, epochs=2, flip=True, crop=2, **QUICK)
    assert_array_equal(usual["train_loss"], own["train_loss"])
    assert_array_equal(usual["test_loss"], own["test_loss"])


def test_floats_may_have_any_number_of_channels_and_be_cut_out(rng):
    model = nn.Sequential(nn.Conv2d(5, 4, 3, rng=0), nn.ReLU(), nn.GlobalAvgPool(), nn.Linear(4, 2, rng=1))
    x = rng.normal(size=(32, 8, 8, 5))
    history = mg.fit(model, (x, (x[:, 0, 0, 0] > 0).astype(int)), epochs=1, cutout=3, **QUICK)
    assert history.best["epoch"] == 1 and history.evaluation is None and "test_loss" not in history.epochs[0]


def image(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


ZEROS = np.zeros(20, np.int64)
REFUSED = {
    "NCHW": ((image(20, 3, 8, 8), ZEROS), r"train: bytes .* it looks like NCHW: x.transpose\(0, 2, 3, 1\)"),
    "NCHW floats": (
        (image(20, 3, 8, 8, dtype="f4"), ZEROS),
        r"looks like \(N, C, H, W\): pass x.transpose\(0, 2, 3, 1\)",
    ),
    "integers": ((image(20, 8, 8, 3, dtype="i8"), ZEROS), r"got int64; for numbers from 0 to 255 write images.astype"),
    "flat": ((image(20, 64), ZEROS), r"must have shape \(N, H, W, C\), none of them 0, got \(20, 64\)"),
    "images alone": (image(20, 8, 8, 3), r"train: must be a pair \(images, labels\), a Dataset, or .*, got ndarray"),
    "few labels": ((image(20, 8, 8, 3), ZEROS[:9]), r"20 images need labels of shape \(20,\), got \(9,\)"),
    "one hot": ((image(20, 8, 8, 3), np.eye(20)), r"must be whole numbers or names, got float64; .*argmax"),
    "nan": ((np.full((20, 8, 8, 3), np.nan, "f4"), ZEROS), r"images: the number at \(0, 0, 0, 0\) is nan"),
    "classes": ((image(20, 8, 8, 3), ["a", "b"] * 10), r"the network has 10 outputs, the labels 2 classes \(a, b\)"),
    "empty": ([], r"train: has no images"),
    "items": ([(image(8, 8, 3), 0), (image(9, 8, 3), 1)] * 10, r"image 1 has shape \(9, 8, 3\).*image 0 \(8, 8, 3\)"),
}


@pytest.mark.parametrize("given, message", REFUSED.values(), ids=REFUSED)
def test_what_is_no_image_or_label_is_refused_and_the_network_stays_as_it_was(given, message):
    model = TinyNet()
    before = {path: value.tobytes() for path, value in model.state_dict().items()}
    with pytest.raises((TypeError, ValueError), match=message):
        mg.fit(model, given, **QUICK)
    assert {path: value.tobytes() for path, value in model.state_dict().items()} == before


def test_a_label_of_the_test_images_alone_is_refused(shapes):
    names = [f"class {k}" for k in shapes[0].labels]
    with pytest.raises(ValueError, match="label 'other' of a test image is none of those to train on"):
        mg.fit(TinyNet(), (shapes[0].images, names), (shapes[1].images, ["other"] * 40), **QUICK)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"learning_rate": 1}, "fit: unknown setting 'learning_rate'; available: epochs, batch_size, lr, "),
        ({"momentun": 1}, "fit: unknown setting 'momentun' .did you mean 'momentum'"),
        ({"lr": -1}, "train.lr: expected a number > 0"),
        ({"epochs": 0}, "train.epochs: "),
        ({"batch_size": 1000}, "batch_size = 1000 is larger than the data set .* use at most 100"),
        ({"resume": True}, "resume=True needs out=, the folder of the run"),
    ],
)
def test_settings_have_the_rules_of_the_command_line(shapes, settings, message):
    with pytest.raises(ValueError, match=message):
        mg.fit(TinyNet(), *shapes, **{**QUICK, **settings})


def test_a_network_that_cannot_be_trained_is_refused(shapes):
    with pytest.raises(TypeError, match=r"must be a network, .*, got type; make one: TinyNet\(...\)"):
        mg.fit(TinyNet, *shapes)
    with pytest.raises(ValueError, match=r"makes shape \(2, 30, 30, 4\) of 2 images .*; it must be \(2, classes\)"):
        mg.fit(nn.Sequential(nn.Conv2d(3, 4, 3, rng=0)), *shapes)
    hiding = TinyNet()
    hiding.branches = {"a": [nn.Linear(1, 1, rng=0)]}
    with pytest.raises(ValueError, match=r"TinyNet.branches is a dict of modules .* nn.ModuleList"):
        mg.fit(hiding, *shapes)


class OneWay(nn.Module):
    """A layer without a backward."""

    def forward(self, x):
        return x


def test_a_layer_of_ones_own_is_tried_backward_before_the_training(shapes):
    model = nn.Sequential(*TinyNet(), OneWay())
    with pytest.raises(ValueError, match=r"Sequential: OneWay does not define backward\(dout\); every layer needs"):
        mg.fit(model, *shapes, **QUICK)


# Its folder --------------------------------------------------------------------------------------------------------


def test_a_run_of_a_registered_network_is_loaded_by_its_folder_alone(shapes, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.MODELS, "tinynet", TinyNet)
    model = mg.models.create("tinynet", dropout=0.5, num_classes=10, rng=0)
    history = mg.fit(model, *shapes, epochs=1, out=tmp_path / "run", **QUICK)
    loaded = mg.load(tmp_path / "run")
    assert loaded.config.model.name == "tinynet" and loaded.config.model.options == {"dropout": 0.5}
    guess = history.evaluation.predictions[5]
    assert loaded.predict(shapes[1].images[5])[0][0] == loaded.classes[guess]


def test_a_run_of_a_network_made_by_hand_is_loaded_into_such_a_network(shapes, tmp_path):
    model, out = nn.Sequential(*TinyNet()), tmp_path / "run"
    history = mg.fit(model, *shapes, epochs=1, out=out, **QUICK)
    with pytest.raises(FormatError, match=rf"'Sequential', is not registered, .* minighost.load\('{out}', model=net\)"):
        mg.load(out)
    loaded = mg.load(out, model=nn.Sequential(*TinyNet()))
    assert_array_equal(loaded.model[0].weight.data, model[0].weight.data)
    assert loaded.rank(shapes[1].images[:9], 1) == [
        [(shapes[1].classes[k], pytest.approx(history.evaluation.probabilities[i, k], rel=1e-4))]
        for i, k in enumerate(history.evaluation.predictions[:9])
    ]


def test_a_run_of_a_network_in_an_imported_file_is_loaded_from_that_file(shapes, tmp_path, monkeypatch):
    text = "from minighost import nn\n\n\nclass Mine(nn.Sequential):\n    def __init__(self, wide=4):\n"
    text += "        super().__init__(nn.Conv2d(3, wide, 3, rng=0), nn.GlobalAvgPool(), nn.Linear(wide, 10, rng=1))\n"
    (tmp_path / "mine_of_fit.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    mine = __import__("mine_of_fit")
    model = mine.Mine()
    mg.fit(model, *shapes, epochs=1, out=tmp_path / "run", **QUICK)
    assert_array_equal(mg.load(tmp_path / "run").model[0].weight.data, model[0].weight.data)
    mg.fit(mine.Mine(wide=3), *shapes, epochs=1, out=tmp_path / "other", **QUICK)
    with pytest.raises(FormatError, match="'Mine', is not registered"):
        mg.load(tmp_path / "other")


def test_a_run_on_floats_takes_floats_and_no_pictures(rng, tmp_path):
    layers = nn.Conv2d(5, 4, 3, rng=0), nn.GlobalAvgPool(), nn.Linear(4, 2, rng=1)
    x = rng.normal(size=(32, 8, 8, 5)).astype(np.float32)
    history = mg.fit(
        nn.Sequential(*layers),
        (x, ["odd", "even"] * 16),
        (x, ["odd", "even"] * 16),
        epochs=1,
        **QUICK,
        out=tmp_path / "run",
    )
    loaded = mg.load(tmp_path / "run", model=nn.Sequential(*layers))
    assert loaded.floats and loaded.classes == ("even", "odd")
    assert loaded.predict(x[3])[0][0] == loaded.classes[history.evaluation.predictions[3]]
    for wrong in ("cat.jpg", np.zeros((8, 8, 3), np.uint8), x[0, :4]):
        with pytest.raises(TypeError, match=r"trained on floats .* such an array of shape \(8, 8, C\), got"):
            loaded.predict(wrong)


# Callbacks ---------------------------------------------------------------------------------------------------------


class Diary(Callback):
    """Writes down what it is told."""

    def __init__(self):
        self.lines = []

    def train_begin(self, course):
        self.lines.append("begin")

    def step_end(self, course, record):
        self.lines.append(record["step"])

    def epoch_end(self, course, record):
        self.lines.append(f"epoch {record['epoch']}: {course.evaluation.accuracy == record['test_accuracy']}")

    def train_end(self, course):
        self.lines.append("end")


def test_a_callback_hears_of_everything_in_order(shapes):
    diary = Diary()
    mg.fit(TinyNet(), *shapes, epochs=2, callbacks=[diary, Callback()], **QUICK)
    assert diary.lines == ["begin", *range(1, 7), "epoch 1: True", *range(7, 13), "epoch 2: True", "end"]


class Raises(Diary):
    """Raises an error in the middle of the second epoch, or at its end."""

    def __init__(self, event, error):
        super().__init__()
        self.event, self.error = event, error

    def step_end(self, course, record):
        super().step_end(course, record)
        if (self.event, record["step"]) == ("step", 8):
            raise self.error

    def epoch_end(self, course, record):
        super().epoch_end(course, record)
        if (self.event, record["epoch"]) == ("epoch", 2):
            raise self.error


@pytest.mark.parametrize("event, step, epochs", [("step", 8, 1), ("epoch", 12, 2)])
def test_a_callback_may_end_the_training_which_then_is_finished(shapes, tmp_path, event, step, epochs):
    diary, out = Raises(event, StopTraining("it is enough")), tmp_path / "run"
    history = mg.fit(TinyNet(), *shapes, epochs=4, out=out, callbacks=[diary], **QUICK)
    assert diary.lines[-1] == "end" and max(line for line in diary.lines if isinstance(line, int)) == step
    assert history.stopped == "it is enough" and len(history) == epochs
    assert f"stopped after {epochs} of 4 epochs: it is enough" in repr(history)
    assert len(history.evaluation.labels) == 40 and (out / "summary.json").exists()


def test_an_error_in_a_callback_ends_the_training_and_everything_is_saved(shapes, tmp_path):
    usual, out = mg.fit(TinyNet(), *shapes, epochs=3, **QUICK), tmp_path / "run"
    with pytest.raises(ZeroDivisionError) as caught:
        mg.fit(TinyNet(), *shapes, epochs=3, out=out, callbacks=[Raises("step", ZeroDivisionError())], **QUICK)
    assert caught.value.__notes__ == [
        "raised by the callback Raises.step_end after 1 of 3 epochs and 2 of 6 steps; everything is saved"
    ]
    history = mg.fit(TinyNet(), *shapes, epochs=3, out=out, resume=True, **QUICK)
    assert_array_equal(history["test_loss"], usual["test_loss"])
    assert [record["loss"] for record in history.steps] == [record["loss"] for record in usual.steps]


# Interrupted -------------------------------------------------------------------------------------------------------


def test_ctrl_c_at_a_prompt_gives_the_history_so_far_and_the_run_can_be_resumed(shapes, tmp_path, monkeypatch, capsys):
    usual, out = mg.fit(TinyNet(), *shapes, epochs=3, **QUICK), tmp_path / "run"
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    with monkeypatch.context() as patch:
        at_step(patch, 14, ctrl_c)
        history = mg.fit(TinyNet(), *shapes, epochs=3, out=out, **QUICK)
    assert history.stopped == "Ctrl-C" and len(history) == 2
    assert f"Continue with:\n    mg.fit(..., out='{out}', resume=True)" in capsys.readouterr().err
    with pytest.raises(ValueError, match="already holds this run, unfinished; use resume=True to continue, overwrite"):
        mg.fit(TinyNet(), *shapes, epochs=3, out=out, **QUICK)
    history = mg.fit(TinyNet(), *shapes, epochs=3, out=out, resume=True, **QUICK)
    assert_array_equal(history["train_loss"], usual["train_loss"])


@pytest.mark.parametrize("step", [0, 8])
def test_ctrl_c_in_a_script_ends_it(shapes, monkeypatch, step):
    monkeypatch.delattr(sys, "ps1", raising=False)
    model = TinyNet()
    before = {path: value.tobytes() for path, value in model.state_dict().items()}
    if step:
        at_step(monkeypatch, step, ctrl_c)
    else:
        gradients = Trainer.gradients  # while kernels are compiled, when running statistics have moved
        monkeypatch.setattr(Trainer, "gradients", lambda *args: (gradients(*args), ctrl_c()))
    with pytest.raises(KeyboardInterrupt):
        mg.fit(model, *shapes, epochs=3, **QUICK)
    after = {path: value.tobytes() for path, value in model.state_dict().items()}
    assert (after == before) is (step == 0)


# History -----------------------------------------------------------------------------------------------------------


def test_the_history_is_the_log_and_knows_the_best_epoch(fitted):
    _, history, out = fitted
    lines = read_log(out / "log.jsonl")
    assert history.epochs == [
        {k: v for k, v in line.items() if k != "kind"} for line in lines if line["kind"] == "epoch"
    ]
    assert [r["step"] for r in history.steps] == list(range(2, 19, 2)) and len(history) == 3
    best = int(history["test_accuracy"].argmax())
    assert history.best is history.epochs[best]
    with pytest.raises(KeyError, match="no 'loss'; available: epoch, step, train_loss"):
        history["loss"]


def test_the_history_prints_as_a_table(fitted):
    lines = repr(fitted[1]).splitlines()
    assert lines[0] == "TinyNet on shapes10" and lines[2].split()[:7] == "epoch train loss train acc test loss".split()
    assert [line.split()[0] for line in lines[4:7]] == ["1", "2", "3"] and max(map(len, lines)) <= 80
    assert sum(line.endswith("*") for line in lines) == 1


def test_the_history_plots_itself(fitted, tmp_path, monkeypatch, capsys):
    history = fitted[1]
    monkeypatch.chdir(tmp_path)
    assert history.plot().read_bytes().startswith(b"\x89PNG") and capsys.readouterr().out == "wrote history.png\n"
    html = history._repr_html_()
    assert "data:image/png;base64," in html and html.count("<tr>") == 4 and "script" not in html
    empty = mg.train.History("<b>nothing</b>")
    assert "&lt;b&gt;nothing" in empty._repr_html_() and "no epoch has ended" in repr(empty)
    with pytest.raises(ValueError, match="nothing to plot: no epoch has ended"):
        empty.plot(tmp_path / "none.png")
