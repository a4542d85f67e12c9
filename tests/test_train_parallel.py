"""Ranks that share every batch are one process; here they are threads, which hold the mathematics without an MPI."""

import io
import itertools
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fake_mpi import Aborted, on_ranks, results
from numpy.testing import assert_allclose, assert_array_equal
from training import TinyNet, at_step, outcome, settings

from minighost import data, nn, ops
from minighost.data import Augment, Loader, shapes10
from minighost.errors import NonFiniteError
from minighost.train import Interrupted, clip_grad_norm, load_checkpoint, parallel, resume_config, run
from minighost.train.trainer import Trainer

TRAIN, TEST = shapes10(100), shapes10(41, seed=1)
STATISTICS = dict(zip(("mean", "std"), data.channel_statistics(TRAIN.images), strict=True))


class Net(nn.Sequential):
    """Batch norm of lazy and of plain values, with and without a ReLU inside; dropout and stochastic depth."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 4, 3, stride=4, padding=1, bias=False, rng=0),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 1, bias=False, rng=1),
            nn.BatchNorm2d(6, relu=True),
            nn.AvgPool2d(2),
            nn.BatchNorm2d(6),
            nn.StochasticDepth(0.3, rng=4),
            nn.GlobalAvgPool(),
            nn.Dropout(0.25, rng=5),
            nn.Linear(6, 10, rng=6),
        )


def trained(ranks, steps=5, synchronised=True, dtype=np.float64):
    """Records of some steps, the state they end in, and the evaluation of its float32 copy."""
    config = settings("unused", train__sync_batch_norm=synchronised, train__clip_norm=1.0).train
    loader, test = (
        Loader(TRAIN, 16, augment=Augment(cutout=8), drop_last=True, share=(ranks.rank, ranks.count), **STATISTICS),
        Loader(TEST, 20, shuffle=False, share=(ranks.rank, ranks.count), **STATISTICS),
    )
    model = Net().astype(dtype)
    trainer = Trainer(model, loader, test, config, ranks=ranks)
    model.train()
    batches = itertools.islice(loader.epoch(0), steps)
    records = [trainer.train_step(x.astype(dtype), labels) for x, labels in batches]
    trainer.check_ranks()
    state = {name: value.copy() for name, value in model.state_dict().items()}
    model.astype(np.float32)
    return records, state, trainer.evaluate()


@pytest.fixture(scope="module")
def alone():
    return trained(parallel.Single())


@pytest.mark.parametrize("count", [2, 4])
def test_with_synchronised_batch_norm_ranks_train_as_one_process_does(alone, count):
    every = results(count, trained)
    for records, state, evaluation in every:
        for record, expected in zip(records, alone[0], strict=True):
            assert_allclose(list(record.values()), list(expected.values()), rtol=1e-11)
        for name, value in state.items():
            assert_allclose(value, alone[1][name], rtol=1e-9, atol=1e-11, err_msg=name)
        assert_array_equal(evaluation.labels, alone[2].labels)
        assert_allclose(evaluation.logits, alone[2].logits, atol=1e-5)
    assert all(records == every[0][0] for records, _, _ in every)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(every[0][1].values(), every[-1][1].values(), strict=True))


def test_ranks_compute_the_same_bits_every_time():
    one, two = (results(2, lambda ranks: trained(ranks, dtype=np.float32))[1] for _ in range(2))
    assert one[0] == two[0]
    assert all(one[1][name].tobytes() == two[1][name].tobytes() for name in one[1])


def ghost_batches(parts):
    """The step of `trained` in one process: each part by itself from the same state, then the mean of all."""
    config = settings("unused", train__sync_batch_norm=False, train__clip_norm=1.0).train
    model, loader = Net().astype(np.float64), Loader(TRAIN, 16, augment=Augment(cutout=8), drop_last=True, **STATISTICS)
    trainer, losses = Trainer(model, loader, loader, config), []
    buffers = dict(model.named_buffers())
    model.train()
    for layer in (model[7], model[9]):  # the layers that draw
        layer.rng = Cut(layer.rng, parts)

    def gradients(x, labels):
        before, after, grads, loss = {k: b.data.copy() for k, b in buffers.items()}, [], [], 0
        for k in range(parts):
            for layer in (model[7], model[9]):
                layer.rng.part = k
            for name, buffer in buffers.items():
                buffer.data = before[name]
            own, dlogits = ops.softmax_cross_entropy(model(np.split(x, parts)[k]), np.split(labels, parts)[k])
            model.zero_grad()
            model.backward(dlogits)
            loss += own / parts
            grads.append([p.grad.copy() for p in model.parameters()])
            after.append({name: buffer.data.copy() for name, buffer in buffers.items()})
        for p, *own in zip(model.parameters(), *grads, strict=True):
            p.grad[...] = sum(own) / parts
        for name, buffer in buffers.items():
            buffer.data = sum(state[name] for state in after) / parts
        losses.append(loss)
        return {"right": 0}, float(loss), clip_grad_norm(trainer.parameters, config.clip_norm)

    trainer.gradients = gradients
    for x, labels in itertools.islice(loader.epoch(0), 5):
        trainer.train_step(x.astype(np.float64), labels)
    return losses, model.state_dict()


class Cut:
    """A generator whose numbers for a batch are drawn with its first part, and handed out part by part."""

    def __init__(self, rng, parts):
        self.rng, self.parts, self.part = rng, parts, 0

    def random(self, size, dtype=np.float64):
        shape = (size,) if isinstance(size, int) else size
        if self.part == 0:
            self.drawn = np.split(self.rng.random((shape[0] * self.parts, *shape[1:]), dtype), self.parts)
        return self.drawn[self.part]


def test_with_batch_norm_of_each_rank_they_train_as_one_process_with_ghost_batches():
    losses, state = ghost_batches(2)
    for records, own, _ in results(2, lambda ranks: trained(ranks, synchronised=False)):
        assert_allclose([record["loss"] for record in records], losses, rtol=1e-11)
        for name, value in own.items():
            assert_allclose(value, state[name], rtol=1e-9, atol=1e-11, err_msg=name)


# What ranks do for one another ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 48, 1000])
def test_the_mean_has_the_bits_of_a_sum_in_the_order_of_the_ranks(size):
    values = np.random.default_rng(size).normal(size=(3, size)).astype(np.float32) * [[1], [1e4], [1e-4]]
    values = values.astype(np.float32)

    def work(ranks):
        row = values[ranks.rank].copy()
        ranks.mean(row)
        return row

    expected = (((values[0].astype(np.float64) + values[1]) + values[2]) / 3).astype(np.float32)
    for row in results(3, work):
        assert_array_equal(row, expected)


def test_a_mean_of_equal_numbers_is_that_number(rng):
    row = rng.normal(size=100).astype(np.float32)
    for count in (2, 3, 7):

        def work(ranks):
            own = row.copy()
            ranks.mean(own)
            return own

        for own in results(count, work):
            assert_array_equal(own, row)


def noisy(images, rng):
    return images + rng.integers(0, 9, (len(images), 1, 1, 1), np.uint8)


OWN = [None, Augment(cutout=8), Augment(flip="alternate"), noisy]


@pytest.mark.parametrize("augment", OWN, ids=["none", "cutout", "alternate", "own"])
@pytest.mark.parametrize("count", [2, 3])
def test_the_shares_of_a_batch_put_side_by_side_are_the_batch(augment, count):
    options = {"augment": augment, "seed": 3, **STATISTICS}
    whole = list(Loader(TRAIN, 32, **options).epoch(1))
    shares = [list(Loader(TRAIN, 32, share=(k, count), **options).epoch(1)) for k in range(count)]
    assert len(whole) == 4  # the last one has 4 images
    for (x, labels), *parts in zip(whole, *shares, strict=True):
        assert_array_equal(np.concatenate([part[0] for part in parts]), x)
        assert_array_equal(np.concatenate([part[1] for part in parts]), labels)
        assert max(len(part[1]) for part in parts) - min(len(part[1]) for part in parts) <= 1


def test_a_rank_with_no_image_of_the_last_batch_evaluates_along():
    logits = lambda ranks: trained(ranks, steps=0)[2].logits  # noqa: E731 - 41 images in batches of 20: one is left
    alone = logits(parallel.Single())
    for own in results(3, logits):
        assert_allclose(own, alone, atol=1e-6)


def test_cores_are_divided_among_the_ranks_of_a_computer():
    def ranks(*places):
        fake = object.__new__(parallel.Ranks)
        fake.rank, fake.places = 0, [(host, frozenset(cores)) for host, cores in places]
        return fake

    four = range(4)
    assert ranks(("a", four), ("a", four)).threads(8) == 2
    assert ranks(("a", four), ("b", four)).threads(8) == 4
    assert ranks(("a", [0]), ("a", [1])).threads(8) == 1  # each bound to a core
    assert ranks(("a", four), *[("a", four)] * 7).threads(8) == 1
    assert ranks(("a", four), ("a", four)).threads(1) == 1  # OMP_NUM_THREADS=1


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_what_fails_on_one_rank_is_raised_by_all_with_its_name():
    def work(ranks):
        return ranks.together(lambda: 1 // (1 - ranks.rank), in_turn=True)

    zero, one = on_ranks(2, work)
    assert str(zero) == "rank 1 of 2: integer division or modulo by zero" and isinstance(zero, ValueError)
    assert isinstance(one, SystemExit) and one.code == 2  # what rank 0 says is enough


def test_a_rank_that_fails_alone_says_so_and_aborts_the_others(monkeypatch, capfd):
    monkeypatch.setattr(parallel, "PATIENCE", 0.05)

    def work(ranks):
        if ranks.rank == 1:
            raise OSError(28, "No space left on device", "log.jsonl")
        ranks.any(False)  # waits for rank 1

    assert [type(end) for end in on_ranks(2, work)] == [Aborted, Aborted]
    assert capfd.readouterr().err == "minighost: error: rank 1 of 2: log.jsonl: No space left on device\n"


def test_weights_that_differ_end_the_job_and_are_named():
    def work(ranks):
        config = settings("unused").train
        loader = Loader(TRAIN, 16, share=(ranks.rank, 3), **STATISTICS)
        trainer = Trainer(TinyNet(), loader, loader, config, ranks=ranks)
        trainer.check_ranks()
        if ranks.rank == 2:
            trainer.parameters[0].data[0, 0, 0, 0] += 1e-3
        trainer.check_ranks()

    first = on_ranks(3, work)[0]
    assert isinstance(first, ValueError)
    assert str(first) == (
        "rank 2 of 3: after step 0 the weights are not those of rank 0; processors or versions that differ may round "
        "differently; no checkpoint exists yet"
    )


def test_all_ranks_begin_with_the_weights_of_the_first():
    def work(ranks):
        loader = Loader(TRAIN, 16, share=(ranks.rank, 2), **STATISTICS)
        trainer = Trainer(TinyNet(rng=ranks.rank), loader, loader, settings("unused").train, ranks=ranks)
        trainer.check_ranks()
        return trainer.model.state_dict()

    expected = TinyNet(rng=0).state_dict()
    for state in results(2, work):
        assert all(value.tobytes() == expected[name].tobytes() for name, value in state.items())


@pytest.mark.parametrize("culprit", [0, 1])
def test_a_nan_in_one_share_stops_all_ranks_before_a_weight_changes(culprit):
    def work(ranks):
        loader = Loader(TRAIN, 16, share=(ranks.rank, 2), **STATISTICS)
        config = settings("unused", train__sync_batch_norm=False).train
        trainer = Trainer(TinyNet(), loader, loader, config, ranks=ranks)
        before = {p: p.data.copy() for p in trainer.parameters}
        x, labels = next(loader.epoch(0))
        if ranks.rank == culprit:
            x[0, 0, 0, 0] = np.nan
        with pytest.raises(NonFiniteError, match="the batch of images: 1 of 24576 values are not finite"):
            trainer.train_step(x, labels)
        assert all((p.data == before[p]).all() for p in trainer.parameters)

    results(2, work)


def test_mpi_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ModuleNotFoundError) as error:
        parallel.start()
    assert str(error.value) == "--mpi needs mpi4py: pip install 'minighost[mpi]'"

    class NoLibrary:
        __name__ = "mpi4py"

        def __getattr__(self, name):
            raise RuntimeError("cannot load MPI library\nlibmpi.so: not found")

    monkeypatch.setitem(sys.modules, "mpi4py", NoLibrary())
    with pytest.raises(OSError) as broken:
        parallel.start()
    assert str(broken.value) == (
        "--mpi: mpi4py cannot load an MPI library (cannot load MPI library libmpi.so: not found); install one: "
        "pip install mpich"
    )


def test_an_mpirun_of_another_mpi_is_noticed(monkeypatch):
    version = "MPICH Version:      5.0.2\nMPICH Release date: ..."
    mpi = SimpleNamespace(COMM_WORLD=SimpleNamespace(size=1), Get_library_version=lambda: version)
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=mpi))
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(ValueError) as error:
        parallel.start()
    assert str(error.value).startswith(
        "--mpi: mpirun has started 4 processes, but mpi4py uses MPICH 5.0.2, which sees one; use the mpirun of that MPI"
    )


# Whole runs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(tinynet, tmp_path):
    """``two(config, **options)``: a run on two ranks; what ended each, and what was printed."""

    def start(config, count=2, **options):
        streams = [io.StringIO() for _ in range(count)]
        ended = on_ranks(count, lambda ranks: run(config, ranks=ranks, stream=streams[ranks.rank], **options))
        assert not any(stream.getvalue() for stream in streams[1:])  # only the first one speaks
        return ended, streams[0].getvalue()

    return start


def stop_rank_1(trainer):
    if trainer.ranks.rank == 1:
        trainer.stop._stop.signal = signal.SIGTERM


def test_a_run_that_one_rank_was_asked_to_stop_stops_on_all_and_resumes_bit_for_bit(two, tmp_path, monkeypatch):
    (whole, other), text = two(settings(tmp_path / "whole"))
    assert whole == {**other, "seconds": whole["seconds"], "images_per_second": whole["images_per_second"]}
    assert "ranks    2 on one computer, 8 images each; batch norm over the whole batch\n" in text
    with monkeypatch.context() as patch:
        at_step(patch, 4, stop_rank_1)
        ended, text = two(settings(tmp_path / "part"))
    assert isinstance(ended[0], Interrupted) and [end.code for end in ended] == [143, 143]
    assert "stopped by SIGTERM after 0 of 3 epochs and 4 of 6 steps; everything is saved. Continue with:\n" in text
    assert f"    mpirun -n 2 minighost train --mpi --resume --out {tmp_path}/part\n" in text
    resumed, text = two(resume_config(overrides={"out": str(tmp_path / "part")}), resume=True)
    assert resumed[0]["steps"] == 18 and "resume   after 0 of 3 epochs and 4 of 6 steps\n" in text
    assert outcome(tmp_path / "part") == outcome(tmp_path / "whole")
    assert load_checkpoint(tmp_path / "part" / "checkpoints" / "last")[1]["ranks"] == 2


@pytest.mark.parametrize("synchronised", [True, False])
def test_another_number_of_ranks_continues_only_where_batch_norm_stays_the_same(
    two, tmp_path, monkeypatch, synchronised
):
    with monkeypatch.context() as patch:
        at_step(patch, 2, stop_rank_1)
        two(settings(tmp_path / "run", train__sync_batch_norm=synchronised))
    ended, text = two(resume_config(overrides={"out": str(tmp_path / "run")}), count=1, resume=True)
    if synchronised:
        assert ended[0]["steps"] == 18
        assert "warning: so far 2 ranks shared this run (now 1): the following bits may differ\n" in text
    else:
        assert str(ended[0]) == (
            f"{tmp_path}/run: this run began on 2 ranks, whose batch norm is over 8 images each; 1 would make that 16, "
            "which is another training. Continue with mpirun -n 2 and --mpi"
        )


def test_ranks_with_different_images_are_named(two, tmp_path, monkeypatch):
    def load(name, split, **options):
        own = shapes10(100)
        if split == "train" and len(loads) == 2:  # rank 1's, for rank 0 has loaded both before it
            own.images[0, 0, 0, 0] ^= 1
        loads.append(split)
        return own

    loads = []
    monkeypatch.setattr(data, "load", load)
    ended, _ = two(settings(tmp_path / "run"))
    assert str(ended[0]) == (
        "rank 1 of 2: the training images are not those of rank 0; put the same files on every computer"
    )
    assert not (tmp_path / "run").exists()


def test_a_batch_that_cannot_be_shared_equally_is_refused(two, tmp_path):
    ended, _ = two(settings(tmp_path / "run"), count=3)
    assert str(ended[0]) == "train.batch_size: 16 images cannot be shared equally by 3 ranks; use 15 or 18"


def test_one_rank_alone_says_that_there_is_nothing_to_share(two, tmp_path):
    ended, text = two(settings(tmp_path / "run"), count=1)
    assert ended[0]["steps"] == 18
    assert "ranks    1: nothing to share; `mpirun -n 4 minighost train --mpi` starts four\n" in text
