"""Schedules: their laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minighost.train import schedules
from minighost.train.schedules import Constant, Cosine, OneCycle, Step, Warmup

totals = st.integers(1, 5000)


@given(totals, st.floats(1e-4, 10))
def test_cosine_falls_from_the_peak_to_zero_and_is_half_way_in_the_middle(total, lr):
    schedule = Cosine(lr, total)
    rates = [schedule(step) for step in range(total + 1)]
    assert rates[0] == lr and abs(rates[-1]) < 1e-12 * lr
    assert all(a > b for a, b in zip(rates, rates[1:], strict=False))
    assert Cosine(lr, 2 * total)(total) == pytest.approx(lr / 2)


@given(totals, st.data(), st.sampled_from(["linear", "cosine"]), st.sampled_from(["linear", "cosine"]))
def test_one_cycle_rises_to_its_peak_then_falls_and_no_step_has_rate_zero(total, data, warmup, anneal):
    rise = data.draw(st.integers(0, total - 1))
    schedule = OneCycle(0.4, total, rise, warmup=warmup, anneal=anneal)
    rates = [schedule(step) for step in range(total)]
    assert rates[rise] == max(rates) == 0.4
    assert rates[: rise + 1] == sorted(rates[: rise + 1]) and rates[rise:] == sorted(rates[rise:], reverse=True)
    assert min(rates) > 0 and schedule(total) == pytest.approx(0, abs=1e-12)
    if rise:
        assert rates[0] == pytest.approx(0.4 * 0.04)


def test_step_multiplies_at_each_milestone():
    schedule = Step(1.0, (3, 5), 0.1)
    assert [round(schedule(step), 6) for step in range(7)] == [1, 1, 1, 0.1, 0.1, 0.01, 0.01]


@given(st.integers(1, 100))
def test_warm_up_rises_to_the_schedule_that_it_wraps_and_then_is_that_schedule(steps):
    after = Cosine(0.5, 1000)
    schedule = Warmup(after, steps)
    rates = [schedule(step) for step in range(steps + 1)]
    assert rates[0] == pytest.approx(0.04 * 0.5) and rates[0] < rates[-1] == after(steps)
    assert [schedule(step) for step in range(steps, 1001)] == [after(step) for step in range(steps, 1001)]


def test_a_schedule_has_no_memory():
    for name in schedules.names():
        schedule = schedules.create(name, 0.1, 100, 10, warmup_epochs=2, milestones=(5,))
        forward = [schedule(step) for step in range(100)]
        assert [schedule(step) for step in reversed(range(100))] == forward[::-1]


def test_create_counts_in_epochs():
    assert schedules.create("step", 1.0, 100, 10, milestones=(2, 3.5), gamma=0.5) == Step(1.0, (20, 35.0), 0.5)
    assert schedules.create("onecycle", 1.0, 100, 10, warmup_epochs=2.5) == OneCycle(1.0, 100, 25.0)
    assert schedules.create("cosine", 1.0, 100, 10, warmup_epochs=1) == Warmup(Cosine(1.0, 100), 10)
    assert schedules.create("constant", 1.0, 100, 10) == Constant(1.0)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: schedules.create("linear", 1, 1, 1),
            "train.schedules.create: unknown schedule 'linear'; available: onecycle, cosine, step, constant",
        ),
        (lambda: Constant(0), "Constant: lr must be finite and > 0, got 0"),
        (lambda: Cosine(1, 0), "Cosine: total_steps must be finite and > 0, got 0"),
        (lambda: Constant(math.inf), "Constant: lr must be finite and > 0, got inf"),
        (lambda: Constant("0.1"), "Constant: lr must be a number, got '0.1'"),
        (lambda: Cosine(1, 10, math.nan), "Cosine: final must be finite and >= 0, got nan"),
        (lambda: OneCycle(1, 10, start=-1), "OneCycle: start must be finite and >= 0, got -1"),
        (lambda: OneCycle(1, 10, math.nan), "OneCycle: warmup_steps must be finite and >= 0, got nan"),
        (lambda: Step(1, (1, math.nan)), "Step: milestones[1] must be finite and >= 0, got nan"),
        (lambda: Step(1, (5,), True), "Step: gamma must be a number, got True"),
        (lambda: Warmup(Constant(1), math.inf), "Warmup: steps must be finite and > 0, got inf"),
        (lambda: Warmup(Constant(1), 5, math.nan), "Warmup: start must be finite and >= 0, got nan"),
        (lambda: Step(1, (5, 3)), "Step: milestones must ascend, got [5, 3]"),
        (lambda: OneCycle(1, 10, warmup="wave"), "OneCycle: unknown shape 'wave'; available: cosine, linear"),
        (
            lambda: OneCycle(1, 10, 10),
            "OneCycle: warm-up of 10 steps must be shorter than the run of 10 steps; "
            "lower train.warmup_epochs or raise train.epochs",
        ),
    ],
)
def test_impossible_schedules_are_named(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    assert str(error.value) == message


def test_a_schedule_is_known_by_its_one_entry(monkeypatch):
    monkeypatch.setitem(
        schedules.SCHEDULES, "halved", lambda lr, run: run.warmed_up(Constant(lr / run.steps_per_epoch))
    )
    assert "halved" in schedules.names()
    assert schedules.create("halved", 1.0, 100, 2, warmup_epochs=3) == Warmup(Constant(0.5), 6)


def test_an_extended_schedule_follows_each_plan_up_to_its_end():
    options = dict(warmup_epochs=1.0, anneal="linear")
    extended = schedules.extended("onecycle", 0.4, (2, 5, 8), 10, **options)
    plans = [schedules.create("onecycle", 0.4, 10 * epochs, 10, **options) for epochs in (2, 5, 8)]
    assert [extended(step) for step in range(81)] == [plans[(step >= 20) + (step >= 50)](step) for step in range(81)]
    assert extended(19) < 0.1 < extended(20) == pytest.approx(0.4 * 3 / 4)
    for name in ("constant", "step"):
        milestones = {"milestones": (1, 4)} if name == "step" else {}
        goes_on = schedules.extended(name, 0.4, (2, 5), 10, **milestones)
        assert [goes_on(step) for step in range(50)] == [
            schedules.create(name, 0.4, 20, 10, **milestones)(step) for step in range(50)
        ]
