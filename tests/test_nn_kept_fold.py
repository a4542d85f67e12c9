"""A model in evaluation answers by its fold, and whatever was done in between, the answer is that of its layers."""

import contextlib
import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from folds import NETWORKS, network
from hypothesis import given
from hypothesis import strategies as st
from kept_folds import CLOSE, by_layers, chain, folds
from numpy.testing import assert_allclose, assert_array_equal
from surgery import BLOCKS, block, operate

import minighost as mg
from minighost import nn

ERRORS = TypeError, ValueError, RuntimeError, AttributeError
SMALL = pytest.mark.small


# What is changed between two calls -------------------------------------------------------------------------------


def _one(values, rng):
    return values[rng.integers(len(values))]


def _in_place(model, rng, kept):
    _one(list(model.parameters()), rng).data[...] *= 1.5


def _assigned(model, rng, kept):
    p = _one(list(model.parameters()), rng)
    p.data = p.data * 0.5


def _through_a_view_of_before(model, rng, kept):
    _one(kept, rng)[...] += 0.25


def _statistics(model, rng, kept):
    for path, value in model.named_buffers():
        if path.endswith("var"):
            value.data *= 1.25


def _loaded(model, rng, kept):
    model.load_state_dict({path: 0.9 * value for path, value in model.state_dict().items()})


def _trained(model, rng, kept):
    model.train()(rng.normal(size=(3, 6, 5, 4)))
    model.eval()


def _statistics_of_one_layer(model, rng, kept):
    bn = _one([m for m in model.modules() if isinstance(m, nn.BatchNorm2d)], rng)
    bn.train()(rng.normal(size=(2, 3, 3, bn.weight.size)))
    bn.eval()


def _a_step_in_evaluation(model, rng, kept):
    out = model(rng.normal(size=(3, 6, 5, 4)))
    model.zero_grad()
    model.backward(rng.normal(size=out.shape))
    for p in model.parameters():
        if p.grad is not None:
            p.data -= 0.01 * p.grad


def _a_step_in_one_row_of_memory(model, rng, kept):
    """An optimizer writes to the row, and reads no `data`."""
    nn.flatten(model)
    sgd = mg.train.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        out = model(rng.normal(size=(3, 6, 5, 4)))
        model.zero_grad()
        model.backward(rng.normal(size=out.shape))
        sgd.step()
        model(rng.normal(size=(3, 6, 5, 4)))


def _copied(model, rng, kept):
    return pickle.loads(pickle.dumps(model)) if rng.integers(2) else copy.deepcopy(model)


def _new_parameter(model, rng, kept):
    m = _one([m for m in model.modules() if isinstance(m, nn.Conv2d)], rng)
    m.weight = nn.Parameter(m.weight.data * 2)


def _astype(model, rng, kept):
    model.astype(np.float32).astype(np.float64)


def _attribute(model, rng, kept):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eps *= 100


def _list_of_layers(model, rng, kept):
    if isinstance(model, nn.Sequential):
        model.append(nn.HardSwish())


def _nothing(model, rng, kept):
    pass


CHANGES = [
    _in_place,
    _assigned,
    _through_a_view_of_before,
    _statistics,
    _loaded,
    _trained,
    _statistics_of_one_layer,
    _a_step_in_evaluation,
    _a_step_in_one_row_of_memory,
    _copied,
    _new_parameter,
    _astype,
    _attribute,
    _list_of_layers,
    _nothing,
]


@SMALL
@pytest.mark.parametrize("name", BLOCKS)
@given(seed=st.integers(0, 2**32 - 1), times=st.integers(1, 6), holds=st.booleans())
def test_evaluation_is_what_the_layers_compute_whatever_happened_since_the_last_call(name, seed, times, holds):
    rng, done = np.random.default_rng(seed), []
    model, x = block(name).eval(), rng.normal(size=(3, 6, 5, 4))
    kept = [value.data[..., :1] for _, value in model._named((nn.Parameter, nn.Buffer))] if holds else [np.zeros(1)]
    for _ in range(times):
        for _ in range(rng.integers(3)):
            model(x)  # so that there is a fold, or soon
        if rng.integers(4):
            change = _one(CHANGES, rng)
            done.append(change.__name__)
            with contextlib.suppress(*ERRORS):  # what a module is now may not fit together
                model = change(model, rng, kept) or model
        else:
            done += operate(model, rng, 1)
        if any(m.training for m in model.modules()):
            model.eval()
        try:
            expected = by_layers(copy.deepcopy(model), x)
        except ERRORS as error:
            with pytest.raises(type(error)):
                model(x)
            return
        for call in range(3):
            assert_allclose(model(x), expected, **CLOSE, err_msg=f"call {call} after {done}")


# When it folds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_in_evaluation_answers_by_its_fold_from_the_first_call(rng, name):
    model = network(name, np.float32).eval()
    x = rng.normal(size=(2, 32, 32, 3)).astype(np.float32)
    for _ in range(2):
        assert_array_equal(model(x), nn.fold(model)(x))


@SMALL
def test_the_same_numbers_give_the_same_bits_whatever_was_called_before():
    """Who changes a weight and looks at what changes in the output sees that, and not how it was computed."""
    model, x = chain()
    first = model(x)
    for _ in range(3):
        model[0].conv.weight.data[..., 0] *= 2
        assert_array_equal(model(x), nn.fold(model)(x))
        model[0].conv.weight.data[..., 0] /= 2
        by_layers(model, x)
        assert_array_equal(model(x), first)


@SMALL
def test_what_somebody_holds_is_compared():
    model, x = chain()
    view = model[0].conv.weight.data[0, 0, :1]
    assert folds(model, x) and folds(model, x)
    before = model(x)
    view += 1
    assert folds(model, x) and np.abs(model(x) - before).max() > 1e-3
    del view
    model[0].conv.weight.data += 0
    assert folds(model, x) and not model._kept_fold.state._held


@SMALL
def test_an_optimizer_that_writes_to_one_row_of_memory_is_noticed():
    model, x = chain()
    nn.flatten(model)
    before = model(x)
    model[0].conv.weight.place.flat.data += 0.5
    assert folds(model, x) and np.abs(model(x) - before).max() > 1e-3


@SMALL
def test_layers_that_read_their_parameters_do_not_drop_the_fold():
    model, x = chain()
    model(x)
    fold = model._kept_fold
    by_layers(model, x)
    model.state_dict()
    nn.fold(model)
    assert model._kept_fold is fold and folds(model, x) and model._kept_fold is fold


@SMALL
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.BatchNorm2d, nn.ConvBNAct, nn.Sequential])
def test_a_forward_that_a_class_is_given_later_is_respected(kind, monkeypatch):
    model, x = chain()
    before, forward = model(x), kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, x: 2 * forward(self, x))
    assert not folds(model, x) and np.abs(model(x) - before).max() > 1e-3
    monkeypatch.undo()
    assert_allclose(model(x), before, **CLOSE)


@SMALL
def test_a_layer_that_is_given_another_class_is_one_of_that_class():
    model, x = chain()
    before = model(5 * x)
    model[2].__class__ = nn.HardSwish
    assert folds(model, x) and np.abs(model(5 * x) - before).max() > 1e-3


@SMALL
def test_a_part_that_trains_sees_its_batches():
    model, x = chain()
    model(x)
    bn = model[0].bn.train()
    before = bn.running_mean.data.copy()
    out = model(x)
    assert np.abs(bn.running_mean.data - before).min() > 0
    assert_allclose(out, by_layers(model, x), **CLOSE)


@SMALL
def test_numbers_may_lie_in_memory_of_somebody_elses():
    model, x = chain()
    memory = model[0].conv.weight.data.copy()
    model[0].conv.weight = nn.Parameter(memory[:])
    before = model(x)
    memory += 1
    assert folds(model, x) and np.abs(model(x) - before).max() > 1e-3


@SMALL
def test_a_method_or_an_array_among_the_attributes_may_change_in_place():
    model, x = chain()
    order = [0, 1, 2]
    model.children = lambda: (model[k] for k in order)
    before = model(x)
    order.pop(1)
    assert not folds(model, x) and np.abs(model(x) - before).max() > 1e-3
    model, x = chain()
    model[0].bn.eps = np.array(1e-5)
    before = model(x)
    model[0].bn.eps += 1
    assert not folds(model, x) and np.abs(model(x) - before).max() > 1e-3


@SMALL
def test_a_hook_sees_the_layers_and_afterwards_they_fold_again():
    model, x = chain()
    assert folds(model, x)
    seen = []

    class Names(nn.Hook):
        def after_forward(self, module, x, out):
            seen.append(type(module).__name__)

    with nn.hooked(model, Names()):
        model(x)
    assert seen.count("Conv2d") > 3
    with mg.trace(model) as trace:
        model(x)
    assert len(trace) == sum(not list(m.children()) for m in model.modules())
    model(x)
    assert folds(model, x)


@SMALL
def test_inside_a_module_of_somebody_elses_those_of_ours_fold():
    class Net(nn.Module):
        def __init__(self):
            self.body, self.head, self.features = block("chain"), nn.Linear(4, 2, rng=0).astype(np.float64), []

        def forward(self, x):
            y = self.body(x).mean(axis=(1, 2))
            self.features.append(y)
            return self.head(y)

    model, x = Net().eval(), chain()[1]
    first, second = model(x), model(x)
    assert_array_equal(first, second)
    assert model._kept_fold is None and folds(model.body, x) and len(model.features) == 2
    assert_allclose(first, by_layers(model, x), **CLOSE)


@SMALL
def test_nothing_folds_while_the_model_is_training():
    """Which bits a training step has must not depend on how many steps there were before."""
    model, x = nn.Sequential(block("chain"), nn.Conv2d(4, 2, 1, rng=0).astype(np.float64)), chain()[1]
    model[0].eval()
    for _ in range(3):
        model(x)
    assert all(m._kept_fold is None for m in model.modules())


@SMALL
def test_another_dtype_a_list_and_no_images_are_for_the_layers():
    model, x = chain()
    model(x)
    for bad in (x.astype(np.float32), x[..., :3], x[0], [1.0], x.astype(int), x.astype(">f8")[..., :2]):
        with pytest.raises((TypeError, ValueError)) as expected:
            by_layers(model, bad)
        with pytest.raises(type(expected.value)) as found:
            model(bad)
        assert str(found.value) == str(expected.value)
    assert model(x[:0]).shape == (0, 6, 5, 4)


@SMALL
def test_every_layer_knows_its_output_shape_after_any_call(rng):
    model = block("chain").eval()
    for H, W in ((6, 5), (6, 5), (8, 4), (8, 4), (6, 5)):
        x = rng.normal(size=(2, H, W, 4))
        model(x)
        plain = copy.deepcopy(model)
        by_layers(plain, x)
        for mine, theirs in zip(model.modules(), plain.modules(), strict=True):
            assert (mine.output_shape, mine.macs) == (theirs.output_shape, theirs.macs)
    assert folds(model, x)


# What is kept ----------------------------------------------------------------------------------------------------


@SMALL
def test_a_fold_is_not_copied_and_dies_with_its_model():
    model, x = chain()
    gc.disable()  # so that nothing in a circle can die
    try:
        model(x)
        assert copy.deepcopy(model)._kept_fold is None is pickle.loads(pickle.dumps(model))._kept_fold
        fold, alive = weakref.ref(model._kept_fold), weakref.ref(model)
        del model
        assert alive() is None, "the fold holds its model"
        assert fold() is None, "somebody else holds the fold"
    finally:
        gc.enable()


@SMALL
def test_training_frees_the_fold():
    model, x = chain()
    model(x)
    assert model.train()._kept_fold is None


@SMALL
def test_evaluation_keeps_no_activations_but_its_input():
    model, x = chain()
    for _ in range(2):
        by_layers(model, x)
        model(x)
    assert all(m._cache is None for m in model.modules()) and model._kept_fold.x is x


def test_several_python_threads_may_call_one_model():
    model = network("ghostnet_short", np.float32).eval()
    batches = [np.random.default_rng(k).normal(size=(k, 16, 16, 3)).astype(np.float32) for k in range(1, 5)]
    expected, wrong = [nn.fold(model)(x) for x in batches], []

    def work(k):
        for _ in range(5):
            if not np.array_equal(model(batches[k]), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong
