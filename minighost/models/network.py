"""What all networks here are: a chain of layers from images to logits."""

from minighost.nn import Chain

__all__ = ["Network"]


class Network(Chain):
    """Images (N, H, W, 3) -> logits (N, num_classes), through the attributes in the order in which they were set.

    A network's constructor sets ``self.stem``, ``self.stages``, ..., ``self.classifier`` in the order of its paper's
    table. Forward and backward are the chain's: first to last, and last to first.
    """
