"""Does batch norm lag? A test loss that explodes while the rate is high, explained by a measurement.

In evaluation batch norm divides by running averages over the last dozen or so steps. Weights that change much in these
steps make each layer's average a few per cent wrong, and through many layers that multiplies: predictions are then far
off, with great confidence. The weights themselves are fine, as the same images with their own batches' statistics show.
"""

import itertools
import math

import numpy as np

from minighost.data.loader import Loader
from minighost.nn.kept_fold import layer_by_layer
from minighost.nn.layers import BatchNorm2d
from minighost.nn.module import Module
from minighost.train.metrics import Evaluation

__all__ = ["lagging", "loss_with_batch_statistics"]

FACTOR = 2  # times the loss of guessing, or of the training images: from here on a test loss looks broken


def lagging(model: Module, loader: Loader, loss: float, train_loss: float) -> float | None:
    """The test loss with the batches' own statistics where that explains a high one; None where it does not."""
    high = loss > FACTOR * max(math.log(len(loader.dataset.classes)), train_loss)
    if not high or not any(isinstance(module, BatchNorm2d) for module in model.modules()):
        return None
    other = loss_with_batch_statistics(model, loader)
    return other if other < loss / FACTOR else None


def loss_with_batch_statistics(model: Module, loader: Loader, batches: int = 8) -> float:
    """Mean cross-entropy of the first batches, in nats, where batch norm takes each batch's own mean and variance.

    Everything else is as in evaluation. The model is put back as it was, bit for bit.
    """
    modes = [(module, module.training) for module in model.modules()]
    norms = [module for module, _ in modes if isinstance(module, BatchNorm2d)]
    kept = [(held, held.data.copy()) for norm in norms for held in (norm.running_mean, norm.running_var)]
    model.eval()
    for norm in norms:
        norm.training = True
    found, labels, epoch = [], [], loader.epoch(0)
    try:
        with layer_by_layer():
            for x, y in itertools.islice(epoch, batches):
                if len(y) > 1:  # of one image there may be one value per channel, and no variance
                    found.append(model(x))
                    labels.append(y)
    finally:
        epoch.close()
        for held, value in kept:
            held.data[...] = value
        model.eval()  # whoever changes its mode forgets what it has kept for a backward
        for module, mode in modes:
            module.training = mode
    return Evaluation(np.concatenate(found), np.concatenate(labels)).loss if found else math.inf
