"""Weight decay on depthwise kernels."""

from minighost.experiments.catalogue.width import NETWORKS
from minighost.experiments.experiment import Claim, Experiment, Form
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

ARMS = {
    f"{name}, {words}": NETWORKS[name] | {"train.decay_depthwise": decayed}
    for name in NETWORKS
    for words, decayed in (("all decay", True), ("depthwise spared", False))
}
SHAPE = {"model.width": 0.5, "model.dropout": 0.0}

EXPERIMENT = Experiment(
    name="decay",
    question="Should the kernels of depthwise convolutions be spared weight decay, as they have so few weights?",
    source='Howard et al. 2017, MobileNets, arXiv 1704.04861, §3.2: "very little or no weight decay", without numbers',
    claims=tuple(Claim(f"{name}, depthwise spared", f"{name}, all decay", expects="higher") for name in NETWORKS),
    full=Form(CIFAR10 | SHAPE, ARMS, minutes=34),
    quick=Form(SHAPES10 | SHAPE, ARMS, minutes=3, seeds=2),
    columns=("parameters", "macs", "minutes"),
    notes=(
        "Everything else that is a kernel or a matrix decays at 5e-4; the paper's networks had 4e-5. Each depthwise "
        "convolution is followed by batch norm, so that decay changes its step size and not what it can compute.",
        "Decay acts slowly: over a short run it has less to say than over the paper's.",
    ),
)
