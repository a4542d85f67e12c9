"""The exponential and the normal distribution in plain arithmetic, for numbers and for registers of them.

LLVM vectorises additions and products, but not a call of the C library. So:

    exp(z) = 2**k * exp(r),   k = round(z / ln 2),   |r| <= ln(2) / 2,   and a polynomial for exp(r)

The normal distribution comes from erfc(a) = t * exp(-a*a + p(t)) with t = 1/(1 + a/2), whose p is smooth enough for a
polynomial. Errors are some units in the last place of the largest result; see `tests/test_engine_exponential.py`.
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

__all__ = ["exp", "normal_cdf", "normal_density"]

_TERMS = [1 / math.factorial(k) for k in range(13)]
# log(erfcx(a) / t) as a polynomial in 2*t - 1, interpolated at Chebyshev's points.
_TAIL = [
    -0.6717940840566915,
    0.6726432239776672,
    0.04734330684174197,
    -0.046895610232313485,
    -0.009872689357848997,
    0.00882493859172065,
    0.0017589333786860852,
    -0.00234581296780778,
    -0.00014624492826824424,
    0.0006736821934199404,
    -9.374733731260899e-05,
    -0.00017431763605538241,
    7.145065329644303e-05,
    3.1784676144566164e-05,
    -3.0320324274316784e-05,
    7.156466080369959e-08,
    8.801000242514917e-06,
    -2.8835699422899244e-06,
    -1.5620090966447437e-06,
    1.225143849370237e-06,
    6.453340807063238e-08,
    -2.6550604731563185e-07,
    3.5357878892518046e-08,
    2.550702660821733e-08,
    -5.4940844987324614e-09,
]


def _polynomial(terms):
    """A function of z: ``terms[0] + terms[1]*z + ...`` by Horner's rule, in the type of z."""

    def evaluate(z):
        out = like(z, terms[-1])
        for term in terms[-2::-1]:
            out = out * z + like(z, term)
        return out

    @intrinsic
    def compiled(typing, z):
        def generate(context, builder, sig, args):
            kind, number = context.get_value_type(z), _number(z)
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

_exp_of_rest, _tail_exponent = _polynomial(_TERMS), _polynomial(_TAIL)
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
def normal_cdf(z):
    """The probability that a standard normal number is below z."""
    zero, one, half, two = like(z, 0), like(z, 1), like(z, 0.5), like(z, 2)
    a = where(z <= zero, zero - z, z) * like(z, math.sqrt(0.5))
    t = one / (one + half * a)
    tail = half * t * exp(_tail_exponent(two * t - one) - a * a)
    return where(z <= zero, tail, one - tail)


@inlined
def normal_density(z):
    """``exp(-z*z/2) / sqrt(2*pi)``."""
    return exp(like(z, -0.5) * z * z) * like(z, 1 / math.sqrt(2 * math.pi))
