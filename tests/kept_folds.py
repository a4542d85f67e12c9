"""What the tests of kept folds share."""

import copy

import numpy as np
from numpy.testing import assert_allclose
from surgery import block

from minighost import nn

CLOSE = {"rtol": 1e-8, "atol": 1e-9}


def by_layers(model, x):
    """What the layers compute."""
    with nn.fusing(False):
        return model(x)


def folds(model, x):
    """Whether a call is answered by the fold; and the answer is right."""
    before = model._kept_fold.turn if model._kept_fold else 0
    out = model(x)
    folded = model._kept_fold is not None and model._kept_fold.turn > before
    assert_allclose(out, by_layers(copy.deepcopy(model), x), **CLOSE)
    return folded


def chain():
    """A model in evaluation that folds, and its input."""
    return block("chain").eval(), np.random.default_rng(5).normal(size=(3, 6, 5, 4))
