"""Ghost modules with one thing changed each: their gradients, and that they are what they say."""

import numpy as np
import pytest
from folds import assert_folds, perturbed
from gradients import assert_module_gradients
from numpy.testing import assert_allclose, assert_array_equal

from minighost import models, nn
from minighost.nn.ghost_variants import VARIANTS, AllCheap, GhostsFirst, LinearGhosts, PointwiseGhosts

SHAPES = {
    "3x3": (4, 6, 3),
    "3x3, strided": (4, 6, 3, 2, 3, 2),
    "1x1, without ReLU": (4, 8, 1, 2, 5, 1, False),
    "odd": (5, 7, 1),
}
NEW = [name for name in VARIANTS if name != "standard"]


def module(name, shape):
    """In float64, and so that no batch norm is the identity and few ReLUs are near their corner."""
    made = VARIANTS[name](*SHAPES[shape], rng=0).astype(np.float64)
    for k, p in enumerate(made.parameters()):
        p.data += 0.2 * np.random.default_rng(k).normal(size=p.shape)
    return made


@pytest.mark.small
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NEW)
def test_gradients_of_the_variants(rng, name, shape):
    assert_module_gradients(module(name, shape), rng.normal(size=(2, 4, 3, SHAPES[shape][0])))


@pytest.mark.small
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NEW)
def test_a_fused_variant_equals_its_layers_and_its_fold(rng, name, shape):
    x, answers = rng.normal(size=(5, 7, 6, SHAPES[shape][0])), []
    for on in (False, True):
        made = module(name, shape)
        with nn.fusing(on):
            out = made(x)
            dx = made.backward(np.random.default_rng(3).normal(size=out.shape))
        answers.append([out, dx, *(p.grad for p in made.parameters()), *made.state_dict().values()])
    assert answers[0][0].shape[3] == SHAPES[shape][1]
    for plain, fused in zip(*answers, strict=True):
        assert_allclose(fused, plain, rtol=1e-9, atol=1e-9)
    assert_folds(perturbed(made), x)


def test_a_pointwise_primary_convolution_is_a_ghost_module_of_kernel_1(rng):
    x = rng.normal(size=(2, 5, 4, 4)).astype(np.float32)
    assert_array_equal(PointwiseGhosts(4, 6, 3, stride=2, rng=0)(x), nn.GhostModule(4, 6, 1, stride=2, rng=0)(x))


def test_doubling_the_intrinsic_maps_doubles_linear_ghosts(rng):
    y = rng.normal(size=(2, 5, 4, 3)).astype(np.float32)
    made = LinearGhosts(4, 6, 3, rng=0)
    assert_allclose(made.cheap(2 * y), 2 * made.cheap(y), rtol=1e-6)
    assert [path for path, _ in made.named_parameters() if path.startswith("cheap")] == ["cheap.weight"]


def test_where_all_maps_are_cheap_none_is_an_intrinsic_one(rng):
    x, made = rng.normal(size=(2, 5, 4, 4)).astype(np.float32), AllCheap(4, 6, 3, rng=0)
    out, intrinsic = made(x), made.primary(x)
    assert not any(np.allclose(out[..., i], intrinsic[..., j]) for i in range(6) for j in range(3))
    more = sum(p.size for p in made.parameters()) - sum(p.size for p in nn.GhostModule(4, 6, 3, rng=0).parameters())
    assert more == 3 * (3 * 3 + 2)  # for each intrinsic map a kernel, a gamma and a beta


def test_ghosts_that_come_first_are_the_second_half_of_the_output(rng):
    x, made = rng.normal(size=(2, 6, 4, 5)).astype(np.float32), GhostsFirst(5, 8, 3, stride=2, rng=0)
    ghosts = made.cheap(x)
    assert_allclose(made(x), np.concatenate([made.primary(ghosts), ghosts[..., :4]], axis=3), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NEW)
def test_a_network_of_a_variant_trains_fused_as_layer_by_layer(rng, name):
    x, answers = rng.normal(size=(3, 8, 8, 3)), []
    for on in (False, True):
        model = models.create("ghost_resnet_cifar", depth=8, width=0.5, module=name).astype(np.float64)
        with nn.fusing(on):
            out = model(x)
            model.backward(np.random.default_rng(3).normal(size=out.shape))
        answers.append([out, *(p.grad for p in model.parameters())])
    for plain, fused in zip(*answers, strict=True):
        assert_allclose(fused, plain, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"module": "free"},
            "ghost_resnet: module='free' is unknown; choose from 'standard', 'pointwise', 'linear', 'all_cheap', "
            "'ghosts_first'",
        ),
        (
            {"module": "linear", "bn": "none"},
            "ghost_resnet: bn='none' goes with module='standard' and one d, not 'linear' and d=3",
        ),
        ({"module": "all_cheap", "d": [3, 5]}, "AllCheap: dw_size=[3, 5] must be one number; only GhostModule takes"),
        ({"module": "linear", "d": 4}, "LinearGhosts: dw_size=4 must be odd, or the ghosts would not have the maps'"),
        (
            {"module": "ghosts_first", "s": 4},
            "GhostsFirst: 24 of 32 outputs are to be ghosts of the inputs, and there are 16 of these; lower ratio=4, ",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError) as error:
        models.create("ghost_resnet_cifar", **options)
    assert str(error.value).startswith(message)
