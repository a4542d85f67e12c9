"""All networks here, counted, beside the numbers that were published.

Each network is built, without weights, and its parameters and multiply-adds are
counted. "=" marks those equal to exact published numbers, to the last unit;
rounded ones are shown as they were printed. --json prints one object for each
published entry.
"""

import itertools
import json
import textwrap

HELP = "all networks: parameters and multiply-adds beside the published ones"

EXAMPLES = """\
examples:
  minighost zoo
  minighost zoo --all | less
  minighost zoo --json > zoo.json
"""

WIDTH = 80


def add_arguments(parser):
    parser.add_argument("--all", action="store_true", help="every published entry, not one per network")
    parser.add_argument("--json", action="store_true", help="print JSON: one object for each published entry")


def run(args):
    from minighost import analysis, models

    sizes = models.published()
    if args.json:
        print(json.dumps([_as_dict(entry) for entry in analysis.entries(sizes)], indent=1))
        return
    entries = list(analysis.entries(sizes if args.all else analysis.standard_forms(sizes)))
    print("\n".join(_entries(entries) if args.all else _networks(entries)))
    print("\n".join(["", *_wrapped(_verdict(entries)), *([] if args.all else _wrapped(_others(entries)))]))


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
