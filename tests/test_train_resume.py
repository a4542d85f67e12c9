"""A resumed run is the run that was begun, or it is refused: configuration, images, labels, versions."""

import io
import json
import random
import shutil

import numpy as np
import pytest
from training import CLOCK, TinyNet, at_step, ctrl_c, outcome, settings

from minighost import data
from minighost.errors import FormatError
from minighost.models import registry
from minighost.train import Interrupted, load_checkpoint, meta, resume_config, run, save_checkpoint
from minighost.train.config import Config
from minighost.train.runfolder import FREE

pytestmark = pytest.mark.usefixtures("tinynet")


@pytest.fixture(scope="module")
def halted(tmp_path_factory):
    """The folder of a run that was stopped after 3 of 18 steps; nobody may change it."""
    folder = tmp_path_factory.mktemp("halted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.MODELS, "tinynet", TinyNet)
        at_step(patch, 3, ctrl_c)
        with pytest.raises(Interrupted):
            run(settings(folder), stream=None)
    return folder


@pytest.fixture
def copy(halted, tmp_path):
    return shutil.copytree(halted, tmp_path / "run")


def resume(folder, stream=None):
    return run(resume_config(overrides={"out": str(folder)}), resume=True, stream=stream)


# The configuration ---------------------------------------------------------------------------------------------------

OTHER = [
    *(None, True, False, "", "x", [], {}, [1, 2], {"a": 1}, -1, 0, 1, 2, 3, 0.05, 0.5, 0.8, 1e9, 10**19),
    *("sgd", "adamw", "cosine", "constant", "mirror", "alternate", "linear", "0.9", "none", "nan"),
]


def spellings(text):
    """Every key changed, deleted and added, then bytes changed, inserted and deleted anywhere."""
    tree, chance = json.loads(text), random.Random(13)
    flat = [(section, key) for section in ("model", "data", "train") for key in tree[section]]
    flat += [(None, key) for key in tree]
    for section, key in flat:
        for value in (..., *OTHER):
            mutant = json.loads(text)
            part = mutant if section is None else mutant[section]
            if value is ...:
                del part[key]
            else:
                part[key] = value
            yield json.dumps(mutant)
    for section in (None, "model", "data", "train"):
        for key in ("extra", "dropout", "p", "lr ", "rng", "num_classes", ""):
            mutant = json.loads(text)
            (mutant if section is None else mutant[section])[key] = 0.5
            yield json.dumps(mutant)
    for _ in range(800):
        at, letter = chance.randrange(len(text)), chance.choice('0123456789.e-"{}[]:, abtrue\n')
        yield chance.choice(
            [text[:at] + letter + text[at + 1 :], text[:at] + letter + text[at:], text[:at] + text[at + 1 :]]
        )


def test_whatever_becomes_of_config_json_the_run_goes_on_bit_for_bit_or_not_at_all(halted, copy, straight, monkeypatch):
    refused, ran = 0, set()
    text = (halted / "config.json").read_text()
    begun = Config.load(halted / "config.json").flat()
    for spelling in spellings(text):
        (copy / "config.json").write_text(spelling)
        before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
        try:
            config = resume_config(overrides={"out": str(copy)})
            again = json.dumps(config.to_dict())
            if again in ran:
                continue
            resumed = run(config, resume=True, stream=None)
        except ValueError as error:
            refused += 1
            assert str(copy) in str(error) or "threads" in str(error) or "shapes10 is generated" in str(error), spelling
            assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before
            continue
        ran.add(again)
        assert {k for k, v in config.flat().items() if v != begun[k]} <= FREE
        assert resumed["steps"] == 18
        tensors, trainer, sums, _ = outcome(copy)
        assert (tensors, trainer, sums) == outcome(straight[0])[:3], spelling
        shutil.rmtree(copy)
        shutil.copytree(halted, copy)
    assert refused > 1000 and len(ran) > 10


def test_a_changed_key_is_named_with_both_values_and_the_fix(copy):
    tree = json.loads((copy / "config.json").read_text())
    tree["train"].update(momentum=0.8, label_smoothing=0.1)
    tree["model"]["dropout"] = 0.5
    (copy / "config.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError) as error:
        resume(copy)
    assert str(error.value) == (
        f"{copy}: config.json no longer belongs to this run: "
        "model.dropout = None in the checkpoint, 0.5 in config.json; "
        "train.label_smoothing = 0.0 in the checkpoint, 0.1 in config.json; "
        "train.momentum = 0.9 in the checkpoint, 0.8 in config.json. "
        "Write the checkpoint's values back into it, or start over in another folder with --out"
    )


# The images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "split, part", [("train", "images"), ("train", "labels"), ("test", "images"), ("test", "labels")]
)
def test_other_images_or_labels_of_the_same_mean_are_refused(copy, monkeypatch, split, part):
    load = data.load

    def altered(name, asked, **options):
        found = load(name, asked, **options)
        if asked != split:
            return found
        arrays = {"images": found.images, "labels": found.labels}
        arrays[part] = arrays[part][::-1]  # the same colours and the same classes, in another order
        return data.Dataset(**arrays, classes=found.classes, name=found.name)

    monkeypatch.setattr(data, "load", altered)
    name = f"{'training' if split == 'train' else 'test'} {part}"
    with pytest.raises(ValueError, match=f"{copy}: the {name} are not those that this run began with; continue with"):
        resume(copy)


def test_other_names_of_the_classes_are_refused(copy, monkeypatch):
    load = data.load
    monkeypatch.setattr(data, "load", lambda *args, **options: renamed(load(*args, **options)))

    def renamed(found):
        return data.Dataset(found.images, found.labels, found.classes[::-1], found.name)

    with pytest.raises(ValueError, match="the classes are not those that this run began with"):
        resume(copy)


# The programs --------------------------------------------------------------------------------------------------------


def test_another_version_is_named_in_one_line_and_the_run_goes_on(copy, straight, monkeypatch):
    mine = meta.versions()
    assert {"minighost", "NumPy", "Numba", "processor"} == mine.keys() and mine["NumPy"] == np.__version__
    for versions in (mine, {**mine, "NumPy": "9.9.9", "processor": "abacus"}):
        stream = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr("minighost.train.run_training.versions", lambda versions=versions: versions)
            resume(shutil.copytree(copy, copy.with_name(versions["NumPy"])), stream)
        said = [line for line in stream.getvalue().splitlines() if line.startswith("warning: ")]
        assert (
            said == []
            if versions is mine
            else [
                f"warning: so far this run was computed with NumPy {np.__version__} (now 9.9.9), processor "
                f"{mine['processor']} (now abacus): what follows may differ in bits"
            ]
        )
    assert outcome(copy.with_name("9.9.9"))[:3] == outcome(straight[0])[:3]


def test_a_checkpoint_of_the_first_release_goes_on_and_says_what_was_not_compared(copy, straight):
    last, stream = copy / "checkpoints" / "last", io.StringIO()
    tensors, about = load_checkpoint(last)
    save_checkpoint(
        last, tensors, {key: about[key] for key in ("config", "classes", "mean", "std", "log_bytes", "trainer")}
    )
    resume(copy, stream)
    assert (
        "note: this checkpoint has no hash of its images and labels; only the mean colours were compared"
        in stream.getvalue()
    )
    assert outcome(copy)[:3] == outcome(straight[0])[:3]
    assert load_checkpoint(last)[1]["data"] == load_checkpoint(straight[0] / "checkpoints" / "last")[1]["data"]


# What is left to do --------------------------------------------------------------------------------------------------


def test_a_resume_with_nothing_left_to_train_has_the_whole_summary(straight, tmp_path):
    folder = shutil.copytree(straight[0], tmp_path / "run")
    (folder / "summary.json").unlink()
    clock = {*CLOCK}
    assert {k: v for k, v in resume(folder).items() if k not in clock} == {
        k: v for k, v in straight[1].items() if k not in clock
    }
    assert straight[1]["macs"] > 0


def test_best_does_not_pass_for_last(copy, straight):
    shutil.copytree(straight[0] / "checkpoints", copy / "checkpoints", dirs_exist_ok=True)
    shutil.copy(copy / "checkpoints" / "best.json", copy / "checkpoints" / "last.json")
    with pytest.raises(FormatError, match="last.json: names 'best-.*not the checkpoint 'last'"):
        resume(copy)
