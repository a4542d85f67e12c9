"""Ten networks at equal multiply-adds."""

from minighost.experiments.experiment import ACCURACY, Claim, Experiment, Form
from minighost.experiments.recipes import CIFAR10, SHAPES10

__all__ = ["EXPERIMENT"]

NETWORKS = {  # arm: network, and the width that costs 11 million multiply-adds, within 15 %
    "VGG-16": ("vgg16_cifar", 0.18),
    "ResNet-20": ("resnet_cifar", 0.54),
    "Ghost-ResNet-20": ("ghost_resnet_cifar", 0.66),
    "Xception": ("xception_cifar", 0.08),
    "MobileNet v1": ("mobilenet_v1_cifar", 0.24),
    "MobileNet v2": ("mobilenet_v2_cifar", 0.27),
    "MobileNet v3 large": ("mobilenet_v3_large_cifar", 0.37),
    "ShuffleNet v1": ("shufflenet_v1_cifar", 0.48),
    "ShuffleNet v2": ("shufflenet_v2_cifar", 0.4),
    "GhostNet": ("ghostnet_cifar", 0.46),
}
ARMS = {arm: {"model.name": name, "model.width": width} for arm, (name, width) in NETWORKS.items()}

EXPERIMENT = Experiment(
    name="family",
    question="Which network of the family is best on small images, at equal multiply-adds and with one recipe?",
    source="Han et al. 2020, GhostNet, arXiv 1911.11907, section 4.2: ImageNet, about 150 million multiply-adds",
    claims=(
        Claim("GhostNet", "MobileNet v3 large", points=73.9 - 73.3),
        Claim("GhostNet", "ShuffleNet v2", points=73.9 - 69.4),
        Claim("GhostNet", "MobileNet v2", points=73.9 - 66.7),
        Claim("ShuffleNet v2", "ShuffleNet v1", points=69.4 - 67.8),
        Claim("MobileNet v2", "MobileNet v1", points=66.7 - 63.3),
    ),
    full=Form(CIFAR10 | {"train.epochs": 5, "train.warmup_epochs": 1}, ARMS, minutes=95),
    quick=Form(SHAPES10 | {"data.train_size": 2000, "data.test_size": 500}, ARMS, minutes=3.5, seeds=1),
    columns=("parameters", "macs", "minutes", "images_per_second"),
    plots=(ACCURACY, "images_per_second"),
    notes=(
        "The claimed points are differences of top-1 accuracies on ImageNet at 138 to 155 million multiply-adds. The "
        "order at a thirteenth of that, on 32x32 images and after five epochs, need not be the same.",
        "Forms for 32x32 images are ours: strides are left out in front. The widths meet 11 million multiply-adds "
        "within 15 %; some networks become very narrow by that, and parameters differ more than tenfold.",
        "One recipe for all means that none has its best one; deep narrow networks would gain most from more epochs.",
    ),
)
