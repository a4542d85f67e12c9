"""A step over parameters that lie side by side is the step over each by itself, whatever is done to them in between."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from views import few

from minighost import nn
from minighost.engine.launch import watching
from minighost.train import EMA, SGD, AdamW, Muon, clip_grad_norm, grad_norm, parameter_groups
from minighost.train.optim import Optimizer

# Not `small`: with bounds checked, a loop's last numbers may be rounded otherwise than its first ones.


class Signs(Optimizer):
    """A user's: each parameter is told from the others, so two may not be moved as one."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr, weight_decay=0.0))

    def _new_state(self, data):
        return {"last": np.zeros(data.shape, data.dtype), "norm": np.zeros(2)}

    def _update(self, p, g, state, group):
        state["norm"][0] = np.abs(g).max()
        state["last"].reshape(-1)[...] = g
        p -= p.dtype.type(group["lr"]) * g / p.dtype.type(state["norm"][0])


class Halved(SGD):
    """A user's, made of one that treats each number by itself, which this one does not."""

    def _update(self, p, g, state, group):
        super()._update(p, g / np.abs(g).max(), state, group)


OPTIMIZERS = {
    "SGD": lambda groups: SGD(groups, 0.1),
    "momentum": lambda groups: SGD(groups, 0.1, momentum=0.9),
    "Nesterov": lambda groups: SGD(groups, 0.1, momentum=0.9, nesterov=True),
    "AdamW": lambda groups: AdamW(groups, 0.1),
    "Muon": lambda groups: Muon(groups, 0.1, momentum=0.9, sgd_factor=2.0),
    "Signs": Signs,
    "Halved": lambda groups: Halved(groups, 0.1, momentum=0.9),
}


def network():
    return nn.Sequential(nn.ConvBNAct(2, 3, 3, rng=0), nn.ConvBNAct(3, 3, 3, groups=3, rng=1), nn.Linear(3, 2, rng=2))


class Run:
    """A model, its optimizer and its average; laid side by side or not."""

    def __init__(self, name, grouped, flat):
        self.model, self.flat, self.name, self.grouped = network(), flat, name, grouped
        self.parameters = list(self.model.parameters())
        self.lay()
        self.optimizer, self.average = self.new_optimizer(), EMA(self.model, 0.5)

    def new_optimizer(self):
        groups = parameter_groups(self.model, 0.25) if self.grouped else self.parameters
        return OPTIMIZERS[self.name](groups)

    def lay(self, which=slice(None)):
        if self.flat:
            nn.flatten([*self.parameters[which], *(b for _, b in self.model.named_buffers())])

    def operate(self, what, k, rng):
        p = self.parameters[k % len(self.parameters)]
        fresh = rng.normal(size=p.shape).astype(np.float32)
        if what == "freeze":
            p.grad = None
        elif what == "own gradient":
            p.grad = fresh
        elif what == "scaled gradient" and p.grad is not None:
            p.grad = p.grad * np.float32(0.5)
        elif what == "gradient in place" and p.grad is not None:
            p.grad *= np.float32(0.5)
        elif what == "add":
            p.accumulate(fresh)
        elif what == "assign":
            p.data = fresh
        elif what == "in place":
            p.data *= np.float32(0.5)
        elif what == "replace":
            p.replace(fresh)
        elif what == "replaced layer":
            self.model[2].weight = nn.Parameter(self.model[2].weight.data.copy())  # the optimizer knows the old one
        elif what == "lay again":
            self.lay()
        elif what == "lay a part":
            self.lay(slice(k % 4, None, 2))
        elif what == "copy":
            self.__dict__ = copy.deepcopy(vars(self))
        elif what == "load":
            state, self.optimizer = self.optimizer.state_dict(), self.new_optimizer() if k % 2 else self.optimizer
            self.optimizer.load_state_dict(state)
            self.average.load_state_dict(self.average.state_dict())
        elif what == "rate":
            self.optimizer.lr = 0.01
        elif what == "statistics":
            self.model[0].bn.running_mean.data += np.float32(1)

    def step(self, does, rng):
        self.optimizer.zero_grad()
        for p in self.parameters:
            p.accumulate(rng.normal(size=p.shape).astype(np.float32))
        for what, k in does:
            self.operate(what, k, rng)
        norm = grad_norm(self.parameters)
        self.optimizer.step()
        self.average.update()
        seen = {f"parameter {k}": p.data for k, p in enumerate(self.parameters)}
        seen |= self.optimizer.state_dict() | {f"average {path}": x for path, x in self.average.state_dict().items()}
        return norm, {name: np.array(x) for name, x in seen.items()}


OPERATIONS = [
    "freeze",
    "own gradient",
    "scaled gradient",
    "gradient in place",
    "add",
    "assign",
    "in place",
    "replace",
    "replaced layer",
    "lay again",
    "lay a part",
    "copy",
    "load",
    "rate",
    "statistics",
]


@pytest.mark.parametrize("name", OPTIMIZERS)
@few
@given(
    st.booleans(),
    st.lists(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 20)), max_size=3), min_size=2, max_size=5),
)
def test_side_by_side_is_each_by_itself_whatever_is_done_between_steps(name, grouped, steps):
    mine, plain = Run(name, grouped, flat=True), Run(name, grouped, flat=False)
    for k, does in enumerate(steps):
        (norm, seen), (expected_norm, expected) = (run.step(does, np.random.default_rng(k)) for run in (mine, plain))
        assert norm == pytest.approx(expected_norm, rel=1e-12)
        assert seen.keys() == expected.keys()
        for key, value in expected.items():
            assert_array_equal(seen[key], value, err_msg=f"{key} after step {k}")


def launches(run):
    found = []
    with watching(lambda function, args, seconds: found.append(function.__name__)):
        run()
    return found


@pytest.mark.parametrize("name, kernel", [("Nesterov", "_sgd"), ("AdamW", "_adamw")])
@pytest.mark.parametrize("grouped", [False, True])
def test_norm_step_and_average_of_a_row_are_one_kernel_each(name, kernel, grouped):
    run = Run(name, grouped, flat=True)
    run.step([], np.random.default_rng(0))
    for p in run.parameters:
        p.accumulate(np.ones(p.shape, np.float32))
    assert launches(lambda: grad_norm(run.parameters)) == ["_add_squares"]
    assert launches(run.optimizer.step) == [kernel] * (1 + grouped), "one for each group"
    assert launches(run.average.update) == ["_average"]
    run.parameters[4].grad = None
    assert len(launches(run.optimizer.step)) == 2 + grouped, "around the one that is left out"


def test_clipping_scales_a_row_once():
    mine, plain = (Run("SGD", False, flat) for flat in (True, False))
    for run in (mine, plain):
        rng = np.random.default_rng(0)
        for p in run.parameters:
            p.accumulate(rng.normal(size=p.shape).astype(np.float32))
        run.parameters[2].grad = None
        run.parameters[3].grad = np.asfortranarray(rng.normal(size=run.parameters[3].shape))
        run.norm = clip_grad_norm(run.parameters, 0.5)
    assert mine.norm == pytest.approx(plain.norm, rel=1e-12)
    assert grad_norm(mine.parameters) == pytest.approx(0.5, rel=1e-4)
    for p, q in zip(mine.parameters, plain.parameters, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            assert_allclose(p.grad, q.grad, rtol=1e-6)


def test_a_step_that_is_refused_has_moved_nothing():
    run = Run("AdamW", False, flat=True)
    for p in run.parameters:
        p.accumulate(np.ones(p.shape, np.float32))
    run.parameters[-1].grad = np.ones(7)
    before = [p.data.copy() for p in run.parameters]
    with pytest.raises(ValueError, match=r"parameter 7: gradient of shape \(7,\) for data of shape"):
        run.optimizer.step()
    for p, data in zip(run.parameters, before, strict=True):
        assert_array_equal(p.data, data)
    assert set(run.optimizer.state_dict()) == {"lr.0"}


def test_an_optimizer_follows_a_model_that_is_converted():
    results = []
    for flat in (True, False):
        run = Run("momentum", False, flat)
        run.step([], np.random.default_rng(0))
        run.model.astype(np.float64)
        run.lay()
        for p in run.parameters:
            p.accumulate(np.ones(p.shape))
        run.optimizer.step()
        results.append([p.data for p in run.parameters])
    for mine, plain in zip(*results, strict=True):
        assert mine.dtype == np.float64
        assert_array_equal(mine, plain)


def test_a_tied_parameter_has_one_average_under_all_its_names():
    averages = []
    for flat in (True, False):
        model = network()
        model[1].bn.bias = model[0].bn.bias
        if flat:
            nn.flatten(model)
        average = EMA(model, 0.5)
        for p in model.parameters():
            p.data += np.float32(1)
        average.update()
        state = average.state_dict()
        assert_array_equal(state["0.bn.bias"], state["1.bn.bias"])
        averages.append(state)
    for path, value in averages[1].items():
        assert_array_equal(averages[0][path], value, err_msg=path)


def test_each_parameter_counts_its_own_steps():
    """AdamW corrects its moments by them, so those that have missed a step are not moved with the others."""
    mine, plain = Run("AdamW", False, flat=True), Run("AdamW", False, flat=False)
    for k, does in enumerate([[("freeze", 2)], [("freeze", 1)], [], []]):
        for run in (mine, plain):
            _, run.seen = run.step(does, np.random.default_rng(k))
    assert [int(mine.seen[f"step.{k}"]) for k in range(4)] == [4, 3, 3, 4]
    for key, value in plain.seen.items():
        assert_array_equal(mine.seen[key], value, err_msg=key)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])
def test_a_copy_of_a_run_goes_on_by_itself(copied):
    run, plain = Run("momentum", True, flat=True), Run("momentum", True, flat=False)
    for one in (run, plain):
        one.step([], np.random.default_rng(0))
    parts = [{k: v for k, v in vars(one).items() if k != "name"} for one in (run, plain)]
    assert len(pickle.dumps(parts[0])) < 1.2 * len(pickle.dumps(parts[1])), "rows do not travel"
    other = copied(run)
    before = {name: value.copy() for name, value in run.model.state_dict().items()}
    _, seen = other.step([], np.random.default_rng(1))
    for name, value in run.model.state_dict().items():
        assert_array_equal(value, before[name], err_msg=name)
    _, expected = run.step([], np.random.default_rng(1))
    for name, value in expected.items():
        assert_array_equal(seen[name], value, err_msg=name)


def test_a_model_in_evaluation_answers_with_the_weights_that_a_step_has_moved(rng):
    x = rng.normal(size=(2, 5, 5, 2)).astype(np.float32)
    model = nn.Sequential(nn.ConvBNAct(2, 3, 3, rng=0), nn.ConvBNAct(3, 3, 1, rng=1))
    nn.flatten(model)
    optimizer = SGD(model.parameters(), 0.5, momentum=0.9)
    answers = [model.eval()(x).copy()]
    for _ in range(3):
        for p in model.parameters():
            p.grad = None
            p.accumulate(np.ones(p.shape, np.float32))
        optimizer.step()
        answers.append(model(x).copy())
        assert not np.array_equal(answers[-1], answers[-2])
        assert_allclose(answers[-1], nn.fold(copy.deepcopy(model))(x), rtol=1e-6)
