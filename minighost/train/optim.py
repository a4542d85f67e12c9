"""Optimizers: how a gradient moves a weight.

SGD with momentum (Sutskever et al. 2013, in PyTorch's form: the rate multiplies the buffer, not the gradient)

    g <- g + weight_decay * p;   b <- momentum * b + g;   p <- p - lr * b               (plain)
                                                          p <- p - lr * (g + momentum * b)   (Nesterov)

and AdamW (Loshchilov & Hutter 2019, algorithm 2), whose decay shrinks the weight itself and never enters the moments.

Both write into ``p.data`` in place, in one pass over memory. Parameters that lie side by side (`nn.flatten`) and are
treated alike are moved by one kernel; the bits are the same as for each by itself.
"""

import math
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from minighost import arguments
from minighost.train.rows import row
from minighost.type_aliases import Array, State

__all__ = ["SGD", "AdamW", "Optimizer", "Parameters"]

if TYPE_CHECKING:  # a configuration asks for names of optimizers, and must not load Numba
    from minighost.nn.flat import Flat
    from minighost.nn.parameter import Parameter

Parameters: TypeAlias = "Iterable[Parameter] | Iterable[dict[str, Any]]"  # or groups of them


class Optimizer:
    """What every optimizer shares: parameter groups, the learning rate, the walk over the parameters, the state dict.

    A new one defines `_new_state` and `_update`, and `_alike` if it treats each number by itself.

    Parameters
    ----------
    params : iterable of Parameter, or of dicts ``{"params": [...], "lr": ..., "weight_decay": ...}``
        A dict is a group; options that it does not name take the constructor's values. A group with an ``"lr_factor"``
        learns at that multiple of the rate, the constructor's or the one that `lr` is set to.
    defaults : dict
        The options and their values. Only these names may appear in a group.

    Raises
    ------
    ValueError
        No parameter at all, a parameter given twice, or an option out of range.
    TypeError
        A group with an unknown option; a model, or anything else than parameters.
    """

    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        if hasattr(params, "parameters"):
            raise TypeError(
                f"{type(self).__name__}: params must be parameters, not a {type(params).__name__}; "
                "pass model.parameters()"
            )
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.groups = [self._group(index, group, defaults) for index, group in enumerate(groups)]
        everything = [p for group in self.groups for p in group["params"]]
        if not everything:
            raise ValueError(f"{type(self).__name__}: got no parameters; pass model.parameters()")
        for p in everything:
            if not (hasattr(p, "data") and hasattr(p, "grad")):
                raise TypeError(
                    f"{type(self).__name__}: params must be Parameters, got a {type(p).__name__} among them; "
                    "pass model.parameters()"
                )
        if len({id(p) for p in everything}) != len(everything):
            raise ValueError(f"{type(self).__name__}: a parameter appears more than once; each belongs to one group")
        self._numbered = [
            (number, p, group)
            for number, (p, group) in enumerate((p, group) for group in self.groups for p in group["params"])
        ]
        self._state: dict[int, dict[str, Array]] = {}
        self._forget_rows()

    def __init_subclass__(cls):
        """Another update need not treat each number by itself, whatever the one that it replaces does."""
        super().__init_subclass__()
        if "_update" in vars(cls) and "_alike" not in vars(cls):
            cls._alike = Optimizer._alike  # type: ignore[method-assign]  # the class is its own

    def __getstate__(self):
        """What a copy takes along: its parameters lie in no row."""
        return {name: value for name, value in vars(self).items() if name not in ("_kinds", "_rows")}

    def __setstate__(self, state):
        vars(self).update(state)
        self._forget_rows()

    def _forget_rows(self):
        self._kinds: dict[int, Any] = {}  # of a parameter's number: the place, or the dtype, that its state is made for
        self._rows: weakref.WeakKeyDictionary[Flat, dict[str, Array]] = weakref.WeakKeyDictionary()  # by slot

    def _group(self, index, group, defaults):
        unknown = set(group) - set(defaults) - {"params", "lr_factor"}
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: group {index} has unknown options {sorted(unknown)}; known: {sorted(defaults)}"
            )
        whole = {"lr_factor": 1.0, **defaults, **group, "params": list(group["params"])}
        for name in ("lr", "weight_decay"):
            whole[name] = arguments.number(type(self).__name__, name, whole[name], least=0)
        whole["lr_factor"] = arguments.number(type(self).__name__, "lr_factor", whole["lr_factor"], above=0)
        if "lr" not in group:
            whole["lr"] *= whole["lr_factor"]
        return whole

    @property
    def lr(self) -> float:
        """Learning rate of the first group; setting it sets that of all groups, times their ``lr_factor``."""
        return self.groups[0]["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        value = arguments.number(type(self).__name__, "lr", value, least=0)
        for group in self.groups:
            group["lr"] = value * group["lr_factor"]

    def zero_grad(self) -> None:
        """Forget all gradients (``p.grad = None``)."""
        for _, p, _ in self._numbered:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient; those without one are skipped, their state untouched.

        Raises
        ------
        ValueError
            A gradient of another shape, or an array that cannot be written in place. Then nothing has been moved.
        """
        from minighost.nn.flat import neighbours

        moving = [entry for entry in self._numbered if entry[1].grad is not None]
        for number, p, _ in moving:
            self._check(number, p)
        together: dict[tuple[int, ...], list[Any]] = {}  # by group, and the counters of the state
        for number, p, group in moving:
            slots = self._state_of(number, p)
            if p.place is not None and p.grad is p.place.grad and self._alike(p):
                counters = [int(value) for value in slots.values() if value.dtype.kind == "i"]
                together.setdefault((id(group), *counters), []).append((number, p, group))
            else:
                self._update(p.data.reshape(-1), row(np.asarray(p.grad), p.data.dtype), slots, group)
        for entries in together.values():
            numbers, group = {id(p): number for number, p, _ in entries}, entries[0][2]
            for run in neighbours(p for _, p, _ in entries):
                self._update_run(run, [self._state[numbers[id(p)]] for p in run], group)

    def _new_state(self, data: Array) -> dict[str, Array]:
        """Zeros: what a parameter without a past has; by name of the slot."""
        raise NotImplementedError(f"{type(self).__name__} does not define _new_state(data)")

    def _update(self, data: Array, grad: Array, state: dict[str, Array], group: dict[str, Any]) -> None:
        """Move `data`, flat, in place."""
        raise NotImplementedError(f"{type(self).__name__} does not define _update(data, grad, state, group)")

    def _check(self, number, p):
        data, grad = p.data, np.asarray(p.grad)
        if p.place is not None and p.grad is p.place.grad:
            return
        if grad.shape != data.shape:
            raise ValueError(f"parameter {number}: gradient of shape {grad.shape} for data of shape {data.shape}")
        flags = data.flags
        if type(data) is not np.ndarray or not (flags.carray and data.dtype in (np.float32, np.float64)):
            raise ValueError(
                f"parameter {number} of shape {data.shape}: data must be C-contiguous, writable, aligned "
                f"float32 or float64 to be updated in place; assign np.array(data, order='C')"
            )

    def _alike(self, p):
        """Whether `_update` treats each number of `p` by itself, so that it may be called for neighbours at once.

        Then every slot of its state has the shape and the dtype of `p`, or is a counter, an integer without axes.
        """
        return False

    def _update_run(self, run, states, group):
        """`_update` for neighbours, as if they were one parameter with one axis."""
        flat, start, end = run[0].place.flat, run[0].place.start, run[-1].place.end
        rows = self._rows[flat]
        state = {slot: rows[slot][start:end] if slot in rows else value for slot, value in states[0].items()}
        self._update(flat.data[start:end], flat.grad[start:end], state, group)
        for slots in states[1:]:
            for slot, value in slots.items():
                if slot not in rows:
                    value[...] = state[slot]

    def _state_of(self, number, p):
        """The slots of a parameter, of its dtype, which lie in rows if it does."""
        kind = p.data.dtype if p.place is None else p.place
        if self._kinds.get(number) is kind:
            return self._state[number]
        fresh = self._new_state(p.data)
        slots = self._state.get(number, fresh)
        self._state[number] = {slot: self._laid(p, slot, slots[slot], fresh[slot].dtype) for slot in fresh}
        self._kinds[number] = kind
        return self._state[number]

    def _laid(self, p, slot, value, dtype):
        place = p.place
        if place is None or value.shape != p.shape or dtype != place.flat.data.dtype:
            return value.astype(dtype, copy=False)
        rows = self._rows.setdefault(place.flat, {})
        if slot not in rows:
            rows[slot] = np.zeros(place.flat.grad.size, dtype)
        laid = place.of(rows[slot], p.shape)
        laid[...] = value
        return laid

    def state_dict(self) -> State:
        """All that a resumed run needs beside the constructor's options.

        Returns
        -------
        dict of str to ndarray
            Copies: ``"lr.<group>"`` (0-d float64) and ``"<slot>.<parameter number>"``, numbered over all groups in
            order.
        """
        state: State = {f"lr.{index}": np.array(group["lr"], np.float64) for index, group in enumerate(self.groups)}
        for number, slots in self._state.items():
            state.update({f"{slot}.{number}": np.array(value) for slot, value in slots.items()})
        return state

    def load_state_dict(self, state: State) -> None:
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
        self._forget_rows()
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

    def __init__(
        self, params: Parameters, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, dict(lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay))
        for group in self.groups:
            group["momentum"] = arguments.number("SGD", "momentum", group["momentum"], least=0)
            if group["nesterov"] and not group["momentum"]:
                raise ValueError("SGD: nesterov=True needs momentum > 0, got momentum=0")

    def _new_state(self, data):
        return {"momentum": np.zeros(data.shape, data.dtype)}

    def _alike(self, p):
        return True

    def _update(self, p, g, state, group):
        from minighost.engine import updates  # here, for it loads Numba

        rates = group["lr"], group["momentum"], group["weight_decay"]
        updates.sgd_update(p, g, state["momentum"].reshape(-1), *rates, group["nesterov"])


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

    def __init__(
        self,
        params: Parameters,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
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

    def _alike(self, p):
        return True

    def _update(self, p, g, state, group):
        from minighost.engine import updates  # here, for it loads Numba

        lr, (beta1, beta2) = group["lr"], group["betas"]
        state["step"] += 1
        t = int(state["step"])
        moments = beta1, 1 - beta1, beta2, 1 - beta2
        steps = lr / (1 - beta1**t), math.sqrt(1 - beta2**t), group["eps"], 1 - lr * group["weight_decay"]
        mean, square = state["mean"].reshape(-1), state["square"].reshape(-1)
        updates.adamw_update(p, g, mean, square, updates.AdamWRates(*moments, *steps))
