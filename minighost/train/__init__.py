"""Training: optimizers, schedules, checkpoints, and the trainer that puts them together.

Names are looked up on first use, so that reading a configuration imports neither Numba nor matplotlib.
"""

from typing import TYPE_CHECKING

from minighost.lazy import lazy_names

if TYPE_CHECKING:  # the names below once more, for type checkers, which run nothing
    from minighost.train import optimizers as optimizers
    from minighost.train import schedules as schedules
    from minighost.train.callbacks import Callback as Callback
    from minighost.train.callbacks import StopTraining as StopTraining
    from minighost.train.checkpoint import load_checkpoint as load_checkpoint
    from minighost.train.checkpoint import save_checkpoint as save_checkpoint
    from minighost.train.clip import clip_grad_norm as clip_grad_norm
    from minighost.train.clip import grad_norm as grad_norm
    from minighost.train.comparison import compare as compare
    from minighost.train.config import Config as Config
    from minighost.train.ema import EMA as EMA
    from minighost.train.fitting import fit as fit
    from minighost.train.groups import parameter_groups as parameter_groups
    from minighost.train.history import History as History
    from minighost.train.log import read_log as read_log
    from minighost.train.metrics import Evaluation as Evaluation
    from minighost.train.metrics import evaluate as evaluate
    from minighost.train.muon import Muon as Muon
    from minighost.train.optim import SGD as SGD
    from minighost.train.optim import AdamW as AdamW
    from minighost.train.recipes import PRESETS as PRESETS
    from minighost.train.recipes import RECIPES as RECIPES
    from minighost.train.restore import LoadedRun as LoadedRun
    from minighost.train.restore import load_run as load_run
    from minighost.train.run_training import run as run
    from minighost.train.runfolder import resume_config as resume_config
    from minighost.train.signals import Interrupted as Interrupted
    from minighost.train.trainer import Trainer as Trainer
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "SGD": "optim",
            "AdamW": "optim",
            "Muon": "muon",
            "EMA": "ema",
            "clip_grad_norm": "clip",
            "grad_norm": "clip",
            "Callback": "callbacks",
            "StopTraining": "callbacks",
            "fit": "fitting",
            "History": "history",
            "compare": "comparison",
            "Config": "config",
            "PRESETS": "recipes",
            "RECIPES": "recipes",
            "resume_config": "runfolder",
            "save_checkpoint": "checkpoint",
            "load_checkpoint": "checkpoint",
            "read_log": "log",
            "Trainer": "trainer",
            "parameter_groups": "groups",
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
