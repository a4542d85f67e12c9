"""What is timed: training steps, inference, single operations."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["WORKS", "Work", "inputs"]


@dataclass(frozen=True)
class Work:
    """One thing to do.

    Attributes
    ----------
    name : str
    kind : str
        "train" (forward, loss, backward, optimizer), "infer", "forward" or "both" (an operation's forward, or forward
        and backward).
    subject : str
        A network of `networks.create`, or an operation of `peers.minighost`.
    shape : tuple of int
        (N, H, W, C) of the input.
    options : dict
        Of the network; or the operation's ``out`` channels and ``kernel``.
    peers : tuple of str
        Who is compared with minighost whatever was asked for; by default everybody who was and who can do it.
        ``name@1`` is with one thread.
    tolerance : float
        How far results may be apart, relative to the largest of minighost's.
    lr : float
        Learning rate of a training step.
    """

    name: str
    kind: str
    subject: str
    shape: tuple
    options: dict = field(default_factory=dict)
    peers: tuple | None = None
    tolerance: float = 1e-4
    lr: float = 0.01

    @property
    def of_network(self):
        return self.kind in ("train", "infer")


def inputs(work):
    """The input, and for a network the labels; the same in every process."""
    x = np.random.default_rng(1).normal(size=work.shape).astype(np.float32)
    return x, np.arange(work.shape[0]) % 10


# Networks around GhostNet, of which the form for CIFAR-10 is timed. What is drawn at random is switched off: the
# contestants would draw different numbers, and their results could not be compared.
FAMILY: dict[str, dict] = {
    "mobilenet_v1": {"dropout": 0.0},
    "mobilenet_v2": {"dropout": 0.0},
    "mobilenet_v3_large": {"dropout": 0.0},
    "mobilenet_v4_conv_small": {"dropout": 0.0},
    "shufflenet_v2": {},
    "xception": {},
    "efficientnet_b0": {"dropout": 0.0, "drop_path": 0.0},
    "fasternet": {},
    "squeezenet": {"dropout": 0.0},
    "vgg16": {},
    "repvgg": {},
}
SERVED = {"repvgg": {"form": "fused"}}  # nobody serves the branches of training


# At the start a deep network without shortcuts amplifies rounding: PyTorch's gradient in float32 is some per cent away
# from its own in float64. So steps are small, or whoever is compared after one would differ from himself.
RATES = dict.fromkeys(FAMILY, 1e-4) | {"mobilenet_v1": 1e-5, "mobilenet_v4_conv_small": 1e-5}


def _networks():
    ghost = {"num_classes": 10, "stem_stride": 1, "dropout": 0.0}
    subjects = [
        ("ghostnet-1.0", "ghostnet", {"width": 1.0, **ghost}),
        ("ghostnet-0.5", "ghostnet", {"width": 0.5, **ghost}),
        ("resnet20", "resnet20", {}),
        ("vgg", "vgg", {}),
        *((name, f"{name}_cifar", options) for name, options in FAMILY.items()),
    ]
    for name, subject, options in subjects:
        # Rounding differs, and a step of the optimizer carries it on: hence the wider tolerance in training.
        yield Work(f"{name}-train", "train", subject, (128, 32, 32, 3), options, None, 5e-3, RATES.get(name, 0.01))
        for batch in (128, 1):
            served = {**options, **SERVED.get(name, {})}
            yield Work(f"{name}-infer-{batch}", "infer", subject, (batch, 32, 32, 3), served)
    for name, subject, options in subjects[:2]:
        yield Work(f"{name}-train-scaling", "train", subject, (128, 32, 32, 3), options, ("minighost@1",), 5e-3)


def _operations():
    subjects = [
        ("depthwise-3x3", "depthwise", (128, 32, 32, 64), {"kernel": 3}),
        ("batch-norm-relu", "batch_norm_relu", (128, 32, 32, 64), {}),
        ("pointwise", "pointwise", (128, 32, 32, 64), {"out": 64}),
        ("conv-3x3", "conv", (32, 16, 16, 32), {"kernel": 3, "out": 32}),  # small, for the teaching frameworks' sake
    ]
    for name, subject, shape, options in subjects:
        for kind in ("forward", "both"):
            yield Work(f"{name}-{kind}", kind, subject, shape, options)


WORKS = {work.name: work for work in (*_networks(), *_operations())}
