"""Training: optimizers, schedules, checkpoints, and the trainer that puts them together.

Names are looked up on first use, so that reading a configuration imports neither Numba nor matplotlib.
"""

from importlib import import_module

_HOME = {
    "SGD": "optim",
    "AdamW": "optim",
    "Muon": "muon",
    "EMA": "ema",
    "clip_grad_norm": "clip",
    "grad_norm": "clip",
    "Config": "config",
    "PRESETS": "recipes",
    "RECIPES": "recipes",
    "resume_config": "runfolder",
    "save_checkpoint": "checkpoint",
    "load_checkpoint": "checkpoint",
    "read_log": "log",
    "Trainer": "trainer",
    "parameter_groups": "trainer",
    "Evaluation": "metrics",
    "evaluate": "metrics",
    "run": "run_training",
    "Interrupted": "signals",
    "load_run": "restore",
    "LoadedRun": "restore",
    "optimizers": "",
    "schedules": "",
}

__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'minighost.train' has no attribute {name!r}")
    if not _HOME[name]:
        return import_module(f"minighost.train.{name}")
    return getattr(import_module(f"minighost.train.{_HOME[name]}"), name)


def __dir__():
    return sorted(__all__)
