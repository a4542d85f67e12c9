"""How many lines there are to read: in a weekend, in the engine, in all.

The weekend is GhostNet from the image to the trained network: its mathematics
(ops), its modules (nn), the network (models), the trainer with its optimizers
and schedules. The family is all of ops, nn and models; the engine under them
is the second book. "code" leaves out blank lines, comments and docstrings.
"""

from minighost import lines

HELP = "how many lines there are to read"

EXAMPLES = """\
examples:
  minighost lines
  minighost lines --files     file by file
"""


def add_arguments(parser):
    parser.add_argument("--files", action="store_true", help="also one line per file")


def run(args):
    from minighost.terminal.text import table

    parts = {name: lines.count(*patterns) for name, patterns in lines.WEEKEND.items()}
    weekend = {path: one for part in parts.values() for path, one in part.items()}
    rows = []
    for name, part in parts.items():
        rows.append(_row(name, part))
        if args.files:
            rows.extend(_row(f"  {path}", {path: one}) for path, one in part.items())
    rows.append(_row("the weekend", weekend))
    rows.append(_row("the whole family", lines.count(*lines.FAMILY)))
    rows.append(_row("the engine, the second book", lines.count(*lines.ENGINE)))
    rows.append(_row("all of minighost", lines.count("**/*.py")))
    print("\n".join(table(rows, ("part", "files", "code", "all lines"), "<>>>")))


def _row(name, part):
    files, code, total = (sum(numbers) for numbers in zip(*part.values(), strict=True))
    return name, f"{files:,}", f"{code:,}", f"{total:,}"
