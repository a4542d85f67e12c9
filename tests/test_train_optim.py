"""Optimizers, average and clipping: against the formulas written out, and against numbers that PyTorch 2.13 gave."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from training import TinyNet, settings

from minighost import nn
from minighost.nn import Parameter
from minighost.train import EMA, SGD, AdamW, Muon, clip_grad_norm, grad_norm, optimizers, parameter_groups
from minighost.train.muon import orthogonalised
from minighost.train.trainer import Trainer


def two_parameters():
    return Parameter(np.array([1.0, -2.0, 0.5])), Parameter(np.array([0.25]))


def four_steps(optimizer, p, q):
    """The second parameter has no gradient in the second step."""
    for t in range(4):
        p.grad = np.array([0.5 * (t + 1), -1.0, 0.25 * t])
        q.grad = None if t == 1 else np.array([1.0 + t])
        optimizer.step()
    return np.concatenate([p.data, q.data])


TORCH = {  # torch.optim in float64, the same gradients
    "sgd": [0.49999999999999994, -1.5999999999999996, 0.35, -0.55],
    "momentum": [0.06399593835099979, -1.078411976702, 0.2578773866505, -0.9917214002500001],
    "nesterov": [-0.344675053608663, -0.7647987786826741, 0.13040787057736594, -1.6669],
    "adamw": [0.5780854762554948, -1.5271521239404, 0.23818715722008105, -0.040402008793368346],
}


@pytest.mark.parametrize("name", TORCH)
def test_four_steps_end_where_pytorch_ends(name):
    p, q = two_parameters()
    optimizer = {
        "sgd": lambda: SGD([p, q], 0.1),
        "momentum": lambda: SGD([p, q], 0.1, momentum=0.9, weight_decay=0.01),
        "nesterov": lambda: SGD([{"params": [p], "weight_decay": 0.01}, {"params": [q]}], 0.1, 0.9, nesterov=True),
        "adamw": lambda: AdamW([p, q], 0.1, weight_decay=0.1),
    }[name]()
    assert_allclose(four_steps(optimizer, p, q), TORCH[name], rtol=1e-13)


def sgd_literally(p, grads, lr, momentum, nesterov, decay):
    buffer = None
    for g in grads:
        g = g + decay * p
        buffer = g if buffer is None else momentum * buffer + g
        p = p - lr * (g + momentum * buffer if nesterov else buffer)
    return p


def adamw_literally(p, grads, lr, betas, eps, decay):
    m = v = np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        p = p * (1 - lr * decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        p = p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


@pytest.mark.parametrize("betas", [(0.0, 0.0), (0.0, 0.999), (0.3, 0.0), (0.9, 0.0)])
def test_adamw_forgets_a_huge_gradient_as_its_betas_say(betas):
    """With beta1 = 0 the first moment is the gradient itself; ``m + (g - m)`` in single precision would be 0."""
    p, grads = Parameter(np.zeros(2, np.float32)), np.array([[3e8, 1], [1e-3, -3e8], [2e-3, 1e-3]], np.float32)
    optimizer = AdamW([p], 0.5, betas, 1e-8, 0.0)
    for grad in grads:
        p.grad = grad
        optimizer.step()
    expected = adamw_literally(np.zeros(2), grads.astype(np.float64), 0.5, betas, 1e-8, 0.0)
    assert_allclose(p.data, expected, rtol=1e-6)
    if not betas[0]:
        assert_array_equal(optimizer.state_dict()["mean.0"], grads[-1])


@pytest.mark.parametrize(
    "make",
    [
        lambda p: AdamW([p], 0.0),
        lambda p: AdamW([p], 0.0, (0, 0), 0.0),
        lambda p: SGD([p], 0.0, 0.9, True, 0.1),
    ],
)
def test_a_rate_of_zero_moves_nothing(make):
    p = Parameter(np.array([1.0, -2.0]))
    p.grad = np.array([3.0, -1e-3])
    make(p).step()
    assert_array_equal(p.data, [1, -2])


def test_the_correction_of_the_moments_outlives_any_number_of_steps():
    p = Parameter(np.zeros(1))
    optimizer = AdamW([p], 0.1, weight_decay=0.0)
    p.grad = np.ones(1)
    optimizer.step()
    optimizer.load_state_dict({**optimizer.state_dict(), "step.0": np.array(2**62), "mean.0": np.ones(1)})
    before = p.data.copy()
    optimizer.step()
    assert np.isfinite(p.data).all() and p.data < before


def test_an_average_without_decay_is_the_weights_themselves():
    model = TinyNet()
    for p in model.parameters():
        p.data[...] = 1e8
    ema = EMA(model, 0)
    for p in model.parameters():
        p.data[...] = 1 / 3
    ema.update()
    for name, p in model.named_parameters():
        assert_array_equal(ema.shadow[name], p.data, err_msg=name)


shapes = st.sampled_from([(3,), (2, 5), (1, 1, 4, 3), (40_000,)])  # the last needs more than one block


@given(shapes, st.integers(0, 99), st.floats(0.1, 0.99), st.booleans(), st.sampled_from([0.0, 0.03]))
def test_sgd_is_its_formula(shape, seed, momentum, nesterov, decay):
    rng = np.random.default_rng(seed)
    start, grads = rng.normal(size=shape), rng.normal(size=(3, *shape))
    p = Parameter(start.copy())
    optimizer = SGD([p], 0.1, momentum, nesterov, decay)
    for grad in grads:
        p.grad = grad
        optimizer.step()
    assert_allclose(p.data, sgd_literally(start, grads, 0.1, momentum, nesterov, decay), rtol=1e-10, atol=1e-12)


@given(shapes, st.integers(0, 99), st.sampled_from([0.0, 0.1]))
def test_adamw_is_its_formula(shape, seed, decay):
    rng = np.random.default_rng(seed)
    start, grads = rng.normal(size=shape), rng.normal(size=(3, *shape))
    p = Parameter(start.copy())
    optimizer = AdamW([p], 0.01, (0.8, 0.95), 1e-6, decay)
    for grad in grads:
        p.grad = grad
        optimizer.step()
    assert_allclose(p.data, adamw_literally(start, grads, 0.01, (0.8, 0.95), 1e-6, decay), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("R, C", [(5, 5), (3, 40), (40, 3), (1, 4)])
def test_an_orthogonalised_matrix_keeps_its_directions_and_levels_their_lengths(R, C, rng):
    U, _, V = np.linalg.svd(rng.normal(size=(R, C)), full_matrices=False)
    lengths = np.linspace(1, 0.2, len(V)) * 1e-3
    levelled = U.T @ orthogonalised(U * lengths @ V) @ V.T
    assert_allclose(levelled, np.diag(np.diag(levelled)), atol=1e-12)
    assert (0.65 < np.diag(levelled)).all() and (np.diag(levelled) < 1.25).all()


def test_the_iteration_is_the_polynomial_of_the_singular_values(rng):
    M = rng.normal(size=(3, 6))
    U, S, V = np.linalg.svd(M, full_matrices=False)
    S /= np.sqrt((S**2).sum())
    assert_allclose(orthogonalised(M, 1), U * (3.4445 * S - 4.7750 * S**3 + 2.0315 * S**5) @ V, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_muon_turns_matrices_by_their_momentum_and_leaves_the_rest_to_sgd(nesterov, rng):
    shapes = (3, 3, 2, 4), (3, 3, 1, 4), (2, 4), (4,)
    params, others = ([Parameter(v.copy()) for v in values] for values in [[rng.normal(size=s) for s in shapes]] * 2)
    muon, sgd = Muon(params, 0.1, 0.5, nesterov, sgd_factor=3.0), SGD(others, 0.1 * 3.0, 0.5, nesterov)
    w, momentum = params[0].data.reshape(18, 4).copy(), 0
    for _ in range(3):
        for p, q in zip(params, others, strict=True):
            p.grad = q.grad = rng.normal(size=p.shape)
        muon.step()
        sgd.step()
        g = params[0].grad.reshape(18, 4)
        momentum = 0.5 * momentum + g
        w = w * 2 / np.sqrt((w**2).sum()) - 0.1 * orthogonalised(g + 0.5 * momentum if nesterov else momentum)
    assert_allclose(params[0].data.reshape(18, 4), w, rtol=1e-12)
    for p, q in list(zip(params, others, strict=True))[1:]:
        assert_array_equal(p.data, q.data)


def test_a_run_hands_its_settings_to_its_optimizer():
    asked = {"lr": 0.3, "momentum": 0.7, "nesterov": False}
    for name, kind in {"sgd": SGD, "muon": Muon, "adamw": AdamW}.items():
        own = {"train__sgd_factor": 5.0} if kind is Muon else {}
        values = {f"train__{key}": value for key, value in asked.items()}
        config = settings("unused", train__optimizer=name, train__weight_decay=0.02, **values, **own).train
        optimizer = Trainer(TinyNet(), [None], [], config).optimizer
        assert type(optimizer) is kind and [g["weight_decay"] for g in optimizer.groups] == [0.02, 0]
        expected = {"lr": 0.3} if kind is AdamW else asked
        assert all({key: group[key] for key in expected} == expected for group in optimizer.groups)
        assert kind is not Muon or optimizer.sgd_factor == 5


def test_every_optimizer_of_the_registry_is_created_by_its_name():
    for name in optimizers.names():
        params = [Parameter(np.ones((2, 3)))]
        made = optimizers.create(name, params, 0.25)
        assert type(made).__name__.lower() == name and made.lr == 0.25
    settings = dict(lr=1, weight_decay=1, momentum=0.5, nesterov=True, sgd_factor=2.0, crop=4)
    assert optimizers.options("sgd", settings) == {"momentum": 0.5, "nesterov": True}
    assert optimizers.options("muon", settings) == {"momentum": 0.5, "nesterov": True, "sgd_factor": 2.0}
    assert optimizers.options("adamw", settings) == {}


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("sdg", {}, "unknown optimizer 'sdg' (did you mean 'sgd'?); available: sgd, adamw, muon"),
        ("sgd", {"momentun": 0.9}, "sgd has no option 'momentun' (did you mean 'momentum'?); it takes params, lr"),
        ("sgd", {"momentum": -1}, "SGD: momentum must be finite and >= 0, got -1"),
    ],
)
def test_an_optimizer_that_does_not_exist_is_refused_with_what_does(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        optimizers.create(name, [Parameter(np.ones(1))], 0.1, **options)


def test_muon_outlives_a_gradient_of_zeros():
    p = Parameter(np.ones((1, 1, 2, 3), np.float32))
    p.grad = np.zeros_like(p.data)
    Muon([p], 0.1, 0.9).step()
    assert_allclose(p.data, np.sqrt(3 / 6), rtol=1e-6)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9, True, 0.01), lambda p: AdamW(p, 0.1)])
def test_a_step_writes_in_place_and_leaves_the_gradient_alone(make):
    data, grad = np.ones((50, 7), np.float32), np.full((50, 7), 2.0, np.float32)
    p = Parameter(data)
    p.grad = grad
    make([p]).step()
    assert p.data is data and p.data.dtype == np.float32 and (data < 1).all()
    assert (grad == 2).all()


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9), lambda p: AdamW(p, 0.1), lambda p: Muon(p, 0.1, 0.9)])
def test_a_restored_state_goes_on_bit_for_bit(make, rng):
    p, q = (Parameter(rng.normal(size=(1, 1, 4, 5)).astype(np.float32)) for _ in range(2))
    optimizer = make([p, q])
    grads = rng.normal(size=(6, 1, 1, 4, 5)).astype(np.float32)
    for grad in grads[:3]:
        p.grad = grad  # q never gets one, so it has no state
        optimizer.step()
    optimizer.lr = 0.03
    other = Parameter(p.data.copy())
    again = make([other, Parameter(q.data.copy())])
    again.load_state_dict(optimizer.state_dict())
    for grad in grads[3:]:
        p.grad = other.grad = grad
        optimizer.step()
        again.step()
    assert again.lr == 0.03
    assert_array_equal(p.data, other.data)


def test_a_state_of_another_optimizer_is_refused_whole():
    p, q = two_parameters()
    p.grad = np.ones(3)
    sgd = SGD([p, q], 0.1, 0.9)
    sgd.step()
    state = sgd.state_dict()
    state["momentum.0"] = np.zeros(4)
    state["momentum.9"] = np.zeros(1)
    del state["lr.0"]
    fresh = SGD([p, q], 0.5, 0.9)
    with pytest.raises(ValueError) as error:
        fresh.load_state_dict(state)
    assert str(error.value) == (
        "SGD: this state belongs to another optimizer or model: unexpected 'momentum.9'; missing 'lr.0'; "
        "'momentum.0' has shape (4,), expected (3,)"
    )
    assert fresh.lr == 0.5 and fresh.state_dict().keys() == {"lr.0"}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: SGD([], 0.1), "SGD: got no parameters; pass model.parameters()"),
        (lambda p: SGD([p, p], 0.1), "SGD: a parameter appears more than once; each belongs to one group"),
        (lambda p: SGD([p], -1), "SGD: lr must be finite and >= 0, got -1"),
        (lambda p: SGD([p], 0.1, math.nan), "SGD: momentum must be finite and >= 0, got nan"),
        (lambda p: SGD([p], 0.1, nesterov=True), "SGD: nesterov=True needs momentum > 0, got momentum=0"),
        (lambda p: Muon([p], 0.1, 0.9, sgd_factor=0), "Muon: sgd_factor must be finite and > 0, got 0"),
        (lambda p: Muon([p], 0.1, 0.9, sgd_factor="1"), "Muon: sgd_factor must be a number, got '1'"),
        (lambda p: AdamW([p], 0.1, betas=(0.9, 1)), "AdamW: betas[1] must be >= 0 and < 1, got 1"),
        (lambda p: AdamW([p], 0.1, betas=(math.nan, 0.9)), "AdamW: betas[0] must be >= 0 and < 1, got nan"),
        (lambda p: AdamW([p], 0.1, betas=0.9), "AdamW: betas must be two numbers, got 0.9"),
        (lambda p: AdamW([p], 0.1, betas="09"), "AdamW: betas must be two numbers, got '09'"),
        (lambda p: AdamW([p], 0.1, betas=(0.9, None)), "AdamW: betas[1] must be a number, got None"),
        (lambda p: AdamW([p], 0.1, eps=-1e-8), "AdamW: eps must be finite and >= 0, got -1e-08"),
        (lambda p: AdamW([p], 0.1, eps=math.inf), "AdamW: eps must be finite and >= 0, got inf"),
        (lambda p: AdamW([p], 0.1, weight_decay=math.nan), "AdamW: weight_decay must be finite and >= 0, got nan"),
        (lambda p: SGD([{"params": [p], "lr": "0.1"}], 0.1), "SGD: lr must be a number, got '0.1'"),
        (lambda p: SGD([p], True), "SGD: lr must be a number, got True"),
        (lambda p: SGD([p], None), "SGD: lr must be a number, got None"),
        (lambda p: setattr(SGD([p], 0.1), "lr", math.nan), "SGD: lr must be finite and >= 0, got nan"),
        (lambda p: clip_grad_norm([p], math.nan), "clip_grad_norm: max_norm must be finite and > 0, got nan"),
        (lambda p: clip_grad_norm([p], "1"), "clip_grad_norm: max_norm must be a number, got '1'"),
        (lambda p: EMA(TinyNet(), 1), "EMA: decay must be >= 0 and < 1, got 1"),
        (lambda p: EMA(TinyNet(), math.nan), "EMA: decay must be >= 0 and < 1, got nan"),
        (lambda p: EMA(TinyNet(), "0.9"), "EMA: decay must be a number, got '0.9'"),
    ],
)
def test_impossible_options_are_named(make, message):
    with pytest.raises((ValueError, TypeError)) as error:
        make(two_parameters()[0])
    assert str(error.value) == message


def test_an_unknown_group_option_is_named():
    with pytest.raises(TypeError, match=r"SGD: group 0 has unknown options \['decay'\]"):
        SGD([{"params": two_parameters(), "decay": 1}], 0.1)


def test_what_cannot_be_updated_in_place_is_refused():
    p = Parameter(np.ones((4, 6)).T)
    p.grad = np.ones((6, 4))
    with pytest.raises(ValueError, match="parameter 0 of shape .* must be C-contiguous"):
        SGD([p], 0.1).step()
    p.grad = np.ones(24)
    with pytest.raises(ValueError, match=r"parameter 0: gradient of shape \(24,\) for data of shape \(6, 4\)"):
        SGD([p], 0.1).step()


def test_only_matrices_and_kernels_decay():
    model = TinyNet()
    decayed, others = parameter_groups(model, 0.3)
    assert decayed["weight_decay"] == 0.3 and others["weight_decay"] == 0.0
    assert [p.data.ndim for p in decayed["params"]] == [4, 2]
    assert [p.data.ndim for p in others["params"]] == [1, 1, 1]


def test_depthwise_kernels_are_spared_decay_only_if_asked():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),  # one channel, but all of it
        nn.Conv2d(4, 4, 3, groups=4, bias=False),
        nn.Conv2d(4, 8, 3, groups=4),
        nn.Conv2d(8, 4, 1, groups=2, bias=False),
    )
    every, spared = (parameter_groups(model, 0.3, decay_depthwise=value) for value in (True, False))
    dense, depthwise, multiplied, grouped = (layer.weight for layer in model)
    assert every == parameter_groups(model, 0.3) and len(every[0]["params"]) == 4
    assert list(map(id, spared[0]["params"])) == [id(dense), id(grouped)]
    assert [group["weight_decay"] for group in spared] == [0.3, 0.0]
    assert {id(depthwise), id(multiplied)} < set(map(id, spared[1]["params"]))
    body = parameter_groups(nn.Sequential(*model, nn.Flatten(), nn.Linear(4, 2)), 0.3, 0.5, decay_depthwise=False)
    assert sum(len(group["params"]) for group in body if group["weight_decay"]) == 3


# Clipping --------------------------------------------------------------------------------------------------------


def with_grads(*grads):
    parameters = []
    for grad in grads:
        parameters.append(Parameter(np.zeros(np.shape(grad))))
        parameters[-1].grad = None if grad is None else np.array(grad, np.float64)
    return parameters


def test_clipping_gives_what_pytorch_gives():
    a, b, c = with_grads([3.0, 4.0], [12.0], None)
    assert clip_grad_norm([a, b, c], 2.0) == 13.0
    assert_allclose(a.grad, [0.46153842603550577, 0.615384568047341], rtol=1e-15)
    assert_allclose(b.grad, [1.846153704142023], rtol=1e-15)
    assert c.grad is None


@given(st.integers(0, 99), st.floats(0.01, 100))
def test_the_clipped_norm_is_the_smaller_of_norm_and_limit(seed, limit):
    rng = np.random.default_rng(seed)
    parameters = with_grads(rng.normal(size=(3, 4)), rng.normal(size=40_000))
    before = [p.grad.copy() for p in parameters]
    norm = clip_grad_norm(parameters, limit)
    assert norm == pytest.approx(np.linalg.norm(np.concatenate([g.ravel() for g in before])), rel=1e-12)
    assert grad_norm(parameters) == pytest.approx(min(norm, limit), rel=1e-3)
    if norm < limit:
        assert all((p.grad == g).all() for p, g in zip(parameters, before, strict=True))


def test_the_norm_of_float32_gradients_does_not_overflow():
    p = Parameter(np.zeros(2, np.float32))
    p.grad = np.array([3e30, 4e30], np.float32)
    assert grad_norm([p]) == pytest.approx(5e30, rel=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_reported_and_nothing_is_scaled(bad):
    a, b = with_grads([bad], [7.0])
    assert not math.isfinite(clip_grad_norm([a, b], 1.0))
    assert b.grad[0] == 7.0


def test_a_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="max_norm must be finite and > 0, got 0"):
        clip_grad_norm([], 0)


# Average ---------------------------------------------------------------------------------------------------------


def test_the_average_is_its_formula_for_weights_and_statistics(rng):
    model = TinyNet()
    ema = EMA(model, 0.5)
    expected = {name: value.astype(np.float64) for name, value in model.state_dict().items()}
    for t in range(12):
        for value in (*model.named_parameters(), *model.named_buffers()):
            value[1].data += rng.normal(size=value[1].data.shape).astype(np.float32)
        ema.update()
        d = min(0.5, (1 + t) / (10 + t))  # 0.1, 0.18, ... 0.5 from t=8 on
        expected = {name: d * old + (1 - d) * model.state_dict()[name] for name, old in expected.items()}
    for name, value in ema.shadow.items():
        assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5)


def test_swapping_shows_the_average_and_gives_the_weights_back_even_after_an_error(rng):
    model = TinyNet()
    ema = EMA(model, 0.9)
    for p in model.parameters():
        p.data += 1
    own = model.state_dict()
    identity = [id(p.data) for p in model.parameters()]
    with pytest.raises(KeyError), ema.swapped() as swapped:
        for name, value in swapped.state_dict().items():
            assert_array_equal(value, ema.shadow[name])
        raise KeyError
    for name, value in model.state_dict().items():
        assert_array_equal(value, own[name])
    assert identity == [id(p.data) for p in model.parameters()]


def test_an_average_of_another_model_is_refused():
    state = EMA(TinyNet(num_classes=3), 0.9).state_dict()
    with pytest.raises(ValueError, match=r"EMA: this state belongs to another model: '5.weight' has shape \(4, 3\)"):
        EMA(TinyNet(), 0.9).load_state_dict(state)


@pytest.mark.parametrize(
    "params, message",
    [
        (nn.Linear(2, 2), "SGD: params must be parameters, not a Linear; pass model.parameters()"),
        (nn.Sequential(nn.Linear(2, 2)), "SGD: params must be parameters, not a Sequential; pass model.parameters()"),
        ([nn.Linear(2, 2)], "SGD: params must be Parameters, got a Linear among them; pass model.parameters()"),
        ([np.zeros(2)], "SGD: params must be Parameters, got a ndarray among them; pass model.parameters()"),
    ],
)
def test_a_model_in_place_of_its_parameters_is_refused(params, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        SGD(params, lr=0.1)
