"""Frozen layers: which they are, that nothing moves them, and that what comes after them computes as before."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minighost import models, nn
from minighost.nn.freezing import frozen_units, head_of, layers_of


def chain():
    """Two units with batch norm, dropout between, and a head."""
    return nn.Sequential(
        nn.ConvBNAct(3, 4, 3, rng=0),
        nn.Sequential(nn.ConvBNAct(4, 4, 3, rng=1), nn.Dropout(0.5, 2)),
        nn.GlobalAvgPool(),
        nn.Dropout(0.5, 3),
        nn.Linear(4, 2, rng=4),
    )


def batch(rng):
    return rng.normal(size=(2, 8, 8, 3)).astype(np.float32), rng.normal(size=(2, 2)).astype(np.float32)


def test_frozen_layers_get_no_gradient_and_stay_in_evaluation(rng):
    model, (x, dout) = chain(), batch(rng)
    assert nn.freeze(model, "1.0.conv") == ["0.conv", "0.bn", "1.0.conv"]
    model.train()
    assert [path for path, module in model.named_modules() if not module.training] == "0 0.conv 0.bn 1.0.conv".split()
    before = model.state_dict()
    model(x)
    model.backward(dout)
    assert [
        path for path, p in model.named_parameters() if p.grad is None
    ] == "0.conv.weight 0.bn.weight 0.bn.bias 1.0.conv.weight".split()
    moved = [path for path, value in model.state_dict().items() if not np.array_equal(value, before[path])]
    assert moved == ["1.0.bn.running_mean", "1.0.bn.running_var"]


def test_a_block_is_frozen_with_its_last_layer_that_has_parameters():
    model = chain()
    nn.freeze(model, "1.0")
    assert not model.train()[1][1].training and model[3].training  # the dropout before the head goes on
    assert frozen_units(model)[1] == [model[2], model[3], model[4]]


def test_unfrozen_layers_learn_again(rng):
    model, (x, dout) = chain(), batch(rng)
    nn.freeze(model, "body")
    nn.unfreeze(model)
    assert all(module.training for module in model.modules())
    model(x)
    model.backward(dout)
    assert all(p.grad is not None for p in model.parameters())
    assert not any(vars(module).get("frozen") for module in model.modules())


HEADS = {
    "ghostnet_short": ["classifier"],
    "micronet_cifar": ["classifier.0", "classifier.1"],  # a batch norm of the logits
    "squeezenet_cifar": ["classifier"],  # a convolution
    "vgg16_cifar": ["classifier"],
}


@pytest.mark.parametrize("name", HEADS)
def test_body_is_all_but_the_layers_that_are_as_wide_as_there_are_classes(name):
    with nn.without_weights():
        model, other = (models.create(name, num_classes=classes) for classes in (7, 8))
    shapes, others = ({path: value.shape for path, value in one.state_dict().items()} for one in (model, other))
    assert list(head_of(model)) == HEADS[name]
    assert {path.rpartition(".")[0] for path in shapes if shapes[path] != others[path]} == {*HEADS[name]}
    assert nn.freeze(model, "body") == [path for path in layers_of(model) if path not in HEADS[name]]
    assert all(unit.frozen for unit in frozen_units(model)[0])
    assert not any(layer.frozen for unit in frozen_units(model)[1] for layer in layers_of(unit).values())


@pytest.mark.parametrize("layer", ["stem", "stages.2.0", "stages.2.0.ghost1", "body"])
def test_a_frozen_beginning_and_the_rest_compute_what_the_network_does(layer, rng):
    model = models.create("ghostnet_short", width=0.1, num_classes=3, dropout=0.0, rng=0).astype(np.float64)
    nn.freeze(model, layer)
    x, dout = rng.normal(size=(2, 16, 16, 3)), rng.normal(size=(2, 3))
    frozen, rest = frozen_units(model)
    whole = model.train()(x)
    model.backward(dout)
    grads = {path: p.grad for path, p in model.named_parameters()}
    model.zero_grad()
    after = nn.Sequential(*rest)
    assert_allclose(after(nn.fold(nn.Sequential(*frozen))(x)), whole, rtol=1e-9, atol=1e-12)
    after.backward(dout)
    for path, p in model.named_parameters():
        assert (p.grad is None) is (grads[path] is None) is p.frozen
        if not p.frozen:
            assert_allclose(p.grad, grads[path], rtol=1e-6, atol=1e-9, err_msg=path)


def test_of_a_network_that_is_no_chain_nothing_is_taken_apart():
    class Twice(nn.Sequential):
        def forward(self, x):
            return super().forward(super().forward(x))

    model = Twice(nn.ConvBNAct(3, 3, 3), nn.Conv2d(3, 3, 1))
    nn.freeze(model, "0")
    assert frozen_units(model) == ([], [model])
    assert frozen_units(chain())[0] == []


def test_an_unknown_layer_is_named_with_the_nearest_and_all_frozen_is_refused():
    with pytest.raises(ValueError) as error:
        nn.freeze(chain(), "1.0.cnv")
    assert str(error.value) == (
        "freeze: Sequential has no layer '1.0.cnv' (did you mean '1.0.conv'?); it has 'body', all but the head, and "
        "0, 0.conv, 0.bn, 1, 1.0, 1.1, 2, 3, 4"
    )
    with pytest.raises(
        ValueError, match="freeze '4': no layer with parameters would be left to train; name an earlier"
    ):
        nn.freeze(chain(), "4")
    with pytest.raises(ValueError, match="freeze 'body': Sequential has no layer with parameters before its head"):
        nn.freeze(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), "body")
