"""Where trials run: here, on a Dask cluster or on a Ray cluster, each a back end of joblib.

joblib's threads are enough here: they only wait for the trials' processes. Its own processes (loky) would be a second
layer of them, and when one of those is killed all others end with it.
"""

import contextlib
import importlib
import os
import socket
from typing import NamedTuple

from minighost.engine.cores import suitable
from minighost.errors import one_line

__all__ = ["BACKENDS", "Backend", "opened"]

BACKENDS = "local", "dask", "ray"


class Backend(NamedTuple):
    """Workers that are ready.

    Attributes
    ----------
    call : callable
        ``call(function, arguments)`` yields what the function returns for each of the arguments, as they come.
    workers : int
        How many trials run at a time.
    threads : int
        What suits each of them.
    """

    call: object
    workers: int
    threads: int


@contextlib.contextmanager
def opened(name, workers=None, scheduler=None):
    """A `Backend` within the block.

    Parameters
    ----------
    name : {"local", "dask", "ray"}
    workers : int, optional
        Trials at a time: by default 1 here, and as many as the cluster has room for.
    scheduler : str, optional
        HOST:PORT of the cluster.

    Raises
    ------
    ModuleNotFoundError
        The package is not installed; the message says what to install.
    OSError
        The cluster does not answer.
    """
    with {"local": _local, "dask": _dask, "ray": _ray}[name](workers, scheduler) as backend:
        yield backend


def _calls(n_jobs, return_as="generator_unordered", **config):
    import joblib

    def call(function, arguments):
        with joblib.parallel_config(n_jobs=n_jobs, **config):
            parallel = joblib.Parallel(return_as=return_as, batch_size=1)
            yield from parallel(joblib.delayed(function)(argument) for argument in arguments)

    return call


@contextlib.contextmanager
def _local(workers, scheduler):
    workers = workers or 1
    cores, _ = suitable(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    yield Backend(_calls(workers, backend="threading"), workers, max(1, cores // workers))


@contextlib.contextmanager
def _dask(workers, scheduler):
    _import("distributed", "dask", '"minighost[dask]"')
    from distributed import Client

    with _connecting("Dask", scheduler):
        client = Client(scheduler, timeout=10, set_as_default=False)
    with client:
        room = sum(client.ncores().values())
        if not room:
            raise OSError(f"the Dask cluster at {scheduler} has no workers; start some, e.g. dask worker {scheduler}")
        workers = min(workers or room, room)
        yield Backend(_calls(workers, backend="dask", client=client), workers, 1)


@contextlib.contextmanager
def _ray(workers, scheduler):
    ray = _import("ray", "ray", "ray")
    from ray.util.joblib import register_ray

    with _connecting("Ray", scheduler):
        ray.init(address=scheduler, log_to_driver=False, logging_level="ERROR")
    try:
        register_ray()
        room = int(ray.cluster_resources().get("CPU", 1))
        workers = min(workers or room, room)
        yield Backend(_calls(workers, "list", backend="ray"), workers, 1)  # all at the end: it knows no generators
    finally:
        ray.shutdown()


def _import(package, backend, install):
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(f"--backend {backend}: {package} is missing; pip install {install}") from None


@contextlib.contextmanager
def _connecting(name, scheduler):
    """What a cluster's client says when nobody answers, in one line; Ray's would try for minutes."""
    host, _, port = scheduler.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"--scheduler {scheduler}: must read HOST:PORT, e.g. 127.0.0.1:8786")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        yield
    except Exception as error:
        raise OSError(f"no {name} cluster answers at {scheduler}: {one_line(error)}") from error
