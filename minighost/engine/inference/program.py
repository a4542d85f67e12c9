"""Listing the steps: what stands in a network, translated into lines for the machine, with a place in memory for each.

A program is written for one size of image. Its results are registers, some numbers per image; `assemble` lays them
out in the arena of a tile of B images, and two that are never needed at the same time may lie in the same place.
"""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from minighost.engine.activations import KINDS, Clip, Floor
from minighost.engine.geometry import Geometry, geometry
from minighost.engine.inference import step as words
from minighost.engine.inference.step import INPUT, OUTPUT, Step
from minighost.engine.inference.winograd import sizes_of
from minighost.engine.kernels.deferred import along, period
from minighost.engine.kernels.plane import plane_shape, tap_offsets
from minighost.engine.kernels.winograd import tiles_at_a_time

__all__ = ["Part", "Program", "Value"]

_ALIGN = 16  # numbers; a cache line of float32
_WINDOWS, _ROWS = 1 << 15, 64  # numbers of windows that a dense convolution lays out at a time, and rows at least
_NO_WINDOWS = Geometry(*[0] * len(Geometry._fields))
_STEP = dict.fromkeys(Step._fields, 0)
_PLACES = ("a", "b", "o", "scratch")


@dataclass(frozen=True)
class Part:
    """Some channels of a value: the register they lie in, and how many they are."""

    register: int
    C: int


@dataclass(frozen=True)
class Value:
    """What a layer hands to the next: planes of H x W (1 x 1 after a global pool), its channels in one part or more.

    A concatenation is a value of several parts, and costs nothing: a product adds what each part contributes.
    """

    parts: tuple
    H: int
    W: int

    @property
    def C(self):
        """Channels of all parts."""
        return sum(part.C for part in self.parts)

    def placed(self):
        """Yield (first channel, part)."""
        return zip(itertools.accumulate((p.C for p in self.parts), initial=0), self.parts, strict=False)


@dataclass
class Program:
    """Steps in the making.

    Parameters
    ----------
    dtype : dtype
    least : int
        How many images at a time it takes for the widest layer's weights to be worth reading.
    steps : list of Step
        With registers in place of places.
    lines : list of ndarray
        Numbers the steps refer to besides the weights: biases, limits, depthwise weights along a line.
    tables : list of ndarray, int64
        Whole numbers the steps refer to: offsets of taps.
    """

    dtype: np.dtype
    least: int = 1
    steps: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    tables: list = field(default_factory=list)
    _registers: list = field(default_factory=list)  # numbers of each: (an image, once)
    _filled: int = 0

    # What the machine can do -----------------------------------------------------------------------------------

    def product(self, value, OC, w, b, act):
        """A 1x1 convolution or a linear layer; `w` is the place of its weights (C, OC), rows `row_pitch` apart."""
        out, bias = self._register(value.H * value.W * OC), self._bias(_repeated(b), act)
        for first, part in value.placed():
            more = first + part.C < value.C
            self._add(
                words.PRODUCT,
                value,
                part,
                out,
                OC,
                w=w + first * words.row_pitch(OC),
                **bias,
                flag=(first > 0) + 2 * more,
            )
        return Value((Part(out, OC),), value.H, value.W)

    def depthwise(self, value, w, b, act, g):
        """One filter a channel: w (KH, KW, C)."""
        return self._by_part(value, lambda first, part: self._depthwise(value, first, part, w, b, act, g))

    def _depthwise(self, value, first, part, w, b, act, g):
        C, mine = part.C, slice(first, first + part.C)
        out, lanes, plane = (
            self._register(g.OH * g.OW * C),
            period(g.OW, C, self.dtype),
            plane_shape(value.H, value.W, C, g, self.dtype),
        )
        self._add(
            words.DEPTHWISE,
            value,
            part,
            out,
            C,
            g,
            w=self._line(along(w[..., mine].reshape(-1, C), lanes)),
            **self._bias(along(b[None, mine], lanes), act),
            table=self._table(tap_offsets(plane, g, C)),
            pitch=plane[2],
            scratch=self._register(0, math.prod(plane) + value.W * C),
        )
        return Value((Part(out, C),), g.OH, g.OW)

    def conv(self, value, OC, w, b, act, g, groups):
        """A dense convolution; `w` is the place of its weights (KH*KW*C/groups, OC), rows `row_pitch` apart."""
        value = self.whole(value)
        (part,), out, K = value.parts, self._register(g.OH * g.OW * OC), g.KH * g.KW * value.C
        lines = min(g.OH, max(_WINDOWS // (g.OW * K), -(-_ROWS // g.OW)))
        plane = (value.H + 2 * g.PH) * (value.W + 2 * g.PW) * part.C
        self._add(
            words.CONV,
            value,
            part,
            out,
            OC,
            g,
            w=w,
            **self._bias(_repeated(b), act),
            pitch=lines,
            flag=groups,
            scratch=self._register(0, plane + lines * g.OW * K),
        )
        return Value((Part(out, OC),), g.OH, g.OW)

    def winograd(self, value, OC, w, b, act, g):
        """A 3x3 convolution without stride; `w` is the place of its transformed weights (36, C, OC)."""
        value = self.whole(value)
        (part,), out = value.parts, self._register(g.OH * g.OW * OC)
        *once, seen, products = sizes_of(value.H, value.W, value.C, OC, g.PH, g.PW)
        self._add(
            words.WINOGRAD,
            value,
            part,
            out,
            OC,
            g,
            w=w,
            **self._bias(_repeated(b), act),
            scratch=self._register(seen + products, sum(once)),
        )
        tiles = -(-g.OH // 4) * -(-g.OW // 4)
        self.least = max(self.least, -(-tiles_at_a_time(value.C, OC) // tiles))
        return Value((Part(out, OC),), g.OH, g.OW)

    def affine(self, value, scale, shift, act):
        """``act(scale*x + shift)``, per channel."""

        def one(first, part):
            mine, out = slice(first, first + part.C), self._register(value.H * value.W * part.C)
            bias = self._bias(_repeated(shift[mine]), act)
            self._add(words.AFFINE, value, part, out, part.C, w=self._line(_repeated(scale[mine])), **bias)
            return Value((Part(out, part.C),), value.H, value.W)

        return self._by_part(value, one)

    def mean(self, value):
        """The mean over the plane."""
        out = self._register(value.C)
        for first, part in value.placed():
            self._add(words.MEAN, value, part, out, part.C, first=first, pitch=value.C, o_size=value.C)
        return Value((Part(out, value.C),), 1, 1)

    def scale(self, value, gate):
        """Every pixel times the nearest gate of its channel; gates are a value of one part, of any plane."""

        def one(first, part):
            out = self._register(value.H * value.W * part.C)
            self._add(
                words.SCALE,
                value,
                part,
                out,
                part.C,
                b=gate.parts[0].register,
                b_size=gate.H * gate.W * gate.C,
                KH=gate.H,
                KW=gate.W,
                first=first,
                pitch=gate.C,
            )
            return Value((Part(out, part.C),), value.H, value.W)

        return self._by_part(value, one)

    def shift_max(self, value, coefficients, following):
        """The largest of several mixtures of channel c with channel ``following[c]``."""
        (part,), C = value.parts, value.C
        out = self._register(value.H * value.W * C)
        b = {"b": coefficients.parts[0].register, "b_size": coefficients.C, "pitch": coefficients.C}
        self._add(words.SHIFT_MAX, value, part, out, C, **b, table=self._table(np.asarray(following, np.int64)))
        return Value((Part(out, C),), value.H, value.W)

    def select(self, value, index):
        """The channels of these numbers, in this order, in one part; whole parts in their order cost nothing.

        Numbers that no channel has are left out, as in ``x[..., :n]``.
        """
        index = index[index < value.C]
        kept = [(first, part) for first, part in value.placed() if first in index]
        if np.array_equal(index, [c for first, part in kept for c in range(first, first + part.C)]):
            return Value(tuple(part for _, part in kept), value.H, value.W)
        OC, K = len(index), value.H * value.W
        out = self._register(K * OC)
        for first, part in value.placed():
            target = np.flatnonzero((first <= index) & (index < first + part.C))
            if len(target):
                source = index[target] - first
                gapless = all((np.diff(run) == 1).all() for run in (source, target))
                self._add(
                    words.SELECT,
                    value,
                    part,
                    out,
                    len(target),
                    table=self._table(np.concatenate([source, target])),
                    pitch=OC,
                    flag=int(gapless),
                    o_size=K * OC,
                )
        return Value((Part(out, OC),), value.H, value.W)

    def pool(self, value, bounds, counts=None):
        """The maximum over windows; or the mean, with the rows (OH,) and columns (OW,) that count in each window.

        `bounds` has where windows begin and end: rows (OH, 2) and columns (OW, 2).
        """
        op, size = (words.MAX_POOL if counts is None else words.AVG_POOL), tuple(map(len, bounds))
        table = self._table(np.concatenate([*map(np.ravel, bounds), *(counts or ())]))
        g = _NO_WINDOWS._replace(OH=size[0], OW=size[1])

        def one(_, part):
            out = self._register(math.prod(size) * part.C)
            self._add(op, value, part, out, part.C, g, table=table)
            return Value((Part(out, part.C),), *size)

        return self._by_part(value, one)

    def pad(self, value, sides, edge=False):
        """Zeros around the plane, or its nearest pixels."""
        (above, below), (left, right) = sides
        size = above + value.H + below, left + value.W + right
        g = Geometry(1, 1, 1, 1, above, left, 1, 1, *size)

        def one(_, part):
            out = self._register(math.prod(size) * part.C)
            self._add(words.PAD, value, part, out, part.C, g, flag=edge)
            return Value((Part(out, part.C),), *size)

        return self._by_part(value, one)

    def response_norm(self, value, size, alpha, k, beta):
        """Local response normalisation."""
        value = self.whole(value)
        (part,), out = value.parts, self._register(value.H * value.W * value.C)
        numbers = self._line(np.array([alpha, k, beta]))
        self._add(words.RESPONSE_NORM, value, part, out, part.C, flag=size, w=numbers)
        return Value((Part(out, part.C),), value.H, value.W)

    def add(self, value, other):
        """The sum of two values, in one part."""
        return self._join(value, self.whole(other))

    def row(self, value):
        """The numbers of each image in a row."""
        (part,) = self.whole(value).parts
        return Value((Part(part.register, value.H * value.W * value.C),), 1, 1)

    def whole(self, value):
        """The same value in one part."""
        return value if len(value.parts) == 1 else self._join(value, None)

    def _join(self, value, other):
        out, C = self._register(value.H * value.W * value.C), value.C
        b = {} if other is None else {"b": other.parts[0].register, "b_size": value.H * value.W * C, "flag": 1}
        for first, part in value.placed():
            self._add(words.JOIN, value, part, out, part.C, first=first, pitch=C, **b, o_size=value.H * value.W * C)
        return Value((Part(out, C),), value.H, value.W)

    # How it is written down ------------------------------------------------------------------------------------

    def window(self, value, kernel_size, stride, padding, dilation=1):
        """The `Geometry` of windows over a value's planes."""
        return geometry("fold", (value.H, value.W), kernel_size, stride, padding, dilation)

    def _by_part(self, value, one):
        """Apply what leaves channels alone to each part; `one` gets its first channel and the part."""
        done = [one(first, part) for first, part in value.placed()]
        return Value(tuple(v.parts[0] for v in done), done[0].H, done[0].W)

    def _add(self, op, value, part, out, OC, g=_NO_WINDOWS, **fields):
        H, W = (g.OH, g.OW) if g.OH else (value.H, value.W)
        sizes = {"a_size": value.H * value.W * part.C, "o_size": H * W * OC}
        here = {"op": op, "a": part.register, "o": out, "H": value.H, "W": value.W, "C": part.C, "OC": OC}
        self.steps.append(Step(**{**_STEP, **g._asdict(), **here, **sizes, **fields}))

    def _register(self, numbers, once=0):
        self._registers.append((numbers, once))
        return len(self._registers)  # from 1 on: 0 means that a step has no such operand

    def _line(self, numbers):
        place = self._filled
        padded = np.zeros(-(-numbers.size // _ALIGN) * _ALIGN, self.dtype)
        padded[: numbers.size] = numbers.reshape(-1)
        self.lines.append(padded)
        self._filled += padded.size
        return place

    def _table(self, numbers):
        place = sum(map(len, self.tables))
        self.tables.append(numbers)
        return place

    def _bias(self, b, act):
        """What follows the sum: the fields of a `Step` for it; `b` is repeated already."""
        kind, *limits = _kind(act)
        lines = self._line(b), self._line(np.array(limits, float))
        return {"bias": lines[0], "lanes": b.size, "act": kind, "limits": lines[1]}

    def finish(self, value):
        """Have the last value written to the output; one that is the input itself is copied."""
        copied = len(value.parts) > 1 or value.parts[0].register == INPUT
        (part,) = (self._join(value, None) if copied else value).parts
        self.steps = [
            step._replace(**{f: OUTPUT for f in _PLACES if getattr(step, f) == part.register}) for step in self.steps
        ]

    def assemble(self, B):
        """Lay the registers out for tiles of B images.

        Returns
        -------
        steps : ndarray, shape (steps, fields), int64
        size : int
            Numbers in an arena.
        """
        last = {}
        for k, step in enumerate(self.steps):
            for f in _PLACES:
                last[getattr(step, f)] = k
        places, table, top = {INPUT: INPUT, OUTPUT: OUTPUT, 0: 0}, [], 0
        living: list = []  # (place, end, register) by place
        for k, step in enumerate(self.steps):
            for f in _PLACES:
                register = getattr(step, f)
                if register not in places:
                    numbers, once = self._registers[register - 1]
                    size = -(-(B * numbers + once) // _ALIGN) * _ALIGN
                    places[register] = place = _gap(living, size)
                    living.append((place, place + size, register))
                    living.sort()
                    top = max(top, place + size)
            table.append(step._replace(**{f: places[getattr(step, f)] for f in _PLACES}))
            living = [entry for entry in living if last[entry[2]] > k]
        return np.array(table, np.int64).reshape(-1, len(Step._fields)), top


def _kind(act):
    """An activation's place among `KINDS`, and the limits of a `Clip`, of which `Floor` has one."""
    if isinstance(act, Floor):
        act = Clip(act.low, math.nan)
    return KINDS.index(type(act)), *(act if isinstance(act, Clip) else (math.nan, math.nan))


def _gap(living, size):
    """The first place with so much room."""
    place = 0
    for start, end, _ in living:
        if start - place >= size:
            break
        place = end
    return place


def _repeated(b):
    """Per-channel numbers, repeated for lanes of at most 512."""
    return np.tile(b, max(1, 512 // len(b)))
