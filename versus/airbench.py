"""The record recipe for CIFAR-10 in PyTorch: airbench94_muon (Jordan 2024, arXiv:2404.00498), for a processor.

94.01 % in 8 epochs on the official images, in half precision on a graphics card (mean of 200 runs); here everything is
float32 and channels last. Constants are those of github.com/KellerJordan/cifar10-airbench. `versus.record` runs it.

The loss is a *sum* over the batch: the rates of biases and head are meant for that. Muon normalises its gradient, so it
does not care. Weight decay acts on biases and head alone: 2e-6 times the batch per step at the full rate,
and since PyTorch multiplies it by the rate, it is given divided by the rate.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Muon", "Network", "Trainer", "crop_and_flip", "normalize", "padded", "six_views", "whitening"]

EPOCHS, BATCH = 8, 2000
STEM_EPOCHS = 3  # while the stem's biases learn
FILTER_RATE, BIAS_RATE, HEAD_RATE = 0.24, 0.053, 0.67
FILTER_MOMENTUM, MOMENTUM = 0.6, 0.85
DECAY = 2e-6  # per image of a batch
SMOOTHING = 0.2
SHIFT = 2
WHITENED_IMAGES = 5000
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Network(nn.Module):
    """A whitening stem, three blocks of two convolutions, one maximum per channel, and a head without bias.

    Parameters
    ----------
    generator : torch.Generator
        Draws the weights; the stem's filters come from `whitening`.
    """

    def __init__(self, generator):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 2)  # 32x32 becomes 31x31
        self.stem.weight.requires_grad_(False)
        self.blocks = nn.Sequential(_block(24, 64), _block(64, 256), _block(256, 256))
        self.head = nn.Linear(256, 10, bias=False)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    bound = 1 / math.sqrt(module.weight[0].numel())  # PyTorch's own start
                    for parameter in module.parameters():
                        parameter.uniform_(-bound, bound, generator=generator)
                if isinstance(module, nn.Conv2d) and module is not self.stem:
                    nn.init.dirac_(module.weight[: module.in_channels])  # the first filters pass their channel on
            self.head.weight /= self.head.weight.std()
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        x = self.blocks(F.gelu(self.stem(x)))
        return self.head(F.max_pool2d(x, 3).flatten(1)) / self.head.in_features


def _block(C, OC):
    return nn.Sequential(
        _conv(C, OC), nn.MaxPool2d(2), _norm(OC), nn.GELU(), _conv(OC, OC), _norm(OC), nn.GELU()
    )  # fmt: skip


def _conv(C, OC):
    return nn.Conv2d(C, OC, 3, padding=1, bias=False)


def _norm(C):
    norm = nn.BatchNorm2d(C, eps=1e-12, momentum=0.4)  # PyTorch's momentum: the share of the new batch
    norm.weight.requires_grad_(False)
    return norm


def whitening(images, eps=5e-4):
    """Filters (24, 3, 2, 2) that whiten patches of 2x2: scaled eigenvectors of their covariance, and minus those.

    Parameters
    ----------
    images : tensor, shape (N, 3, H, W)
        Normalised. The covariance is about zero, not about the mean.
    """
    patches = F.unfold(images, 2).transpose(1, 2).reshape(-1, 12)  # (patches, 3*2*2)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / torch.sqrt(values + eps)).T.reshape(12, 3, 2, 2)
    return torch.cat([filters, -filters])


class Muon:
    """Momentum, then orthogonalised: Newton and Schulz's iteration on the matrix (filters, weights of one).

    Before each step a filter bank is scaled to norm sqrt(number of filters): a rate then means the same everywhere.
    """

    def __init__(self, parameters, rate, momentum=FILTER_MOMENTUM):
        self.parameters, self.rate, self.momentum = list(parameters), rate, momentum
        self.buffers = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, factor=1.0):
        """One step at `factor` times the rate."""
        for p, buffer in zip(self.parameters, self.buffers, strict=True):
            buffer.mul_(self.momentum).add_(p.grad)
            nesterov = p.grad + self.momentum * buffer
            p *= math.sqrt(len(p)) / p.norm()
            p -= self.rate * factor * _orthogonal(nesterov.reshape(len(p), -1)).reshape(p.shape)


def _orthogonal(matrix, iterations=3):
    """Nearly U V' of `matrix` = U S V': a polynomial of degree 5 pushes singular values towards 1, but not to it."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Trainer:
    """The two optimizers and their rates, which fall in straight lines to zero; those of the stem's biases earlier.

    Parameters
    ----------
    network : Network
    steps, stem_steps : int
        Of the whole run, and while the stem's biases learn.
    batch : int
    """

    def __init__(self, network, steps, stem_steps, batch=BATCH):
        self.network, self.steps, self.stem_steps, self.step = network, steps, stem_steps, 0
        filters = [p for p in network.blocks.parameters() if p.ndim == 4]
        biases = [p for p in network.blocks.parameters() if p.ndim == 1 and p.requires_grad]
        groups = ([network.stem.bias], BIAS_RATE), (biases, BIAS_RATE), ([network.head.weight], HEAD_RATE)
        self.rates = [rate for _, rate in groups]
        self.muon = Muon(filters, FILTER_RATE)
        self.sgd = torch.optim.SGD(
            [{"params": some, "lr": rate, "weight_decay": DECAY * batch / rate} for some, rate in groups],
            momentum=MOMENTUM,
            nesterov=True,
        )

    def train(self, x, labels):
        """One step on images (N, 3, 32, 32); returns logits and the summed loss."""
        self.network.train()
        logits = self.network(x)
        loss = F.cross_entropy(logits, labels, label_smoothing=SMOOTHING, reduction="sum")
        loss.backward()
        factor = 1 - self.step / self.steps
        factors = max(0.0, 1 - self.step / self.stem_steps), factor, factor  # at rate 0 the stem's biases stay
        for group, rate, share in zip(self.sgd.param_groups, self.rates, factors, strict=True):
            group["lr"] = share * rate
        self.sgd.step()
        self.muon.step(factor)
        self.network.zero_grad(set_to_none=True)
        self.step += 1
        return logits.detach(), loss.item()

    def state_dict(self):
        return {
            "network": self.network.state_dict(),
            "sgd": self.sgd.state_dict(),
            "muon": self.muon.buffers,
            "step": self.step,
        }

    def load_state_dict(self, state):
        self.network.load_state_dict(state["network"])
        self.sgd.load_state_dict(state["sgd"])
        for buffer, kept in zip(self.muon.buffers, state["muon"], strict=True):
            buffer.copy_(kept)
        self.step = state["step"]


def normalize(images):
    """Bytes (N, H, W, 3) to float32 (N, 3, H, W), channels last in memory."""
    return ((images.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def padded(images, flipped):
    """Bytes (N, H, W, 3), those of `flipped` mirrored, with `SHIFT` reflected pixels around."""
    images = torch.where(flipped[:, None, None, None], images.flip(2), images)
    edge = torch.arange(-SHIFT, images.shape[1] + SHIFT).abs()
    edge = torch.where(edge < images.shape[1], edge, 2 * images.shape[1] - 2 - edge)
    return images[:, edge][:, :, edge]


def crop_and_flip(images, shifts, flip):
    """From padded bytes a window for each image, `shifts` (N, 2) pixels from the middle; all mirrored if `flip`."""
    side = images.shape[1] - 2 * SHIFT
    starts = shifts + SHIFT
    windows = torch.stack(
        [image[y : y + side, x : x + side] for image, (y, x) in zip(images, starts.tolist(), strict=True)]
    )
    return windows.flip(2) if flip else windows


def six_views(network, x):
    """Mean logits of mirror images and three positions: half for the middle, a quarter for each diagonal shift."""
    edge = F.pad(x, (1, 1, 1, 1), mode="reflect")
    views = (x, 0.5), (edge[:, :, :-2, :-2], 0.25), (edge[:, :, 2:, 2:], 0.25)
    return sum(weight / 2 * (network(view) + network(view.flip(3))) for view, weight in views)
