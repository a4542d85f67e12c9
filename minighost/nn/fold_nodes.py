"""What a folded network consists of: nodes that list their steps for the machine in `engine.inference`.

A node has ``emit(program, *values)``, which lists its steps and returns the value that they leave, and
``seal(weights)``, which copies its weights into the long array of all of them. A node that joins values also has
``apply(*arrays)``, for where an unknown layer beside it keeps the machine from doing it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minighost import ops
from minighost.engine import inference
from minighost.engine.activations import IDENTITY
from minighost.engine.geometry import Geometry
from minighost.engine.kernels.winograd import suits
from minighost.engine.padding import sides, symmetric
from minighost.ops.shift_max import next_channels
from minighost.ops.windows import adaptive_bounds, pooling_windows

__all__ = [
    "AdaptivePool",
    "Add",
    "Affine",
    "Concat",
    "Convolution",
    "Flatten",
    "Gate",
    "GlobalMean",
    "Node",
    "Pad",
    "Plain",
    "Pool",
    "ResponseNorm",
    "Select",
    "ShiftMax",
]


class Node:
    """The base class."""

    def seal(self, weights):
        """Most nodes have no weights."""

    words = ""
    has_planes = True  # whether the result has an axis of lines and one of columns, where the input has

    def kind(self):
        """What it is, in words."""
        return self.words

    def emit(self, program, *values):
        """List the steps."""
        raise NotImplementedError


@dataclass
class Affine(Node):
    """A batch norm that found no convolution before it, or an activation alone; so small that each program has it."""

    words = "scale and shift"

    scale: Any
    shift: Any
    act: Any = IDENTITY

    def emit(self, program, value):
        """One step per part."""
        one = np.ones(value.C)
        return program.affine(value, self.scale * one, self.shift * one, self.act)


@dataclass
class Convolution(Node):
    """A convolution or linear layer with all that was folded into it: w (KH, KW, C/groups, OC), b (OC,).

    `filters` of a depthwise convolution see the same channel. The last channels of its result may have been cut off.
    """

    w: Any
    b: Any
    stride: tuple[int, int] = (1, 1)
    padding: Any = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    filters: int = 1
    act: Any = IDENTITY
    place: int = 0
    shape: tuple = ()

    def seal(self, weights):
        """Where the kernels of a depthwise convolution go depends on the plane; all others go into `weights`."""
        if not self._depthwise:
            self.shape = self.w.shape
            self.place = weights.add(inference.transformed(self.w) if self._winograd else self._rows())
            self.w = None

    def _rows(self):
        """The weights as a matrix, with a gap after each row where the machine wants one."""
        rows = self.w.reshape(-1, self.w.shape[3])
        return np.pad(rows, ((0, 0), (0, inference.row_pitch(rows.shape[1]) - rows.shape[1])))

    @property
    def _depthwise(self):
        return self.w is not None and self.w.shape[2] == 1 and self.groups > 1

    @property
    def _winograd(self):
        """Whether its weights are kept transformed: even for a single image that saves more than it costs to read."""
        KH, KW = self.shape[:2]
        g = Geometry(KH, KW, *self.stride, 0, 0, *self.dilation, OH=4, OW=4)
        return suits(self.shape, g, self.groups)

    def kind(self):
        """Its form."""
        KH, KW, C, _ = self.shape if self.w is None else self.w.shape
        if KH == KW == 1:
            return "matrix product"
        depthwise = " depthwise" if C == 1 < self.groups else ""
        return f"{KH}x{KW}{depthwise} convolution" + (" (Winograd)" if self.w is None and self._winograd else "")

    def select(self, index):
        """Compute only these channels of the result, in this order; False if that is not possible.

        Of a depthwise convolution only the first may be asked for, in a grouped one every channel has its place.
        """
        if self.groups > 1 and (self.w.shape[2] > 1 or not np.array_equal(index, np.arange(len(index)))):
            return False
        self.w, self.b = self.w[..., index], self.b[index]
        return True

    def emit(self, program, value):
        """A product where the kernel is a single tap; one filter per channel; Winograd; or windows and a product."""
        if self._depthwise:
            KH, KW, _, OC = self.w.shape
            if value.C != OC or self.filters > 1:
                value = program.select(value, np.arange(OC) // self.filters)
            value, padding = self._padded(program, value, (KH, KW))
            g = program.window(value, (KH, KW), self.stride, padding, self.dilation)
            return program.depthwise(value, self.w[:, :, 0], self.b, self.act, g)
        KH, KW, _, OC = self.shape
        value, padding = self._padded(program, value, (KH, KW))
        if self.groups == KH == KW == 1 and self.stride == (1, 1) and padding == (0, 0):
            return program.product(value, OC, self.place, self.b, self.act)
        g = program.window(value, (KH, KW), self.stride, padding, self.dilation)
        if self._winograd:
            return program.winograd(value, OC, self.place, self.b, self.act, g)
        return program.conv(value, OC, self.place, self.b, self.act, g, self.groups)

    def _padded(self, program, value, kernel_size):
        """The value, and the padding that is left to the convolution: none, where opposite sides differ."""
        wanted = sides(self.padding, (value.H, value.W), kernel_size, self.stride, self.dilation)
        padding = symmetric(wanted)
        return (program.pad(value, wanted), (0, 0)) if padding is None else (value, padding)


@dataclass
class Pad(Node):
    """Zeros around the plane, or its nearest pixels."""

    words = "padding"

    padding: Any
    mode: str

    def emit(self, program, value):
        """One step per part."""
        return program.pad(value, self.padding, self.mode == "edge")


@dataclass
class GlobalMean(Node):
    """The mean over the plane."""

    words = "mean over the plane"
    has_planes = False

    def emit(self, program, value):
        """One step per part."""
        return program.mean(value)


@dataclass
class Pool(Node):
    """The maximum or the mean over windows."""

    words = "pooling"

    maximum: bool
    kernel_size: Any
    stride: Any
    padding: Any
    ceil_mode: bool
    count_include_pad: bool = True

    def emit(self, program, value):
        """One step per part."""
        plane = value.H, value.W
        windows = pooling_windows("fold", plane, self.kernel_size, self.stride, self.padding, self.ceil_mode)
        counts = None if self.maximum else windows.counts(self.count_include_pad)
        return program.pool(value, windows.bounds(), counts)


@dataclass
class AdaptivePool(Node):
    """The maximum or the mean over as many windows as are asked for; over one of them, without an axis for it."""

    words = "adaptive pooling"

    maximum: bool
    output_size: Any
    has_planes: bool = True

    def emit(self, program, value):
        """One step per part."""
        bounds = adaptive_bounds("fold", (value.H, value.W), self.output_size)
        counts = None if self.maximum else [last - first for first, last in (axis.T for axis in bounds)]
        return program.pool(value, bounds, counts)


@dataclass
class Flatten(Node):
    """All numbers of an image in a row, which costs nothing."""

    words = "pixels in a row"
    has_planes = False

    def emit(self, program, value):
        """No step, unless the parts have to be put together."""
        return program.row(value)


@dataclass
class ResponseNorm(Node):
    """Local response normalisation: ``x / (k + alpha * (sum of squares of `size` channels))**beta``."""

    words = "local response normalisation"

    size: int
    alpha: float
    k: float
    beta: float

    def emit(self, program, value):
        """One step, for all parts put together."""
        return program.response_norm(value, self.size, self.alpha, self.k, self.beta)


@dataclass
class Concat(Node):
    """Channels side by side, which costs nothing."""

    words = "concatenation"

    def emit(self, program, *values):
        """No step."""
        return inference.Value(sum((v.parts for v in values), ()), values[0].H, values[0].W)

    def apply(self, *arrays):
        """In one array."""
        return ops.concat_forward(*arrays)[0]


@dataclass
class Add(Node):
    """A sum."""

    words = "sum"

    def emit(self, program, value, other):
        """One step per part."""
        return program.add(value, other)

    def apply(self, a, b):
        """In one array."""
        return ops.add_forward(a, b)[0]


@dataclass
class Gate(Node):
    """Every channel times its gate: one number per image, or the nearest in a plane of them."""

    words = "gate"

    def emit(self, program, value, gate):
        """One step per part."""
        return program.scale(value, program.whole(gate))

    def apply(self, x, gate):
        """In one array."""
        return (ops.scale_forward if gate.ndim == 2 else ops.scale_map_forward)(x, gate)[0]


@dataclass
class ShiftMax(Node):
    """The largest of several mixtures of every channel with the next; the coefficients are computed per image."""

    words = "shift-max"

    groups: int

    def emit(self, program, value, coefficients):
        """One step, on a value in one part."""
        return program.shift_max(program.whole(value), program.whole(coefficients), self._following(value.C))

    def apply(self, x, coefficients):
        """In one array."""
        N, C = len(x), x.shape[3]
        return ops.shift_max_forward(x, coefficients.reshape(N, coefficients.shape[1] // (2 * C), 2, C), self.groups)[0]

    def _following(self, C):
        return next_channels(C, self.groups)


@dataclass
class Select(Node):
    """``x[..., index]``, where the convolution before it could not compute just that."""

    words = "selection of channels"

    index: Any

    def emit(self, program, value):
        """One step per part that something is taken of."""
        return program.select(value, self.index)


@dataclass
class Plain(Node):
    """A layer that is not known here, as a copy in evaluation mode, and why it is not."""

    words = "unknown layer"

    layer: Any
    reason: str

    def __call__(self, x):
        """Run it and forget what it keeps for a backward."""
        out = self.layer(x)
        for module in self.layer.modules():
            module._cache = None
            if module._kept_fold is not None:
                module._kept_fold.x = None
        return out
