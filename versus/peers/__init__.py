"""Who takes part: each peer is a file with ``build(work, threads, variant)``, which returns a `Runner`.

A file is imported in the worker's process only, so that what is not installed hurts nobody.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from minighost.registry import unknown

__all__ = ["PEERS", "Contestant", "Peer", "Runner", "contestant", "missing"]


@dataclass(frozen=True)
class Runner:
    """A contestant ready to go.

    Attributes
    ----------
    step : callable
        Does the work once.
    check : callable
        Called once, before any `step`: does the work and returns its results, a dict of arrays in minighost's layouts.
    """

    step: Callable
    check: Callable


@dataclass(frozen=True)
class Peer:
    """A way to do the work: its file in this folder, how it differs from others of the file, what must be installed."""

    file: str
    variant: str = ""
    needs: tuple = ()
    kinds: tuple = ("train", "infer", "forward", "both")
    subjects: tuple | None = None

    def can(self, work):
        """Whether this peer knows how to do `work`."""
        return work.kind in self.kinds and (self.subjects is None or work.subject in self.subjects)


PEERS = {
    "minighost": Peer("minighost_peer"),
    "torch-nchw": Peer("torch_peer", "nchw", ("torch",)),
    "torch-channels-last": Peer("torch_peer", "channels-last", ("torch",)),
    "torch-compile": Peer("torch_peer", "compile", ("torch",)),  # channels_last too
    "torch-folded": Peer("torch_peer", "folded", ("torch",), ("infer",)),  # channels_last, batch norms folded
    "onnxruntime": Peer("onnx_peer", "", ("torch", "onnx", "onnxruntime"), ("infer",)),
    "mygrad": Peer("mygrad_peer", "", ("mygrad",), ("forward", "both"), ("conv",)),
}


@dataclass(frozen=True)
class Contestant:
    """A peer with a number of threads; `label` is what the tables call it."""

    label: str
    peer: str
    threads: int

    def build(self, work):
        """The `Runner`; imports the peer's file."""
        peer = PEERS[self.peer]
        return importlib.import_module(f"versus.peers.{peer.file}").build(work, self.threads, peer.variant)


def contestant(label, threads):
    """The contestant that ``name`` or ``name@threads`` stands for.

    Raises
    ------
    ValueError
        If there is no such peer, or the number is none.
    """
    name, at, number = label.partition("@")
    if name not in PEERS:
        raise unknown("", "peer", name, PEERS)
    if at and not (number.isdigit() and int(number) > 0):
        raise ValueError(f"peer {label}: the @ must be followed by a number of threads, e.g. {name}@1")
    return Contestant(label, name, int(number) if at else threads)


def missing(name):
    """Packages that the peer needs and that are not installed."""
    return [package for package in PEERS[name].needs if importlib.util.find_spec(package) is None]
