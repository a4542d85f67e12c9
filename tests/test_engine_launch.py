"""The engine: kept memory, threads, determinism, and the rule of one writer."""

import ast
import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest
import threadpoolctl

import minighost
from minighost import ops
from minighost.engine import gemm as gemm_module
from minighost.engine import launch
from minighost.engine.memory import empty, pool_bytes, release_pool, workspace

KERNEL_FILES = [p for room in ("engine", "ops") for p in sorted((Path(minighost.__file__).parent / room).rglob("*.py"))]
SHARED = "share", "spans"


def test_the_pool_reuses_what_nobody_holds():
    first = empty((100, 1000), np.float32)
    address = first.ctypes.data
    del first
    assert empty((100, 1000), np.float32).ctypes.data == address


def test_the_pool_never_hands_out_what_somebody_holds():
    arrays = [empty((100, 1000), np.float32) for _ in range(5)]
    view = arrays.pop()[3:5].T.reshape(-1, 2)  # only a view of a view is left
    for k, a in enumerate(arrays):
        a.fill(k)
    view.fill(-1)
    fresh = empty((100, 1000), np.float32)
    fresh.fill(99)
    assert all((a == k).all() for k, a in enumerate(arrays)) and (view == -1).all()


def test_the_pool_gives_aligned_contiguous_memory_and_releases_it():
    a = empty((3, 50_001), np.float64)
    assert a.ctypes.data % 64 == 0 and a.flags.c_contiguous and a.shape == (3, 50_001)
    release_pool()
    held = pool_bytes()
    assert held >= a.nbytes
    del a
    release_pool()
    assert pool_bytes() < held


def test_training_steps_allocate_nothing_after_the_first():
    model = minighost.models.create("ghostnet", width=0.1, num_classes=10, stem_stride=1)
    x, labels = np.random.default_rng(0).normal(size=(32, 16, 16, 3)).astype(np.float32), np.arange(32) % 10

    def step():
        model.zero_grad()
        model.backward(ops.softmax_cross_entropy(model(x), labels)[1])

    step()
    held = pool_bytes()
    for _ in range(3):
        step()
    assert pool_bytes() == held > 0


def test_threads_shows_sets_and_restores():
    before = minighost.threads().count
    with minighost.threads(1) as inside:
        assert inside.count == 1 and repr(inside) == "threads(1), BLAS 1"
    assert minighost.threads().count == before
    with pytest.raises(ValueError, match="n=0 must lie between 1 and"):
        minighost.threads(0)


def test_blas_is_held_to_one_thread_once_a_kernel_has_run(rng):
    ops.pointwise_forward(rng.normal(size=(4, 3)), rng.normal(size=(3, 2)))
    assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"} == {1}


def _visit(work, n, visits):
    for k in launch.share(work, n):
        visits[k] += 1


def _span(work, n, visits):
    for first, last in launch.spans(work, n, 100):
        for k in range(first, last):
            visits[k] += 1


@pytest.mark.small
@pytest.mark.parametrize("function", [_visit, _span])
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000, 300_000])
def test_threads_share_every_turn_once(function, n):
    visits = np.zeros(n, np.int64)
    launch.kernel(function)(n, visits)
    assert (visits == 1).all()


BEYOND = """
import numpy as np
from minighost.engine.launch import kernel, share

@kernel
def visit(work, n, visits):
    for k in share(work, n):
        visits[k] += 1

visit(100, np.zeros(99, np.int64))
"""


@pytest.mark.parametrize("mode", ["NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"])
def test_an_index_out_of_bounds_in_any_thread_is_reported(mode):
    """Under bounds checks and in plain Python; ordinary compiled code does not look."""
    environment = {**os.environ, mode: "1", "MINIGHOST_CACHE": "0"}
    command = [sys.executable, "-c", BEYOND]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 1 and "out of bounds" in run.stderr


@pytest.mark.parametrize("argument", [np.zeros(3), "no array"])
def test_compiling_leaves_numba_and_the_collector_as_they_were(argument):
    level, collecting = launch.numba.config.OPT, launch.gc.isenabled()
    with contextlib.suppress(launch.numba.core.errors.TypingError):
        launch.kernel(_visit)(3, argument)
    assert launch.numba.config.OPT == level and launch.gc.isenabled() == collecting


STEPS = """
import hashlib, sys
import numpy as np
import minighost as mg
with mg.threads(int(sys.argv[1])):
    model = mg.models.create("ghostnet", width=0.1, num_classes=10, stem_stride=1)
    rng = np.random.default_rng(0)
    for fused in (False, False, True, True):
        x, labels = rng.normal(size=(33, 16, 16, 3)).astype(np.float32), rng.integers(0, 10, 33)
        model.zero_grad()
        with mg.nn.fusing(fused):
            model.backward(mg.ops.softmax_cross_entropy(model(x), labels)[1])
        for p in model.parameters():
            p.data -= np.float32(0.1) * p.grad
print(hashlib.sha256(b"".join(v.tobytes() for v in model.state_dict().values())).hexdigest())
"""


COUNT = """
import sys
import numpy as np
from numba.core import event
from numba.core.registry import cpu_target
import minighost as mg
from minighost.engine.kernels import tiles
model = mg.models.create("ghostnet", width=0.1, num_classes=10, stem_stride=1)
compiled = event.RecordingListener()
event.register("numba:compile", compiled)
for N in (33, 8):
    x, labels = np.zeros((N, 16, 16, 3), np.float32), np.zeros(N, np.int64)
    model.backward(mg.ops.softmax_cross_entropy(model(x), labels)[1])
modules = [m for name, m in sorted(sys.modules.items()) if name.startswith(("minighost.engine.", "minighost.ops."))]
kernels = {id(v): v for m in modules for v in vars(m).values() if hasattr(v, "compiled")}
print(*sorted(len(k.compiled.signatures) for k in kernels.values() if k.compiled.signatures))
emitted = [module.name for module in cpu_target.target_context.codegen()._engine._ee._modules]
print(len(compiled.buffer) // 2, sum("on_threads" in n for n in emitted), sum(n in tiles.__all__ for n in emitted))
"""


def test_a_training_step_compiles_few_kernels_and_each_for_one_signature():
    """Every signature costs a second of compilation, and one too many goes unnoticed."""
    environment = {**os.environ, "MINIGHOST_CACHE": "0"}
    command = [sys.executable, "-c", COUNT]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    signatures, counts = ([int(number) for number in line.split()] for line in run.stdout.splitlines())
    functions, kernels, tiles = counts
    assert sum(signatures) <= 19 and set(signatures) <= {1, 2}  # two activations of arrays: ReLU and the gate
    assert 50 < functions <= 88
    assert kernels == sum(signatures) and tiles == 0  # machine code is made of kernels, not of their parts


def test_the_bits_do_not_depend_on_threads_or_threading_layer():
    digests = set()
    for count, layer in [(1, "omp"), (2, "omp"), (4, "omp"), (2, "workqueue")]:
        environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "NUMBA_THREADING_LAYER": layer}
        command = [sys.executable, "-c", STEPS, str(count)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
        digests.add(run.stdout)
    assert len(digests) == 1


def _parallel_loops():
    for path in KERNEL_FILES:
        for function in [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]:
            for loop in [n for n in ast.walk(function) if isinstance(n, ast.For)]:
                if isinstance(loop.iter, ast.Call) and getattr(loop.iter.func, "id", "") in SHARED:
                    yield path.name, function, loop


def _writers(loop):
    """Array names that are stored to inside the loop, with the names in each index."""
    for node in ast.walk(loop):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                yield target.value.id, {n.id for n in ast.walk(target.slice) if isinstance(n, ast.Name)}


def _derived(loop):
    """Names whose value is bound inside the loop, from its index on: the loop's own."""
    own = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
    for node in ast.walk(loop):
        if isinstance(node, (ast.Assign, ast.For)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                own |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return own


def _own_names(function):
    """Names bound to a thread's number, and to what is picked out by it: the thread's own."""
    own = set()
    for node in [n for n in function.body if isinstance(n, ast.Assign)]:
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else node.targets
        for target, value in zip(targets, values, strict=False):
            called = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "thread_id"
            picked = isinstance(value, ast.Subscript) and getattr(value.slice, "id", "") in own
            own |= {target.id} if (called or picked) and isinstance(target, ast.Name) else set()
    return own


def test_there_are_parallel_loops_to_look_at():
    assert len(list(_parallel_loops())) > 20


def test_inside_a_parallel_loop_every_write_is_indexed_by_the_loop():
    for file, function, loop in _parallel_loops():
        own = _derived(loop) | _own_names(function)
        for array, index_names in _writers(loop):
            assert array in own or index_names & own, (
                f"{file}:{function.name} writes {array} the same in every iteration"
            )
        for node in ast.walk(loop):
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                assert node.target.id in own, f"{file}:{function.name} reduces over a parallel loop: {node.target.id}"


def test_no_kernel_nests_parallel_loops_or_raises_in_one():
    for file, function, loop in _parallel_loops():
        inner = [n for statement in loop.body for n in ast.walk(statement)]
        assert not any(isinstance(n, (ast.Raise, ast.Assert)) for n in inner), f"{file}:{function.name}"
        assert not any(getattr(n, "id", "") in SHARED for n in inner), f"{file}:{function.name}"


def test_a_kernel_that_gives_each_thread_scratch_is_told_how_many_threads_there_are():
    """By ``n_threads=``, from the reading of the count that sized the scratch: the count may have changed since."""
    for path in KERNEL_FILES:
        tree = ast.parse(path.read_text())
        functions = [f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)]
        asking = {f.name for f in functions if any(_calls(n, "thread_id") for n in f.body if isinstance(n, ast.Assign))}
        for call in [n for n in ast.walk(tree) if isinstance(n, ast.Call)]:
            if getattr(call.func, "id", "") in asking:
                told = {keyword.arg for keyword in call.keywords}
                assert "n_threads" in told, f"{path.name}:{call.lineno} calls {call.func.id} without n_threads="
        for function in functions:
            readings = _calls(function, "threads")
            assert len(readings) <= 1, f"{path.name}:{function.name} reads the number of threads {len(readings)} times"


def _calls(tree, name):
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == name]


def test_kernels_call_only_what_the_cache_stamp_covers():
    """What stands in their file or comes from another file of `engine` or `ops`: those are the sources hashed."""
    for path in KERNEL_FILES:
        tree = ast.parse(path.read_text())
        known = {f.name for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)}
        for imported in [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]:
            if imported.module.startswith(("minighost.engine.", "minighost.ops.")):
                known |= {alias.name for alias in imported.names}
        chosen = [n for n in tree.body if isinstance(n, ast.Assign) and _calls(n, "method")]  # of NamedTuples
        known |= {name.id for n in chosen for target in n.targets for name in ast.walk(target) if hasattr(name, "id")}
        made = [n for n in ast.walk(tree) if isinstance(n, ast.Assign) and any(_calls(n, name) for name in list(known))]
        known |= {name.id for n in made for target in n.targets for name in ast.walk(target) if hasattr(name, "id")}
        # A dtype, a class and a tile that are chosen outside.
        known |= {"range", "len", "min", "max", "abs", "int", "slice", "number", "kind", "otherwise"}
        for function in [f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)]:
            if any(getattr(d, "id", "") in ("kernel", "tile") for d in function.decorator_list):
                called = {
                    n.func.id for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
                }
                assert called <= known, f"{path.name}:{function.name}"


def test_the_engine_knows_nothing_of_what_stands_on_it():
    engine = Path(minighost.__file__).parent / "engine"
    for path in engine.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            ours = [name for name in names if name.split(".")[0] == "minighost"]
            below = tuple(f"minighost.{name}" for name in ("engine", "arguments", "errors", "files", "type_aliases"))
            assert all(name.startswith(below) for name in ours), path.name


def test_a_workspace_is_divided_without_overlaps_and_is_the_same_memory_each_time():
    shapes = (3, 5), (0, 4), (1000,)
    arrays = workspace(np.float32, *shapes)
    assert [a.shape for a in arrays] == list(shapes) and all(a.ctypes.data % 64 == 0 for a in arrays if a.size)
    for k, array in enumerate(arrays):
        array[...] = k
    assert [set(a.ravel().tolist()) for a in arrays] == [{0}, set(), {2}]
    assert all(a is b for a, b in zip(arrays, workspace(np.float32, *shapes), strict=True))
    (larger,) = workspace(np.float64, (1 << 16,))
    larger[...] = 7
    assert arrays[0][0, 0] == 0  # who still has the smaller memory keeps it
    release_pool()
    assert workspace(np.float32, *shapes)[0] is not arrays[0]


def test_each_python_thread_has_a_workspace_of_its_own():
    mine = workspace(np.float32, (9,))[0]
    with ThreadPoolExecutor(1) as other:
        assert not np.shares_memory(other.submit(lambda: workspace(np.float32, (9,))[0]).result(), mine)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is linked")
def test_functions_that_a_kernel_links_have_names_of_their_own():
    """Numba links by name and signature, also what comes from the cache: two functions of one name would be one."""
    multiply = gemm_module._multiply(numba.float32)
    parts = [
        cell.cell_contents.py_func for cell in multiply.py_func.__closure__ if hasattr(cell.cell_contents, "py_func")
    ]
    assert len({part.__qualname__ for part in parts}) == len(parts) == 2
