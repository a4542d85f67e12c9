"""The exponential and the normal distribution in plain arithmetic, for numbers and for registers of them.

LLVM vectorises additions and products, but not a call of the C library. So:

    exp(z) = 2**k * exp(r),   k = round(z / ln 2),   |r| <= ln(2) / 2,   and a polynomial for exp(r)

The normal distribution comes from erfc(a) = exp(-a*a) * erfcx(a): with t = 1/(1 + a/2), erfcx(a)/t is smooth enough for
a polynomial. Float32 takes fewer terms. Errors are some units in the last place of the largest result; see
`tests/test_engine_exponential.py`.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minighost.engine.dispatch import inlined
from minighost.engine.vectors import Register, like, where

__all__ = ["exp", "normal_cdf", "normal_density", "sigmoids"]

_EXP = [1 / math.factorial(k) for k in range(13)]
# erfcx(a) / t as a polynomial in 2*t - 1, interpolated at Chebyshev's points; then one that is enough for float32.
_TAIL = [
    0.5107913526210115,
    0.3435803422069066,
    0.13973604627802544,
    0.018221115753306545,
    -0.010755330944543402,
    -0.0032395925298231458,
    0.0015453060235237155,
    0.00041864797455347,
    -0.0003315366672107297,
    -1.7185277049606434e-05,
    7.223470153006039e-05,
    -1.7076546276097942e-05,
    -1.0844830478580393e-05,
    8.066868949358842e-06,
    -5.732747033044422e-07,
    -1.8346763716451883e-06,
    1.023671759497573e-06,
    1.527560153078624e-08,
    -3.1904880762943956e-07,
    1.5002373169874064e-07,
    3.1237899528464255e-08,
    -5.1579015426615876e-08,
    8.331398302988539e-09,
    6.618547737616718e-09,
    -2.2124653785049848e-09,
]
_SHORT_TAIL = [
    0.5107913570561573,
    0.3435803405315631,
    0.13973572644353033,
    0.01822123701682574,
    -0.010751569274896282,
    -0.003241045923911842,
    0.0015289973226966262,
    0.00042519710672849316,
    -0.00029919966937622496,
    -3.114843706032603e-05,
    4.20878745841014e-05,
    -1.9773342853812134e-06,
]


def _polynomial(terms, short):
    """A function of z: ``terms[0] + terms[1]*z + ...`` by Horner's rule, in the type of z; of `short` in float32."""

    def evaluate(z):
        terms = chosen(z.dtype)
        out = like(z, terms[-1])
        for term in terms[-2::-1]:
            out = out * z + like(z, term)
        return out

    def chosen(dtype):
        return short if dtype in (np.float32, types.float32) else terms

    @intrinsic
    def compiled(typing, z):
        def generate(context, builder, sig, args):
            kind, number = context.get_value_type(z), _number(z)
            terms = chosen(number)
            out = _constant(kind, number, terms[-1])
            for term in terms[-2::-1]:
                product = builder.fmul(out, args[0], flags=("contract",))
                out = builder.fadd(product, _constant(kind, number, term), flags=("contract",))
            return out

        return z(z), generate

    return evaluate if numba.config.DISABLE_JIT else compiled


def _number(z):
    return z.dtype if isinstance(z, Register) else z


def _constant(kind, number, value):
    value = float(np.float32(value)) if number == types.float32 else float(value)
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def _rounded(z):
    """The nearest whole number."""
    return np.rint(z)


def _times_power_of_two(z, k):
    """``z * 2**k`` for a whole k, in two steps, so that neither overflows alone."""
    half = np.floor(k / 2)
    return np.ldexp(np.ldexp(z, np.int32(half)), np.int32(k - half))


@intrinsic
def _rounded_compiled(typing, z):
    def generate(context, builder, sig, args):
        kind = context.get_value_type(z)
        name = "f32" if _number(z) == types.float32 else "f64"
        name = f"v{kind.count}{name}" if isinstance(kind, ir.VectorType) else name
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), f"llvm.rint.{name}")
        return builder.call(function, args)

    return z(z), generate


@intrinsic
def _times_power_of_two_compiled(typing, z, k):
    def generate(context, builder, sig, args):
        kind, bits, mantissa, bias = (
            (context.get_value_type(z), 32, 23, 127)
            if _number(z) == types.float32
            else (context.get_value_type(z), 64, 52, 1023)
        )
        whole = ir.VectorType(ir.IntType(bits), kind.count) if isinstance(kind, ir.VectorType) else ir.IntType(bits)

        def constant(value):
            return ir.Constant(whole, [value] * kind.count if isinstance(kind, ir.VectorType) else value)

        k = builder.fptosi(args[1], whole)
        half = builder.ashr(k, constant(1))
        out = args[0]
        for part in (half, builder.sub(k, half)):
            exponent = builder.shl(builder.add(part, constant(bias)), constant(mantissa))
            out = builder.fmul(out, builder.bitcast(exponent, kind))
        return out

    return z(z, z), generate


@intrinsic
def _ends(typing, z):
    low, high = _ENDS[np.dtype(str(_number(z)))]

    def generate(context, builder, sig, args):
        kind = context.get_value_type(z)
        ends = [_constant(kind, _number(z), end) for end in (low, high)]
        return context.make_tuple(builder, sig.return_type, ends)

    return types.UniTuple(z, 2)(z), generate


# exp is 0 or infinity beyond.
_ENDS = {np.dtype(np.float32): (-104.0, 89.0), np.dtype(np.float64): (-746.0, 710.0)}


def _ends_of(z):
    """Where exp becomes 0 and infinity in the type of z."""
    low, high = _ENDS[z.dtype]
    return like(z, low), like(z, high)


if not numba.config.DISABLE_JIT:
    _rounded, _times_power_of_two, _ends_of = _rounded_compiled, _times_power_of_two_compiled, _ends

_exp_of_rest, _scaled_tail = _polynomial(_EXP, _EXP[:8]), _polynomial(_TAIL, _SHORT_TAIL)
_LOG2E = 1 / math.log(2)
_LN2_HIGH = 0.693359375  # few digits, so that its product with a small whole number is exact
_LN2_LOW = -2.1219444005469058277e-4  # more digits than ln(2) - _LN2_HIGH would have


@inlined
def exp(z):
    """e to the power z."""
    low, high = _ends_of(z)
    z = where(z <= low, low, where(z >= high, high, z))
    k = _rounded(z * like(z, _LOG2E))
    k = where(k <= high + high, k, like(z, 0))  # of a NaN there is no whole part
    r = z - k * like(z, _LN2_HIGH) - k * like(z, _LN2_LOW)
    return _times_power_of_two(_exp_of_rest(r), k)


@inlined
def sigmoids(z):
    """The sigmoids of z and -z, whose sum is 1, by one exponential; neither loses digits where it is small."""
    zero, one = like(z, 0), like(z, 1)
    negative = z <= zero
    e = exp(where(negative, z, zero - z))
    large = one / (one + e)
    small = e * large
    return where(negative, small, large), where(negative, large, small)


@inlined
def normal_cdf(z):
    """The probability that a standard normal number is below z."""
    zero, one, half, two = like(z, 0), like(z, 1), like(z, 0.5), like(z, 2)
    a = where(z <= zero, zero - z, z) * like(z, math.sqrt(0.5))
    t = one / (one + half * a)
    tail = half * t * _scaled_tail(two * t - one) * exp(like(z, -0.5) * z * z)  # as in the density: computed once
    return where(z <= zero, tail, one - tail)


@inlined
def normal_density(z):
    """``exp(-z*z/2) / sqrt(2*pi)``."""
    return exp(like(z, -0.5) * z * z) * like(z, 1 / math.sqrt(2 * math.pi))
