"""Weights of other people: converted exactly, or refused with all that does not fit."""

import pickle
import zlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import save_file

from minighost import interop, models, nn
from minighost.errors import FormatError
from minighost.interop.tables import table


def network(rng=0, **options):
    return models.create("ghostnet", **{"width": 0.1, "num_classes": 10, "rng": rng, **options})


@pytest.fixture(scope="module")
def official():
    return interop.to_timm(network(rng=1))


def same(model, official):
    return all(np.array_equal(value, official[name]) for name, value in interop.to_timm(model).items())


def refused(weights, **options):
    """What `load_timm` complains of, a line a difference; nothing may have been loaded."""
    model = network(**options)
    before = model.state_dict()
    with pytest.raises(ValueError) as error:
        interop.load_timm(model, weights)
    for path, value in model.state_dict().items():
        assert_array_equal(value, before[path])
    return str(error.value).splitlines()


# Layouts -------------------------------------------------------------------------------------------------------------


def is_matrix(name, value):
    """Whether a fully connected layer is written as a 1x1 convolution here."""
    return value.ndim == 4 and (name == "conv_head.weight" or ".se.conv_" in name)


def wrong_shapes(value):
    """Arrays that a careless conversion would cut, spread or squeeze to fit."""
    yield from (value[None], value[..., None], value[:-1], np.concatenate([value, value]), np.float32(1))
    if value.ndim == 4:
        yield from (np.pad(value, [(0, 0), (0, 0), (1, 1), (1, 1)]), np.pad(value, [(0, 0), (0, 0), (0, 0), (0, 1)]))
        yield from (value.ravel(), value[..., 0], np.concatenate([value, value], axis=1))
    if value.ndim == 2:
        yield from (value.T, value[..., None, None])


def test_no_shape_but_the_layers_own_is_taken(official):
    """The first tap of a 3x3 kernel would pass for a 1x1 kernel."""
    for number in range(10):
        spoilt, expected = dict(official), []
        for name, value in official.items():
            wrong = [w for w in wrong_shapes(value) if w.shape != value.shape][number:][:1]
            if wrong:
                spoilt[name] = wrong[0]
            expected += [f"  shape of {name}: {w.shape}, the model needs {value.shape}" for w in wrong]
        lines = refused(spoilt)[1:]
        assert len(lines) == len(expected) > 90
        assert all(line.startswith(tuple(expected)) for line in lines)


def test_a_fully_connected_layer_may_come_as_a_convolution_or_as_a_matrix(official):
    squeezed = {name: value[:, :, 0, 0] if is_matrix(name, value) else value for name, value in official.items()}
    assert sum(squeezed[name].ndim != value.ndim for name, value in official.items()) > 10
    assert same(interop.load_timm(network(), squeezed), official)


# Values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, message",
    [
        (np.nan, "1 of {n} values are not finite"),
        (np.inf, "1 of {n} values are not finite"),
        (-np.inf, "1 of {n} values are not finite"),
        (1e39, "1 of {n} values are not finite"),  # 1e39: in float32
    ],
)
def test_a_value_that_is_not_finite_is_refused_in_every_tensor(official, value, message):
    for name in list(official)[::23]:
        spoilt = official[name].astype(np.float64)
        spoilt.flat[-1] = value
        assert refused({**official, name: spoilt})[1:] == [f"  {name}: {message.format(n=spoilt.size)}"]


def test_large_numbers_fit_a_double_precision_network(official):
    large = {**official, "classifier.bias": np.full(10, 1e300)}
    assert interop.load_timm(network().astype(np.float64), large).classifier.bias.data[0] == 1e300


def test_a_negative_variance_is_refused_and_a_negative_mean_is_not(official):
    variances = {name: -value for name, value in official.items() if name.endswith("running_var")}
    lines = refused({**official, **variances})
    assert len(lines) == 1 + len(variances) and "80 differences" in lines[0]
    assert all(line.endswith("values are negative") for line in lines[1:])
    assert same(
        interop.load_timm(network(), {**official, "bn1.running_mean": -np.ones(4)}),
        {**official, "bn1.running_mean": -np.ones(4)},
    )


@pytest.mark.parametrize(
    "value",
    [np.ones(10, np.int64), np.ones(10, bool), np.ones(10, complex), ["a"] * 10, None, [[1, 2], [3]], object()],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_floating_point_is_refused_by_name(official, value):
    assert "classifier.bias" in "".join(refused({**official, "classifier.bias": value})[1:])


# Names and wrappings -------------------------------------------------------------------------------------------------


def prefixed(prefix, state):
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: prefixed("module.", w),
        lambda w: prefixed("module.module.", w),
        lambda w: prefixed("_orig_mod.module.", w),
        lambda w: prefixed("model.", w),
        lambda w: {"state_dict": w},
        lambda w: {"model": w, "epoch": 7, "optimizer": {"state": {}}},
        lambda w: {"state_dict": prefixed("module.", w), "arch": "ghostnet", "best_acc1": 0.7},
        lambda w: {"epoch": 3, "model": {"state_dict": prefixed("module.", w)}},
        lambda w: {"model": spoilt(w), "model_ema": w},
        lambda w: {"state_dict_ema": w, "state_dict": spoilt(w), "model": spoilt(w)},
        lambda w: {**prefixed("state_dict.", spoilt(w)), **prefixed("model_ema.", w)},
        lambda w: {**w, "bn1.num_batches_tracked": np.array(3)},
        lambda w: {**prefixed("module.", w), "module.bn1.num_batches_tracked": np.array(3)},
    ],
)
def test_what_training_scripts_wrap_around_the_weights_is_taken_off(official, tmp_path, wrap):
    wrapped = wrap(official)
    assert same(interop.load_timm(network(), wrapped), official)
    if all(isinstance(value, np.ndarray) for value in wrapped.values()):
        save_file(wrapped, tmp_path / "weights.safetensors")
        assert same(interop.load_timm(network(), tmp_path / "weights.safetensors"), official)
        assert same(interop.load_timm(network(), str(tmp_path / "weights.safetensors")), official)


def spoilt(weights):
    return {name: np.full_like(value, np.nan) for name, value in weights.items()}


def test_every_missing_and_unknown_name_is_listed_at_once(official):
    state = {n: v for n, v in official.items() if not n.startswith("blocks.3.")}
    missing = sorted(official.keys() - state.keys())
    lines = refused({**state, "surprise": np.zeros(3), "fc.weight": np.zeros((2, 2))})
    assert lines[0] == (
        f"load_timm: these weights do not fit this GhostNet; nothing was loaded. {len(missing) + 2} differences:"
    )
    assert lines[1:] == [
        *(f"  missing: {name} {official[name].shape}" for name in missing),
        "  unknown: fc.weight (2, 2)",
        "  unknown: surprise (3,)",
    ]


def test_a_name_with_and_without_its_prefix_is_ambiguous(official):
    both = {**official, "module.classifier.bias": np.zeros(10)}
    assert "classifier.bias: present with and without the prefix 'module'" in refused(both)[0]


def test_what_is_no_set_of_weights_is_refused(official):
    loop = {}
    loop["model"] = loop
    for wrong in ([], None, 3, {3: np.ones(1)}, {"state_dict": {3: np.ones(1)}}):
        assert "expected a dict of name to array or a path" in refused(wrong)[0]
    assert refused(loop) and "missing: classifier.bias (10,)" in "".join(refused({}))


def test_a_file_that_is_not_safetensors_is_refused_and_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (1).__truediv__, (0,)

    (tmp_path / "ghostnet.pth").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "empty.safetensors").touch()
    for name in ("ghostnet.pth", "empty.safetensors"):
        with pytest.raises(
            FormatError, match=f"{tmp_path / name}: not a safetensors file of plain numbers .*save_file"
        ):
            interop.load_timm(network(), tmp_path / name)
    with pytest.raises(FileNotFoundError):
        interop.load_timm(network(), tmp_path / "none.safetensors")


# The names of other networks -----------------------------------------------------------------------------------------

# How many official names there are, counters left out, and the CRC-32 of their lines when they are sorted.
OFFICIAL = [
    ("ghostnetv2", 642, 0xFD31BC19),
    ("ghostnetv3", 1630, 0xE8DCBE82),
    ("mobilenet_v1", 137, 0x25E86B22),
    ("mobilenet_v2", 262, 0x1021C38F),
    ("mobilenet_v3_small", 210, 0x891648D1),
    ("mobilenet_v3_large", 266, 0xC0A8A250),
    ("mobilenet_v4_conv_small", 232, 0x31104C01),
    ("mobilenet_v4_conv_medium", 387, 0xF44635BA),
    ("efficientnet_b0", 311, 0x2A56EC84),
    ("repvgg", 290, 0x863D4343),
    ("mobileone", 1097, 0x8B0F7668),
    ("xception", 236, 0x31A7A2A8),
    ("fasternet", 114, 0xEF749BD5),
]


@pytest.mark.parametrize("name, number, checksum", OFFICIAL)
def test_the_names_are_timms(name, number, checksum):
    with nn.without_weights():
        model = models.create(name)
    names = sorted(map(table("test", model, "timm").name, model.state_dict()))
    assert (len(names), zlib.crc32("\n".join(names).encode())) == (number, checksum), "\n".join(names)


# Forms that timm lacks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, options, message",
    [
        (
            "ghostnet",
            {"head": "bn_no_bias"},
            r"GhostNet\(head='bn_no_bias'\): timm's features have a bias and no batch",
        ),
        ("conv_mobilenet_v1", {}, r"MobileNetV1\(separable=False\): timm has no MobileNet of dense convolutions"),
    ],
)
def test_a_form_that_timm_lacks_has_none_of_its_names(name, options, message):
    model = models.create(name, width=0.1, num_classes=10, **options)
    assert list(interop.tables_of(model)) == ["pytorch"]
    with pytest.raises(ValueError, match=f"^{message}.*take .*the names 'pytorch'$"):
        interop.state_dict(model, "timm")
