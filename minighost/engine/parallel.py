"""How the threads of a kernel come by their work: the part of the engine that reaches into Numba.

`on_all_threads` has Numba's pool run one compiled function on every thread at once. They are scheduled dynamically: a
counter that is raised atomically tells each what is next, so a thread that is held up leaves the rest to the others.

Why not `numba.prange`? It shares a loop just as well, but compiles the loop's body four times over (as a function, in
two wrappers, in the function around it); here it is compiled once. `docs/engine.md` has the seconds.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, compiler
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

__all__ = ["WORK", "is_last", "on_all_threads", "share", "spans", "thread_id"]

WORK = 3  # counters that a kernel's threads share: what is next, threads that have begun, parts that are finished


def thread_id(work):
    """0 for the thread that asks first, 1 for the next: which of the scratch memories is whose. Each may ask once."""
    return _take(work, 1, 1)


def is_last(work, n):
    """Count one of n parts as finished, and tell whether it was the last; then all others can be seen."""
    return _take(work, 2, 1) == n - 1


def _take(work, counter, step):
    """Raise a counter, and return what it was."""
    first = work[counter]
    work[counter] += step
    return first


_INT64 = ir.IntType(64)


def _fetch_and_add(context, builder, kind, work, counter, step):
    place = builder.gep(make_array(kind)(context, builder, work).data, [_INT64(counter)])
    # acq_rel: who takes the last number also sees what the others wrote before they took theirs
    return builder.atomic_rmw("add", place, step, "acq_rel")


@intrinsic(prefer_literal=True)
def _take_compiled(typing, work, counter, step):
    k = counter.literal_value

    def generate(context, builder, signature, values):
        return _fetch_and_add(context, builder, work, values[0], k, values[2])

    return types.int64(work, types.unliteral(counter), types.int64), generate


@intrinsic
def _thread_id_compiled(typing, work):
    def generate(context, builder, signature, values):
        return _fetch_and_add(context, builder, work, values[0], 1, _INT64(1))

    return types.int64(work), generate


@intrinsic
def _is_last_compiled(typing, work, n):
    def generate(context, builder, signature, values):
        before = _fetch_and_add(context, builder, work, values[0], 2, _INT64(1))
        return builder.icmp_signed("==", before, builder.sub(values[1], _INT64(1)))

    return types.boolean(work, types.int64), generate


if not numba.config.DISABLE_JIT:  # in kernels each is an instruction, not a function
    _take, thread_id, is_last = _take_compiled, _thread_id_compiled, _is_last_compiled


@njit(nogil=True)
def share(work, n):
    """Yield numbers below n; together, the threads of a kernel get each once."""
    step = max(1, n >> 6)
    first = _take(work, 0, step)
    while first < n:
        for k in range(first, min(n, first + step)):  # noqa: UP028 - Numba has no `yield from`
            yield k
        first = _take(work, 0, step)


@njit(nogil=True)
def spans(work, n, width):
    """Yield (first, last) of pieces of 0..n that are worth handing out; one item is a loop over `width` numbers."""
    step = max(1, 4096 // max(1, width), n >> 6)
    first = _take(work, 0, step)
    while first < n:
        yield first, min(n, first + step)
        first = _take(work, 0, step)


@intrinsic
def on_all_threads(typing, body, threads, arguments):
    """Call ``body(*arguments)`` on this number of threads of Numba's pool; 0 if all went well, else an error's code.

    One thread is the caller itself, without the pool: which takes one caller at a time, and does not outlive a fork.
    """

    def generate(context, builder, signature, values):
        argument_types = tuple(signature.args[2])
        compiled = _compile_here(typing, context, signature.args[0].dispatcher, argument_types)
        module, code = builder.module, cgutils.alloca_once_value(builder, ir.IntType(32)(0))
        function = context.declare_function(module, compiled.fndesc)
        arguments = _without_refcount(context, builder, signature.args[2], values[2])
        shared = cgutils.alloca_once_value(builder, cgutils.pack_struct(builder, [arguments, code]))
        thread = ir.Function(module, _THREAD, module.get_unique_name("thread"))
        thread.linkage = "internal"
        thread.attributes.add("noinline")  # one copy of the work, whoever runs it: the same bits, and compiled once
        _fill_thread(thread, context, shared.type, function, argument_types)
        run = cgutils.get_or_insert_function(module, _PARALLEL_FOR, "numba_parallel_for")
        count = cgutils.alloca_once_value(builder, values[1])  # iterations, of which each thread runs one
        nothing = [ir.Constant(kind, None) for kind in (_POINTERS, _INTS)]
        data = builder.bitcast(shared, _POINTER)
        with builder.if_else(builder.icmp_signed("<=", values[1], values[1].type(1))) as (alone, together):
            with alone:
                builder.call(thread, [nothing[0], nothing[1], nothing[1], data])
            with together:
                builder.call(
                    run,
                    [
                        builder.bitcast(thread, _POINTER),
                        nothing[0],
                        count,
                        nothing[1],
                        data,
                        _INT(0),
                        _INT(0),
                        builder.trunc(values[1], ir.IntType(32)),
                    ],
                )
        return builder.load(code)

    return types.int32(body, types.int64, arguments), generate


def _compile_here(typing, context, dispatcher, argument_types):
    """Compile a function into the library of the one that calls it, so that LLVM sees it once."""
    flags = compiler.Flags()
    dispatcher.targetdescr.options.parse_as_flags(flags, dispatcher.targetoptions)
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    return compiler.compile_internal(
        typing, context, context.active_code_library, dispatcher.py_func, argument_types, types.none, flags, {}
    )


def _without_refcount(context, builder, kind, value):
    """The same arrays without an owner: threads that count one array's uses hold one another up at every slice."""
    if isinstance(kind, types.Array):
        array = make_array(kind)(context, builder, value)
        for owner in ("meminfo", "parent"):
            setattr(array, owner, cgutils.get_null_value(getattr(array, owner).type))
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        for k, item in enumerate(kind):
            part = builder.extract_value(value, k)
            value = builder.insert_value(value, _without_refcount(context, builder, item, part), k)
    return value


_POINTER, _INT = ir.IntType(8).as_pointer(), ir.IntType(8 * np.intp(0).itemsize)
_POINTERS, _INTS = _POINTER.as_pointer(), _INT.as_pointer()
# The signature of a NumPy "gufunc" loop, which is what Numba's pool runs: args, dimensions, steps, data.
_THREAD = ir.FunctionType(ir.VoidType(), [_POINTERS, _INTS, _INTS, _POINTER])
# numba/np/ufunc/workqueue.h: parallel_for(function, args, dims, steps, data, inner_ndim, array_count, num_threads)
_PARALLEL_FOR = ir.FunctionType(
    ir.VoidType(), [_POINTER, _POINTERS, _INTS, _INTS, _POINTER, _INT, _INT, ir.IntType(32)]
)


def _fill_thread(thread, context, shared_type, function, argument_types):
    """What one thread does: unpack the arguments, call the function, leave an error's code behind."""
    builder = ir.IRBuilder(thread.append_basic_block())
    shared = builder.load(builder.bitcast(thread.args[3], shared_type))
    arguments, code = (builder.extract_value(shared, k) for k in range(2))
    status, _ = context.call_conv.call_function(
        builder, function, types.none, argument_types, cgutils.unpack_tuple(builder, arguments, len(argument_types))
    )
    with builder.if_then(status.is_error, likely=False):
        builder.store(status.code, code)
    builder.ret_void()
