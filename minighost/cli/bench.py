"""Time a network or an operation and compare it with this machine's limits.

WHAT is a network (ghostnet, ..., or FILE.py:NAME for your own), an operation
(conv, depthwise, pointwise, batch_norm, batch_norm_relu, relu, max_pool,
avg_pool), or roofline for the machine alone. Times are medians of --repeats
calls after the warm-up; "roofline" is the share of what the measured peak and
bandwidth allow. FLOPs are twice the multiply-adds; bytes are the minimum that
must be moved layer by layer: inputs, outputs and parameters once per pass.
--profile shows the step kernel by kernel, with the bytes of each kernel's
arrays.
"""

import contextlib
import json
import sys

from minighost import own_code
from minighost.cli import flags
from minighost.registry import unknown
from minighost.wording import counted

HELP = "time a network or an operation against the machine's limits"

EXAMPLES = """\
examples:
  minighost bench ghostnet --set stem_stride=1 --width 0.5
  minighost bench ghostnet --mode infer --batch 1 --threads 1 --json infer.json
  minighost bench ghostnet --set stem_stride=1 --mode train --profile
  minighost bench conv --shape 128,32,32,64 --kernel 3 --stride 1 --out 64
  minighost bench my.py:Net --mode train
  minighost bench roofline
"""

OF_NETWORKS = ("batch", "size", "classes", "width", "mode", "set", "profile")
OF_OPERATIONS = ("shape", "kernel", "stride", "out", "groups")
SHAPE = (128, 32, 32, 64)


def add_arguments(parser):
    parser.add_argument("what", metavar="WHAT", help="a network, an operation, or roofline")
    both = parser.add_argument_group("networks and operations")
    both.add_argument("--threads", metavar="N", type=int, help="number of threads (0: one per core)")
    both.add_argument("--repeats", metavar="N", type=int, default=10, help="timed calls (10)")
    both.add_argument("--warmup", metavar="N", type=int, default=2, help="untimed calls before them (2)")
    both.add_argument("--json", metavar="FILE", help="also write all figures to FILE; - prints only them")
    networks = parser.add_argument_group("networks")
    networks.add_argument("--batch", metavar="N", type=int, help="images per step (batch size) (128)")
    networks.add_argument("--size", metavar="N", type=int, help="height and width of the images in pixels (32)")
    networks.add_argument("--classes", metavar="N", type=int, help="number of classes (10)")
    networks.add_argument("--width", metavar="W", type=float, help="width multiplier of the network")
    networks.add_argument("--mode", choices=("train", "infer", "both"), help="training step, inference, or both (both)")
    networks.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        help="an option of the network, e.g. stem_stride=1; may be repeated",
    )
    networks.add_argument("--profile", action="store_true", default=None, help="also time kernel by kernel")
    operations = parser.add_argument_group("operations")
    operations.add_argument("--shape", metavar="N,H,W,C", help="input shape (128,32,32,64)")
    operations.add_argument("--kernel", metavar="K", type=int, help="kernel size (3; pooling: 2)")
    operations.add_argument("--stride", metavar="S", type=int, help="stride (1; pooling: 2)")
    operations.add_argument("--out", metavar="C", type=int, help="output channels (same as input channels)")
    operations.add_argument("--groups", metavar="G", type=int, help="groups of the convolution (1)")


def run(args):
    from minighost import bench, models, ops
    from minighost.files import check_target, write_atomic

    known, own = [*models.names(), *bench.OPERATIONS, "roofline"], own_code.parse(args.what)
    if own is None and args.what not in known:
        raise unknown("bench", "name", args.what, known)
    for flag in ("repeats", "warmup"):
        _at_least_one(flag, getattr(args, flag))
    check_target("--json", args.json)
    to_stdout = args.json == "-"
    with contextlib.redirect_stdout(sys.stderr if to_stdout else sys.stdout), ops.threads(args.threads or None):
        if args.what == "roofline":
            document = _roofline(args)
        else:
            document = (_network if own is not None or args.what in models.names() else _operation)(args)
    text = json.dumps(document, indent=1) + "\n"
    if to_stdout:
        print(text, end="")
    elif args.json is not None:
        write_atomic(args.json, text)
        print(f"\nall figures: {args.json}")


def _roofline(args):
    from minighost.bench import report
    from minighost.cli import speeds

    _only(args, (), "roofline takes only --threads and --json")
    roof = _measure_roof()
    print("\n".join(speeds.roofline(roof)))
    return report.document({"what": "roofline"}, [], roof)


def _network(args):
    from minighost import bench
    from minighost.bench import report
    from minighost.cli import speeds

    _only(args, OF_NETWORKS, "it is for operations, and this is a network")
    batch, size = _given(args, "batch", 128), _given(args, "size", 32)
    width = {} if args.width is None else {"width": args.width}
    options = {"num_classes": _given(args, "classes", 10), **width, **flags.options(args.set or ())}
    found = bench.bench_network(
        args.what, options, batch, size, args.mode or "both", args.repeats, args.warmup, bool(args.profile)
    )
    roof = _measure_roof()  # afterwards: its large arrays would be the peak of memory
    results = [report.as_dict(measured, roof) for measured in found.results]
    chosen = " ".join(f"{key}={value}" for key, value in options.items())
    print(f"{args.what} {chosen}: {found.parameters:,} parameters, input {batch}x{size}x{size}x3 float32")
    print(f"{counted(roof.threads, 'thread')}, median of {counted(args.repeats, 'call')}\n")
    print("\n".join([*speeds.speeds(results), "", *speeds.roofline(roof)]))
    for result in results if args.profile else ():
        print("\n".join(["", *speeds.profile(result)]))
    peaks = found.peak_before, found.peak_after
    if None not in peaks:
        print("memory     peak of the process {:,.0f} MB before, {:,.0f} MB after".format(*(p / 1e6 for p in peaks)))
    subject = {
        "what": args.what,
        "kind": "network",
        "options": options,
        "input": [batch, size, size, 3],
        "dtype": "float32",
        "parameters": found.parameters,
    }
    memory = {"peak_before_bytes": found.peak_before, "peak_after_bytes": found.peak_after}
    return report.document(subject, results, roof, warmup=args.warmup, memory=memory)


def _operation(args):
    from minighost import bench
    from minighost.bench import report
    from minighost.cli import speeds

    _only(args, OF_OPERATIONS, "it is for networks, and this is an operation")
    shape = SHAPE if args.shape is None else _shape(args.shape)
    settings = {
        name: _given(args, name, None)
        for name in ("kernel", "stride", "out", "groups")
        if getattr(args, name) is not None
    }
    measured = bench.bench_operation(args.what, shape, args.repeats, args.warmup, **settings)
    roof = _measure_roof()
    results = [report.as_dict(one, roof) for one in measured]
    settings = {**bench.OPERATIONS[args.what][1], **settings}
    chosen = "".join(f", {key} {value}" for key, value in settings.items() if value is not None)
    print(f"{args.what}: input {'x'.join(map(str, shape))} float32{chosen}")
    print(f"{counted(roof.threads, 'thread')}, median of {counted(args.repeats, 'call')}\n")
    print("\n".join([*speeds.speeds(results), "", *speeds.roofline(roof)]))
    subject = {"what": args.what, "kind": "operation", "settings": settings, "input": list(shape), "dtype": "float32"}
    return report.document(subject, results, roof, warmup=args.warmup)


def _measure_roof():
    from minighost import bench, ops

    return bench.roofline_here(ops.threads().count)


def _only(args, allowed, reason):
    """A flag that has no effect on what is timed is a mistake."""
    for flag in (*OF_NETWORKS, *OF_OPERATIONS):
        if flag not in allowed and getattr(args, flag) is not None:
            raise ValueError(f"--{flag}: has no effect on {args.what}: {reason}; leave it out")


def _given(args, flag, default):
    value = getattr(args, flag)
    return default if value is None else _at_least_one(flag, value)


def _at_least_one(flag, value):
    if value < 1:
        raise ValueError(f"--{flag} {value}: must be a whole number of at least 1")
    return value


def _shape(text):
    try:
        shape = tuple(int(side) for side in text.split(","))
    except ValueError:
        shape = ()
    if len(shape) != 4 or min(shape) < 1:
        raise ValueError(f"--shape {text}: must be N,H,W,C in whole numbers of at least 1, e.g. 128,32,32,64")
    return shape
