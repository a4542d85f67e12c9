"""Run an experiment: its trials as a sweep, then the clock where its table asks for it, then the report."""

from pathlib import Path

from minighost import data
from minighost.data.sets import describe
from minighost.errors import one_line
from minighost.experiments import reading, report, timing
from minighost.experiments.gather import gather, input_shape
from minighost.experiments.trials import arranged, source_of
from minighost.sweep import results
from minighost.sweep.run_sweep import run_trials

__all__ = ["REPORT", "clocked", "run", "told"]

REPORT = "report"  # its folder within that of the experiment


def run(experiment, quick, seeds, out=None, overrides=None, options=None, stream=None) -> int:
    """Run what is left, and write the report.

    Parameters
    ----------
    experiment : Experiment
    quick : bool
    seeds : int
    out : path, optional
    overrides : dict of str to value, optional
    options : sweep.run_sweep.Options
    stream : text file, optional

    Returns
    -------
    int
        How many of its trials failed.

    Raises
    ------
    Exception
        See `minighost.sweep.run_sweep.run` and `trials.trials`.
    """

    def finish(folder, space, options, console):
        failed = [one.entry for one in results.collect(folder) if one.state == "failed"]
        if needs_clock(experiment) and not timing.read(folder.path):
            console.line("milliseconds of every arm, in turns ...")
        findings = clocked(folder.path)
        print("\n".join(["", *told(findings)]))
        files = report.write(findings, folder.path / REPORT)
        print(f"\nlook at  {'  '.join(map(str, files))}")
        for entry in failed:
            print(f"failed   {entry.name}: {entry.failed}")
        return len(failed)

    def opened_folder():
        folder, space = arranged(experiment, quick, seeds, out, overrides)
        left = [entry for entry in folder.entries.values() if entry.wanted and folder.state(entry) != "finished"]
        if left and (options is None or options.backend == "local"):
            _check_images(left[0].config.data)
        return folder, space

    return run_trials(opened_folder, source_of(experiment, quick), options, stream, finish)


def _check_images(config):
    """Find, and perhaps download, the images now: otherwise every trial would fail for itself."""
    if describe(config.name).reads_files:
        data.load(config.name, "test", directory=config.dir, archive=config.archive)


def needs_clock(experiment) -> bool:
    """Whether a table or a picture has milliseconds."""
    return any(name.endswith("_ms") for name in (*experiment.columns, *experiment.plots))


def clocked(folder, again=False):
    """The `Findings` of a folder, with milliseconds if the experiment has them; `again` measures them once more."""
    findings = gather(folder)
    if needs_clock(findings.experiment) and (again or not findings.timing):
        configs = {name: arm.config for name, arm in findings.arms.items()}
        shapes = {name: input_shape(config) for name, config in configs.items()}
        timing.measure(configs, shapes, Path(folder))
        return gather(folder)
    return findings


def told(findings) -> list[str]:
    """Lines of at most 80 characters: the question, the table, what follows, what is missing."""
    import textwrap

    lines = [*textwrap.wrap(findings.experiment.question, 80), "", *report.table(findings), ""]
    for sentence in reading.read(findings):
        lines += textwrap.wrap(f"{sentence}.", 80, initial_indent="* ", subsequent_indent="  ")
    for line in findings.missing:
        lines += textwrap.wrap(f"missing: {one_line(line)}", 80, subsequent_indent="  ")
    return lines
