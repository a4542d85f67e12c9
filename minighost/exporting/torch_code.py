"""The graph as PyTorch code that a person can read: a module with its layers and its forward written out.

What is written needs PyTorch and safetensors, and nothing of minighost. Layers with weights become attributes of the
module; all else is a line of the forward. Weights are in PyTorch's layouts, in a safetensors file beside the code.
"""

import json
import keyword
import re
from collections import Counter

import numpy as np

__all__ = ["torch_code"]


def torch_code(graph, name, weights_file, about):
    """The code, and the weights.

    Parameters
    ----------
    graph : Graph
    name : str
        Of the network, for the docstring.
    weights_file : str
        Name of the safetensors file, which is looked for beside the code.
    about : dict
        ``classes``, ``mean`` and ``std`` or None, ``size``, ``version``.

    Returns
    -------
    code : str
    weights : dict of str to ndarray
    """
    writer = _Writer(graph)
    for step in graph.steps:
        writer.write(step)
    H, W, C = graph.images.shape
    constants = {"CLASSES": about["classes"], "MEAN": about["mean"], "STD": about["std"], "SIZE": [H, W]}
    code = _CODE.format(
        name=_words(name),
        version=about["version"],
        C=C,
        constants="\n".join(f"{key} = {_literal(value)}" for key, value in constants.items()),
        mode='.convert("L")' if C == 1 else "",
        weights=_literal(weights_file),
        result=writer.names["logits"],
        layers="\n".join(f"        {line}" for line in writer.layers),
        lines="\n".join(f"        {name} = {expression}" for name, expression in writer.lines),
    )
    return code, writer.weights


_CODE = '''"""{name}, written by minighost {version}: a network in evaluation, batch norm folded into its convolutions.

    net = load()
    logits = net(preprocess(PIL.Image.open("cat.jpg")))      # (1, number of classes)
    CLASSES[int(logits.argmax())]
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

{constants}


class Net(nn.Module):
    """Images (N, {C}, H, W), float32 from 0 to 1, -> logits; they are normalised inside."""

    def __init__(self):
        super().__init__()
{layers}

    def forward(self, images):
{lines}
        return {result}


def load(file=None):
    """The network with its weights, by default those beside this file."""
    from safetensors.torch import load_file

    net = Net()
    net.load_state_dict(load_file(file or Path(__file__).with_name({weights})))
    return net.eval()


def preprocess(image):
    """A PIL image -> (1, {C}, H, W): its centre, scaled as in training; values from 0 to 1."""
    (H, W), (width, height) = SIZE, image.size
    w, h = (max(1, height * W // H), height) if width * H > height * W else (width, max(1, width * H // W))
    left, top = (width - w) // 2, (height - h) // 2
    image = image.convert("RGB").crop((left, top, left + w, top + h)).resize((W, H), 3){mode}  # 3: bicubic
    pixels = np.asarray(image, np.float32).reshape(H, W, {C}) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]
'''


def _literal(value):
    """Python's words for a value that JSON knows; what stands in a name cannot leave its quotes."""
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _words(name):
    """A name for a docstring."""
    return re.sub(r"[^\w .,:()-]", "_", name)


class _Writer:
    """Lines in the making: a method for each key of `numpy_graph.OPERATIONS` returns an expression."""

    def __init__(self, graph):
        self.graph, self.layers, self.lines, self.weights = graph, [], [], {}
        self.names = {}  # of the variables
        self.uses = Counter(name for step in graph.steps for name in step.inputs)

    def write(self, step):
        """Write one step down."""
        self.step, self.shape = step, self.graph.shapes[step.inputs[0]]
        arrays = {argument: self.graph.arrays[name] for argument, name in step.arrays.items()}
        inputs = [self.names.get(name, name) for name in step.inputs]
        if step.op in _ACTIVATIONS and self.lines and self.lines[-1][0] == inputs[0] and self.uses[step.inputs[0]] == 1:
            name, before = self.lines.pop()  # nobody else reads it: both stand in one line
            inputs = [before]
            self.names[step.output] = name
        else:
            name = self.names[step.output] = _identifier(step.output)
        self.lines.append((name, getattr(self, step.op)(*inputs, **arrays, **step.options)))

    def layer(self, kind, *arguments, **options):
        """Add an attribute; returns its name."""
        given = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())]
        path, _, weight = self.step.arrays["w"].rpartition(".")
        name = _identifier(f"{path or self.step.output}{weight.removeprefix('weight')}")
        self.layers.append(f"self.{name} = nn.{kind}({', '.join(given)})")
        return f"self.{name}"

    def weight(self, layer, **arrays):
        """Give a layer its weights."""
        for name, array in arrays.items():
            self.weights[f"{layer.removeprefix('self.')}.{name}"] = np.ascontiguousarray(array, np.float32)

    def buffer(self, word, array):
        """Add an array that is no weight of a layer; returns the expression that reads it."""
        name = f"{_identifier(self.step.output)}_{word}"
        self.layers.append(f'self.register_buffer("{name}", torch.zeros({tuple(array.shape)}))')
        self.weights[name] = np.ascontiguousarray(array, np.float32)
        return f"self.{name}"

    def number(self, word, array):
        """A constant beside a value: the number itself if it is one."""
        if array.size == 1:
            return repr(array.item()) if np.isfinite(array).all() else f'float("{array.item()}")'
        if len(self.shape) == 3:
            array = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(0, 3, 1, 2)
        return self.buffer(word, array)

    def _axis(self, axis):
        """An axis of a batch with channels last, where they come first."""
        return {1: 2, 2: 3, 3: 1}[axis] if len(self.shape) == 3 else axis

    # Convolutions ----------------------------------------------------------------------------------------------

    def conv(self, x, w, b, stride, padding, dilation, groups):
        KH, KW, C, OC = w.shape
        x, both = self._padded(x, padding)
        options = {"stride": stride, "padding": both, "dilation": dilation}
        usual = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
        options = {name: _short(value) for name, value in options.items() if value != usual[name]}
        if groups > 1:
            options["groups"] = groups
        layer = self.layer("Conv2d", C * groups, OC, _short([KH, KW]), **options)
        self.weight(layer, weight=w.transpose(3, 2, 0, 1), bias=b)
        return f"{layer}({x})"

    def conv_transpose(self, x, w, b, stride, padding, output_padding, dilation, groups):
        KH, KW, OC, C = w.shape
        options = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
        options = {name: _short(value) for name, value in options.items()}
        layer = self.layer("ConvTranspose2d", C, OC * groups, _short([KH, KW]), groups=groups, **options)
        self.weight(layer, weight=w.transpose(3, 2, 0, 1), bias=b)
        return f"{layer}({x})"

    def linear(self, x, w, b):
        layer = self.layer("Linear", *w.shape)
        self.weight(layer, weight=w.T, bias=b)
        return f"{layer}({x})"

    # Numbers one by one ----------------------------------------------------------------------------------------

    def affine(self, x, scale, shift):
        moved = (shift != 0).any()
        if (scale != 1).any() or not moved:
            x = f"{x} * {self.number('scale', scale)}"
        return f"{x} + {self.number('shift', shift)}" if moved else x

    def clip(self, x, low, high):
        return f"F.relu({x})" if (low, high) == (0, None) else f"torch.clamp({x}, {low!r}, {high!r})"

    def hard_sigmoid(self, x):
        return f"F.hardsigmoid({x})"

    def hard_swish(self, x):
        return f"F.hardswish({x})"

    def sigmoid(self, x):
        return f"torch.sigmoid({x})"

    def silu(self, x):
        return f"F.silu({x})"

    def gelu(self, x):
        return f"F.gelu({x})"

    def elementwise(self, *inputs, function, places, **constants):
        values = iter(inputs)
        operands = [next(values) if place is None else self.number(place, constants[place]) for place in places]
        if function in _OPERATORS:
            return _OPERATORS[function].join(operands)
        if function in ("maximum", "minimum"):  # which take no plain numbers
            single = [place is not None and constants[place].size == 1 for place in places]
            operands = [f"torch.tensor({one})" if alone else one for one, alone in zip(operands, single, strict=True)]
        return f"torch.{function}({', '.join(operands)})"

    def reduction(self, x, function, axis, keepdims):
        axes = tuple(sorted(self._axis(one) for one in axis))
        function = {"max": "amax", "min": "amin"}.get(function, function)
        return f"{x}.{function}({axes}{', keepdim=True' if keepdims else ''})"

    def softmax(self, x, axis):
        return f"F.softmax({x}, {self._axis(axis)})"

    def local_response_norm(self, x, size, alpha, k, beta):
        return f"F.local_response_norm({x}, {size}, {alpha * size!r}, {beta!r}, {k!r})"

    # Planes ----------------------------------------------------------------------------------------------------

    def pad(self, x, padding, mode):
        (above, below), (left, right) = padding
        mode = {"zero": "", "edge": ', mode="replicate"'}[mode]
        return f"F.pad({x}, [{left}, {right}, {above}, {below}]{mode})"

    def max_pool(self, x, kernel_size, stride, padding):
        x, both = self._padded(x, padding, kernel_size, float("-inf"))
        return f"F.max_pool2d({x}, {_short(kernel_size)}, {_short(stride)}, {_short(both)})"

    def avg_pool(self, x, kernel_size, stride, padding):
        x, both = self._padded(x, padding, kernel_size)
        return f"F.avg_pool2d({x}, {_short(kernel_size)}, {_short(stride)}, {_short(both)})"

    def uneven_pool(self, x, rows, columns, maximum):
        return f"F.adaptive_{'max' if maximum else 'avg'}_pool2d({x}, {(len(rows), len(columns))})"

    def plane_mean(self, x):
        return f"{x}.mean((2, 3))"

    def plane_max(self, x):
        return f"{x}.amax((2, 3))"

    def resize_nearest(self, x, size):
        for axis, old, new in ((2, self.shape[0], size[0]), (3, self.shape[1], size[1])):
            if new % old == 0:
                x = f"{x}.repeat_interleave({new // old}, {axis})" if new > old else x
            else:
                x = f"{x}.index_select({axis}, torch.arange({new}, device={x}.device) * {old} // {new})"
        return x

    def resize_bilinear(self, x, size):
        return f'F.interpolate({x}, {tuple(size)}, mode="bilinear", align_corners=False)'

    def depth_to_space(self, x, block, order):
        (H, W, C), (SH, SW) = self.shape, block
        OC = C // (SH * SW)
        if order == "DCR":
            split, axes = (SH, SW, OC, H, W), (0, 3, 4, 1, 5, 2)
        else:
            split, axes = (OC, SH, SW, H, W), (0, 1, 4, 2, 5, 3)
        return f"{x}.reshape(-1, *{split}).permute({axes}).reshape(-1, {OC}, {H * SH}, {W * SW})"

    def space_to_depth(self, x, block, order):
        (H, W, C), (SH, SW) = self.shape, block
        axes = (0, 3, 5, 1, 2, 4) if order == "DCR" else (0, 1, 3, 5, 2, 4)
        split = C, H // SH, SH, W // SW, SW
        return f"{x}.reshape(-1, *{split}).permute({axes}).reshape(-1, {SH * SW * C}, {H // SH}, {W // SW})"

    def flatten(self, x):
        return f"{x}.permute(0, 2, 3, 1).flatten(1)"

    # Channels, and several values ------------------------------------------------------------------------------

    def channels(self, x, index):
        first, last = index[0], index[0] + len(index)
        return f"{x}[:, {f'{first}:{last}' if index == list(range(first, last)) else index}]"

    def concat(self, *xs):
        return f"torch.cat([{', '.join(xs)}], 1)"

    def add(self, a, b):
        return f"{a} + {b}"

    def gate(self, x, gates):
        planes = len(self.graph.shapes[self.step.inputs[1]]) == 3
        return f"{x} * {gates}" if planes else f"{x} * {gates}[:, :, None, None]"

    def shift_max(self, x, coefficients, following):
        C = len(following)
        terms = self.graph.shapes[self.step.inputs[1]][0] // (2 * C)
        neighbours = f"{x}[:, {following}]"
        split = f"{coefficients}.reshape(-1, {terms}, 2, {C}, 1, 1)"
        self.lines.append(("terms, neighbours", f"{split}, {neighbours}"))
        return f"(terms[:, :, 0] * {x}[:, None] + terms[:, :, 1] * neighbours[:, None]).amax(1)"

    def _padded(self, x, padding, kernel_size=None, value=0):
        """The value, padded here where PyTorch's layer cannot: sides that differ, or over half of a pool's window."""
        (above, below), (left, right) = padding
        fits = kernel_size is None or (2 * above <= kernel_size[0] and 2 * left <= kernel_size[1])
        if (above, left) == (below, right) and fits:
            return x, [above, left]
        value = f', value=float("{value}")' if value else ""
        return f"F.pad({x}, [{left}, {right}, {above}, {below}]{value})", [0, 0]


_ACTIVATIONS = {"hard_sigmoid", "hard_swish", "sigmoid", "silu", "gelu", "clip"}
_OPERATORS = {
    "add": " + ",
    "subtract": " - ",
    "multiply": " * ",
    "divide": " / ",
    "power": " ** ",
    "greater": " > ",
    "greater_equal": " >= ",
    "less": " < ",
    "less_equal": " <= ",
}


def _short(pair):
    """A pair as PyTorch's users write it: one number, if both are the same."""
    return pair[0] if pair[0] == pair[1] else tuple(pair)


def _identifier(name):
    """A value's name as one of Python's that means nothing else in the code, or in a module of PyTorch."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    taken = keyword.iskeyword(name) or name[:1].isdigit() or _TAKEN.fullmatch(name)
    return f"x_{name}" if taken else name


_TAKEN = re.compile(
    r"_.*|self|torch|nn|F|np|Path|terms|neighbours|T_destination|add_module|apply|bfloat16|buffers|call_super_init|children"
    r"|compile|cpu|cuda|double|dump_patches|eval|extra_repr|float|forward|get_.*|half|ipu|load_state_dict|modules|mtia"
    r"|named_.*|parameters|register_.*|requires_grad_|set_.*|share_memory|state_dict|to|to_empty|train|training|type|xpu"
    r"|zero_grad"
)
