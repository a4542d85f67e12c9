"""Weights as they come, bare or wrapped, in a dict or a safetensors file: here they become names and arrays."""

import os
from collections.abc import Mapping

import numpy as np

from minighost.errors import FormatError
from minighost.inputs import open_regular

__all__ = ["parse_safetensors", "read_weights"]

# What training scripts put around the weights or before their names. Of several kinds one is meant: the averaged ones,
# which are evaluated, come first (timm's order).
KINDS = ("state_dict_ema", "model_ema", "state_dict", "model")
WRAPPERS = (*KINDS, "module", "_orig_mod")  # DataParallel, torch.compile


def read_weights(source):
    """Names and arrays of a weights file.

    Parameters
    ----------
    source : dict, or path of a .safetensors file
        A dict of name to array; or one whose key ``state_dict_ema``, ``model_ema``, ``state_dict`` or ``model`` holds
        such a dict (the first of these that is there), with whatever a checkpoint has beside it. Names may begin with
        one of these words, with ``module.`` (DataParallel) or ``_orig_mod.`` (torch.compile), which is taken off.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    FormatError
        A file that is not safetensors. PyTorch's ``.pth`` files are pickles and are never read.
    ValueError
        A name that is there with and without its prefix, a value that is no array of numbers.
    """
    if isinstance(source, (str, os.PathLike)):
        with open_regular(source) as file:
            source = parse_safetensors(file.read(), source)
    state = _without_prefix(_unwrapped(source))
    arrays, problems = {}, []
    for name, value in state.items():
        try:
            arrays[name] = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors that require a gradient
            problems.append(f"{name}: {error}")
    problems += [f"{name}: {array.dtype}" for name, array in arrays.items() if array.dtype.kind not in "fiub"]
    if problems:
        raise ValueError("weights: these are not arrays of numbers:\n  " + "\n  ".join(problems))
    return arrays


def _unwrapped(state):
    for _ in WRAPPERS:  # one may lie in another, but none in itself
        if not isinstance(state, Mapping):
            break
        inner = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), None)
        if inner is None:
            break
        state = inner
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ValueError(f"weights: expected a dict of name to array or a path, got {type(state).__name__}")
    return state


def _without_prefix(state):
    while wrapper := next((w for w in WRAPPERS if any(name.startswith(f"{w}.") for name in state)), None):
        inside = {n.removeprefix(f"{wrapper}."): value for n, value in state.items() if n.startswith(f"{wrapper}.")}
        beside = {n: v for n, v in state.items() if n.partition(".")[0] not in (*KINDS, wrapper)}
        if twice := sorted(inside.keys() & beside.keys()):
            raise ValueError(f"weights: {', '.join(twice[:5])}: present with and without the prefix {wrapper!r}")
        state = inside | beside
    return state


def parse_safetensors(content, path):
    """Names and arrays of a file's bytes; FormatError, which names the path, if they are not safetensors."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError) as error:  # the last four: bf16, fp8
        raise FormatError(
            f"{os.fsdecode(path)}: not a safetensors file of plain numbers ({error}); convert it with "
            f"safetensors.torch.save_file, in float32"
        ) from error
