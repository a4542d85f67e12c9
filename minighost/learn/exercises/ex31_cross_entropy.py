"""Say how wrong a guess was, without overflow.

A network ends in C numbers for each image, the logits z. Softmax turns them into probabilities, and the loss is the
surprise at the right class, the mean over the N images:

    p[n, k] = exp(z[n, k]) / sum_j exp(z[n, j])             loss = -1/N * sum_n log p[n, label[n]]

Written like this it breaks: exp(1000) is infinite, and inf/inf is NaN. Two changes of form, not of value, fix it.

  - Adding a number to all logits of an image changes no p. So subtract the largest first: z - max_j z[n, j]. Then the
    largest exponent is 0, and nothing overflows.
  - A p may be too small for a float and become 0, whose logarithm is -inf. So never take the logarithm of p; compute it
    directly:  log p[n, k] = z[n, k] - log sum_j exp(z[n, j])  (z with the largest subtracted).

The gradient. d(-log p[label])/dz[k] has -1 from z[label] itself if k is the label, and p[k] from the logarithm of the
sum. With the mean over N,

    dlogits[n, k] = (p[n, k] - 1 where k = label[n]) / N    that is p - onehot, over N

Each row sums to 0: what the right class gains, the others lose. The backward of the whole network starts with it.

A small example: z = [[0, log 3]], label 0: p = [[1/4, 3/4]], loss = log 4, dlogits = [[-3/4, 3/4]]. Another:
z = [[0, 1000]], label 0: loss = 1000, dlogits = [[-1, 1]]. Logarithms are natural, np.log.
"""

import numpy as np

# Yours --------------------------------------------------------------------------------------------------------


def cross_entropy(logits, labels):
    """logits (N, C), labels (N,) integers from 0 to C-1 -> loss, a number, and dlogits (N, C)."""
    rows = np.arange(len(labels))
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    dlogits = np.exp(log_p)
    dlogits[rows, labels] -= 1
    return -log_p[rows, labels].mean(), dlogits / len(labels)
