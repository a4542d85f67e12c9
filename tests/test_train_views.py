"""Optimizers, averages, clipping and augmentation take views for what they are, and lose no update on a copy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from views import KINDS, hold, views

from minighost import nn
from minighost.data.augment import Augment, flip_horizontal
from minighost.train.clip import clip_grad_norm, grad_norm
from minighost.train.ema import EMA
from minighost.train.muon import Muon
from minighost.train.optim import SGD, AdamW

pytestmark = pytest.mark.small

OPTIMIZERS = {
    "SGD": lambda params: SGD(params, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "AdamW": lambda params: AdamW(params, 0.1),
    "Muon": lambda params: Muon(params, 0.1, momentum=0.9),
}
SHAPES = [(1, 1, 3, 2), (2, 1, 2, 3), (3, 1), (1, 4), (2, 3), (3,)]


def _parameters(rng):
    return [nn.Parameter(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES]


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(st.data())
def test_a_step_with_gradients_and_a_state_of_views_is_that_of_copies(name, data):
    rng = np.random.default_rng(0)
    params, grads = _parameters(rng), [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]
    for p, grad in zip(params, grads, strict=True):
        p.grad = grad
    started = OPTIMIZERS[name](params)
    started.step()
    state = {key: data.draw(views(abs(value))) for key, value in started.state_dict().items()}
    given = [data.draw(views(grad)) for grad in grads]
    moved = []
    for kind in ("array", "plain"):
        mine = [nn.Parameter(p.data.copy()) for p in params]
        optimizer = OPTIMIZERS[name](mine)
        optimizer.load_state_dict({key: getattr(view, kind) for key, view in state.items()})
        for _ in range(3):
            for p, view in zip(mine, given, strict=True):
                p.grad = getattr(view, kind)
            optimizer.step()
        moved.append([p.data for p in mine])
    for mine, plain in zip(*moved, strict=True):
        assert_allclose(mine, plain, rtol=1e-5, atol=1e-6)
    for view in (*given, *state.values()):
        view.assert_untouched(name)


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(st.data())
def test_a_parameter_is_moved_where_it_lies_or_refused(name, data):
    rng = np.random.default_rng(0)
    view = data.draw(views(rng.normal(size=data.draw(st.sampled_from(SHAPES))).astype(np.float32)))
    params = [nn.Parameter(view.array), nn.Parameter(view.plain.copy())]
    for p in params:
        p.grad = np.full(view.plain.shape, 0.5, np.float32)
    OPTIMIZERS[name](params[1:]).step()
    try:
        OPTIMIZERS[name](params[:1]).step()
    except ValueError as error:
        assert "parameter 0 of shape" in str(error) and "assign np.array(data, order='C')" in str(error)
        view.assert_untouched(name)
    else:
        assert_allclose(view.array, params[1].data, rtol=1e-6)
        view.assert_only_the_view_was_written(name)


@pytest.mark.parametrize("kind", KINDS)
def test_an_average_follows_weights_in_any_layout(kind):
    rng, averages = np.random.default_rng(0), []
    model, plain = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 2)), nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 2))
    for p, copied in zip(model.parameters(), plain.parameters(), strict=True):
        hold(p, KINDS[kind](rng.normal(size=p.shape).astype(np.float32), rng)[0])
        copied.data = np.array(p.data, np.float32)
    for network in (model, plain):
        average = EMA(network, 0.5)
        for p in network.parameters():
            hold(p, p.data * 3)  # NumPy keeps the layout
        average.update()
        averages.append(average.state_dict())
    for path, value in averages[1].items():
        assert_allclose(averages[0][path], value, rtol=1e-6, err_msg=path)


@given(st.data())
def test_gradients_are_clipped_once_in_any_layout(data):
    rng = np.random.default_rng(0)
    given = [data.draw(views(rng.normal(size=shape))) for shape in SHAPES]
    params, plain = ([nn.Parameter(view.plain) for view in given] for _ in range(2))
    for p, q, view in zip(params, plain, given, strict=True):
        p.grad, q.grad = view.array, view.plain.copy()
    assert_allclose(grad_norm(params), grad_norm(plain), rtol=1e-12)
    assert_allclose(clip_grad_norm(params, 0.5), clip_grad_norm(plain, 0.5), rtol=1e-12)
    assert_allclose(grad_norm(params), 0.5, rtol=1e-5)
    for p, q in zip(params, plain, strict=True):
        assert_allclose(p.grad, q.grad, rtol=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "byte-swapped"])  # a byte has one order
def test_augmented_views_are_those_of_copies(kind):
    numbers = np.random.default_rng(0)
    for shape in ((1, 3, 3, 3), (2, 3, 4, 3), (3, 4, 3, 3)):
        images, memory = KINDS[kind](numbers.integers(0, 255, shape).astype(np.uint8), numbers)
        before = memory.copy()
        augment = Augment(flip=True, crop_padding=1, cutout=2)
        for flips in (None, numbers.random(2 * len(images))[::2] < 0.5):
            mine, plain = (augment(x, np.random.default_rng(1), flips) for x in (images, np.array(images)))
            assert_array_equal(mine, plain)
        assert_array_equal(memory, before)


@pytest.mark.parametrize("W", [1, 2])
def test_a_mirrored_batch_is_a_new_array(W):
    x = np.arange(6.0).reshape(3, 2 // W, W, 1)
    mirrored = flip_horizontal(x)
    assert_array_equal(mirrored, x[:, :, ::-1])
    assert not np.shares_memory(mirrored, x) and mirrored.strides == x.strides
