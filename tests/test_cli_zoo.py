"""`minighost zoo`: all networks beside their published numbers."""

import json

import pytest
from commands import printed, refused

from minighost import analysis, models, nn


@pytest.fixture(scope="module")
def counted():
    """Every published entry, counted once."""
    return list(analysis.entries())


@pytest.fixture
def known(monkeypatch, counted):
    monkeypatch.setattr(analysis, "entries", lambda sizes: [one for one in counted if one.published in list(sizes)])


def test_the_table_has_every_network_and_fits_a_terminal(capsys, known):
    lines = printed(capsys, "zoo").splitlines()
    assert max(map(len, lines)) <= 80
    firsts = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert {size.model for size in models.published()} <= set(firsts)
    words = " ".join(line.strip() for line in lines).replace(",", "").split()
    assert set(models.names()) <= set(words)


def test_all_entries_fit_a_terminal_too(capsys, known):
    lines = printed(capsys, "zoo", "--all").splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(" classes  " in line for line in lines) == len(models.published())


def test_json_has_one_object_for_each_published_entry(capsys, known):
    found, sizes = json.loads(printed(capsys, "zoo", "--json")), models.published()
    for key in ("model", "kwargs", "classes"):
        assert [one[key] for one in found] == [getattr(size, key) for size in sizes]
    assert [tuple(one["input"]) for one in found] == [size.input for size in sizes]
    for one, size in zip(found, sizes, strict=True):
        assert ("not_built" in one) == (one["params"] is None) == (one["macs"] is None)
        macs = one["macs"] if size.macs is None else size.macs  # nobody has published a detector's
        assert one["equal"] == ((one["params"], one["macs"]) == (size.params, macs))
        assert "not_built" in one or one["year"] and one["idea"] and one["paper"]


@pytest.mark.parametrize("name", ["ghostnet", "quicknet"])
def test_a_network_is_drawn_block_by_block(capsys, name):
    lines = printed(capsys, "zoo", "--model", name).splitlines()
    assert max(map(len, lines)) <= 80
    side = 224 if name == "ghostnet" else 32
    with nn.without_weights():
        model = models.create(name, num_classes=1000 if name == "ghostnet" else 10)
    blocks = analysis.blocks(model, analysis.count(model, (side, side, 3)))
    rows = [line.split() for line in lines if line.split() and line.split()[0] in {block.path for block in blocks}]
    assert [row[0] for row in rows] == [block.path for block in blocks]
    for row, block in zip(rows, blocks, strict=True):
        assert row[1] == ("x".join(map(str, block.output_shape[:-1])) or "-")
        assert row[2] == f"{block.output_shape[-1]:,}"
    bars = [len(row[5]) if len(row) > 5 else 0 for row in rows]
    most = max(block.macs for block in blocks)
    assert all(abs(bar - max(bars) * block.macs / most) <= 1 for bar, block in zip(bars, blocks, strict=True))


def test_the_field_of_each_block_is_there_with_a_star_beside_gates(capsys):
    rows = {
        line.split()[0]: line.split() for line in printed(capsys, "zoo", "--model", "ghostnet").splitlines() if line
    }
    assert [rows[path][3] for path in ("stem", "stages.2.0", "stages.3.0", "tail", "pool")] == [
        *("3", "43", "83*", "1171*", "all"),
    ]


def test_the_drawing_is_a_picture_too(capsys, tmp_path):
    picture = tmp_path / "net.png"
    assert str(picture) in printed(capsys, "zoo", "--model", "resnet20", "--input", "64x48", "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--model", "ghostne"], "unknown model 'ghostne' (did you mean 'ghostnet'?)"),
        (["--model", "ghostnet", "--all"], "--all: lists all networks and --model draws one; leave one out"),
        (["--model", "ghostnet", "--json"], "--json: lists all networks and --model draws one; leave one out"),
        (["--model", "ghostnet", "--input", "0"], "--input 0: must be one side or HxW in whole pixels"),
        (["--model", "ghostnet", "--plot", "a.xyz"], "--plot a.xyz: unknown format 'xyz'"),
        (["--plot", "a.png"], "--plot: needs --model NAME"),
        (["--input", "32"], "--input: needs --model NAME"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, argv, message):
    assert message in refused(capsys, "zoo", *argv)
