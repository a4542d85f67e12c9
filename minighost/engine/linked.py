"""Functions that are parts of kernels and nothing else: compiled as far as LLVM's own language, and no further.

Numba makes machine code of each function that it compiles, and links a function into its callers only when it has. Of a
`tile`, which nobody can call, that code would never run; to leave it out saves a tenth of the time until the first
training step (22.4 to 20.1 seconds, the command of `docs/engine.md` before and after alternately, three runs each).
Like `parallel`, this reaches into Numba.
"""

import functools

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

__all__ = ["linked_only"]


def linked_only(dispatcher):
    """Have a function, which no wrapper makes callable from Python, compiled without machine code of its own."""
    compile_now = dispatcher.compile

    @functools.wraps(compile_now)
    def compile_for_linking(signature):
        context = cpu_target.target_context
        codegen = context.codegen()
        with global_compiler_lock:
            before = codegen._library_class, context.get_executable
            codegen._library_class, context.get_executable = _Library, _nothing_to_run
            try:
                return compile_now(signature)
            finally:
                codegen._library_class, context.get_executable = before

    dispatcher.compile = compile_for_linking
    return dispatcher


class _Library(JITCodeLibrary):
    """Optimised instructions, for other libraries to link in."""

    def _finalize_final_module(self):
        self._finalized = True  # and not: hand it over to the machine


def _nothing_to_run(library, fndesc, env):
    """What Numba keeps as a compiled function's address: here there is none."""
    return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))
