"""The training itself: steps, epochs, and the state that makes a resumed run the same run.

Order of a step: forward, loss, is it finite?, backward, norm of the gradient, is it finite?, learning rate,
optimizer, average. Nothing is written to a weight before both questions are answered.
"""

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minighost.data.loader import Loader
from minighost.errors import FormatError, NonFiniteError
from minighost.finite import unusable
from minighost.nn import Conv2d, ConvBNAct, Sequential, flatten, fold, freeze
from minighost.nn.freezing import frozen_units
from minighost.nn.module import Module
from minighost.nn.pruning import prune
from minighost.train import optimizers, schedules
from minighost.train.checkpoint import load_checkpoint, save_checkpoint
from minighost.train.classification import Classification
from minighost.train.clip import clip_grad_norm, own_gradients
from minighost.train.ema import EMA
from minighost.train.groups import parameter_groups, whitening_stem
from minighost.train.lag import lagging
from minighost.train.nonfinite import ADVICE, explain
from minighost.train.parallel import Single, digest
from minighost.train.progress import Progress, evaluated, part, prefixed
from minighost.train.settings import TrainConfig
from minighost.train.task import Task
from minighost.type_aliases import Array, PathLike, State

__all__ = ["Trainer"]


class Trainer:
    """A model, its data and where it stands.

    Parameters
    ----------
    model : Module
        Training starts from its present weights, which it lays side by side (`nn.flatten`). What is frozen in it, or
        by `config.freeze`, stays as it is; where a chain begins with it, its fold computes it and no backward does.
    loader, test_loader : Loader
        The first drops its last, smaller batch, so that all steps weigh the same. The second may be None.
    config : TrainConfig
    stop : object
        True as soon as the run has been asked to stop; looked at after every step.
    ranks : Single or Ranks, optional
        With whom every batch is shared; the loaders then give this rank's share.
    task : Task, optional
        What is learnt; by default to classify.

    Attributes
    ----------
    epoch, step : int
        Epochs finished, and steps finished in the present one. ``step`` may equal the steps of an epoch: then its
        evaluation is still to come.
    smaller : callable or None
        ``smaller()`` makes the network that `prune` goes on with; None if nothing is to be pruned.
    kept : int or None
        The step (counted from the run's beginning) of the last state that was saved or loaded.
    """

    def __init__(
        self,
        model: Module,
        loader: Loader,
        test_loader: Loader | None,
        config: TrainConfig,
        stop: object = False,
        ranks: Single | None = None,
        task: Task | None = None,
    ) -> None:
        self.loader, self.test_loader, self.config, self.stop = loader, test_loader, config, stop
        self.ranks, self.task = ranks or Single(), task or Classification(config)
        self.smaller: Callable[[], Module] | None = None
        self.epoch, self.step = 0, 0
        self.best: dict[str, Any] | None = None  # its epoch and score
        self.kept: int | None = None
        self._take(model)
        self._begin_epoch()

    def _take(self, model: Module) -> None:
        """Train this model from its present weights: optimizer, schedule and average begin with it."""
        config, self.model = self.config, model
        model.skip_input_gradient()
        if config.freeze is not None:
            freeze(model, config.freeze)
        flatten(model)
        self.ranks.equalise(model)
        self._stem = whitening_stem(model) if config.stem_epochs else {}
        if config.stem_epochs and not self._stem:
            raise ValueError(
                f"train.stem_epochs={config.stem_epochs:g}: {type(model).__name__} has no whitening stem whose biases "
                "could learn; leave it out, or choose quicknet"
            )
        groups = parameter_groups(
            model,
            config.weight_decay,
            body_lr=config.body_lr,
            head_lr=config.head_lr,
            decay_depthwise=config.decay_depthwise,
            apart=[layer.bias for layer in self._stem.values()],
        )
        self.parameters = [p for p in model.parameters() if not p.frozen]
        options = optimizers.options(config.optimizer, vars(config))
        self.optimizer = optimizers.create(config.optimizer, groups, config.lr, **options)
        self.schedule = schedules.extended(
            config.schedule,
            config.lr,
            (*config.extended, config.epochs),
            len(self.loader),
            warmup_epochs=config.warmup_epochs,
            anneal=config.anneal,
            milestones=config.milestones,
            gamma=config.gamma,
        )
        self.ema = EMA(model, config.ema_decay) if config.ema_decay else None
        self._split()

    @property
    def prune_due(self) -> bool:
        """Whether the weakest filters are to go before the next step."""
        return self.smaller is not None and (self.epoch, self.step) == (self.config.prune_after, 0)

    def prune(self) -> None:
        """Go on without the weakest filters (`nn.prune`).

        The rate goes on, too; momentum and average start over, and so does the search for the best epoch, whose weights
        are to be the pruned network's.
        """
        if self.smaller is not None:
            self._take(prune(self.model, self.smaller()))
            self.smaller, self.best = None, None

    def _split(self) -> None:
        """Find the part of the model that is frozen and comes first: its fold has the weights of this moment."""
        frozen, rest = frozen_units(self.model)
        self._frozen = fold(Sequential(*frozen)) if frozen else None
        self._trained = Sequential(*rest) if frozen else self.model
        if frozen and isinstance(rest[0], (Conv2d, ConvBNAct)):
            rest[0].skip_input_gradient()

    def _begin_epoch(self) -> None:
        own = {name: kind() for name, kind in self.task.counts.items()}
        self.sums: dict[str, Any] = {"loss": 0.0, **own, "seen": 0, "seconds": 0.0}

    @property
    def global_step(self) -> int:
        """Steps finished since the run began."""
        return self.epoch * len(self.loader) + self.step

    @property
    def finished(self) -> bool:
        return self.epoch >= self.config.epochs

    def train_epoch(self, after_step: Callable[[dict[str, Any]], object]) -> bool:
        """Take the remaining steps of the current epoch.

        Parameters
        ----------
        after_step : callable
            ``after_step(record)`` with the step's metrics (dict).

        Returns
        -------
        bool
            False if the run was asked to stop in between.
        """
        self.model.train()
        start = time.perf_counter()
        batches = self.loader.epoch(self.epoch, start=self.step)
        try:
            for x, targets in batches:
                record = self.train_step(x, targets)
                self.sums["seconds"] += time.perf_counter() - start
                start = time.perf_counter()
                after_step(record)
                if self.stop:
                    return False
        finally:
            batches.close()
        return True

    def train_step(self, x: Array, targets: Any) -> dict[str, Any]:
        """One step on one batch; NonFiniteError, with the weights untouched, if loss or gradient is not finite."""
        if self._stem and self.global_step == self._stem_steps:
            self._freeze_stem()
        counts, loss, norm = self.gradients(x, targets)
        images = len(x) * self.ranks.count
        self.optimizer.lr = lr = self.schedule(self.global_step)
        if self._stem:
            self.optimizer.groups[-1]["lr"] = self.config.lr * max(0.0, 1 - self.global_step / self._stem_steps)
        self.optimizer.step()
        if not self.config.sync_batch_norm:
            self.ranks.mean_buffers(self.model)
        if self.ema is not None:
            self.ema.update()
        self.step += 1
        for key, value in {"loss": loss * images, **counts, "seen": images}.items():
            self.sums[key] += value
        return {
            "step": self.global_step,
            "epoch": self.epoch + 1,
            "loss": loss,
            **self.task.shares(counts, images),
            "lr": lr,
            "grad_norm": norm,
        }

    @property
    def _stem_steps(self) -> int:
        """Steps in which the biases of a whitening stem learn."""
        return math.ceil(self.config.stem_epochs * len(self.loader))

    def _freeze_stem(self) -> None:
        """Its biases have learnt all that they will: from now on its fold computes it, and no backward does."""
        for path in self._stem:
            freeze(self.model, path)
        if self.ema is not None:
            self.ema.take_frozen()
        self._split()

    def gradients(self, x: Array, targets: Any) -> tuple[dict[str, float], float, float]:
        """Forward and backward: what the task counts, loss, norm of the gradient before clipping.

        All three are of the whole batch, and so are the gradients that stay in the parameters.
        """
        with self.ranks.batch_norm(self.config.sync_batch_norm):
            out = self._trained(x if self._frozen is None else self._frozen(x))
        own = self.task.cost(out, targets)
        losses, *totals = self.ranks.sum(own.loss, *own.counts)
        loss = losses / self.ranks.count
        if not math.isfinite(loss):
            raise self._explain(x, f"the loss is {loss}", out, not math.isfinite(own.loss))
        self.optimizer.zero_grad()
        with self.ranks.batch_norm(self.config.sync_batch_norm):
            self._trained.backward(own.dout)
        for row in own_gradients(self.parameters):
            self.ranks.mean(row)
        norm = clip_grad_norm(self.parameters, self.config.clip_norm or math.inf)
        if not math.isfinite(norm):
            raise self._explain(x, f"the gradient's norm is {norm}", out, True)
        counts = {name: kind(total) for (name, kind), total in zip(self.task.counts.items(), totals, strict=True)}
        return counts, loss, norm

    def _explain(self, x: Array, what: str, out: Any, mine: bool) -> NonFiniteError:
        """The error of the first rank in whose share something is not finite."""
        error = explain(self.model, x, self._where(), what, out, self._kept()) if mine else None
        return NonFiniteError(self.ranks.one_of(error and str(error)))

    def _where(self) -> str:
        return (
            f"step {self.global_step + 1} (epoch {self.epoch + 1}, batch {self.step + 1} of {len(self.loader)}, "
            f"learning rate {self.schedule(self.global_step):.4g})"
        )

    def _kept(self) -> str:
        return "no checkpoint exists yet" if self.kept is None else "the last checkpoint is good"

    @property
    def ends(self) -> bool:
        """Whether the present epoch is the last one that is planned, or was before the run was extended."""
        return self.epoch + 1 >= self.config.epochs or self.epoch + 1 in self.config.extended

    def evaluate(self, tick: Callable[[], object] = lambda: None) -> Any:
        """The task's evaluation of the test images, with the averaged weights if there are any."""
        if self.test_loader is None:
            raise ValueError("evaluate: this trainer has no test images; give it a test_loader")
        with contextlib.nullcontext() if self.ema is None else self.ema.swapped():
            return self.task.evaluate(self.model, self.test_loader, self.ends, tick, self.ranks)

    def lagging(self, loss: float, train_loss: float) -> float | None:
        """What `lag.lagging` says of the weights that are evaluated."""
        if self.test_loader is None:
            return None
        with contextlib.nullcontext() if self.ema is None else self.ema.swapped():
            return lagging(self.model, self.test_loader, loss, train_loss)

    def finish_epoch(self) -> dict[str, Any]:
        """Close the current epoch; returns its training metrics."""
        sums = self.sums
        metrics = {
            "loss": sums["loss"] / sums["seen"],
            **self.task.shares(sums, sums["seen"]),
            "seconds": sums["seconds"],
            "images_per_second": sums["seen"] / max(sums["seconds"], 1e-9),
        }
        self.epoch, self.step = self.epoch + 1, 0
        self._begin_epoch()
        return metrics

    def rehearse(self) -> tuple[float, float, float]:
        """Compile every kernel and time them: a step and an evaluated batch, twice; everything is restored afterwards.

        Also after an exception, Ctrl-C's too.

        Returns
        -------
        first, step, evaluation : float
            Seconds of the first pass (compilation included), of a warm step, of a warm evaluated batch.
        """
        weights, rng_states = self.model.state_dict(), self._rng_states()
        batches = self.loader.epoch(self.epoch)
        x, targets = next(batches)
        batches.close()
        infer, times = self.task.inference(self.model), []
        try:
            if self._frozen is not None:  # the layers themselves look at an image, once: what they compute is counted
                self.model.eval()(x[:1])
            for _ in range(2):
                marks = [time.perf_counter()]
                self.model.train()
                self.gradients(x, targets)
                marks.append(time.perf_counter())
                infer(x)
                marks.append(time.perf_counter())
                times.append(marks)
        finally:
            self.model.train()
            self.model.zero_grad()
            self.model.load_state_dict(weights)
            self._set_rng_states(rng_states)
        (a, _, b), (c, d, e) = times
        return b - a, d - c, e - d

    # State ---------------------------------------------------------------------------------------------------------

    def save(self, path: PathLike, meta: dict[str, Any]) -> None:
        """Write all of it as a checkpoint; `meta` is added to the trainer's own.

        Of several ranks all call it, and the first writes.

        Raises
        ------
        ValueError
            The ranks have different weights.
        NonFiniteError
            A tensor holds a NaN or an infinity; then nothing is written, and the checkpoint of before stays.
        """
        state: dict[str, Any] = Progress(self.epoch, self.step, self.sums, self.best)._asdict()
        state["rng"] = self._rng_states()
        tensors = self._tensors()
        self.check_ranks(tensors)
        self.ranks.from_first(lambda: save_checkpoint(path, tensors, {**meta, "trainer": state}))
        self.kept = self.global_step

    def check_ranks(self, tensors: State | None = None) -> None:
        """Whether all ranks have the same weights, by their hash; ValueError if not."""
        if self.ranks.count > 1:
            self.ranks.same(
                f"after step {self.global_step} the weights are",
                digest(self._tensors() if tensors is None else tensors, self._rng_states()),
                f"processors or versions that differ may round differently; {self._kept()}",
            )

    def save_weights(self, path: PathLike, meta: dict[str, Any]) -> None:
        """Write only the weights that are evaluated (averaged, if there is an average): to predict, not to resume.

        Raises
        ------
        NonFiniteError
            As `save`.
        """
        weights = evaluated(self._tensors())
        meta = {**meta, "trainer": {"epoch": self.epoch, "step": self.step}}
        save_checkpoint(path, prefixed("model/", weights), meta)

    def _tensors(self) -> State:
        tensors = prefixed("model/", self.model.state_dict())
        tensors.update(prefixed("optimizer/", self.optimizer.state_dict()))
        if self.ema is not None:
            tensors.update(prefixed("ema/", self.ema.state_dict()))
        if problems := unusable(tensors):
            raise NonFiniteError(
                f"after step {self.global_step}, whose gradient was finite: {'; '.join(problems[:3])}"
                f"{' and others' * (len(problems) > 3)}. This state was not saved; {self._kept()}. {ADVICE}"
            )
        return tensors

    def load(self, path: PathLike) -> dict[str, Any]:
        """Go back to a checkpoint of `save`; returns its meta data.

        Raises
        ------
        FormatError
            It is of another model, or holds what no network may hold (`nonfinite.unusable`).
        """
        tensors, meta = self.ranks.from_first(lambda: load_checkpoint(path))
        if problems := unusable(tensors):
            raise FormatError(f"{path}.json: cannot continue from this checkpoint: {'; '.join(problems)}")
        try:
            progress = Progress.read(
                meta["trainer"], self.task, self.config.epochs, len(self.loader), self.loader.batch_size
            )
            self._set_rng_states(meta["trainer"]["rng"])
            if self.ema is not None:
                self.ema.load_state_dict(part(tensors, "ema/"))
            self.optimizer.load_state_dict(part(tensors, "optimizer/"))
            self.model.load_state_dict(part(tensors, "model/"))  # last: until here nothing that matters has changed
        except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise FormatError(f"{path}: this checkpoint is of another run: {error}") from error
        self.epoch, self.step, self.sums, self.best = progress
        if self._stem and self.global_step > self._stem_steps:
            self._freeze_stem()
        else:
            self._split()
        self.kept = self.global_step
        return meta

    def _generators(self) -> dict[str, np.random.Generator]:
        """Random generators inside the model (dropout's), by the name of their layer."""
        generators = ((name, getattr(module, "rng", None)) for name, module in self.model.named_modules())
        return {name: rng for name, rng in generators if isinstance(rng, np.random.Generator)}

    def _rng_states(self) -> dict[str, Any]:
        return {name: rng.bit_generator.state for name, rng in self._generators().items()}

    def _set_rng_states(self, states: dict[str, Any]) -> None:
        generators = self._generators()
        if generators.keys() != states.keys():
            raise ValueError(f"random generators of {sorted(states)} for layers {sorted(generators)}")
        for name, state in states.items():
            generators[name].bit_generator.state = state
