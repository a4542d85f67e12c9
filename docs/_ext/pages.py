"""Pages that are written before the site is built: the reference, the zoo, the stepper's pages."""

import inspect
import re
from importlib import import_module
from pathlib import Path

from tutorials import escaped

DOCS = Path(__file__).resolve().parents[1]
WRITTEN = DOCS / "generated"
WORDS = "What is used so often that it needs no room's name."
ROOMS = [
    *("minighost", "ops", "nn", "models", "data", "train", "interop", "analysis", "gradcheck"),
    *("stepper", "bench", "learn", "plots", "engine"),
]


def reference():
    """A page for each room: its files, what each says of itself, and what it offers."""
    for room in ROOMS:
        package = import_module("minighost" if room == "minighost" else f"minighost.{room}")
        title = "mg" if room == "minighost" else f"mg.{room}"
        lines = [f"# {title}", "", WORDS if room == "minighost" else _prose(package), ""]
        for module, names in _by_file(package).items():
            lines += _file(package, module, names)
        yield f"api/{room}.md", "\n".join(lines)


def _by_file(package):
    """From each file to the public names of a package that it defines."""
    public = [name for name in getattr(package, "__all__", []) if not inspect.ismodule(getattr(package, name))]
    files: dict = {}
    for name in public:
        home = getattr(getattr(package, name), "__module__", "") or ""
        if not home.startswith("minighost"):
            home = package.__name__
        files.setdefault(home, []).append(name)
    if package.__name__ != "minighost":  # files whose names are not handed on
        for path in sorted(Path(package.__file__).parent.rglob("*.py")):
            parts = path.relative_to(DOCS.parent).with_suffix("").parts
            home = ".".join(parts).removesuffix(".__init__")
            own = getattr(import_module(home), "__all__", []) if _is_face(package, home) else []
            own = [name for name in own if getattr(getattr(import_module(home), name), "__module__", home) == home]
            if home not in files and own:
                files[home] = own
    foreign = {home for home in files if not home.startswith(f"{package.__name__}.")}
    return dict(sorted(files.items(), key=lambda item: (item[0] in foreign, item[0])))


def _is_face(package, home):
    return home != package.__name__ and package.__name__.split(".")[-1] in ("engine", "bench", "plots")


def _file(package, module, names):
    path = inspect.getsourcefile(import_module(module))
    path = Path(path).resolve().relative_to(DOCS.parent).as_posix()
    yield from (f"## [`{path.removeprefix('minighost/')}`](/{path})", "")
    if module != package.__name__:
        yield from (_prose(import_module(module)), "")
    yield "```{eval-rst}"
    for name in names:
        home = package if hasattr(package, name) else import_module(module)
        thing = getattr(home, name)
        kind = "autoclass" if inspect.isclass(thing) else "autofunction" if inspect.isroutine(thing) else "py:data"
        yield f".. {kind}:: {home.__name__}.{name}"
        if kind == "autoclass" and package.__name__ == "minighost":
            yield "   :no-index:"  # its own room has it, too
        if kind == "autoclass" and name in (
            "Module",
            "Trainer",
            "LoadedRun",
            "Parameter",
            "Dataset",
            "Loader",
            "Trace",
        ):
            yield "   :members:"
        yield ""
    yield from ("```", "")


def _prose(module):
    """A file's docstring as Markdown, which it nearly is: what is indented is code."""
    text = inspect.cleandoc(module.__doc__ or "")
    return escaped(re.sub(r"::(?=\n|$)", ":", text).replace("``", "`"))


def zoo():
    """One row for each network that has been counted, and those that nobody published numbers of."""
    from minighost import analysis, models

    entries = list(analysis.entries(analysis.standard_forms(models.published())))
    lines = ["| network | idea, paper | parameters | multiply-adds (image) |", "|---|---|--:|--:|"]
    for entry in entries:
        size = entry.published
        if entry.missing:
            continue
        about = models.ABOUT[size.model]
        mark = "&nbsp;=" if entry.equal and size.exact else ""
        lines.append(
            f"| {_source(size.model)} | **{about.idea}**. {about.paper} ({about.year}) "
            f"| {entry.params:,}{mark} | {entry.macs:,}{mark} ({'x'.join(map(str, size.input[:2]))}) |"
        )
    shown = {entry.published.model for entry in entries}
    others = [name for name in models.names() if name not in shown]
    yield (
        "zoo.md",
        "\n".join([*lines, "", "Also here, without published numbers: " + ", ".join(map(_source, others)) + "."]),
    )


def _source(name):
    from minighost.models.registry import MODELS

    path = Path(inspect.getsourcefile(inspect.unwrap(MODELS[name]))).resolve().relative_to(DOCS.parent).as_posix()
    return f"[`{name}`](/{path})"


def steps():
    """The stepper's pages that are embedded."""
    from minighost import stepper

    embedding = (DOCS / "stepper.md").read_text(encoding="utf-8")
    for name in re.findall(r'<iframe class="step" src="../steps/(\w+)\.html"', embedding):
        yield f"extra/steps/{name}.html", stepper.page(stepper.build(name))


def write(app):
    """Write what has changed, so that Sphinx builds only that again."""
    wanted = {name: text for pages in (reference, zoo, steps) for name, text in pages()}
    for path in WRITTEN.rglob("*"):
        if path.is_file() and path.relative_to(WRITTEN).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = WRITTEN / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def setup(app):
    """Called by Sphinx."""
    app.connect("config-inited", lambda app, config: write(app))
    return {"parallel_read_safe": True}
