"""Data-parallel training: every process, a *rank*, has all of the network and its share of every batch.

After the backward each rank has the gradient of its own images. The mean over the ranks is the gradient of the whole
batch, with which all take the same step; so their weights stay equal, bit for bit, and are never sent. What the
trainer asks of the others is a `Ranks`. `Single` is the same for one process alone, where all of it is free.

    mpirun -n 4 minighost train --mpi
"""

import contextlib
import hashlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from minighost.engine.batch_norm import across
from minighost.errors import one_line
from minighost.nn.flat import neighbours
from minighost.nn.module import Module
from minighost.nn.parameter import Buffer
from minighost.train.signals import Interrupted, StopRequest
from minighost.type_aliases import Array, State

__all__ = ["Ranks", "SharedStop", "Single", "digest", "start"]

PATIENCE = 2.0  # seconds in which other ranks may fail, too, before the one that has failed ends the whole job

BLOCK = 1 << 14  # numbers that are added up at a time: what stays in the cache

_Value = TypeVar("_Value")
_AnyArray = npt.NDArray[Any]


class Single:
    """One process without others.

    Attributes
    ----------
    rank, count : int
        Which one this is, from 0, and how many there are.
    first : bool
        Whether it is rank 0: the one that writes files and speaks.
    machines : int
        How many computers they are on.
    """

    rank, count, first, machines = 0, 1, True, 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """A rank that leaves the block by an exception takes the others with it."""

    def mean(self, row: Array) -> None:
        """Replace every number of a row (n,) by its mean over the ranks."""

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """Each number's sum over the ranks."""
        return numbers

    def gather(self, array: Array) -> Array:
        """The arrays of all ranks, (count, *shape), in the order of the ranks; each has one of the same shape."""
        return array[None]

    def join(self, array: _AnyArray) -> _AnyArray:
        """The rows of all ranks (N, ...), in the order of the ranks; each may have another number of them."""
        return array

    def any(self, flag: object) -> bool:
        """Whether the flag is true on any rank."""
        return bool(flag)

    def one_of(self, value: _Value | None) -> _Value | None:
        """The value of the first rank that has one."""
        return value

    def together(self, work: Callable[[], _Value], in_turn: bool = False) -> _Value:
        """Do the same work on every rank; what fails on one of them is raised by all.

        `in_turn`: on rank 0 before the others, for whom what it downloads or keeps in a cache is then there.
        """
        return work()

    def from_first(self, work: Callable[[], _Value]) -> _Value:
        """Do work on rank 0 only; all get its result, or raise its exception."""
        return work()

    def same(self, what: str, value: str, why: str) -> None:
        """ValueError, on all ranks, if one of them has another value than rank 0; `why` ends the message."""

    def shared_stop(self, stop: StopRequest) -> "StopRequest | SharedStop":
        """A request to stop that all ranks hear of after the same step."""
        return stop

    def threads(self, most: int) -> int | None:
        """How many threads this rank may use, at most `most`: all on one computer share its cores. None: anyhow."""
        return None

    def check_batch(self, size: int) -> None:
        """Whether a batch can be shared; ValueError if not."""

    def equalise(self, model: Module) -> None:
        """Give all ranks the first one's weights; generators inside the model then draw for the whole batch."""

    def batch_norm(self, synchronised: bool) -> contextlib.AbstractContextManager[None]:
        """Within the block batch norm has the statistics of the whole batch, if `synchronised`, else of its share."""
        return contextlib.nullcontext()

    def mean_buffers(self, model: Module) -> None:
        """Give all ranks the mean of their running statistics."""

    def about(self, batch_size: int, synchronised: bool) -> list[str]:
        """Lines for the head of a run."""
        return []

    def command(self, text: str) -> str:
        """A command as it is to be typed."""
        return text


class Ranks(Single):
    """The processes of an MPI job.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Or what has its `rank`, `size`, `Alltoall`, `Allgather`, `allgather`, `bcast`, `Dup` and `Abort`.
    """

    def __init__(self, comm: Any) -> None:
        self._comm, self._last_words = comm, comm.Dup()
        self.rank, self.count, self.first = comm.rank, comm.size, comm.rank == 0
        self.places: list[tuple[str, frozenset[int]]] = comm.allgather((socket.gethostname(), _cores()))
        self.machines = len({host for host, _ in self.places})

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            return
        if self._all_have_failed():  # alike: what rank 0 says is enough, and each can leave in peace
            if not self.first:
                raise SystemExit(_status(error)) from None
            return
        if not isinstance(error, Interrupted):
            if not isinstance(error, (ValueError, OSError, ArithmeticError)):
                traceback.print_exception(error)
            print(f"minighost: error: {self.name(self.rank)}: {one_line(error)}", file=sys.stderr, flush=True)
        self._comm.Abort(_status(error))

    def _all_have_failed(self):
        """Wait a moment for the others to come here, too: on a communicator that is for nothing else."""
        arrived, end = self._last_words.Ibarrier(), time.monotonic() + PATIENCE
        while not arrived.Test():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def name(self, rank: int) -> str:
        """A rank in words, with its computer if there are several."""
        host = f" on {self.places[rank][0]}" if self.machines > 1 else ""
        return f"rank {rank} of {self.count}{host}"

    def mean(self, row: Array) -> None:
        """Replace every number of a row (n,) by its mean over the ranks.

        Each rank adds up one part of the row, in double precision and in the order of the ranks, and hands the result
        to all: so the bits are the same everywhere and every time, whatever MPI does. (`Allreduce` would leave the
        order to it.) Each sends and receives 2n numbers, however many ranks there are.
        """
        each = -(-len(row) // self.count)
        whole = (
            row if each * self.count == len(row) and row.flags.c_contiguous else np.zeros(each * self.count, row.dtype)
        )
        if whole is not row:
            whole[: len(row)] = row
        parts = np.empty((self.count, each), row.dtype)
        self._comm.Alltoall(whole, parts)
        mine = np.empty(each, row.dtype)
        for lo in range(0, each, BLOCK):
            total = parts[0, lo : lo + BLOCK].astype(np.float64)
            for part in parts[1:]:
                total += part[lo : lo + BLOCK]
            total /= self.count
            mine[lo : lo + BLOCK] = total
        self._comm.Allgather(mine, whole)
        if whole is not row:
            row[...] = whole[: len(row)]

    def sum(self, *numbers: float) -> tuple[float, ...]:
        return tuple(float(sum(column.tolist())) for column in self.gather(np.array(numbers, np.float64)).T)

    def gather(self, array: Array) -> Array:
        array = np.ascontiguousarray(array)
        everyone = np.empty((self.count, *array.shape), array.dtype)
        self._comm.Allgather(array, everyone)
        return everyone

    def join(self, array: _AnyArray) -> _AnyArray:
        return np.concatenate(self._comm.allgather(array))

    def any(self, flag: object) -> bool:
        return self.sum(bool(flag))[0] > 0

    def one_of(self, value: _Value | None) -> _Value | None:
        return next((found for found in self._comm.allgather(value) if found is not None), None)

    def together(self, work: Callable[[], _Value], in_turn: bool = False) -> _Value:
        value, error = _attempt(work) if self.first or not in_turn else (None, None)
        if in_turn and self._comm.bcast(error is None) and not self.first:
            value, error = _attempt(work)
        for rank, text in enumerate(self._comm.allgather(error and one_line(error))):
            if text is not None:
                raise error if error and rank == self.rank else ValueError(f"{self.name(rank)}: {text}")
        return value  # type: ignore[return-value]  # without an error there is a value

    def from_first(self, work: Callable[[], _Value]) -> _Value:
        value, error = _attempt(work) if self.first else (None, None)
        value, text = self._comm.bcast((value, error and one_line(error)))
        if text is not None:
            raise error or ValueError(text)
        return value

    def same(self, what: str, value: str, why: str) -> None:
        values = self._comm.allgather(value)
        others = [self.name(rank) for rank in range(self.count) if values[rank] != values[0]]
        if others:
            raise ValueError(
                f"{', '.join(others[:3])}{' and others' * (len(others) > 3)}: {what} not those of rank 0; {why}"
            )

    def shared_stop(self, stop: StopRequest) -> "SharedStop":
        return SharedStop(stop, self)

    def threads(self, most: int) -> int:
        """How many threads this rank may use, at most `most`: all on one computer share its cores.

        mpirun may have bound each process to cores of its own, or left all of them to all.
        """
        host, own = self.places[self.rank]
        there = [cores for name, cores in self.places if name == host]
        return max(1, min(most, len(own), len(frozenset().union(*there)) // len(there)))

    def check_batch(self, size: int) -> None:
        if size % self.count:
            near = [n for n in (size // self.count * self.count, -(-size // self.count) * self.count) if n]
            raise ValueError(
                f"train.batch_size: {size} images cannot be shared equally by {self.count} ranks; "
                f"use {' or '.join(map(str, near))}"
            )

    def equalise(self, model: Module) -> None:
        generators: list[Any] = [m for m in model.modules() if isinstance(getattr(m, "rng", None), np.random.Generator)]
        state = lambda: (model.state_dict(), [m.rng.bit_generator.state for m in generators])  # noqa: E731
        weights, positions = self.from_first(state)
        model.load_state_dict(weights)
        for module, position in zip(generators, positions, strict=True):
            module.rng.bit_generator.state = position
            module.rng = _Share(module.rng, self.rank, self.count)

    def batch_norm(self, synchronised: bool) -> contextlib.AbstractContextManager[None]:
        return across(self.gather) if synchronised else contextlib.nullcontext()

    def mean_buffers(self, model: Module) -> None:
        for row in _rows(buffer for _, buffer in model.named_buffers() if buffer.data.dtype.kind == "f"):
            self.mean(row)

    def about(self, batch_size: int, synchronised: bool) -> list[str]:
        if self.count == 1:
            return ["ranks    1: nothing to share; `mpirun -n 4 minighost train --mpi` starts four"]
        where = f"{self.machines} computers" if self.machines > 1 else "one computer"
        norm = "over the whole batch" if synchronised else "over each rank's images"
        return [f"ranks    {self.count} on {where}, {batch_size // self.count} images each; batch norm {norm}"]

    def command(self, text: str) -> str:
        return f"mpirun -n {self.count} {text.replace('minighost train', 'minighost train --mpi', 1)}"


class SharedStop:
    """A `StopRequest` that is true on all ranks as soon as one of them has been asked.

    Asking whether it is true asks all ranks, so each has to ask equally often.
    """

    def __init__(self, stop: StopRequest, ranks: Ranks) -> None:
        self._stop, self._ranks = stop, ranks

    def __bool__(self) -> bool:
        number = int(max(self._ranks.gather(np.array([self._stop.signal or 0], np.float64)).max(), 0))
        if number:
            self._stop.signal = number
        return number > 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stop, name)


class _Share(np.random.Generator):
    """A generator whose `random` draws for the whole batch, as one process would, and gives one rank's images.

    So its state is the same on all ranks. The numbers for the others are thrown away.
    """

    def __init__(self, rng: np.random.Generator, rank: int, count: int) -> None:
        super().__init__(rng.bit_generator)
        self._rank, self._count = rank, count

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        shape = (size,) if isinstance(size, int) else tuple(size)
        N = shape[0]
        return super().random((N * self._count, *shape[1:]), dtype)[self._rank * N : (self._rank + 1) * N]


def digest(tensors: State, *more: object) -> str:
    """SHA-256 of tensors by name, and of the text of whatever else is given."""
    sha = hashlib.sha256(repr(more).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        sha.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        sha.update(array.data)
    return sha.hexdigest()


def start() -> Single:
    """The `Ranks` of the job in which mpirun has started this process.

    Raises
    ------
    ModuleNotFoundError, OSError
        No mpi4py, or no MPI library that it can use.
    ValueError
        mpirun has started several processes, but belongs to another MPI than mpi4py's: each would train for itself.
    """
    try:
        from mpi4py import MPI
    except ModuleNotFoundError:
        raise ModuleNotFoundError("--mpi needs mpi4py: pip install 'minighost[mpi]'") from None
    except (ImportError, RuntimeError, OSError) as error:
        raise OSError(
            f"--mpi: mpi4py cannot load an MPI library ({one_line(error)}); install one: pip install mpich"
        ) from error
    comm = MPI.COMM_WORLD
    started = max(_told(name) for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"))
    if comm.size == 1 and started > 1:
        library = MPI.Get_library_version().replace("Version:", "").split()
        raise ValueError(
            f"--mpi: mpirun has started {started} processes, but mpi4py uses {' '.join(library[:2])}, which sees one; "
            f"use the mpirun of that MPI, e.g. {os.path.join(os.path.dirname(sys.executable), 'mpirun')}"
        )
    return Ranks(comm)


def _told(name):
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


def _cores():
    """Those that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _attempt(work):
    """Its result and None, or None and its exception."""
    try:
        return work(), None
    except Exception as error:
        return None, error


def _status(error):
    """Exit status of a process that ends with this exception."""
    return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 2


def _rows(buffers: Iterable[Buffer]) -> Iterator[Array]:
    """The numbers of buffers as rows that can be written to; those that lie side by side are one."""
    for run in neighbours(buffers):
        first, last = run[0].place, run[-1].place
        yield run[0].data.reshape(-1) if first is None else first.flat.data[first.start : last.end]
