"""The fold that a model keeps: in evaluation it answers calls as `nn.fold` does, for as long as nothing has changed.

A call of a model whose modules are all in evaluation is answered by its fold, which is made at the first such call. The
fold depends on three things, and each call asks whether they are as they were (`fold_state`):

* the modules: which there are, of what class, with what attributes;
* the numbers of parameters and buffers. Whoever reads or assigns `data` leaves a stamp there. An array that somebody
  held already when the fold was made may change without one, so a copy of it is compared;
* the classes' forwards.

Only minighost's own classes fold, with their own forwards: what anybody else's does, and what it depends on, is not
known here. Inside such a module those of ours fold one by one.

A backward needs what the layers keep. So the input is kept, and the layers run on it when a backward asks. As long as a
backward follows each call, they run at once. Otherwise the fold always answers, after every change, though making it
takes as long as some calls of the layers: the same numbers in give the same bits out, whatever was called before.
"""

import contextlib
import itertools
import threading
import weakref

import numpy as np

from minighost.nn import checksums
from minighost.nn.fold_state import QUIET, State
from minighost.nn.functional.calls import calls, fusing_is_on

__all__ = ["KeptFold", "answer", "catch_up", "layer_by_layer"]

_SHAPES = 32  # shapes of images that are remembered
_FAULTS = (TypeError, ValueError, RuntimeError, AttributeError, IndexError)  # what layers or folds raise of bad modules

_models: weakref.WeakSet = weakref.WeakSet()  # which have answered by their folds
_turns = itertools.count(1)


@contextlib.contextmanager
def layer_by_layer():
    """Have the layers themselves run in evaluation, for a block of code."""
    before = calls.by_layers
    calls.by_layers = True
    try:
        yield
    finally:
        calls.by_layers = before


def answer(model, x):
    """A module in evaluation is called.

    Returns
    -------
    out : ndarray or None
        The result; None if the layers are to run.
    inside : bool
        Whether modules inside may answer by their folds then.
    """
    if type(model)._known_forward is not type(model).forward or not fusing_is_on() or checksums.is_on():
        return None, True
    if type(x) is not np.ndarray or x.size == 0:
        return None, False
    kept = model._kept_fold
    if kept is not None and kept.waits and model._cache is None:
        return None, False  # a backward has followed the last call
    happened = kept and kept.state.compare(model)
    if happened is None:
        kept = model._kept_fold = None  # it holds arrays, and the next one asks who does
        state = State.of(model)
        if state is None:
            return None, True
        kept = model._kept_fold = KeptFold(state)
    kept.waits = False
    return kept(model, x, happened == QUIET)


def catch_up(module):
    """Run the layers of the model in which `module` is, if that has answered its last call by its fold."""
    found = [one for one in list(_models) if one._kept_fold is not None and one._kept_fold.x is not None]
    found = [one for one in found if any(inner is module for inner in one.modules())]
    if not found:
        return
    model = max(found, key=lambda one: one._kept_fold.turn)
    kept = model._kept_fold
    x, kept.x, kept.waits = kept.x, None, True
    if not any(inner.training for inner in model.modules()):
        with layer_by_layer():
            model(x)


class KeptFold:
    """The fold of a model, and what it was made of.

    Attributes
    ----------
    state : State
    waits : bool
        A backward has asked, so the layers are to run, until no backward follows.
    turn : int
        Which one of all models' calls was the last that it has answered.
    x : ndarray or None
        The last input.
    """

    def __init__(self, state):
        self.state, self.waits, self.turn, self.x = state, False, 0, None
        self._folded, self._shapes, self._shape, self._once = None, {}, None, threading.Lock()

    def __call__(self, model, x, quiet):
        """What `answer` returns; `quiet` says that no layer has been called since the last time."""
        shape = x.shape[1:], x.dtype
        with self._once:
            if self._folded is None:
                self._folded = _fold(model)
            if not self._folded:
                return None, True
            if shape not in self._shapes and not self._look(model, x, shape):
                return None, False
        out = self._folded.run(x)
        if shape != self._shape or not quiet:
            self.state.record(model, self._shapes[shape])
            self._shape = shape
        if self.x is None:
            _models.add(model)
        self.x, self.turn = x, next(_turns)
        return out, False

    def _look(self, model, x, shape):
        """Have the layers look at none of the images: whether x fits, and what `output_shape` each has then."""
        with np.errstate(all="ignore"), layer_by_layer():
            try:
                model(x[:0])
            except _FAULTS:
                return False  # the layers will say what is wrong
        shapes = [module.output_shape for module in (model, *self.state.modules)]
        self._shapes = dict([*self._shapes.items(), (shape, shapes)][-_SHAPES:])
        self._shape = None
        return True


def _fold(model):
    """The fold, or False if there is none, or no gain in it."""
    from minighost.nn.fold_nodes import Convolution  # modules fold, and folds are made of modules
    from minighost.nn.folded import Folded

    try:
        with np.errstate(all="ignore"):
            folded = Folded(model, itself=True)
    except _FAULTS:
        return False
    return folded if any(one.has(Convolution) for one in folded.segments) else False
