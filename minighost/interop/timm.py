"""GhostNet weights under the official PyTorch names (the authors' code and timm use the same) and layouts.

A convolution weight is (out, in/groups, KH, KW) there and (KH, KW, in/groups, out) here; a fully connected layer -
there partly written as a 1x1 convolution - is (out, in) there and (in, out) here.
"""

import re

import numpy as np

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


def load_timm(model, state):
    """Load official GhostNet weights.

    Parameters
    ----------
    model : GhostNet
        Of the same width and number of classes; float32 or float64.
    state : dict of str -> ndarray
        Official names, PyTorch layouts. ``num_batches_tracked`` is passed over.

    Returns
    -------
    GhostNet
        The model itself.

    Raises
    ------
    ValueError
        If names or shapes differ; all differences are listed and nothing is loaded.
    """
    theirs_to_ours = {official_name(path): path for path in model.state_dict()}
    converted = {}
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            path = theirs_to_ours.get(name, name)
            converted[path] = _from_torch(path, np.asarray(value))
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


def _from_torch(path, value):
    if value.ndim == 4 and _is_conv_in_torch(path):
        value = value[:, :, 0, 0]
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(2, 3, 1, 0))
    return np.ascontiguousarray(value.T) if value.ndim == 2 else value


def _to_torch(path, value):
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    if value.ndim == 2:
        value = np.ascontiguousarray(value.T)
        return value[:, :, None, None] if _is_conv_in_torch(path) else value
    return value
