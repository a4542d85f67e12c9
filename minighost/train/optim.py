"""Optimizers: how a gradient moves a weight.

SGD with momentum (Sutskever et al. 2013, in PyTorch's form: the rate multiplies the buffer, not the gradient)

    g <- g + weight_decay * p;   b <- momentum * b + g;   p <- p - lr * b               (plain)
                                                          p <- p - lr * (g + momentum * b)   (Nesterov)

and AdamW (Loshchilov & Hutter 2019, algorithm 2), whose decay shrinks the weight itself and never enters the moments.

Both write into ``p.data`` in place, block by block: a block's weight, gradient and buffer meet while they are in
cache, so that a step reads and writes main memory once, and no temporary is larger than a block.
"""

import math
from typing import Any

import numpy as np

from minighost import arguments
from minighost.type_aliases import Array

__all__ = ["SGD", "AdamW", "Optimizer", "blend"]

BLOCK = 1 << 15  # elements: five float32 blocks fit a 1 MB cache


def blend(average, value, keep, scratch):
    """``average <- keep * average + (1 - keep) * value`` in place, from the nearer end.

    ``average + (value - average)`` would lose a `value` that is much the smaller, where next to nothing is to be kept.
    """
    np.subtract(value, average, out=scratch)
    if keep > 0.5:
        scratch *= 1 - keep
        average += scratch
    else:
        scratch *= keep
        np.subtract(value, scratch, out=average)


class Optimizer:
    """What every optimizer shares: parameter groups, the learning rate, scratch memory and the state dict.

    Parameters
    ----------
    params : iterable of Parameter, or of dicts ``{"params": [...], "lr": ..., "weight_decay": ...}``
        A dict is a group; options that it does not name take the constructor's values.
    defaults : dict
        The options and their values. Only these names may appear in a group.

    Raises
    ------
    ValueError
        No parameter at all, a parameter given twice, or an option out of range.
    TypeError
        A group with an unknown option.
    """

    def __init__(self, params, defaults):
        params = list(params)
        groups = params if params and isinstance(params[0], dict) else [{"params": params}]
        self.groups = [self._group(index, group, defaults) for index, group in enumerate(groups)]
        everything = [p for group in self.groups for p in group["params"]]
        if not everything:
            raise ValueError(f"{type(self).__name__}: got no parameters; pass model.parameters()")
        if len({id(p) for p in everything}) != len(everything):
            raise ValueError(f"{type(self).__name__}: a parameter appears more than once; each belongs to one group")
        self._numbered = [
            (number, p, group)
            for number, (p, group) in enumerate((p, group) for group in self.groups for p in group["params"])
        ]
        self._state: dict[int, dict[str, Array]] = {}
        self._scratch: dict[np.dtype[Any], tuple[Array, Array]] = {}

    def _group(self, index, group, defaults):
        unknown = set(group) - set(defaults) - {"params"}
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: group {index} has unknown options {sorted(unknown)}; known: {sorted(defaults)}"
            )
        group = {**defaults, **group, "params": list(group["params"])}
        for name in ("lr", "weight_decay"):
            group[name] = arguments.number(type(self).__name__, name, group[name], least=0)
        return group

    @property
    def lr(self):
        """Learning rate of the first group; setting it sets that of all groups."""
        return self.groups[0]["lr"]

    @lr.setter
    def lr(self, value):
        value = arguments.number(type(self).__name__, "lr", value, least=0)
        for group in self.groups:
            group["lr"] = value

    def zero_grad(self):
        """Forget all gradients (``p.grad = None``)."""
        for _, p, _ in self._numbered:
            p.grad = None

    def step(self):
        """Move every parameter that has a gradient; those without one are skipped, their state untouched."""
        for number, p, group in self._numbered:
            if p.grad is None:
                continue
            data, grad = p.data, np.asarray(p.grad)
            if grad.shape != data.shape:
                raise ValueError(f"parameter {number}: gradient of shape {grad.shape} for data of shape {data.shape}")
            if type(data) is not np.ndarray or not data.flags.carray:
                raise ValueError(
                    f"parameter {number} of shape {data.shape}: data must be C-contiguous, writable and aligned to be "
                    f"updated in place; assign np.array(data, order='C')"
                )
            self._update(data.reshape(-1), grad.reshape(-1), self._state_of(number, data), group)

    def _new_state(self, data: Array) -> dict[str, Array]:
        """Zeros: what a parameter without a past has; by name of the slot."""
        raise NotImplementedError

    def _update(self, data: Array, grad: Array, state: dict[str, Array], group: dict[str, Any]) -> None:
        """Move `data`, flat, in place."""
        raise NotImplementedError

    def _state_of(self, number, data):
        if number not in self._state:
            self._state[number] = self._new_state(data)
        return self._state[number]

    def _scratch_pair(self, dtype):
        if dtype not in self._scratch:
            self._scratch[dtype] = np.empty(BLOCK, dtype), np.empty(BLOCK, dtype)
        return self._scratch[dtype]

    def state_dict(self):
        """All that a resumed run needs beside the constructor's options.

        Returns
        -------
        dict of str to ndarray
            Copies: ``"lr.<group>"`` (0-d float64) and ``"<slot>.<parameter number>"``, numbered over all groups in
            order.
        """
        state = {f"lr.{index}": np.array(group["lr"], np.float64) for index, group in enumerate(self.groups)}
        for number, slots in self._state.items():
            state.update({f"{slot}.{number}": np.array(value) for slot, value in slots.items()})
        return state

    def load_state_dict(self, state):
        """Take over what `state_dict` gave. All differences are reported at once and nothing is loaded on failure.

        Raises
        ------
        ValueError
            Names that this optimizer does not have, missing slots, or arrays of another shape.
        """
        known = {f"lr.{index}": np.shape(0.0) for index in range(len(self.groups))}
        slots_of = {number: self._new_state(p.data) for number, p, _ in self._numbered}
        for number, slots in slots_of.items():
            known.update({f"{slot}.{number}": np.shape(value) for slot, value in slots.items()})
        started = {int(name.rpartition(".")[2]) for name in state if name in known and not name.startswith("lr.")}
        needed = [f"lr.{index}" for index in range(len(self.groups))]
        needed += [f"{slot}.{number}" for number in sorted(started) for slot in slots_of[number]]
        problems = [f"unexpected {name!r}" for name in state if name not in known]
        problems += [f"missing {name!r}" for name in needed if name not in state]
        problems += [
            f"{name!r} has shape {np.shape(state[name])}, expected {known[name]}"
            for name in state
            if name in known and np.shape(state[name]) != known[name]
        ]
        if problems:
            raise ValueError(
                f"{type(self).__name__}: this state belongs to another optimizer or model: " + "; ".join(problems)
            )
        for index, group in enumerate(self.groups):
            group["lr"] = float(state[f"lr.{index}"])
        self._state = {}
        for number in sorted(started):
            self._state[number] = {
                slot: np.array(state[f"{slot}.{number}"], dtype=np.asarray(value).dtype, order="C")
                for slot, value in slots_of[number].items()
            }


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, exactly as PyTorch defines it (dampening 0).

    Parameters
    ----------
    params : iterable of Parameter or of groups
        See `Optimizer`. Every parameter given is decayed by its group's `weight_decay`; making the groups is the
        caller's choice.
    lr : float
        Step size, >= 0.
    momentum : float
        Share of the old buffer that is kept, >= 0. The buffer starts as the first gradient, not as zero.
    nesterov : bool
        Look one step ahead; needs ``momentum > 0``.
    weight_decay : float
        L2 coefficient, added to the gradient before the momentum.

    Examples
    --------
    With ``momentum=0.5, lr=1``, a weight 0 and the gradient 1 twice: the buffer is 1, then 1.5; the weight is -1,
    then -2.5.
    """

    def __init__(self, params, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay))
        for group in self.groups:
            group["momentum"] = arguments.number("SGD", "momentum", group["momentum"], least=0)
            if group["nesterov"] and not group["momentum"]:
                raise ValueError("SGD: nesterov=True needs momentum > 0, got momentum=0")

    def _new_state(self, data):
        return {"momentum": np.zeros(data.shape, data.dtype)}

    def _update(self, p, g, state, group):
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        buffer = state["momentum"].reshape(-1)
        a, b = self._scratch_pair(p.dtype)
        for lo in range(0, p.size, BLOCK):
            block = slice(lo, lo + BLOCK)
            pk, gk, bk = p[block], g[block], buffer[block]
            d, s = a[: pk.size], b[: pk.size]
            if decay:
                np.multiply(pk, decay, out=d)
                d += gk
            else:
                d[...] = gk
            if momentum:
                bk *= momentum  # zero at first, so the first buffer is the gradient itself
                bk += d
                if group["nesterov"]:
                    np.multiply(bk, momentum, out=s)
                    d += s
                else:
                    d[...] = bk
            d *= lr
            pk -= d


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), exactly as PyTorch defines it.

        p <- p (1 - lr wd);  m <- m + (1-b1)(g - m);  v <- b2 v + (1-b2) g²;
        p <- p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)

    Parameters
    ----------
    params : iterable of Parameter or of groups
        See `Optimizer`.
    lr : float
        Step size, >= 0.
    betas : pair of float
        Decay of the first and second moment, each in [0, 1).
    eps : float
        Added to the root, >= 0. With 0 a weight whose gradients were all 0 becomes 0/0, NaN, as in PyTorch.
    weight_decay : float
        Share of ``lr`` by which the weight itself shrinks each step.

    Notes
    -----
    ``t`` counts each parameter's own steps, so that one which had no gradient for a while is corrected rightly.
    """

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))
        for group in self.groups:
            betas = group["betas"]
            if not isinstance(betas, (tuple, list)) or len(betas) != 2:
                raise ValueError(f"AdamW: betas must be two numbers, got {betas!r}")
            group["betas"] = tuple(
                arguments.number("AdamW", f"betas[{k}]", beta, least=0, below=1) for k, beta in enumerate(betas)
            )
            group["eps"] = arguments.number("AdamW", "eps", group["eps"], least=0)

    def _new_state(self, data):
        return {
            "step": np.zeros((), np.int64),
            "mean": np.zeros(data.shape, data.dtype),
            "square": np.zeros(data.shape, data.dtype),
        }

    def _update(self, p, g, state, group):
        lr, (beta1, beta2), eps = group["lr"], group["betas"], group["eps"]
        state["step"] += 1
        t = int(state["step"])
        rate, root = lr / (1 - beta1**t), math.sqrt(1 - beta2**t)
        mean, square = state["mean"].reshape(-1), state["square"].reshape(-1)
        a, _ = self._scratch_pair(p.dtype)
        for lo in range(0, p.size, BLOCK):
            block = slice(lo, lo + BLOCK)
            pk, gk, mk, vk = p[block], g[block], mean[block], square[block]
            s = a[: pk.size]
            pk *= 1 - lr * group["weight_decay"]
            blend(mk, gk, beta1, s)
            np.multiply(gk, gk, out=s)
            s *= 1 - beta2
            vk *= beta2
            vk += s
            np.sqrt(vk, out=s)
            s /= root
            s += eps
            np.divide(mk, s, out=s)
            s *= rate
            pk -= s
