"""Exercises: write it yourself and find out what is wrong.

init writes the exercises into a folder, as Python files with gaps. Fill the
gaps in any editor; check says whether your code is right and, if not, where it
goes wrong and the likely mistake; watch checks a file whenever it is saved.
Without an ACTION: where you stand and what comes next. A check runs your file
as an ordinary program, with all your permissions. check exits with status 0 if
everything is right, otherwise with 1.
"""

HELP = "exercises from a sum of products to a ghost network and its relatives"

ACTIONS = "init", "list", "check", "watch", "hint", "solution", "reset", "progress"
OF_ALL = "next", "init", "list", "progress"  # exercises at once, so that there is nothing to name

EXAMPLES = """\
examples:
  minighost learn init                 write the exercises
  minighost learn                      where you stand, what comes next
  minighost learn check                check the next unfinished exercise
  minighost learn check col2im         check this one; also by number, or all
  minighost learn watch                check a file whenever it is saved
  minighost learn hint                 the next hint; hint 6 2 shows the second
  minighost learn solution 6           once it has passed, or with --yes
  minighost learn reset 6              restore the gaps; your file is kept
"""


def add_arguments(parser):
    parser.add_argument(
        "action", metavar="ACTION", nargs="?", choices=("next", *ACTIONS), default="next", help=", ".join(ACTIONS)
    )
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="number or name of an exercise (the next unfinished one), then the number of a hint",
    )
    parser.add_argument("--dir", metavar="DIR", help="folder of your files (minighost-exercises)")
    parser.add_argument("--yes", action="store_true", help="show a solution before the exercise has passed")


def run(args):
    from minighost.learn.folder import Folder, here

    if args.names and args.action in OF_ALL:
        raise ValueError(f"learn {args.action}: takes no NAME, got {' '.join(args.names)}; a folder goes after --dir")
    if len(args.names) > (2 if args.action == "hint" else 1):
        raise ValueError(f"learn {args.action}: takes one NAME, got {' '.join(args.names)}")
    folder = Folder(here(args.dir), _warn)
    if args.action == "init":
        return _init(folder)
    if not folder.exists():
        where = _dir(folder)
        if args.action == "next":
            return _first(folder, where)
        raise ValueError(f"no exercises in {folder.path} yet; `minighost learn init{where}` writes them")
    return globals()[f"_{args.action}"](folder, args)


# Actions -------------------------------------------------------------------------------------------------------


def _init(folder):
    done = folder.init()
    exercises = [name for name in done.new if name.endswith(".py")]
    print(f"{len(exercises)} {'exercise' if len(exercises) == 1 else 'exercises'} written to {folder.path}")
    for words, names in (
        ("updated, because you had not changed them", done.renewed),
        ("left alone, because you changed them", done.left),
    ):
        if names:
            _prose(f"{words}: {', '.join(names)}")
    print()
    return _next(folder, None)


def _first(folder, where):
    from minighost.learn.ladder import exercises

    print(f"{len(exercises())} {HELP}; none are in {folder.path} yet")
    print(f"write them with  minighost learn init{where}")


def _next(folder, args):
    from minighost.learn.ladder import exercises

    unfinished = folder.unfinished()
    right = len(exercises()) - len(unfinished)
    _bar(right, len(exercises()))
    if not unfinished:
        print("every exercise is right; `minighost learn list` shows them")
        return
    exercise = unfinished[0]
    outcome, changed = folder.outcome(exercise)
    began = {"wrong": "wrong so far"}.get(outcome, "started" if changed else "not started")
    print(f"next  {exercise.number} {exercise.name}, {began}")
    _prose(exercise.title, 6)
    if not folder.file(exercise).exists():
        print(f"its file is not there yet; write it with  minighost learn init{_dir(folder)}")
        return
    print(f"file  {folder.file(exercise)}")
    print(f"then  minighost learn check{_dir(folder)}     or keep `minighost learn watch{_dir(folder)}` running")


def _list(folder, args):
    from minighost.learn.ladder import exercises
    from minighost.terminal.text import table

    entries, rows = folder.progress.read(), []
    for exercise in exercises():
        outcome, changed = folder.outcome(exercise, entries)
        if changed:
            outcome = "started" if outcome == "not started" else f"{outcome}, changed since"
        rows.append((str(exercise.number), exercise.name, outcome, exercise.title))
    for line in table(rows, ("", "name", "outcome", "task"), "><<<"):
        print(_fit(line))


def _progress(folder, args):
    from minighost.learn.ladder import exercises

    entries = folder.progress.read()
    outcomes = [folder.outcome(e, entries)[0] for e in exercises()]
    _bar(outcomes.count("right"), len(outcomes))
    print(
        f"wrong {outcomes.count('wrong')}, not started {outcomes.count('not started')}, "
        f"hints seen {sum(entries.get(e.stem, {}).get('hints', 0) for e in exercises())}"
    )


def _check(folder, args):
    from minighost.learn.ladder import exercises

    if args.names == ["all"]:
        verdicts = [_one(folder, exercise) for exercise in exercises()]
        right = sum(v.outcome == "right" for v in verdicts)
        _bar(right, len(verdicts))
        return int(right < len(verdicts))
    exercise = _meant(folder, args)
    if exercise is None:
        return None
    verdict = _one(folder, exercise)
    if verdict.outcome == "right":
        print()
        _next(folder, args)
    return int(verdict.outcome != "right")


def _watch(folder, args):
    from itertools import chain

    from minighost.learn.watching import saved, stamps

    first = _meant(folder, args)
    if first is None:
        return
    print(f"watching {folder.path}: save a file to have it checked; Ctrl-C stops", flush=True)
    before = stamps(folder)
    for exercise in chain([first], saved(folder, before)):
        print()
        try:
            verdict = _one(folder, exercise)
        except (ValueError, OSError) as error:  # gone again in the middle of a save: the next save will show
            print(error, flush=True)
            continue
        if verdict.outcome == "right":
            print()
            _next(folder, args)
            print(end="", flush=True)
            if not folder.unfinished():
                return


def _hint(folder, args):
    exercise = _meant(folder, args)
    if exercise is None:
        return
    number = None
    if len(args.names) == 2:
        if not args.names[1].isdecimal():
            raise ValueError(f"learn hint {' '.join(args.names)}: the second NAME must be the number of a hint, 1 to 3")
        number = int(args.names[1])
    number, text = folder.hint(exercise, number)
    print(f"hint {number} of {len(exercise.hints)} for {exercise.stem}")
    _prose(text, 2)
    if number == len(exercise.hints):
        print(f"(the last one; `minighost learn solution {exercise.number} --yes{_dir(folder)}` shows a solution)")


def _solution(folder, args):
    from minighost.learn.stub import yours

    exercise = _meant(folder, args)
    if exercise is None:
        return
    if not (args.yes or folder.progress.of(exercise.stem).get("passed")):
        raise ValueError(
            f"{exercise.stem} has not passed yet; `minighost learn hint {exercise.number}` may be enough, "
            "--yes shows the solution anyway"
        )
    print(yours(exercise.source), end="")


def _reset(folder, args):
    from minighost.learn.ladder import find

    if not args.names:
        raise ValueError("learn reset: name the exercise, by number or name")
    exercise = find(args.names[0])
    aside = folder.reset(exercise)
    print(f"{folder.file(exercise)} is back to its original" + (f"; your version is now {aside}" if aside else ""))


# Words ---------------------------------------------------------------------------------------------------------


def _meant(folder, args):
    """The exercise that is named, or the next unfinished one; None, with a message, if all have passed."""
    from minighost.learn.ladder import find

    if args.names:
        return find(args.names[0])
    unfinished = folder.unfinished()
    if not unfinished:
        print("every exercise is right; name one to check it again")
    return unfinished[0] if unfinished else None


def _one(folder, exercise):
    """Check one exercise and say how it went."""
    printed = [""]

    def show(text):
        printed.append(text)
        print(text, end="", flush=True)

    verdict = folder.check(exercise, show=show)
    if printed[-1] and not printed[-1].endswith("\n"):
        print()
    print(f"{verdict.outcome}  {exercise.stem}")
    for line in verdict.complaint.splitlines():
        print(f"  {line}")
    if verdict.outcome == "wrong":
        print(f"  (stuck? minighost learn hint {exercise.number}{_dir(folder)})")
    print(end="", flush=True)  # `watch` goes on, and whoever reads it through a pipe must not wait
    return verdict


def _bar(right, total):
    import sys

    from minighost.terminal.text import bar, colours

    print(f"{right} of {total} right  {bar(right / total, 20, colours(sys.stdout))}")


def _dir(folder):
    """The flag that a command needs to find this folder again."""
    import shlex

    from minighost.learn.folder import here

    return "" if here() == folder.path else f" --dir {shlex.quote(str(folder.path))}"


def _warn(text):
    import sys

    print(f"minighost: {text}", file=sys.stderr)


def _width():
    from minighost.terminal.text import width

    return max(20, width(100))


def _fit(line):
    width = _width()
    return line if len(line) <= width else f"{line[: width - 3]}..."


def _prose(text, indent=0):
    import textwrap

    lines = textwrap.wrap(text, min(_width(), 100), initial_indent=" " * indent, subsequent_indent=" " * indent)
    print("\n".join(lines))
