"""`--task detect`: trained, continued, measured and shown as any other run; what makes no sense is refused."""

import json
import shutil

import numpy as np
import pytest
from commands import printed, refused
from training import at_step, ctrl_c, outcome

import minighost as mg
from minighost import nn
from minighost.cli.main import main
from minighost.data import pictures
from minighost.data.detection_set import DetectionSet
from minighost.detect.boxes import Target
from minighost.models import registry
from minighost.models.network import Network
from minighost.train import Config, Interrupted, resume_config, run
from minighost.train.classification import Classification
from minighost.train.detection import Detection

SETTINGS = {
    "task": "detect",
    "model.name": "tinychain",
    "model.levels": (4, 8),
    "model.fpn": 4,
    "data.train_size": 24,
    "data.test_size": 10,
    "train.epochs": 2,
    "train.batch_size": 8,
    "train.warmup_epochs": 0.5,
    "train.log_every": 1,
    "threads": 1,
}


class TinyChain(Network):
    """Two strided convolutions and a classifier."""

    def __init__(self, width=1.0, num_classes=10, rng=0):
        rng = np.random.default_rng(rng)
        self.stem = nn.ConvBNAct(3, 4, 3, stride=4, rng=rng)
        self.body = nn.ConvBNAct(4, 6, 3, stride=2, rng=rng)
        self.pool = nn.GlobalAvgPool()
        self.classifier = nn.Linear(6, num_classes, rng=rng)


def settings(out, **changes):
    more = {key.replace("__", "."): value for key, value in changes.items()}
    return Config.resolve(overrides={**SETTINGS, **more, "out": str(out)})


@pytest.fixture(scope="module", autouse=True)
def tinychain():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.MODELS, "tinychain", TinyChain)
        yield


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder of a run that nothing disturbed; nobody may change it."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    summary = run(settings(folder))
    return folder, summary


def test_a_run_says_and_keeps_what_it_has_reached(straight):
    folder, summary = straight
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "log.jsonl", "checkpoints", "summary.json", "curves.png", "detections.png"}
    assert 0 <= summary["test_map50"] <= 1 and 0 <= summary["test_map"] <= summary["test_map50"]
    assert summary["test_images"] == 10 and summary["best_test_map50"] >= summary["test_map50"]
    assert set(summary["map50_by_class"]) <= set(mg.data.shapes10(1).classes)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert len(steps) == 6 and all(
        line["loss"] == pytest.approx(line["class_loss"] + line["box_loss"], rel=1e-5) for line in steps
    )
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [1, 2]


@pytest.mark.parametrize("number", [2, 3, 5])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path, straight, monkeypatch, number):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, number, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(folder))
    run(resume_config(overrides={"out": str(folder)}), resume=True)
    assert outcome(folder) == outcome(straight[0])


def test_what_was_learnt_from_must_be_the_same_when_it_goes_on(tmp_path, straight, monkeypatch):
    from minighost.data import several_shapes

    folder = shutil.copytree(straight[0], tmp_path / "run")
    drawn = several_shapes.shapes_detect

    def moved(*args, **options):
        found = drawn(*args, **options)
        targets = [Target(one.boxes - np.float32([0, 0, 1, 0]), one.labels) for one in found.targets]
        return DetectionSet(found.images, targets, found.classes, found.name)

    monkeypatch.setattr(several_shapes, "shapes_detect", moved)
    with pytest.raises(ValueError, match="the training boxes are not those that this run began with"):
        run(resume_config(overrides={"out": str(folder), "train.epochs": "3"}), resume=True)


def test_the_gradient_of_a_batch_is_that_of_its_loss(straight):
    """In one direction, by differences."""
    loaded = mg.load(straight[0])
    model = loaded.model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    model.astype(np.float64)
    data = mg.data.shapes_detect(3)
    x = (data.images / 128 - 1).astype(np.float64)
    task, rng = Detection(model, (64, 64)), np.random.default_rng(0)
    cost = task.cost(model(x), data.targets)
    model.zero_grad()
    model.backward(cost.dout)
    some = [p for p in model.parameters() if p.grad is not None]
    steps = [rng.standard_normal(p.shape) for p in some]
    slope, h = sum(float((p.grad * s).sum()) for p, s in zip(some, steps, strict=True)), 1e-6
    losses = []
    for sign in (1, -1):
        for p, s in zip(some, steps, strict=True):
            p.data = p.data + sign * h * s
        losses.append(task.cost(model(x), data.targets).loss)
        for p, s in zip(some, steps, strict=True):
            p.data = p.data - sign * h * s
    assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(slope, rel=1e-3)


def test_eval_gives_the_precision_of_each_class_and_results_as_coco_reads_them(straight, tmp_path, capsys):
    folder, summary = straight
    out = printed(
        capsys, "eval", "--checkpoint", folder, "--results", tmp_path / "r.json", "--out", tmp_path / "found.png"
    )
    assert f"mAP@0.5 {100 * summary['test_map50']:.1f} %" in out and "10 test images" in out
    assert all(f"\n{name}" in out for name in mg.data.shapes10(1).classes)
    assert max(len(line) for line in out.splitlines() if str(tmp_path.parent) not in line) <= 80
    for one in json.loads((tmp_path / "r.json").read_text()):
        assert one.keys() == {"image_id", "category_id", "bbox", "score"} and 1 <= one["image_id"] <= 10
    assert (tmp_path / "found.png").exists()


def test_boxes_in_cocos_format_are_trained_on_and_measured(straight, tmp_path, capsys):
    train, test = mg.data.shapes_detect(24, 5), mg.data.shapes_detect(10, 5, "test")
    mg.data.write_coco(tmp_path / "coco", train, test)
    out = printed(capsys, "eval", "--checkpoint", straight[0], "--data", tmp_path / "coco")
    assert "10 test images, which are not those that the run had" in " ".join(out.split())
    status = main(
        ["train", "--task", "detect", "--data", str(tmp_path / "coco"), "--model", "tinychain", "--size", "64",
         "--epochs", "1", "--threads", "1", "--set", "model.levels=[4,8]", "--set", "train.warmup_epochs=0",
         "--set", "model.fpn=4", "--out", str(tmp_path / "run")]
    )  # fmt: skip
    text = capsys.readouterr().err
    assert status == 0 and "coco: 24 training and 10 test images, 64x64, 10 classes" in text and "mAP@0.5" in text


def test_predict_draws_boxes_in_pixels_of_the_picture(straight, tmp_path, capsys, monkeypatch):
    from minighost.detect.boxes import Detections

    picture = np.zeros((32, 64, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(pictures.png(picture))
    box = Detections(np.float32([[8, 24, 24, 40]]), np.array([1]), np.float32([0.75]))
    monkeypatch.setattr("minighost.train.detection.find", lambda model, images, score: [box])
    assert mg.load(straight[0]).detect(tmp_path / "a.png") == [("ring", 0.75, (8, 8, 24, 24))]
    assert mg.load(straight[0]).detect(picture) == [("ring", 0.75, (8, 8, 24, 24))]
    out = printed(capsys, "predict", tmp_path / "a.png", "--checkpoint", straight[0], "--save", tmp_path / "out.png")
    assert "a.png: 64x32" in out and (tmp_path / "out.png").exists()
    found = next(line for line in out.splitlines() if line.startswith("ring"))
    assert found.split() == ["ring", "75.0", "%", "8", "8", "24", "24"]


def test_a_picture_in_which_nothing_is_sure_enough_says_so(straight, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(pictures.png(np.zeros((30, 20, 3), np.uint8)))
    out = printed(capsys, "predict", tmp_path / "a.png", "--checkpoint", straight[0], "--score", "0.99")
    assert "nothing found with a score of 0.99 or more" in out


def test_detectors_are_compared_by_their_precision(straight, capsys, tmp_path):
    folder, summary = straight
    out = printed(capsys, "compare", folder, folder, "--out", tmp_path / "c.png")
    assert "test and best: mAP@0.5 in %" in out and f"{100 * summary['best_test_map50']:.2f}" in out
    assert json.loads(printed(capsys, "compare", folder, "--json"))["runs"][0]["best_test_map50"] is not None


REFUSED = {
    "train.cutout: is for classifiers, and task=detect": ["train", "--task", "detect", "--set", "train.cutout=4"],
    "train.views: is for classifiers": ["train", "--task", "detect", "--set", "train.views=mirror"],
    "train.label_smoothing: is for": ["train", "--task", "detect", "--set", "train.label_smoothing=0.1"],
    "train.freeze: is for": ["train", "--task", "detect", "--freeze", "body"],
    "to detect takes pictures with boxes, and cifar10 has none": ["train", "--task", "detect", "--data", "cifar10"],
    "task: shapes-detect has boxes": ["train", "--data", "shapes-detect", "--set", "task=classify"],
    "task: expected one of classify, detect, got 'find'": ["train", "--task", "find"],
    "retinanet is a detector, not a network for whole images; to": ["train", "--model", "retinanet"],
    "ghostnet_retinanet is a detector": ["train", "--task", "detect", "--model", "ghostnet_retinanet"],
    "retinanet has no option 'dropout'": ["train", "--task", "detect", "--set", "model.dropout=0.1"],
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, capsys, words):
    assert words in refused(capsys, *REFUSED[words], "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_commands_for_classifiers_refuse_a_run_that_detects(straight, tmp_path, capsys):
    folder = straight[0]
    needs = "finds things in pictures"
    assert f"{folder} {needs}; export takes a run that classifies" in refused(
        capsys, "export", folder, "--to", "npz", "--out", tmp_path / "a.npz"
    )
    assert needs in refused(capsys, "analyze", folder)
    assert "is a run of --task detect" in refused(capsys, "train", "--from", folder, "--out", tmp_path / "b")
    assert "has no boxes, and this run finds things" in refused(
        capsys, "eval", "--checkpoint", folder, "--data", "shapes10"
    )
    with pytest.raises(TypeError, match="fit: train has boxes, and fit trains classifiers"):
        mg.fit(TinyChain(), mg.data.shapes_detect(2))
    with pytest.raises(ValueError, match="predict: .* finds things in pictures; predict takes a run that classifies"):
        mg.load(folder).predict(np.zeros((8, 8, 3), np.uint8))


def test_the_words_of_both_tasks_fill_the_same_columns():
    tasks = [Classification(Config().train), Detection(mg.models.create("retinanet", fpn=4, width=0.1), (64, 128))]
    records = [
        {"train_loss": 1.5, "train_accuracy": 0.5, "test_loss": 2.0, "test_accuracy": 0.25},
        {"train_loss": 1.5, "train_class_loss": 1.0, "train_box_loss": 0.5, "test_map50": 0.25, "test_map": 0.1},
    ]
    assert {len(task.head) for task in tasks} == {len(t.cells(r)) for t, r in zip(tasks, records, strict=True)} == {40}
