"""The file that defines the network of a run, where that is a learner's own: which one it is, and when it is run.

A run that somebody else sent must not execute code that came with it, so a file inside the run's folder is run only
where the user has named it.
"""

import os
from pathlib import Path

from minighost import own_code
from minighost.errors import FormatError
from minighost.train.config import Config
from minighost.type_aliases import PathLike

__all__ = ["BRING_BACK", "check_data_place", "check_place", "check_unchanged", "difference", "named", "record"]

BRING_BACK = "bring the old file back, or name it with --model FILE.py:NAME"
NAME_IT = "name it with --model FILE.py:{name} (in Python model='FILE.py:{name}')"


def record(config: Config) -> dict[str, str]:
    """What a checkpoint keeps of the file that made the network: its path and hash; nothing for a registered one."""
    spec = config.model.own
    return {} if spec is None else {"file": spec.file, "sha256": own_code.sha256_as_run(spec.file)}


def check_place(config: Config, folder: PathLike) -> None:
    """Whether the file that a run names may be run without being asked for.

    Raises
    ------
    ValueError
        It lies in the run's folder.
    FormatError
        Its path does not begin at the root: what it means would depend on the current folder.
    FileNotFoundError
        It is not there.
    """
    spec = config.model.own
    if spec is None:
        return
    fix = NAME_IT.format(name=spec.name)
    if not os.path.isabs(spec.file):
        raise FormatError(f"{folder}: the network's file, {spec.file}, is not a whole path; {fix}")
    if not os.path.exists(spec.file):
        raise FileNotFoundError(2, f"this file defined the network of {folder}, and is not here; {fix}", spec.file)
    if _inside(spec.file, folder):
        raise ValueError(
            f"{folder}: its network is defined in its own folder, by {spec.file}; code that may have come with a run "
            f"is not run unasked. If you trust it, {fix}"
        )


def check_data_place(name: str, folder: PathLike) -> None:
    """ValueError if a run's images come from a function, ``FILE.py:function``, of a file that lies in its folder."""
    spec = own_code.parse(name)
    if spec is not None and _inside(spec.file, folder):
        raise ValueError(
            f"{folder}: its images come from code in its own folder, {spec}; code that may have come with a run is not "
            f"run unasked. If you trust it, name it with --data"
        )


def _inside(file: str, folder: PathLike) -> bool:
    above = Path(os.path.realpath(file)).parents
    return any(os.path.samefile(folder, parent) for parent in above if os.path.isdir(folder))


def difference(config: Config, code: dict[str, str]) -> str:
    """How the file differs from what a checkpoint kept of it, in words; "" if it does not."""
    spec = config.model.own
    if spec is None:
        return ""
    if not code:
        return f"{own_code.shown(spec.file)} may have changed: the checkpoint has no hash of it"
    now = own_code.sha256(spec.file)
    if now == code.get("sha256"):
        return ""
    return (
        f"{own_code.shown(spec.file)} has changed since this run was trained "
        f"(SHA-256 {code.get('sha256', '')[:12]}..., now {now[:12]}...)"
    )


def check_unchanged(config: Config, code: dict[str, str], folder: PathLike) -> None:
    """ValueError if a run cannot be resumed bit for bit because its network's file has changed."""
    if found := difference(config, code):
        raise ValueError(f"{folder}: {found}; {BRING_BACK}, or start over in another folder with --out")


def named(spec: str) -> str:
    """The name of a network for comparing two runs: of one's own without its file, which may have been moved."""
    own = own_code.parse(spec)
    return spec if own is None else f"FILE.py:{own.name}"
