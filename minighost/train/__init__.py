"""Training: optimizers, schedules, checkpoints, and the trainer that puts them together.

Names are looked up on first use, so that reading a configuration imports neither Numba nor matplotlib.
"""

from minighost.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
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
    },
)
