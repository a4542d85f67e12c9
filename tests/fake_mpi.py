"""Ranks as threads of one process: what a communicator of MPI does, with a list and a barrier."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from minighost.train.parallel import Ranks

SECONDS = 60.0  # after which a rank that waits in vain gives up


class Aborted(BaseException):
    """What has become of a rank whose job was aborted; its argument is the exit status."""


class _Hall:
    """Where the ranks meet: each lays something down, then all look at all of it."""

    def __init__(self, size):
        self.size, self.table, self.status, self.failed = size, [None] * size, None, 0
        self.barrier, self.lock = threading.Barrier(size), threading.Lock()

    def meet(self, rank, thing):
        self.table[rank] = thing
        self._wait()
        seen = list(self.table)
        self._wait()
        return seen

    def _wait(self):
        try:
            self.barrier.wait(SECONDS)
        except threading.BrokenBarrierError:
            raise Aborted(self.status) from None


class FakeComm:
    """The part of mpi4py's `Comm` that `Ranks` uses."""

    def __init__(self, hall, rank):
        self.hall, self.rank, self.size = hall, rank, hall.size

    def Dup(self):
        return self

    def allgather(self, thing):
        return [pickle.loads(sent) for sent in self.hall.meet(self.rank, pickle.dumps(thing))]

    def bcast(self, thing):
        return pickle.loads(self.hall.meet(self.rank, pickle.dumps(thing))[0])

    def Allgather(self, send, receive):
        parts = self.hall.meet(self.rank, np.array(send))
        receive.reshape(self.size, -1)[...] = [part.reshape(-1) for part in parts]

    def Alltoall(self, send, receive):
        whole = self.hall.meet(self.rank, np.array(send))
        receive.reshape(self.size, -1)[...] = [one.reshape(self.size, -1)[self.rank] for one in whole]

    def Ibarrier(self):
        with self.hall.lock:
            self.hall.failed += 1
        return self

    def Test(self):
        return self.hall.failed == self.size

    def Abort(self, status):
        self.hall.status = status
        self.hall.barrier.abort()
        raise Aborted(status)


def on_ranks(count, work):
    """``[work(ranks) for each rank]``, all at once; in place of a result what has ended a rank instead."""
    hall = _Hall(count)

    def one(rank):
        try:
            with Ranks(FakeComm(hall, rank)) as ranks:
                return work(ranks)
        except BaseException as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def results(count, work):
    """As `on_ranks`, for work that must succeed."""
    done = on_ranks(count, work)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return done
