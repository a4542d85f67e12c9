"""What a network costs: output shapes, parameters, multiply-adds, their share.

One line per block, or with --layers one line per layer. MACs are multiply-adds
of convolutions and fully connected layers for one image. The defaults are those
of the published GhostNet 1.0x: 5,182,508 parameters, 141,150,512 MACs.
"""

import dataclasses
import json

from minighost.cli import flags

HELP = "shapes, parameters and multiply-adds, layer by layer"

EXAMPLES = """\
examples:
  minighost summary
  minighost summary --width 0.5 --input 32 --classes 10 --stem-stride 1
  minighost summary --layers | less
  minighost summary --fused | less
  minighost summary --model my.py:Net
  minighost summary --set model.ratio=1 --json > plain.json
"""


def add_arguments(parser):
    flags.add_config_flags(parser, ["--model", "--width", "--stem-stride"])
    parser.add_argument(
        "--classes", metavar="N", type=int, help="number of classes (1000; detectors: 80; your own: 10)"
    )
    parser.add_argument("--input", metavar="SIZE", help="image size: one side, or HxW (224; your own: 32)")
    parser.add_argument("--layers", action="store_true", help="one line per layer instead of per block")
    parser.add_argument(
        "--fused", action="store_true", help="what happens to each layer in inference: merged into which, or why not"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, always layer by layer")


def run(args):
    from minighost import analysis, models, nn
    from minighost.nn.summary import by_block, by_layer
    from minighost.train.config import Config
    from minighost.train.settings import ModelConfig

    published = Config(model=ModelConfig(name="ghostnet", width=1.0))  # not a data set's recipe
    given = flags.overrides(args)
    chosen = Config.resolve(toml_path=args.config, overrides=given, base=published).model
    small = chosen.own is not None  # nothing is published of it
    shape = (*flags.image_size(args.input or ("32" if small else "224")), 3)
    classes = 10 if small else 80 if chosen.name in models.detectors() else 1000
    options = {**chosen.given(), "num_classes": classes if args.classes is None else args.classes}
    if small and chosen.width == 1 and not models.takes(chosen.name, "width"):
        del options["width"]
    with nn.without_weights():
        model = models.create(chosen.name, **options)
    if args.fused:
        became = _became(model)
        print(json.dumps(became, indent=1) if args.json else "\n".join(_fused(became)))
        return
    rows = analysis.count(model, shape)
    if args.json:
        print(json.dumps(_as_dict(chosen.name, options, shape, rows), indent=1))
    else:
        chosen_options = " ".join(f"{key}={value}" for key, value in options.items())
        print(f"{chosen.title} {chosen_options}, input {'x'.join(map(str, shape))}\n")
        print("\n".join(by_layer(rows) if args.layers else by_block(analysis.blocks(model, rows))))


def _became(model):
    """What `nn.fold` makes of each layer: a dictionary from path to one line."""
    from minighost import nn

    became = nn.fold(model).explain()
    layers = [path for path, module in model.named_modules() if path and not list(module.children())]
    whole = tuple(f"{path}." for path in became)  # a layer of several is known, or called, as one
    silent = [path for path in layers if path not in became and not path.startswith(whole)]
    return {**became, **dict.fromkeys(silent, "does nothing in evaluation")}


def _fused(became):
    """A table of them, and a line that counts."""
    from minighost.terminal.text import table

    words = ("part of ", " of its own", "called ")
    merged, own, called = (sum(word in text for text in became.values()) for word in words)
    return [
        *table(list(became.items()), ("layer", "in inference"), "<<"),
        "",
        f"{merged} of {len(became)} layers are merged into others, {own} could not be, {called} are called unchanged",
    ]


def _as_dict(name, options, shape, rows):
    return {
        "model": name,
        "options": options,
        "input": list(shape),
        "parameters": sum(row.params for row in rows),
        "macs": sum(row.macs for row in rows),
        "layers": [dataclasses.asdict(row) for row in rows],
    }
