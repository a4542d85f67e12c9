"""The table of products."""

from versus import products


def test_every_shape_has_a_row_with_four_rates(monkeypatch, capsys):
    monkeypatch.setattr(products, "SHAPES", [(3, 4, 5), (2, 7, 40)])
    monkeypatch.setattr(products.rates, "__defaults__", (1, 1e3))
    products.main(["--repeats", "1"])
    head, names, _, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("GFLOP/s in single precision on one thread of ") and head.endswith("best of 1")
    assert names.split() == ["product", "ours", "NumPy", "a.T:", "ours", "NumPy"]
    assert [row.split()[:3] for row in rows] == [["3x4", "@", "4x5"], ["2x7", "@", "7x40"]]
    assert all(float(rate) >= 0 for row in rows for rate in row.split()[3:])
