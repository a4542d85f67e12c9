"""GhostNet weights under the official PyTorch names (the authors' code and timm use the same) and layouts.

A convolution weight is (out, in/groups, KH, KW) there and (KH, KW, in/groups, out) here; a fully connected layer -
there partly written as a 1x1 convolution - is (out, in) there and (in, out) here.
"""

import re

import numpy as np

from minighost.interop.weights import read_weights
from minighost.train.nonfinite import unusable

__all__ = ["load_timm", "to_timm"]

# Our path -> theirs, applied in order to a whole path such as "stages.1.0.ghost1.primary.conv.weight".
_RENAMES = [
    (r"^stem\.conv\.", "conv_stem."),
    (r"^stem\.bn\.", "bn1."),
    (r"^tail\.conv\.", "blocks.9.0.conv."),
    (r"^tail\.bn\.", "blocks.9.0.bn1."),
    (r"^head\.", "conv_head."),
    (r"^stages\.", "blocks."),
    (r"\.depthwise\.conv\.", ".conv_dw."),
    (r"\.depthwise\.bn\.", ".bn_dw."),
    (r"\.se\.(reduce|expand)\.", r".se.conv_\1."),
    (r"\.primary\.", ".primary_conv."),
    (r"\.cheap\.", ".cheap_operation."),
    (r"\.shortcut\.0\.conv\.", ".shortcut.0."),
    (r"\.shortcut\.0\.bn\.", ".shortcut.1."),
    (r"\.shortcut\.1\.conv\.", ".shortcut.2."),
    (r"\.shortcut\.1\.bn\.", ".shortcut.3."),
    (r"(primary_conv|cheap_operation)\.conv\.", r"\1.0."),
    (r"(primary_conv|cheap_operation)\.bn\.", r"\1.1."),
]


def load_timm(model, weights):
    """Load official GhostNet weights.

    Parameters
    ----------
    model : GhostNet
        Of the same width and number of classes; float32 or float64.
    weights : dict of str -> ndarray, or path of a .safetensors file
        Official names, PyTorch layouts; what is wrapped around them is taken off, see `read_weights`.
        ``num_batches_tracked`` is passed over.

    Returns
    -------
    GhostNet
        The model itself.

    Raises
    ------
    ValueError
        A name is missing or unknown, a shape is not exactly that of the layer, a value is not finite (in the model's
        precision), a running variance is negative; all of it is listed and nothing is loaded.
    FormatError
        See `read_weights`.
    """
    own = model.state_dict()
    theirs = {name: value for name, value in read_weights(weights).items() if not name.endswith("num_batches_tracked")}
    names = {official_name(path): path for path in own}
    problems = [
        f"missing: {name} {_torch_shapes(path, own[path])[0]}" for name, path in names.items() if name not in theirs
    ]
    problems += [f"unknown: {name} {value.shape}" for name, value in theirs.items() if name not in names]
    converted = {}
    for name in names.keys() & theirs.keys():
        path, value = names[name], theirs[name]
        shapes = _torch_shapes(path, own[path])
        if value.shape not in shapes:
            problems.append(f"shape of {name}: {value.shape}, the model needs {' or '.join(map(str, shapes))}")
        elif value.dtype.kind != "f":
            problems.append(f"dtype of {name}: {value.dtype}, the model has {own[path].dtype}")
        else:
            converted[path] = _from_torch(value, own[path])
            problems += unusable({name: converted[path]})
    if problems:
        raise ValueError(
            f"load_timm: these weights do not fit this {type(model).__name__}; nothing was loaded. "
            f"{len(problems)} differences:\n  " + "\n  ".join(sorted(problems))
        )
    return model.load_state_dict(converted)


def to_timm(model):
    """Return the model's weights as a dict under the official names and layouts; the inverse of `load_timm`."""
    return {official_name(path): _to_torch(path, value) for path, value in model.state_dict().items()}


def official_name(path):
    """Translate a path of our GhostNet.

    Examples
    --------
    >>> official_name("stages.1.0.ghost1.cheap.bn.weight")
    'blocks.1.0.ghost1.cheap_operation.1.weight'
    """
    for pattern, replacement in _RENAMES:
        path = re.sub(pattern, replacement, path)
    return path


def _is_conv_in_torch(path):
    return re.search(r"^head\.|\.se\.", path) is not None


def _torch_shapes(path, ours):
    """Shapes that one of our arrays may have there; the official one comes first."""
    if ours.ndim == 4:
        KH, KW, C, OC = ours.shape
        return [(OC, C, KH, KW)]
    if ours.ndim == 2:
        shapes = [(*ours.shape[::-1], 1, 1), ours.shape[::-1]]
        return shapes if _is_conv_in_torch(path) else shapes[1:]
    return [ours.shape]


def _from_torch(value, ours):
    """`value`, of one of `_torch_shapes`, in the layout and precision of `ours`."""
    if ours.ndim == 4:
        value = value.transpose(2, 3, 1, 0)
    if ours.ndim == 2:
        value = value.reshape(value.shape[:2]).T
    with np.errstate(over="ignore"):  # too large for float32 becomes an infinity, which is looked for
        return np.ascontiguousarray(value, ours.dtype)


def _to_torch(path, value):
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    if value.ndim == 2:
        value = np.ascontiguousarray(value.T)
        return value[:, :, None, None] if _is_conv_in_torch(path) else value
    return value
