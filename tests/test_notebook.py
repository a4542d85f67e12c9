"""What a notebook shows: one is executed, of a tutorial's cells and of a short training."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest
from test_tutorials import ROOT, cells, prose

TUTORIAL = ROOT / "tutorials" / "01_arrays_and_layouts.py"

START = """
import minighost as mg
from minighost import nn
train, test = mg.data.shapes10(60), mg.data.shapes10(20, split="test")
model = nn.Sequential(nn.ConvBNAct(3, 4, 3, rng=0), nn.GlobalAvgPool(), nn.Linear(4, 10, rng=1))
"""
TRAINING = 'history = mg.fit(model, train, test, epochs=2, batch_size=20, threads=1, out="run")'
TRACE = """
with mg.trace(model) as seen:
    model(mg.data.normalize(test.images, *mg.data.channel_statistics(train.images)))
seen
"""
CELLS = {
    "start": START,
    "training": TRAINING,
    "history": "history",
    "plot": "history.plot()",
    "model": "model",
    "data": "train",
    "trace": TRACE,
    "run": 'mg.load("run", model=model)',
    "step": 'mg.step("pointwise", height=2, width=2)',
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Outputs of the tutorial's code cells, and by name of ours; and the notebook itself."""
    folder, v4 = tmp_path_factory.mktemp("notebook"), nbformat.v4
    tutorial = [
        v4.new_markdown_cell(prose(lines)) if kind == "markdown" else v4.new_code_cell("\n".join(lines))
        for kind, lines in cells(TUTORIAL.read_text(encoding="utf-8"))
    ]
    own = [v4.new_code_cell(code) for code in CELLS.values()]
    book = v4.new_notebook(cells=tutorial + own)
    names = "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"
    with pytest.MonkeyPatch.context() as patch:
        for name in names:  # nothing is written to the home directory
            patch.setenv(name, str(folder / name.lower()))
        patch.setenv("PYTHONPATH", str(ROOT))
        (folder / "here").mkdir()
        client = nbclient.NotebookClient(
            book, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder / "here"}}
        )
        client.execute()
    outputs = {name: cell.outputs for name, cell in zip(CELLS, own, strict=True)}
    return [cell.outputs for cell in tutorial if cell.cell_type == "code"], outputs, folder / "here"


def shown(outputs, kind):
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def test_a_tutorial_shows_its_picture_and_writes_no_file(notebook):
    tutorial, own, folder = notebook
    everything = [output for outputs in (*tutorial, *own.values()) for output in outputs]
    assert everything and not [output for output in everything if output.output_type == "error"]
    assert sum(len(shown(outputs, "image/png")) for outputs in tutorial) == 1
    assert [path.name for path in folder.iterdir()] == ["run"]


def test_a_training_is_one_output_that_ends_as_the_table_without_a_bar(notebook):
    (output,) = notebook[1]["training"]
    text = output.data["text/plain"]
    assert re.search(r"^    2/2  ", text, re.M) and text.count("compiling") == 1 and "%|" not in text
    assert "<pre" in output.data["text/html"] and "2/2" in output.data["text/html"]


@pytest.mark.parametrize("name, words", [
    ("history", ["Sequential on shapes10", "<table>", "data:image/png"]),
    ("model", ["<details open>", "GlobalAvgPool", "gives 10"]),
    ("data", ["60 images, 32x32x3, 10 classes", "data:image/png"]),
    ("trace", ["data:image/png", "rms of dout"]),
    ("run", ["2 epochs", "of 20 test images correct", "train.batch_size", "data:image/png"]),
    ("step", ["<iframe", "srcdoc=", 'sandbox="allow-scripts"']),
])  # fmt: skip
def test_what_stands_at_the_end_of_a_cell_has_a_readable_form(notebook, name, words):
    (html,) = shown(notebook[1][name], "text/html")
    assert not [word for word in words if word not in html]
    assert "<script" not in html


def test_a_plot_is_a_picture_below_the_cell(notebook):
    assert len(shown(notebook[1]["plot"], "image/png")) == 1


def test_every_tutorial_shows_what_it_draws():
    for script in sorted(Path(ROOT / "tutorials").glob("*.py")):
        text = script.read_text(encoding="utf-8")
        assert "savefig" not in text and text.count("Figure(figsize") == text.count("mg.plots.show(figure, ") > 0, (
            script
        )
