"""Tracing: what is recorded is what passed through, and the model does not notice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minighost as mg
from minighost import nn
from minighost.analysis import Statistics


def _network():
    rng = np.random.default_rng(0)
    first, second = nn.ConvBNAct(3, 4, 3, rng=rng), nn.GhostModule(4, 6, 3, rng=rng)
    return nn.Sequential(first, second, nn.GlobalAvgPool(), nn.Linear(6, 2, rng=rng))


def _images(n=5):
    return np.random.default_rng(1).normal(size=(n, 6, 7, 3)).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5))
def test_statistics_are_numpys(seed, n, channels):
    x = np.random.default_rng(seed).normal(1.5, 3, size=(n, 3, 2, channels))
    x[..., 0] = 0
    one = Statistics.of(x)
    assert_allclose(
        [one.mean, one.std, one.rms, one.low, one.high],
        [x.mean(), x.std(), np.sqrt((x**2).mean()), x.min(), x.max()],
        rtol=1e-12,
    )
    assert (one.zeros, one.dead, one.bad) == (np.mean(x == 0), 1, 0)
    assert one.counts.sum() == x.size and len(one.edges) == len(one.counts) + 1
    assert channels == 1 or (one.edges[0], one.edges[-1]) == (x.min(), x.max())


def test_numbers_that_are_none_are_counted_and_left_out():
    one = Statistics.of(np.array([[1.0, np.nan], [np.inf, 3.0]]))
    assert (one.mean, one.bad, one.dead) == (2.0, 2, 0)
    nothing = Statistics.of(np.full((2, 2), np.nan))
    assert nothing.bad == 4 and np.isnan(nothing.mean)
    assert Statistics.of(np.zeros((0, 3))).dead == 0


@pytest.mark.parametrize(
    "values", [[1e7, 1e7 + 1e-8], [1e16, 1e16 + 2], [1e100], [-1e100], [5e-324, 0], [0], [3e38, -3e38]]
)
def test_numbers_however_large_or_close_have_a_histogram(values):
    one = Statistics.of(np.array(values)[:, None])
    assert one.counts.sum() == len(values) and (np.diff(one.edges) > 0).all()
    assert one.edges[0] <= one.low <= one.mean <= one.high <= one.edges[-1]


def test_each_layer_is_recorded_with_what_it_gave_and_got():
    model, x = _network(), _images()
    with mg.trace(model) as trace:
        out = model(x)
        dout = np.random.default_rng(2).normal(size=out.shape).astype(np.float32)
        dx = model.backward(dout)
    assert [layer.path for layer in trace] == [
        "0.conv",
        "0.bn",
        "1.primary.conv",
        "1.primary.bn",
        "1.cheap.conv",
        "1.cheap.bn",
        "2",
        "3",
    ]
    assert len(trace) == 8
    first, last = trace["0.conv"], trace["3"]
    assert_allclose([first.input.mean, first.input.std], [x.mean(dtype=float), x.std(dtype=float)], rtol=1e-6)
    assert_allclose([last.output.mean, last.output.std], [out.mean(dtype=float), out.std(dtype=float)], rtol=1e-6)
    assert_allclose(last.dout.rms, np.sqrt((dout.astype(float) ** 2).mean()), rtol=1e-6)
    assert_allclose(first.dx.std, dx.std(dtype=float), rtol=1e-6)
    assert last.output.shape == (5, 2) and first.kind == "Conv2d"
    assert trace["1.primary.bn"].dout.rms != trace["1.primary.bn"].dx.rms


def test_tracing_changes_nothing():
    plain, traced, x = _network(), _network(), _images()
    with nn.fusing(False):
        out = plain(x)
        dx = plain.backward(np.ones_like(out))
    with mg.trace(traced):
        assert_array_equal(traced(x), out)
        assert_array_equal(traced.backward(np.ones_like(out)), dx)
    for a, b in zip(plain.parameters(), traced.parameters(), strict=True):
        assert_array_equal(a.grad, b.grad)
    assert not any({"forward", "backward"} & set(vars(module)) for module in traced.modules())


def test_the_model_is_free_again_after_an_error():
    model = _network()
    with pytest.raises(ZeroDivisionError), mg.trace(model):
        raise ZeroDivisionError
    assert not any({"forward", "backward"} & set(vars(module)) for module in model.modules())


def test_a_dead_unit_is_seen():
    model = _network()
    bn = dict(model.named_modules())["0.bn"]
    bn.weight.data[1], bn.bias.data[1] = 1e-3, -9  # the ReLU behind it lets nothing through
    with mg.trace(model) as trace:
        model(_images())
    assert trace["0.bn"].output.dead == 1
    assert "1/4" in str(trace).splitlines()[2]


def test_a_later_pass_replaces_an_earlier_one_and_a_backward_is_optional():
    model = _network()
    with mg.trace(model) as trace:
        model(_images(5))
        model(_images(3))
    assert trace["3"].output.shape == (3, 2) and trace["3"].dout is None
    assert "-" in str(trace)


def test_a_single_layer_is_named_after_its_class():
    with mg.trace(nn.ReLU()) as trace:
        pass
    assert len(trace) == 0
    layer = nn.ReLU()
    with mg.trace(layer) as trace:
        layer(_images())
    assert trace["ReLU"].output.low == 0


def test_infinite_numbers_are_pointed_out():
    layer = nn.ReLU()
    with mg.trace(layer) as trace:
        layer(np.array([[1.0, np.nan]]))
    assert "1 numbers are infinite or NaN" in str(trace)


def test_the_picture_is_drawn_with_and_without_gradients(tmp_path):
    model = _network()
    with mg.trace(model) as trace:
        out = model(_images())
    assert trace.draw(tmp_path / "forward.png").stat().st_size > 5000
    with mg.trace(model) as trace:
        model.backward(np.zeros_like(model(np.zeros_like(_images()))))
    assert trace.draw(tmp_path / "zeros.png").stat().st_size > 5000
    assert out.shape == (5, 2)


def test_what_cannot_be_traced_is_refused(tmp_path):
    with pytest.raises(TypeError, match="trace: model is a function, must be a Module"), mg.trace(lambda x: x):
        pass
    with mg.trace(_network()) as trace:
        pass
    with pytest.raises(ValueError, match="no layer ran inside the with block"):
        trace.draw(tmp_path / "a.png")
    with pytest.raises(KeyError, match="no layer 'stem' was run; available: none"):
        trace["stem"]


def test_a_layer_that_stands_in_two_places_is_recorded_once_and_freed():
    shared = nn.Linear(3, 3, rng=0)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    with mg.trace(model) as trace:
        model(np.ones((2, 3), np.float32))
    assert [layer.path for layer in trace] == ["0", "1"]
    assert not any({"forward", "backward"} & set(vars(module)) for module in model.modules())


def test_a_model_is_traced_once_at_a_time():
    model = _network()
    with mg.trace(model) as outer:
        with pytest.raises(RuntimeError, match="0.conv is being traced already; leave the outer `with mg.trace"):
            with mg.trace(model):
                pass
        model(_images())
    assert len(outer) == 8 and not any("forward" in vars(module) for module in model.modules())
