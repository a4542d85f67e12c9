"""PyTorch: eager with either memory format, compiled, and with batch norms folded for inference."""

import torch  # before minighost: importing that sets how long OpenMP's threads wait, and PyTorch keeps its own default
import torch.nn.functional as F

from versus import networks, works
from versus.peers import Runner
from versus.peers.minighost_peer import arrays
from versus.torch_twin import fold, twin

__all__ = ["build"]


def build(work, threads, variant):
    """A training step, inference, or an operation."""
    torch.set_num_threads(threads)
    layout = torch.contiguous_format if variant == "nchw" else torch.channels_last
    if not work.of_network:
        return _operation(work, layout, variant)
    model = twin(networks.create(work.subject, **work.options)).to(memory_format=layout)
    x, labels = works.inputs(work)
    x, labels = _tensor(x, layout), torch.from_numpy(labels)
    if variant == "folded":
        fold(model)
    run = torch.compile(model) if variant == "compile" else model
    return _train(model, run, x, labels, work.lr) if work.kind == "train" else _infer(model, run, x)


def _tensor(array, layout):
    """(N, H, W, C) -> (N, C, H, W) in the given memory format."""
    return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def _array(tensor):
    """And back."""
    tensor = tensor.detach()
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).contiguous().numpy().copy()


def _train(model, run, x, labels, lr):
    model.train()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(run(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    def check():
        logits = _array(run(x))
        loss = _array(step())
        after = _array(run(x))
        running = _array(model.eval()(x))
        model.train()
        return {"logits": logits, "loss": loss, "logits after a step": after, "with running means": running}

    return Runner(step, check)


def _infer(model, run, x):
    model.eval()

    @torch.inference_mode()
    def step():
        return run(x)

    return Runner(step, lambda: {"logits": _array(step())})


def _operation(work, layout, variant):
    x, weights, dout = arrays(work)
    x, dout = _tensor(x, layout).requires_grad_(), _tensor(dout, layout)
    weights = {name: _weight(work, array, layout).requires_grad_() for name, array in weights.items()}
    forward = _function(work, weights)
    if variant == "compile":
        forward = torch.compile(forward)

    def both():
        for tensor in (x, *weights.values()):
            tensor.grad = None
        out = forward(x)
        out.backward(dout)
        return out

    def check():
        out = _array(both())
        grads = {f"d{name}": _gradient(work, tensor.grad) for name, tensor in weights.items()}
        return {"out": out, "dx": _array(x.grad), **grads} if work.kind == "both" else {"out": out}

    return Runner(both if work.kind == "both" else lambda: forward(x), check)


def _weight(work, array, layout):
    if work.subject == "pointwise":
        array = array[None, None]
    tensor = torch.from_numpy(array.copy())
    if tensor.ndim < 4:
        return tensor
    if work.subject == "depthwise":
        tensor = tensor.permute(0, 1, 3, 2)  # (KH, KW, C, 1) here is one filter a channel
    return tensor.permute(3, 2, 0, 1).contiguous(memory_format=layout)


def _gradient(work, grad):
    """The gradient of a weight in minighost's layout."""
    if grad.ndim < 4:
        return grad.numpy().copy()
    grad = grad.permute(2, 3, 1, 0)  # (KH, KW, C/groups, OC)
    if work.subject == "depthwise":
        grad = grad.permute(0, 1, 3, 2)
    elif work.subject == "pointwise":
        grad = grad[0, 0]
    return grad.contiguous().numpy().copy()


def _function(work, weights):
    C, padding = work.shape[3], work.options.get("kernel", 1) // 2
    if work.subject == "batch_norm_relu":
        mean, var = torch.zeros(C), torch.ones(C)
        gamma, beta = weights["gamma"], weights["beta"]
        return lambda x: F.relu(F.batch_norm(x, mean, var, gamma, beta, training=True), inplace=True)
    groups = C if work.subject == "depthwise" else 1
    return lambda x: F.conv2d(x, weights["w"], padding=padding, groups=groups)
