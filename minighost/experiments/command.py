"""The command that repeats what is in an experiment's folder, with the settings that somebody gave for all trials."""

import shlex
from typing import Any

from minighost.experiments.findings import Findings
from minighost.experiments.trials import configuration
from minighost.sweep.folder import as_text
from minighost.train.runfolder import FREE

__all__ = ["command", "overrides", "setting"]


def command(findings: Findings) -> str:
    """``minighost experiment run NAME ...``"""
    words = ["minighost", "experiment", "run", findings.experiment.name, *(["--quick"] if findings.quick else [])]
    if next(iter(findings.arms.values())).config.data.name != "shapes10":
        words += ["--data-dir", "DIR"]
    words += ["--seeds", str(max(arm.n + len(arm.missing) for arm in findings.arms.values()))]
    for key, value in (overrides(findings) or {}).items():
        words += ["--set", setting(key, value)]
    return shlex.join(words)


def setting(key: str, value: Any) -> str:
    """``KEY=VALUE`` as --set takes it."""
    if isinstance(value, (tuple, list)):
        return f"{key}={('x' if key == 'data.size' else ',').join(map(as_text, value))}"
    return f"{key}={'none' if value is None else as_text(value)}"


def overrides(findings: Findings) -> dict[str, Any] | None:
    """Settings in which all runs differ from the experiment; None if the experiment is another one since they ran."""
    declared = findings.experiment.form(findings.quick).arms
    if not set(findings.arms) <= set(declared):
        return None
    found = [_differences(findings, arm) for arm in findings.arms.values()]
    return found[0] if all(one == found[0] for one in found) else None


def _differences(findings, arm):
    meant = configuration(findings.experiment, findings.quick, arm.name, {"seed": arm.config.seed}).flat()
    return {key: value for key, value in arm.config.flat().items() if key not in FREE and value != meant.get(key)}
