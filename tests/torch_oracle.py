"""PyTorch's answer, computed in a process of its own (two OpenMP runtimes in one process can crash).

    python torch_oracle.py CASES.npz ANSWERS.npz

A case is ``NAME/op`` with its arrays ``NAME/x``, ``NAME/w``, ... in minighost's layouts, and ``NAME/options`` as JSON.
The answer holds ``NAME/out`` and, for the upstream gradient ``NAME/dout``, one ``NAME/d...`` an array.
"""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F


def activations(a):
    """(N, H, W, C) -> (N, C, H, W); `back` is the way back."""
    return a.permute(0, 3, 1, 2)


def back(a):
    return a.permute(0, 2, 3, 1)


def conv2d(x, w, b, **options):
    return back(F.conv2d(activations(x), w.permute(3, 2, 0, 1), b, **options))


def conv_transpose2d(x, w, b, **options):
    return back(F.conv_transpose2d(activations(x), w.permute(3, 2, 0, 1), b, **options))


def resize(mode, **more):
    return lambda x, size: back(F.interpolate(activations(x), size, mode=mode, **more))


def shuffle(function):
    return lambda x, block, order: back(function(activations(x), block))


def batch_norm(x, gamma, beta, mean, var, training):
    return back(F.batch_norm(activations(x), mean, var, gamma, beta, training=training))


def pool(function):
    return lambda x, **options: back(function(activations(x), **options))


def elementwise(function):
    return lambda x: function(x)


def cross_entropy(x, labels, smoothing, weight=None, ignore_index=-100):
    return F.cross_entropy(x, labels, weight, label_smoothing=smoothing, ignore_index=ignore_index)


def local_response_norm(x, form, **options):
    return back(F.local_response_norm(activations(x), **options))


def softmax(x, axis):
    return F.softmax(x, axis)


OPS = {
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "depth_to_space": shuffle(F.pixel_shuffle),
    "space_to_depth": shuffle(F.pixel_unshuffle),
    "resize_nearest": resize("nearest"),
    "resize_bilinear": resize("bilinear", align_corners=False),
    "batch_norm": batch_norm,
    "max_pool": pool(F.max_pool2d),
    "avg_pool": pool(F.avg_pool2d),
    "adaptive_max_pool": pool(F.adaptive_max_pool2d),
    "adaptive_avg_pool": pool(F.adaptive_avg_pool2d),
    "relu6": elementwise(F.relu6),
    "hard_sigmoid": elementwise(F.hardsigmoid),
    "hard_swish": elementwise(F.hardswish),
    "local_response_norm": local_response_norm,
    "softmax": softmax,
    "cross_entropy": cross_entropy,
}


def answer(op, arrays, dout, options):
    """Output and gradients of one case, as NumPy arrays."""
    tensors = {name: torch.from_numpy(a) for name, a in arrays.items()}
    learnt = [name for name in ("x", "w", "b", "gamma", "beta") if name in tensors]
    for name in learnt:
        tensors[name].requires_grad_()
    out = OPS[op](**tensors, **options)
    out.backward(torch.from_numpy(dout))
    found = {f"d{name}": tensors[name].grad.numpy() for name in learnt}
    found.update({name: tensors[name].numpy() for name in ("mean", "var") if name in tensors})
    return {"out": out.detach().numpy(), **found}


def main(cases_path, answers_path):
    with np.load(cases_path) as cases:
        answers = {}
        for key in [k for k in cases.files if k.endswith("/op")]:
            name = key[: -len("/op")]
            own = {k[len(name) + 1 :]: cases[k].copy() for k in cases.files if k.startswith(name + "/")}
            op, options, dout = str(own.pop("op")), json.loads(str(own.pop("options"))), own.pop("dout")
            answers.update({f"{name}/{k}": v for k, v in answer(op, own, dout, options).items()})
    np.savez(answers_path, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
