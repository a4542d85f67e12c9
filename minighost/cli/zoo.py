"""All networks here, counted, beside the numbers that were published.

Each network is built, without weights, and its parameters and multiply-adds are
counted. "=" marks those equal to exact published numbers, to the last unit;
rounded ones are shown as they were printed. --json prints one object for each
published entry.

--model draws one network block by block: its maps and channels, the receptive
field of a number in them (* beside gates that know the whole image), and where
the multiply-adds are.
"""

import itertools
import json
import textwrap

from minighost.cli import flags

HELP = "all networks: parameters and multiply-adds beside the published ones"

EXAMPLES = """\
examples:
  minighost zoo
  minighost zoo --all | less
  minighost zoo --json > zoo.json
  minighost zoo --model ghostnet
  minighost zoo --model resnet20 --plot resnet20.png
"""

WIDTH = 80


def add_arguments(parser):
    parser.add_argument("--all", action="store_true", help="every published entry, not one per network")
    parser.add_argument("--json", action="store_true", help="print JSON: one object for each published entry")
    parser.add_argument("--model", metavar="NAME", help="draw one network instead; FILE.py:NAME is your own")
    parser.add_argument("--input", metavar="SIZE", help="with --model: image size, one side or HxW (its standard one)")
    parser.add_argument("--plot", metavar="FILE.png", help="with --model: also draw a picture")


def run(args):
    from minighost import analysis, models

    if args.model is not None:
        return _draw(args)
    for flag in ("input", "plot"):
        if getattr(args, flag) is not None:
            raise ValueError(f"--{flag}: needs --model NAME; all networks are listed at their published inputs")
    sizes = models.published()
    if args.json:
        print(json.dumps([_as_dict(entry) for entry in analysis.entries(sizes)], indent=1))
        return
    entries = list(analysis.entries(sizes if args.all else analysis.standard_forms(sizes)))
    print("\n".join(_entries(entries) if args.all else _networks(entries)))
    print("\n".join(["", *_wrapped(_verdict(entries)), *([] if args.all else _wrapped(_others(entries)))]))


def _draw(args):
    """One network, block by block."""
    from minighost import analysis, models, nn
    from minighost.cli.structure import structure
    from minighost.plots.figure import check_picture

    if args.all or args.json:
        raise ValueError(f"--{'all' if args.all else 'json'}: lists all networks and --model draws one; leave one out")
    check_picture("--plot", args.plot)
    size = {one.model: one for one in analysis.standard_forms(models.published())}.get(args.model)
    options = {} if size is None else {**size.kwargs, "num_classes": size.classes}
    plane = (32, 32) if size is None else size.input[:2]
    shape = (*(plane if args.input is None else flags.image_size(args.input)), 3)
    with nn.without_weights():
        model = models.create(args.model, **options)
    rows = analysis.blocks(model, analysis.count(model, shape))
    fields = _net_fields(model) if args.model in models.detectors() else analysis.receptive_fields(model)
    about = models.ABOUT.get(args.model)
    params, macs = (f"{sum(getattr(row, what) for row in rows):,}" for what in ("params", "macs"))
    title = f"{args.model} {_options(options)}".rstrip()
    print("\n".join([*_wrapped(title), *([] if about is None else _wrapped(_words(about)))]))
    print(f"input {'x'.join(map(str, shape))}: {params} parameters, {macs} multiply-adds (MACs)\n")
    print("\n".join(structure(rows, fields)))
    if args.plot is not None:
        from minighost.plots import structure as picture

        known = [fields.get(row.path) for row in rows]
        sides = [None if field is None or field.pooled else max(field.size) for field in known]
        print(f"\npicture: {picture.save(f'{title}, input {shape[0]}x{shape[1]}', rows, sides, args.plot)}")


def _net_fields(detector):
    """Of the chain that a detector begins with; in its pyramid maps meet again, and a number has no single field."""
    from minighost import analysis, nn

    fields = analysis.receptive_fields(nn.Sequential(*detector.net.stages))
    return {f"net.stages.{path}": field for path, field in fields.items()}


def _words(about):
    return f"{about.year}, {about.idea}: {about.paper}"


def _networks(entries):
    """A line of numbers for each network, and what it is under it."""
    yield from _heading("network")
    for entry in entries:
        yield _numbers(entry.published.model, entry)
        yield from _wrapped(_about(entry), "  ")


def _entries(entries):
    """A heading for each network with its options, and a line of numbers for each input under it."""
    yield from _heading("network and options")
    for _, group in itertools.groupby(entries, lambda entry: (entry.published.model, entry.published.kwargs)):
        same = list(group)
        missing = f": not built: {same[0].missing}" if same[0].missing else ""
        yield from _wrapped(f"{same[0].published.model} {_options(same[0].published.kwargs)}".rstrip() + missing)
        yield from (_numbers(f"  {entry.published.classes:,} classes", entry) for entry in same)


def _heading(first):
    return f"{first:25}{'input':>5}{'parameters':>15}{'multiply-adds':>17}  published", "-" * WIDTH


def _numbers(first, entry):
    H, W, _ = entry.published.input
    params, macs = ("-" if number is None else f"{number:,}" for number in (entry.params, entry.macs))
    return f"{first:25}{H if H == W else f'{H}x{W}':>5}{params:>15}{macs:>17}  {_published(entry)}"


def _published(entry):
    """The mark of equality, or the numbers, rounded."""
    size = entry.published
    if entry.equal and size.exact:
        return "="
    words = " / ".join(_rounded(number) for number in (size.params, size.macs) if number is not None)
    return f"not {words}" if size.exact and not entry.missing else words


def _rounded(number):
    return f"{number / 1e6:.{2 if number < 1e6 else 1 if number < 1e7 else 0}f}M"


def _about(entry):
    from minighost import models

    if entry.missing:
        return f"not built: {entry.missing}"
    about = models.ABOUT[entry.published.model]
    authors, where = about.paper.partition('"')[0].rstrip(", "), about.paper.rpartition('"')[2]
    options = _options({key: value for key, value in entry.published.kwargs.items() if (key, value) != ("width", 1)})
    return f"{about.year}, {about.idea}: {authors}{where}" + (f" ({options})" if options else "")


def _options(kwargs):
    return " ".join(f"{key}={value}" for key, value in kwargs.items())


def _verdict(entries):
    exact = [entry for entry in entries if entry.published.exact and not entry.missing]
    missing = sorted({entry.published.model for entry in entries if entry.missing})
    equal = sum(entry.equal for entry in exact)
    words = f"{equal} of {len(exact)} exact entries are equal (=)"
    return words + (f"; not built: {', '.join(missing)}" if missing else "")


def _others(entries):
    """Registered networks that nobody published numbers of."""
    from minighost import models

    shown = {entry.published.model for entry in entries}
    return f"also here, without published numbers: {', '.join(name for name in models.names() if name not in shown)}"


def _wrapped(text, indent=""):
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")


def _as_dict(entry):
    from minighost import models

    size = entry.published
    about = models.ABOUT.get(size.model)
    return {
        "model": size.model,
        "kwargs": size.kwargs,
        "input": list(size.input),
        "classes": size.classes,
        "params": entry.params,
        "macs": entry.macs,
        "published": {"params": size.params, "macs": size.macs, "exact": size.exact, "source": size.source},
        "equal": entry.equal,
        **({"not_built": entry.missing} if entry.missing else {}),
        **({} if about is None else about._asdict()),
    }
