"""Write a trained network for other programs.

  onnx   for ONNX Runtime and whatever else reads ONNX (opset 17); needs the
         packages onnx and onnxruntime
  torch  a module in readable Python for PyTorch, its weights in a safetensors
         file beside it
  npz    arrays for NumPy, and the steps that they are used in

Class names, size, crop and normalisation go with it. Before anything is
written, the other program runs the network on test images of the run; if its
answers are not minighost's, the exit status is 1.
"""

from pathlib import Path

from minighost.cli import flags

HELP = "write a trained network for ONNX, PyTorch or NumPy"

EXAMPLES = """\
examples:
  minighost export runs/shapes10-ghostnet
  minighost export runs/cifar --to torch --out net.py
  minighost export runs/cifar --best --to npz --out net.npz --overwrite
"""


def add_arguments(parser):
    parser.add_argument("run_folder", metavar="RUN", help="run folder written by `minighost train`")
    parser.add_argument("--to", choices=("onnx", "torch", "npz"), default="onnx", help="the format (onnx)")
    parser.add_argument("--out", metavar="FILE", help="where to (the run's name, with .onnx, .py or .npz)")
    parser.add_argument("--size", metavar="SIZE", help="image size in pixels, if not the run's: one side, or HxW")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    flags.add_weights_flags(parser)


def run(args):
    import minighost as mg
    from minighost.cli.main import complain
    from minighost.exporting import AnswersDiffer

    size = None if args.size is None else flags.image_size(args.size, "--size")
    out, which = args.out or Path(args.run_folder).resolve().name, "best" if args.best else "last"
    try:
        with mg.threads(args.threads or None):
            done = mg.export(
                args.run_folder, out, args.to, which=which, model=args.model, size=size, overwrite=args.overwrite
            )
    except AnswersDiffer as error:
        complain(error)
        return 1
    wrote = [("wrote", f"{file}, {_bytes(number)}") for file, number in done.files.items()]
    for word, text in (*done.notes, *(done.comparison.lines() if done.comparison else ()), *wrote):
        print(f"{word:8} {text}")


def _bytes(number):
    return f"{number / 1e6:.1f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"
