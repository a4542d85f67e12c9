"""One register of numbers as a value, for kernels that say which numbers they handle together.

    for s in range(0, L, lanes(x)):
        v = load(x, s) * load(w, s)              # 4, 8 or 16 products at once
        store(out, s, where(v <= zero, zero, v))

`load`, `store` and the operators are single instructions in compiled code. Under ``NUMBA_DISABLE_JIT=1`` a register is
a NumPy array of as many numbers, so the same kernel runs under a debugger. The end of a line that does not fill a
register is read and written in part: `load_part`, `store_part`.

`like` and `where` take plain numbers too, so that a formula can be written once, for a number and for a register.

Like `parallel`, this reaches into Numba: it teaches it one type, LLVM's ``<n x float>``.
"""

import operator
import os

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import make_array

__all__ = [
    "BYTES",
    "copy",
    "fill",
    "lanes",
    "like",
    "load",
    "load_part",
    "store",
    "store_part",
    "total",
    "where",
    "width",
]


def _register_bytes():
    """Bytes in one vector register of the processor that Numba compiles for."""
    chosen = os.environ.get("MINIGHOST_VECTOR_BYTES")
    if chosen:
        return int(chosen)
    features = numba.config.CPU_FEATURES
    if features is None:
        features = binding.get_host_cpu_features().flatten()
    present = {flag[1:] for flag in features.split(",") if flag.startswith("+")}
    return 64 if "avx512f" in present else 32 if "avx" in present else 16


BYTES = _register_bytes()


# What a kernel calls, in plain Python --------------------------------------------------------------------------


def width(dtype):
    """How many numbers of this type fill one register; for Python."""
    return BYTES // np.dtype(dtype).itemsize


def lanes(x):
    """How many of the array's numbers fill one register."""
    return BYTES // x.itemsize


def load(x, i):
    """``x[i : i + lanes(x)]`` of a contiguous array with one axis; nothing is checked."""
    return x[i : i + lanes(x)].copy()


def load_part(x, i, n):
    """The first n numbers from ``x[i]`` on, then zeros; a whole register if n is larger than one."""
    out = np.zeros(lanes(x), x.dtype)
    n = min(n, len(out))
    out[:n] = x[i : i + n]
    return out


def store(x, i, v):
    """``x[i : i + lanes(x)] = v``."""
    x[i : i + len(v)] = v


def store_part(x, i, n, v):
    """The first n numbers of v to ``x[i]`` and on; all of them if n is larger than a register."""
    n = min(n, len(v))
    x[i : i + n] = v[:n]


def copy(x, i, n, out, k):
    """``out[k : k + n] = x[i : i + n]``, of any length; nothing is checked."""
    out[k : k + n] = x[i : i + n]


def fill(x, value):
    """A register for numbers of the array's type, with the same value in every lane."""
    return np.full(lanes(x), value, x.dtype)


def like(z, value):
    """The same value in every lane of a register like z; for a number, the value in its type."""
    return np.full_like(z, value) if isinstance(z, np.ndarray) else type(z)(value)


def where(condition, a, b):
    """Lane by lane a where the condition holds, else b."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, a, b)
    return a if condition else b


def total(v):
    """The sum of all lanes: halves are added until one number is left."""
    while len(v) > 1:
        v = v[: len(v) // 2] + v[len(v) // 2 :]
    return v[0]


# The same, compiled --------------------------------------------------------------------------------------------


class Register(types.Type):
    """The type of a register of numbers, or with `dtype` boolean of the outcomes of a comparison."""

    def __init__(self, dtype, count):
        self.dtype, self.count = dtype, count
        super().__init__(f"Register({dtype} x {count})")


_NUMBERS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType(), types.boolean: ir.IntType(1)}
_I32 = ir.IntType(32)


@register_model(Register)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(_NUMBERS[kind.dtype], kind.count))


def _register(dtype):
    return Register(dtype, BYTES // (dtype.bitwidth // 8))


def vector(dtype):
    """LLVM's type of a register for numbers of this type."""
    return ir.VectorType(_NUMBERS[dtype], _register(dtype).count)


def _address(context, builder, kind, array, i):
    whole = context.get_value_type(_register(kind.dtype))
    return builder.bitcast(builder.gep(make_array(kind)(context, builder, array).data, [i]), whole.as_pointer())


def broadcast(builder, kind, number):
    """A vector with one number in every lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count))


def _first(builder, kind, n):
    """The mask of the first n lanes."""
    numbers = ir.VectorType(ir.IntType(64), kind.count)
    return builder.icmp_signed("<", ir.Constant(numbers, list(range(kind.count))), broadcast(builder, numbers, n))


def masked(builder, name, kind, result, arguments):
    """Call one of LLVM's masked intrinsics, which are named for the vector's type."""
    letter = "f32" if isinstance(kind.element, ir.FloatType) else "f64"
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(result, [a.type for a in arguments]),
        f"llvm.masked.{name}.v{kind.count}{letter}.p0",
    )
    return builder.call(function, arguments)


@intrinsic
def _load(typing, x, i):
    def generate(context, builder, sig, args):
        value = builder.load(_address(context, builder, sig.args[0], *args))
        value.align = sig.args[0].dtype.bitwidth // 8  # a number's, not a register's
        return value

    return _register(x.dtype)(x, types.intp), generate


# LLVM's masked instructions are for the end of a line only: without AVX-512 some processors take twenty times as long.


@intrinsic
def _load_part(typing, x, i, n):
    def generate(context, builder, sig, args):
        array, i, n = args
        kind, align = context.get_value_type(sig.return_type), sig.args[0].dtype.bitwidth // 8
        address = _address(context, builder, sig.args[0], array, i)
        result = cgutils.alloca_once(builder, kind)
        enough = builder.icmp_signed(">=", n, ir.Constant(n.type, kind.count))
        with builder.if_else(enough, likely=True) as (whole, part):
            with whole:
                value = builder.load(address)
                value.align = align
                builder.store(value, result)
            with part:
                zeros = ir.Constant(kind, [0.0] * kind.count)
                arguments = [address, ir.Constant(_I32, align), _first(builder, kind, n), zeros]
                builder.store(masked(builder, "load", kind, kind, arguments), result)
        return builder.load(result)

    return _register(x.dtype)(x, types.intp, types.intp), generate


@intrinsic
def _store(typing, x, i, v):
    def generate(context, builder, sig, args):
        address = _address(context, builder, sig.args[0], *args[:2])
        builder.store(args[2], address, align=sig.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(x, types.intp, v), generate


@intrinsic
def _store_part(typing, x, i, n, v):
    def generate(context, builder, sig, args):
        array, i, n, v = args
        address, align = _address(context, builder, sig.args[0], array, i), sig.args[0].dtype.bitwidth // 8
        enough = builder.icmp_signed(">=", n, ir.Constant(n.type, v.type.count))
        with builder.if_else(enough, likely=True) as (whole, part):
            with whole:
                builder.store(v, address, align=align)
            with part:
                arguments = [v, address, ir.Constant(_I32, align), _first(builder, v.type, n)]
                masked(builder, "store", v.type, ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, v), generate


@intrinsic
def _copy(typing, x, i, n, out, k):
    def generate(context, builder, sig, args):
        x, i, n, out, k = args
        source, target = (
            builder.gep(make_array(kind)(context, builder, array).data, [first])
            for kind, array, first in ((sig.args[0], x, i), (sig.args[3], out, k))
        )
        cgutils.raw_memcpy(builder, target, source, n, sig.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, out, types.intp), generate


@intrinsic
def _fill(typing, x, value):
    def generate(context, builder, sig, args):
        number = context.cast(builder, args[1], sig.args[1], sig.args[0].dtype)
        return broadcast(builder, context.get_value_type(sig.return_type), number)

    return _register(x.dtype)(x, types.unliteral(value)), generate


@intrinsic
def _like(typing, z, value):
    def generate(context, builder, sig, args):
        if not isinstance(z, Register):
            return context.cast(builder, args[1], sig.args[1], z)
        return broadcast(builder, context.get_value_type(z), context.cast(builder, args[1], sig.args[1], z.dtype))

    return z(z, types.unliteral(value)), generate


@intrinsic
def _where(typing, condition, a, b):
    return a(condition, a, b), lambda context, builder, sig, args: builder.select(*args)


@intrinsic
def _total(typing, v):
    def generate(context, builder, sig, args):
        (v,) = args
        while v.type.count > 1:
            n = v.type.count // 2
            halves = [
                builder.shuffle_vector(v, v, ir.Constant(ir.VectorType(_I32, n), list(range(k, k + n)))) for k in (0, n)
            ]
            v = builder.fadd(*halves)
        return builder.extract_element(v, ir.Constant(_I32, 0))

    return v.dtype(v), generate


@intrinsic
def _lanes(typing, x):
    count = _register(x.dtype).count
    return types.intp(x), lambda context, builder, sig, args: context.get_constant(types.intp, count)


if not numba.config.DISABLE_JIT:  # in kernels each is an instruction, not a function
    compiled = {"load": _load, "load_part": _load_part, "store": _store, "store_part": _store_part}
    globals().update(compiled, lanes=_lanes, copy=_copy, fill=_fill, like=_like, where=_where, total=_total)


def _operator(op, result, instruction):
    """Give an operator between two registers its instruction; `result` says what type comes out."""

    class Template(AbstractTemplate):
        key = op

        def generic(self, args, kws):
            if len(args) == 2 and isinstance(args[0], Register) and args[0] == args[1]:
                return signature(result(args[0]), *args)
            return None

    infer_global(op)(Template)

    @lower_builtin(op, Register, Register)
    def lower(context, builder, sig, args):
        return instruction(builder, *args)


def _arithmetic(name):
    return lambda builder, a, b: getattr(builder, name)(a, b, flags=("contract",))  # a product and a sum become one


def _comparison(name):
    return lambda builder, a, b: builder.fcmp_ordered(name, a, b)  # false where either is NaN, as in NumPy


for _op, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _operator(_op, lambda kind: kind, _arithmetic(_name))
for _op, _name in ((operator.le, "<="), (operator.lt, "<"), (operator.ge, ">="), (operator.gt, ">")):
    _operator(_op, lambda kind: Register(types.boolean, kind.count), _comparison(_name))
