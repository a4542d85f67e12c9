"""The projection to many nodes is the model that its page states."""

import pytest

from versus import scaling

NETWORK = scaling.Network(numbers=10**6, batch_norms=50, channels=2000, fixed=0.01, each=0.002)
LINK = scaling.Link(latency=1e-5, bandwidth=1e9)


def test_one_node_has_nothing_to_wait_for():
    assert scaling.project(NETWORK, LINK, 1, 64) == pytest.approx(0.01 + 64 * 0.002)


def test_the_terms_are_those_of_the_text():
    gradient = 2 * 7 * 1e-5 + 2 * 7 / 8 * 4e6 / 1e9
    norm = 2 * 50 * 3 * 1e-5 + 7 * 5 * 8 * 2000 / 1e9
    each = 0.01 + 16 * 0.002 + gradient + 2 * 3 * 1e-5
    assert scaling.project(NETWORK, LINK, 8, 16, synchronised=False) == pytest.approx(each)
    assert scaling.project(NETWORK, LINK, 8, 16) == pytest.approx(each + norm)


def measured():
    """What `measure` gives, for ranks that cost nothing and a network of 10 ms and 2 ms an image."""
    cases = {}
    for kind, ranks, batch in [("one", 1, n) for n in (64, 32, 16, 8)] + [
        (kind, 2, n) for n in (32, 64) for kind in ("synchronised", "per rank")
    ]:
        step = {"step_s": 0.01 + 0.002 * batch / ranks, "numbers": 10**6, "batch_norms": 50, "channels": 2000}
        step |= {} if ranks == 1 else {"mean_s": {"1024": 1e-4}, "allreduce_s": {"1024": 2e-4}, "gather_s": 1e-5}
        cases[f"{kind} {batch}"] = {"kind": kind, "ranks": ranks, "batch": batch, "rounds": [step] * 3}
    settings = {"model": "ghostnet", "width": 0.5, "batch_size": 32, "ranks": 2, "rounds": 3, "steps": 5, "note": ""}
    return {"settings": settings, "cases": cases}


def test_the_line_goes_through_the_steps_of_one_process():
    network = scaling.network_of(measured())
    assert (network.fixed, network.each) == pytest.approx((0.01, 0.002))


def test_the_report_has_what_was_measured_and_what_is_projected(tmp_path):
    text = scaling.report(measured())
    assert "| weak | per rank | 64 | 74 | 74-74 | 865 | 100 % |" in text
    assert "| strong | synchronised | 32 | 42 | 42-42 | 762 | 88 % |" in text
    assert "| 1,024 | 0.10 | 0.20 |" in text
    assert text.count("| 64 |") == 2 + 2  # of both projections, and the batch of weak scaling twice
    scaling.draw(measured(), tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
