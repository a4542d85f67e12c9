"""CReLU in the first layers."""

from minighost.experiments.experiment import Claim, Experiment, Form
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

LAYERS_AND_WIDTHS = {1: 0.25, 2: 0.25, 4: 0.27, 8: 0.35}  # which give the parameters of ReLU at 0.25, within 3.5 %

ARMS = (
    {"ReLU": {"model.crelu": 0, "model.width": 0.25}}
    | {
        f"first {layers}" if layers > 1 else "first": {"model.crelu": layers, "model.width": width}
        for layers, width in LAYERS_AND_WIDTHS.items()
        if layers < 8
    }
    | {
        "all 8": {"model.crelu": 8, "model.width": LAYERS_AND_WIDTHS[8]},
        "first 4, narrow": {"model.crelu": 4, "model.width": 0.25},
    }
)
NETWORK = {"model.name": "crelu_cifar", "model.divisor": 2}

EXPERIMENT = Experiment(
    name="crelu",
    question="Is CReLU in the first layers better than ReLU with as many parameters?",
    source="Shang et al. 2016, CReLU, arXiv 1603.05201; differences of top-1 errors on ImageNet",
    claims=(
        Claim("first 4", "ReLU", points=42.6 - 39.82),
        Claim("all 8", "ReLU", points=42.6 - 40.93),
        Claim("first 4", "all 8", points=40.93 - 39.82),
    ),
    full=Form(CIFAR10 | NETWORK | {"train.epochs": 6, "train.warmup_epochs": 1.2}, ARMS, minutes=40),
    quick=Form(SHAPES10 | NETWORK | {"data.train_size": 2000, "data.test_size": 500}, ARMS, minutes=1.5, seeds=1),
    columns=("parameters", "macs", "minutes"),
    notes=(
        "A layer with CReLU has half the filters and hands on as many maps. That halves its weights; the arms are "
        "widened until they have the parameters of ReLU again, within 3.5 %. 'first 4, narrow' is not: it asks what "
        "is lost when the saving is kept.",
        "The claimed points are of a network with seven convolutions or more on ImageNet, with CReLU in its first four "
        "or in all: compare directions. The paper's tables for CIFAR could not be checked.",
    ),
)
