"""What a module contains: tied parameters, modules in two places, lists of layers, and what a copy takes along."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minighost import analysis, bench, nn, train

pytestmark = pytest.mark.small


def tied():
    """Two layers with one weight, a layer in two places."""
    first, second, relu = nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1), nn.ReLU()
    second.weight = first.weight
    return nn.Sequential(first, relu, second, relu, nn.Linear(3, 2, rng=2))


def test_a_tied_parameter_and_a_shared_module_are_listed_once():
    model = tied()
    assert [path for path, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.bias", "4.weight", "4.bias"]
    assert [path for path, _ in model.named_modules()] == ["", "0", "1", "2", "4"]
    assert len(list(model.parameters())) == 5 and len(list(model.modules())) == 5
    norms = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2))
    norms[1].running_mean = norms[0].running_mean
    assert [path for path, _ in norms.named_buffers()] == ["0.running_mean", "0.running_var", "1.running_var"]


def test_the_state_has_a_tied_parameter_under_each_of_its_names(rng):
    model, other = tied(), tied()
    state = model.state_dict()
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
    assert_array_equal(state["0.weight"], state["2.weight"])
    other.load_state_dict({path: value + 1 for path, value in state.items()})
    assert other[0].weight is other[2].weight
    assert_array_equal(other[2].weight.data, model[0].weight.data + 1)


def test_a_tied_parameter_is_stepped_and_clipped_once(rng):
    x = rng.normal(size=(4, 3)).astype(np.float32)
    steps = []
    for clip in (None, 1e-3):
        model = nn.Sequential(nn.Linear(3, 3, bias=False, rng=0), nn.Linear(3, 3, bias=False, rng=1))
        model[1].weight = model[0].weight
        before = model[0].weight.data.copy()
        model.backward(model(x) + 1)
        grad = model[0].weight.grad.copy()
        if clip is not None:
            norm = train.clip_grad_norm(model.parameters(), clip)
            assert norm == pytest.approx(np.sqrt((grad.astype(np.float64) ** 2).sum()), rel=1e-5)
        train.SGD(model.parameters(), lr=0.5).step()
        steps.append((before - model[0].weight.data, grad))
    (plain, grad), (clipped, _) = steps
    assert_allclose(plain, 0.5 * grad, rtol=1e-4, atol=1e-6)
    assert np.linalg.norm(clipped) == pytest.approx(0.5e-3, rel=1e-3)


def test_the_average_of_a_model_with_tied_weights_has_all_names_of_its_state(rng):
    model = tied()
    average = train.EMA(model, 0.5)
    for p in model.parameters():
        p.data += 1
    average.update()
    own = model.state_dict()
    with average.swapped() as averaged:
        assert averaged[0].weight is averaged[2].weight
        assert not np.array_equal(averaged[0].weight.data, own["0.weight"])
    assert_array_equal(model[2].weight.data, own["2.weight"])


def test_what_is_shared_is_counted_once_and_worked_for_in_each_place():
    shared = nn.ConvBNAct(4, 4, 1, rng=0)
    model = nn.Sequential(shared, nn.ConvBNAct(4, 4, 1, rng=1), shared)
    model[1].conv.weight = shared.conv.weight
    rows = analysis.count(model, (3, 3, 4))
    assert sum(row.params for row in rows) == analysis.total_parameters(model) == 16 + 8 + 8
    assert [(row.path, row.macs) for row in rows if row.macs] == [(f"{k}.conv", 9 * 16) for k in range(3)]
    assert sum(row.params for row in analysis.blocks(model, rows)) == 32
    assert sum(piece.flops for piece in bench.inference_cost(model, (3, 3, 4), 1)) == 2 * 3 * 9 * 16


class Listed(nn.Module):
    """A network whose layers stand in a list."""

    def __init__(self, make):
        self.layers = make([nn.Linear(3, 3, rng=0), nn.ReLU(), nn.Linear(3, 2, rng=1)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, dout):
        for layer in reversed(list(self.layers)):
            dout = layer.backward(dout)
        return dout


def test_layers_in_a_module_list_are_trained_saved_and_switched(rng):
    model, x = Listed(nn.ModuleList), rng.normal(size=(4, 3)).astype(np.float32)
    names = ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]
    assert list(model.state_dict()) == [path for path, _ in model.named_parameters()] == names
    assert not any(m.training for m in model.eval().modules())
    model.train().backward(model(x))
    assert all(p.grad is not None for p in model.parameters())
    assert_array_equal(nn.fold(model)(x), model.eval()(x))
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        model.layers(x)


@pytest.mark.parametrize("kind", [nn.ModuleList, lambda layers: nn.Sequential(*layers)])
def test_a_list_of_modules_is_a_list(kind):
    a, b, c, d = (nn.Linear(1, 1, rng=k) for k in range(4))
    layers = kind([a, b])
    assert layers.append(d) is layers and layers.insert(2, c) is layers and list(layers) == [a, b, c, d]
    assert layers.extend([a]) is layers and len(layers) == 5 and layers[-1] is layers[0] is a
    del layers[-1]
    assert type(layers[1:3]) is type(layers) and list(layers[1:3]) == [b, c] and list(layers[::-1]) == [d, c, b, a]
    layers[0], layers[2:] = b, [a]
    assert list(layers) == [b, b, a] and b in layers and d not in layers
    assert [path for path, _ in layers.named_children()] == ["0", "1", "2"]
    for put in (layers.append, lambda x: layers.insert(0, x), lambda x: layers.extend([x]), lambda x: kind([x])):
        with pytest.raises(TypeError, match="a layer must be a Module, got function"):
            put(lambda x: x)
    with pytest.raises(IndexError):
        layers[3]


def test_a_module_in_an_attribute_of_a_sequential_runs_last_and_is_trained(rng):
    model = nn.Sequential(nn.Linear(3, 3, rng=0))
    model.head = nn.Linear(3, 2, rng=1)
    x = rng.normal(size=(4, 3)).astype(np.float32)
    assert_array_equal(model(x), model.head(model[0](x)))
    assert list(model.state_dict()) == ["0.weight", "0.bias", "head.weight", "head.bias"]
    assert_allclose(nn.fold(model)(x), model.eval()(x), rtol=1e-6)


HIDING = {
    "list": list,
    "tuple": tuple,
    "dict": lambda layers: dict(enumerate(layers)),
    "set": set,
    "nested": lambda layers: [[{"a": (layers,)}]],
    "parameter": lambda layers: [nn.Parameter(np.zeros(1))],
}
hidden = pytest.mark.parametrize("make", HIDING.values(), ids=HIDING)
REFUSED = r"^Net.layers is a \w+ of modules or parameters: .* write self.layers = nn.ModuleList\(...\), or give each"


@hidden
@pytest.mark.parametrize("ask", ["parameters", "modules", "state_dict", "eval", "named_buffers"])
def test_layers_in_a_python_list_are_refused_before_they_stay_untrained_or_are_not_saved(make, ask):
    net = type("Net", (Listed,), {})(make)
    for model in (net, nn.Sequential(nn.ReLU(), net)):
        with pytest.raises(ValueError, match=REFUSED):
            list(getattr(model, ask)())
        with pytest.raises(ValueError, match=REFUSED):
            train.SGD(model.parameters(), lr=0.1)
        assert "Net" in repr(model)


def test_a_list_of_layers_that_have_attributes_of_their_own_is_no_matter(rng):
    model = Listed(nn.ModuleList)
    model.shortcuts = [model.layers, model.layers[0]]
    model.layers[2].owners = {"weights": [model.layers[0].weight]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(model.parameters())) == len(model.state_dict()) == 4


def test_other_lists_are_no_matter_for_a_warning():
    model = Listed(nn.ModuleList)
    model.sizes, model.names, model.table, model.empty = [1, 2], ("a", "b"), {"a": np.ones(2)}, []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(np.ones((1, 3), np.float32))
        list(model.parameters())


@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_does_not_take_the_activations_along(rng, copied, on):
    model, x = (
        nn.Sequential(nn.GhostBottleneck(4, 8, 4, rng=0), nn.ConvBNAct(4, 4, 3, rng=1)),
        rng.normal(size=(8, 9, 9, 4)),
    )
    size, x = len(pickle.dumps(model)), x.astype(np.float32)
    with nn.fusing(on):
        out = model(x)
    assert len(pickle.dumps(model)) < size + 4000, "output shapes may travel"
    other = copied(model)
    with pytest.raises(RuntimeError, match="needs a forward"):
        other.backward(out)
    assert model.backward(out).shape == x.shape
    assert_array_equal(other.eval()(x), model.eval()(x))
