"""`minighost zoo`: all networks beside their published numbers."""

import json

from commands import printed

from minighost import models


def test_the_table_has_every_network_and_fits_a_terminal(capsys):
    lines = printed(capsys, "zoo").splitlines()
    assert max(map(len, lines)) <= 80
    firsts = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert {size.model for size in models.published()} <= set(firsts)
    words = " ".join(line.strip() for line in lines).replace(",", "").split()
    assert set(models.names()) <= set(words)


def test_all_entries_fit_a_terminal_too(capsys):
    lines = printed(capsys, "zoo", "--all").splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(" classes  " in line for line in lines) == len(models.published())


def test_json_has_one_object_for_each_published_entry(capsys):
    found, sizes = json.loads(printed(capsys, "zoo", "--json")), models.published()
    for key in ("model", "kwargs", "classes"):
        assert [one[key] for one in found] == [getattr(size, key) for size in sizes]
    assert [tuple(one["input"]) for one in found] == [size.input for size in sizes]
    for one, size in zip(found, sizes, strict=True):
        assert ("not_built" in one) == (one["params"] is None) == (one["macs"] is None)
        assert one["equal"] == ((one["params"], one["macs"]) == (size.params, size.macs))
        assert "not_built" in one or one["year"] and one["idea"] and one["paper"]
