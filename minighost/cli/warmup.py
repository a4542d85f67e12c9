"""Compile the kernels now, so that no training has to wait for it.

Runs one training step and one evaluation of small versions of the networks in
single precision. Compiled kernels are kept on disk, so this is needed once
after an installation or a change of the code.
"""

HELP = "compile the kernels ahead of the first training"

EXAMPLES = """\
examples:
  minighost warmup
  minighost warmup ghostnet_short
"""


def add_arguments(parser):
    parser.add_argument("networks", metavar="NETWORK", nargs="*", help="whose kernels (all networks)")
    parser.add_argument("--threads", metavar="N", type=int, help="threads of the kernels (0: every core)")


def run(args):
    from minighost import bench, models, ops

    names = args.networks or models.names()
    for name in names:
        if name not in models.names():
            raise ValueError(f"warmup: there is no network {name!r}; there is {', '.join(models.names())}")
    width = max(map(len, names))
    with ops.threads(args.threads or None):
        for name in names:
            training, inference = bench.warm_up(name)
            print(f"{name:{width}}  training step {training:6.2f} s, inference {inference:6.2f} s", flush=True)
    folder = bench.kernels_folder()
    print(
        f"kernels are kept in {folder}" if folder else "kernels are not kept: MINIGHOST_CACHE=0 or no folder for them"
    )
