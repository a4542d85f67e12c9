"""The graph as an ONNX model, and each kind of step in ONNX's operators: channels first, opset 17.

Where ONNX has no operator, or one whose rule at the edges is not ours (ceil mode, adaptive pooling, nearest neighbours
at factors that are not whole), a few simple operators stand for it.
"""

import math

import numpy as np

__all__ = ["OPSET", "onnx_model"]

OPSET, IR = 17, 8  # of 2022: ONNX Runtime 1.12; IR is the version of the file's format that came with it


def onnx_model(graph, name, metadata):
    """The graph as an `onnx.ModelProto`.

    Parameters
    ----------
    graph : Graph
    name : str
    metadata : dict of str to str
        For the model's ``metadata_props``.
    """
    from onnx import TensorProto, helper

    from minighost import __version__

    writer = _Writer(graph)
    for step in graph.steps:
        writer.write(step)
    images, logits = (
        helper.make_tensor_value_info(value, TensorProto.FLOAT, ["N", shape[-1], *shape[:-1]])
        for value, shape in (("images", graph.images.shape), ("logits", graph.shapes["logits"]))
    )
    model = helper.make_model(
        helper.make_graph(writer.nodes, name, [images], [logits], writer.initializers),
        producer_name="minighost",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    model.ir_version = IR
    helper.set_model_props(model, metadata)
    return model


class _Writer:
    """Nodes and initializers in the making: a method for each key of `numpy_graph.OPERATIONS`.

    The last node that a method adds writes what its step writes.
    """

    def __init__(self, graph):
        self.graph, self.nodes, self.initializers, self.taken = graph, [], [], set(graph.shapes)

    def write(self, step):
        """Write one step down."""
        self.step, self.shape = step, self.graph.shapes[step.inputs[0]]
        arrays = {argument: self.graph.arrays[name] for argument, name in step.arrays.items()}
        getattr(self, step.op)(*step.inputs, **arrays, **step.options)
        self.nodes[-1].name = self.nodes[-1].output[0] = step.output

    def node(self, op, *inputs, **attributes):
        """Add a node; returns the name of what it writes."""
        from onnx import helper

        name = self._free(f"{self.step.output}_{op.lower()}")
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, word, array, dtype=np.float32):
        """Add an array and return its name: that of the step's array `word`, if it has one."""
        from onnx import numpy_helper

        name = self._free(self.step.arrays.get(word, f"{self.step.output}.{word}"))
        self.initializers.append(numpy_helper.from_array(np.array(array, dtype, order="C"), name))
        return name

    def numbers(self, word, *numbers):
        """Add whole numbers, a row of them."""
        return self.constant(word, numbers, np.int64)

    def _free(self, name):
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _channels_first(self, array):
        """A constant beside a value of planes, so that it broadcasts as it did with channels last."""
        if len(self.shape) == 1 or array.ndim == 0:
            return array
        array = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(0, 3, 1, 2)
        return array[0] if len(array) == 1 else array

    def _axis(self, axis):
        """An axis of a batch with channels last, where they come first."""
        return {1: 2, 2: 3, 3: 1}[axis] if len(self.shape) == 3 else axis

    # Convolutions ----------------------------------------------------------------------------------------------

    def conv(self, x, w, b, stride, padding, dilation, groups):
        weights = self.constant("w", w.transpose(3, 2, 0, 1)), self.constant("b", b)
        self.node("Conv", x, *weights, **_windows(w.shape[:2], stride, padding), dilations=dilation, group=groups)

    def conv_transpose(self, x, w, b, stride, padding, output_padding, dilation, groups):
        weights = self.constant("w", w.transpose(3, 2, 0, 1)), self.constant("b", b)
        windows = _windows(w.shape[:2], stride, [[P, P] for P in padding])
        self.node(
            "ConvTranspose", x, *weights, **windows, output_padding=output_padding, dilations=dilation, group=groups
        )

    def linear(self, x, w, b):
        self.node("Gemm", x, self.constant("w", w), self.constant("b", b))

    # Numbers one by one ----------------------------------------------------------------------------------------

    def affine(self, x, scale, shift):
        moved = (shift != 0).any()
        if (scale != 1).any() or not moved:
            x = self.node("Mul", x, self.constant("scale", self._channels_first(scale)))
        if moved:
            self.node("Add", x, self.constant("shift", self._channels_first(shift)))

    def clip(self, x, low, high):
        if (low, high) == (0, None):
            self.node("Relu", x)
        else:
            limits = ["" if v is None else self.constant(word, v) for word, v in (("low", low), ("high", high))]
            self.node("Clip", x, *limits)

    def hard_sigmoid(self, x):
        self.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)

    def hard_swish(self, x):
        self.node("HardSwish", x)

    def sigmoid(self, x):
        self.node("Sigmoid", x)

    def silu(self, x):
        self.node("Mul", x, self.node("Sigmoid", x))

    def gelu(self, x):
        erf = self.node("Erf", self.node("Div", x, self.constant("root", math.sqrt(2))))
        below = self.node("Add", erf, self.constant("one", 1))
        self.node("Mul", self.node("Mul", x, below), self.constant("half", 0.5))

    def elementwise(self, *inputs, function, places, **constants):
        values = iter(inputs)
        operands = [
            next(values) if place is None else self.constant(place, self._channels_first(constants[place]))
            for place in places
        ]
        if function == "square":
            self.node("Mul", *operands * 2)
        elif function == "log1p":
            self.node("Log", self.node("Add", *operands, self.constant("one", 1)))
        elif function == "where":
            self.node("Where", self.node("Cast", operands[0], to=_BOOL), *operands[1:])
        elif function in _COMPARISONS:
            self.node("Cast", self.node(_COMPARISONS[function], *operands), to=_FLOAT)
        else:
            self.node(_ELEMENTWISE[function], *operands)

    def reduction(self, x, function, axis, keepdims):
        op, axes = f"Reduce{function.capitalize()}", sorted(self._axis(one) for one in axis)
        if function == "sum":  # whose axes are an input since opset 13
            self.node(op, x, self.numbers("axes", *axes), keepdims=int(keepdims))
        else:
            self.node(op, x, axes=axes, keepdims=int(keepdims))

    def softmax(self, x, axis):
        self.node("Softmax", x, axis=self._axis(axis))

    def local_response_norm(self, x, size, alpha, k, beta):
        """Of an even window ONNX has the longer half on the other side, and ONNX Runtime takes none."""
        if size % 2:
            self.node("LRN", x, size=size, alpha=alpha * size, bias=k, beta=beta)
            return
        C, around = self.shape[2], (0, size // 2, 0, 0, 0, (size - 1) // 2, 0, 0)
        squares = self.node("Pad", self.node("Mul", x, x), self.numbers("pads", *around))
        total = self.node("Sum", *(self._slice(squares, 1, i, i + C) for i in range(size)))
        total = self.node("Mul", total, self.constant("alpha", alpha))
        damping = self.node("Pow", self.node("Add", total, self.constant("k", k)), self.constant("beta", beta))
        self.node("Div", x, damping)

    # Planes ----------------------------------------------------------------------------------------------------

    def pad(self, x, padding, mode):
        (above, below), (left, right) = padding
        pads = self.numbers("pads", 0, 0, above, left, 0, 0, below, right)
        self.node("Pad", x, pads, mode={"zero": "constant", "edge": "edge"}[mode])

    def max_pool(self, x, kernel_size, stride, padding):
        self.node("MaxPool", x, **_windows(kernel_size, stride, padding))

    def avg_pool(self, x, kernel_size, stride, padding):
        self.node("AveragePool", x, **_windows(kernel_size, stride, padding), count_include_pad=1)

    def uneven_pool(self, x, rows, columns, maximum):
        op = "ReduceMax" if maximum else "ReduceMean"
        for axis, bounds in ((2, rows), (3, columns)):
            parts = [self.node(op, self._slice(x, axis, *pair), axes=[axis], keepdims=1) for pair in bounds]
            x = self.node("Concat", *parts, axis=axis)

    def plane_mean(self, x):
        self.node("ReduceMean", x, axes=[2, 3], keepdims=0)

    def plane_max(self, x):
        self.node("ReduceMax", x, axes=[2, 3], keepdims=0)

    def resize_nearest(self, x, size):
        H, W, _ = self.shape
        if size[0] % H == size[1] % W == 0:
            scales = self.constant("scales", [1, 1, size[0] // H, size[1] // W])
            options = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            self.node("Resize", x, "", scales, mode="nearest", **options)
            return
        for axis, old, new in ((2, H, size[0]), (3, W, size[1])):
            x = self.node("Gather", x, self.numbers("pixels", *(np.arange(new) * old // new)), axis=axis)

    def resize_bilinear(self, x, size):
        N = self._slice(self.node("Shape", x), 0, 0, 1)
        sizes = self.node("Concat", N, self.numbers("size", self.shape[2], *size), axis=0)
        self.node("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")

    def depth_to_space(self, x, block, order):
        (H, W, C), (SH, SW) = self.shape, block
        OC = C // (SH * SW)
        if order == "DCR":
            self._rearrange(x, (SH, SW, OC, H, W), (0, 3, 4, 1, 5, 2), (OC, H * SH, W * SW))
        else:
            self._rearrange(x, (OC, SH, SW, H, W), (0, 1, 4, 2, 5, 3), (OC, H * SH, W * SW))

    def space_to_depth(self, x, block, order):
        (H, W, C), (SH, SW) = self.shape, block
        axes = (0, 3, 5, 1, 2, 4) if order == "DCR" else (0, 1, 3, 5, 2, 4)
        self._rearrange(x, (C, H // SH, SH, W // SW, SW), axes, (SH * SW * C, H // SH, W // SW))

    def flatten(self, x):
        self.node("Flatten", self.node("Transpose", x, perm=(0, 2, 3, 1)), axis=1)

    def _rearrange(self, x, shape, axes, result):
        """Split axes, move them, join them; a 0 stands for the N that comes in."""
        x = self.node("Transpose", self.node("Reshape", x, self.numbers("split", 0, *shape)), perm=axes)
        self.node("Reshape", x, self.numbers("joined", 0, *result))

    # Channels, and several values ------------------------------------------------------------------------------

    def channels(self, x, index):
        if index == list(range(index[0], index[0] + len(index))):
            self._slice(x, 1, index[0], index[0] + len(index))
        else:
            self.node("Gather", x, self.numbers("index", *index), axis=1)

    def concat(self, *xs):
        self.node("Concat", *xs, axis=1)

    def add(self, a, b):
        self.node("Add", a, b)

    def gate(self, x, gates):
        if len(self.graph.shapes[gates]) == 1:
            gates = self.node("Unsqueeze", gates, self.numbers("axes", 2, 3))
        self.node("Mul", x, gates)

    def shift_max(self, x, coefficients, following):
        C = len(following)
        each = self.graph.shapes[coefficients][0] // (2 * C)
        neighbours = self.node("Gather", x, self.numbers("following", *following), axis=1)
        planes = self.node("Unsqueeze", coefficients, self.numbers("axes", 2, 3))
        terms = []
        for t in range(each):
            a, b = (self._slice(planes, 1, k * C, (k + 1) * C) for k in (2 * t, 2 * t + 1))
            terms.append(self.node("Add", self.node("Mul", a, x), self.node("Mul", b, neighbours)))
        self.node("Max", *terms)

    def _slice(self, x, axis, first, last):
        return self.node(
            "Slice", x, *(self.numbers(*one) for one in (("first", first), ("last", last), ("axis", axis)))
        )


_FLOAT, _BOOL = 1, 9  # ONNX's numbers of these types
_COMPARISONS = {
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
}
_ELEMENTWISE = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "negative": "Neg",
    "absolute": "Abs",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "sign": "Sign",
    "power": "Pow",
}


def _windows(kernel_size, stride, padding):
    """The attributes of windows; ONNX lists the beginnings of all axes, then the ends."""
    return {
        "kernel_shape": kernel_size,
        "strides": stride,
        "pads": [*(p[0] for p in padding), *(p[1] for p in padding)],
    }
