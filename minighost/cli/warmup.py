"""Compile the kernels now, so that no training run has to wait for them.

Runs one training step and one evaluation of small versions of the networks in
single precision. Compiled kernels are cached on disk, so this is needed only
once after an installation or a change to the code.
"""

from minighost.registry import unknown

HELP = "compile the kernels before the first training run"

EXAMPLES = """\
examples:
  minighost warmup
  minighost warmup ghostnet_short
  minighost warmup all
"""

USUAL = "ghostnet", "ghostnet_cifar", "ghostnet_short", "quicknet", "resnet20"


def add_arguments(parser):
    parser.add_argument(
        "networks", metavar="NETWORK", nargs="*", help=f"networks whose kernels to compile, or all ({', '.join(USUAL)})"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="number of threads (0: one per core)")


def run(args):
    from minighost import bench, models, ops

    names = models.names() if args.networks == ["all"] else args.networks or USUAL
    for name in names:
        if name not in models.names():
            raise unknown("warmup", "network", name, [*models.names(), "all"])
    width = max(map(len, names))
    with ops.threads(args.threads or None):
        for name in names:
            training, inference = bench.warm_up(name)
            print(f"{name:{width}}  training step {training:6.2f} s, inference {inference:6.2f} s", flush=True)
    folder = bench.kernels_folder()
    reason = "MINIGHOST_CACHE=0, or no folder can be written to"
    print(f"kernels are cached in {folder}" if folder else f"kernels are not cached: {reason}")
