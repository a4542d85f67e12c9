"""Matrix product inside a kernel, in registers.

    out[r, n] = sum over k of a[r, k] * b[k, n]

is computed a block of rows and columns at a time: a register holds neighbouring columns of b, one number of a is spread
over all lanes of another, and as many sums as there is room for stay in registers while k runs (Goto & van de Geijn
2008, "Anatomy of high-performance matrix multiplication", §4; here nothing is copied into another order first, for the
matrices of a tile lie in cache). So a processor multiplies and adds in every cycle, also where a matrix is narrow.

A factor can be read transposed, where it lies: its numbers are spread one by one anyway. What is summed over is cut
into pieces, so that the columns of b stay in cache while the rows pass.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from minighost.engine.launch import tile
from minighost.engine.vectors import BYTES, broadcast, lanes, masked, vector

__all__ = ["gemm", "transposed"]

ROWS = 8 if BYTES == 64 else 4  # of a block, two registers wide: sums in 16 registers of 32, or 8 of 16
DEPTH = 512  # of a piece


def gemm(a, transpose_a, b, add, out):
    """``out = a @ b``, ``out += a @ b`` if `add`; a is transposed first if `transpose_a`. Rows must be unbroken."""
    product = (a.T if transpose_a else a) @ b
    out[...] = out + product if add else product


def transposed(w):
    """Matrices (..., C, OC) transposed in memory."""
    # A copy always: of a single row or column NumPy calls the transpose contiguous, with strides of another array.
    return w.swapaxes(-1, -2).copy()


# The same, compiled --------------------------------------------------------------------------------------------


@overload(gemm)
def _gemm_compiled(a, transpose_a, b, add, out):
    multiply = _multiply(a.dtype)
    # Seen through slices all arrays are of one type, unbroken or not: one `multiply` serves all callers.
    return lambda a, transpose_a, b, add, out: multiply(a[:, :], transpose_a, b[:, :], add, out[:, :])


@functools.cache
def _multiply(dtype):
    """What `gemm` is when compiled, for one precision."""
    size = dtype.bitwidth // 8
    wide, ending = _strip(True), _strip(False)

    @tile
    def multiply(a, transpose_a, b, add, out):
        K, OC, W = len(b), out.shape[1], 2 * lanes(b)
        down, along = a.strides[0] // size, 1
        if transpose_a:
            down, along = along, down
        if K == 0 and not add:
            out[:] = 0
        for k in range(0, K, DEPTH):
            depth, more = min(DEPTH, K - k), add or k > 0
            for n in range(0, OC, W):
                if OC - n >= W:
                    wide(a, k * along, down, along, b, k, n, depth, more, out)
                else:
                    ending(a, k * along, down, along, b, k, n, depth, more, out)

    return multiply


def _strip(whole):
    """A function for all rows of a strip of columns, two registers wide, or narrower if it is not `whole`."""
    many, few, one = (_block(rows, whole) for rows in (ROWS, ROWS // 2, 1))

    def strip(a, first, down, along, b, k, n, depth, add, out):
        r, R = 0, len(out)
        while R - r >= ROWS:
            many(a, first + r * down, down, along, b, k, depth, add, out, r, n)
            r += ROWS
        if R - r >= ROWS // 2:
            few(a, first + r * down, down, along, b, k, depth, add, out, r, n)
            r += ROWS // 2
        while r < R:
            one(a, first + r * down, down, along, b, k, depth, add, out, r, n)
            r += 1

    # Numba links by name, across kernels of the cache too: of one name there must be one function.
    strip.__qualname__ = f"strip_{'whole' if whole else 'ending'}"
    return tile(strip)


@functools.cache
def _block(rows, whole):
    """The instructions for a block of some rows and two registers; if it is not `whole`, up to the end of the row."""

    @intrinsic
    def block(typing, a, i, down, along, b, k, depth, add, out, r, n):
        def generate(context, builder, sig, args):
            kind_a, kind_b, kind_out = (sig.args[which] for which in (0, 4, 8))
            a, i, down, along, b, k, depth, add, out, r, n = args
            emit = _Emitter(context, builder, vector(kind_a.dtype))
            numbers = emit.address(kind_a, a, i)
            b, b_line, _ = emit.place(kind_b, b, k, n)
            out, line, columns = emit.place(kind_out, out, r, n)

            def write(masks):
                sums = emit.sums(numbers, down, along, b, b_line, depth, rows, masks)
                emit.finish(sums, add, out, line, masks)

            if whole:
                write([None, None])
                return context.get_dummy_value()
            left = builder.sub(columns, n)
            with builder.if_else(emit.exceeds(left, emit.kind.count)) as (two_registers, one_register):
                with two_registers:
                    write([None, emit.lanes_before(left, emit.kind.count)])
                with one_register:
                    write([emit.lanes_before(left, 0)])
            return context.get_dummy_value()

        place = [types.intp] * 3
        return types.void(a, *place, b, types.intp, types.intp, types.boolean, out, types.intp, types.intp), generate

    return block


class _Emitter:
    """Writes LLVM's instructions for one block."""

    def __init__(self, context, builder, kind):
        self.context, self.builder, self.kind = context, builder, kind
        self.size = 4 if isinstance(kind.element, ir.FloatType) else 8

    def address(self, kind, array, i):
        """Of number i of an array."""
        return self.builder.gep(make_array(kind)(self.context, self.builder, array).data, [i])

    def place(self, kind, array, row, column):
        """Address of ``array[row, column]``, numbers from one row to the next, and how many a row has."""
        struct, build = make_array(kind)(self.context, self.builder, array), self.builder
        bytes_down, _ = cgutils.unpack_tuple(build, struct.strides, 2)
        _, columns = cgutils.unpack_tuple(build, struct.shape, 2)
        line = build.sdiv(bytes_down, ir.Constant(bytes_down.type, self.size))
        return build.gep(struct.data, [build.add(build.mul(row, line), column)]), line, columns

    def exceeds(self, n, number):
        """Whether a whole number is larger than this one."""
        return self.builder.icmp_signed(">", n, ir.Constant(n.type, number))

    def lanes_before(self, n, first):
        """The mask of those lanes whose number, counted from `first`, is less than n."""
        numbers = ir.VectorType(n.type, self.kind.count)
        own = ir.Constant(numbers, list(range(first, first + self.kind.count)))
        return self.builder.icmp_signed("<", own, broadcast(self.builder, numbers, n))

    def sums(self, numbers, down, along, b, line, depth, rows, masks):
        """The loop over k; afterwards `rows` lists of registers, one list per row."""
        build, whole = self.builder, depth.type
        zeros, before = ir.Constant(self.kind, [0.0] * self.kind.count), build.block
        loop, after = (build.append_basic_block(name) for name in ("depth", "after"))
        build.branch(loop)
        build.position_at_end(loop)
        k, at, row = build.phi(whole), build.phi(numbers.type), build.phi(b.type)
        k.add_incoming(ir.Constant(whole, 0), before)
        at.add_incoming(numbers, before)
        row.add_incoming(b, before)
        old = [[build.phi(self.kind) for _ in masks] for _ in range(rows)]
        columns = [self._load(row, g, mask) for g, mask in enumerate(masks)]
        new = []
        for r, mine in enumerate(old):
            number = build.load(build.gep(at, [build.mul(down, ir.Constant(whole, r))]))
            factor = broadcast(build, self.kind, number)
            new.append([self._multiply_add(factor, c, s) for c, s in zip(columns, mine, strict=True)])
        for olds, news in zip(old, new, strict=True):
            for one, other in zip(olds, news, strict=True):
                one.add_incoming(zeros, before)
                one.add_incoming(other, loop)
        following = build.add(k, ir.Constant(whole, 1))
        k.add_incoming(following, loop)
        at.add_incoming(build.gep(at, [along]), loop)
        row.add_incoming(build.gep(row, [line]), loop)
        build.cbranch(build.icmp_signed("<", following, depth), loop, after)
        build.position_at_end(after)
        return new

    def finish(self, sums, add, out, line, masks):
        """The sums to their places, or added to what is there."""
        build = self.builder
        for r, mine in enumerate(sums):
            base = build.gep(out, [build.mul(line, ir.Constant(line.type, r))])
            for g, (value, mask) in enumerate(zip(mine, masks, strict=True)):
                with build.if_else(add) as (then, otherwise):
                    with then:
                        self._store(base, g, mask, build.fadd(self._load(base, g, mask), value))
                    with otherwise:
                        self._store(base, g, mask, value)

    def _multiply_add(self, x, y, z):
        letter = "f32" if self.size == 4 else "f64"
        kind = ir.FunctionType(self.kind, [self.kind] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fmuladd.v{self.kind.count}{letter}")
        return self.builder.call(function, [x, y, z])

    def _load(self, row, g, mask):
        address = self._register(row, g)
        if mask is not None:
            zeros = ir.Constant(self.kind, [0.0] * self.kind.count)
            return self._masked("load", self.kind, [address, ir.Constant(ir.IntType(32), self.size), mask, zeros])
        value = self.builder.load(address)
        value.align = self.size
        return value

    def _store(self, row, g, mask, value):
        address = self._register(row, g)
        if mask is None:
            self.builder.store(value, address, align=self.size)
        else:
            self._masked("store", ir.VoidType(), [value, address, ir.Constant(ir.IntType(32), self.size), mask])

    def _register(self, row, g):
        number = self.builder.gep(row, [ir.Constant(ir.IntType(64), g * self.kind.count)])
        return self.builder.bitcast(number, self.kind.as_pointer())

    def _masked(self, name, result, arguments):
        return masked(self.builder, name, self.kind, result, arguments)
