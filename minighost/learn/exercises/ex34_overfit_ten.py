"""Write the training loop, and make it memorise ten images.

Everything is in place: a network with its backward, a loss, a step. What is left is the loop that puts them together,
and loops have their own mistakes. So before any long training run, climb a ladder; each rung costs seconds.

  1. The first loss. A network that knows nothing gives each of C classes 1/C, and its loss is -log(1/C) = log C; for
     ten classes 2.3026. Much more: the first logits are too large. Much less: the labels leak.
  2. Gradient checks, which you have already met.
  3. Ten images. Any network with enough weights can memorise ten images, 100 %. If it cannot, something is wrong with
     loop, gradients or labels, and a thousand images will not make it better.

The network below is given: two linear layers with a ReLU between them; w2 starts near 0, for the first rung. One round:

    forward -> logits;  loss and dlogits;  keep the loss;  if all labels are right, stop;  backward -> grads;  step

The loss of a round is that of the parameters before its step. The step is plain descent: p - lr * g for each parameter,
into new arrays, because the caller's must not change. After `most` rounds the loop ends in any case.

Given: network_forward, network_backward, and ops.softmax_cross_entropy(logits, labels) -> loss, dlogits (exercise 31).
The predicted class of an image is that of its largest logit: logits.argmax(axis=1) has shape (N,).
"""

import numpy as np

from minighost import ops


def start(pixels, hidden, classes, rng):
    """Parameters [w1, b1, w2, b2] of the network before training."""
    w1 = rng.normal(0, np.sqrt(2 / pixels), (pixels, hidden))
    return [w1, np.zeros(hidden), rng.normal(0, 0.01, (hidden, classes)), np.zeros(classes)]


def network_forward(params, x):
    """x (N, pixels) -> logits (N, classes), cache."""
    w1, b1, w2, b2 = params
    hidden = np.maximum(x @ w1 + b1, 0)
    return hidden @ w2 + b2, (x, hidden, w2)


def network_backward(dlogits, cache):
    """Gradients [dw1, db1, dw2, db2], in the order of the parameters."""
    x, hidden, w2 = cache
    dhidden = (dlogits @ w2.T) * (hidden > 0)
    return [x.T @ dhidden, dhidden.sum(0), hidden.T @ dlogits, dlogits.sum(0)]


# Yours --------------------------------------------------------------------------------------------------------


def first_loss(classes):
    """The loss of a network that gives each of the classes the same probability."""
    return np.log(classes)


def accuracy(logits, labels):
    """Share of the images whose largest logit (N, C) is that of their label (N,), from 0 to 1."""
    return (logits.argmax(axis=1) == labels).mean()


def overfit(params, x, labels, lr, most):
    """Train until all labels are right, at most `most` rounds -> new params, list of the losses, one per round."""
    losses = []
    for _ in range(most):
        logits, cache = network_forward(params, x)
        loss, dlogits = ops.softmax_cross_entropy(logits, labels)
        losses.append(loss)
        if accuracy(logits, labels) == 1:
            break
        grads = network_backward(dlogits, cache)
        params = [p - lr * g for p, g in zip(params, grads, strict=True)]
    return params, losses
