"""What a sweep tries: SPACE.toml, read and checked as a whole before anything runs."""

import difflib
import itertools
import json
import math
import tomllib
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minighost.errors import FormatError
from minighost.inputs import read_regular
from minighost.registry import unknown
from minighost.train.config import Config, keys
from minighost.train.images import resolve
from minighost.train.recipes import PRESETS
from minighost.train.runfolder import FREE
from minighost.train.values import Whole

__all__ = ["MOST", "Space", "Trial", "check_networks", "identity", "read_space"]

MOST = 1000  # trials of one sweep
LARGEST = 1 << 20  # bytes of SPACE.toml
TABLES = "settings", "grid", "random", "seeds", "preset"
RANGES = "uniform", "log_uniform", "choices"


class Trial(NamedTuple):
    """One run of a sweep.

    Attributes
    ----------
    values : dict of str to value
        The swept keys.
    seed : int
    config : Config
        The whole configuration, without a folder.
    """

    values: dict[str, Any]
    seed: int
    config: Config


class Space(NamedTuple):
    """A whole sweep: its trials, one seed after the other, and the keys that differ between them."""

    trials: list[Trial]
    keys: list[str]


def read_space(path, overrides: Mapping[str, str] | None = None) -> Space:
    """The trials of a SPACE.toml.

    Parameters
    ----------
    path : path
    overrides : dict of str to str, optional
        Settings that count in place of those in ``[settings]``, as for `Config.resolve`.

    Raises
    ------
    FormatError
        Not a TOML file.
    ValueError
        An unknown table or key (with close matches), a value that its key does not take, a key in two places, settings
        or options of a network that do not fit together, no trials or more than `MOST`; the file is named.
    """
    tables = _read_toml(path)
    try:
        return _space(tables, dict(overrides or {}))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def identity(config: Config) -> str:
    """What makes two trials the same: every setting that decides the result."""
    return json.dumps({key: value for key, value in sorted(config.flat().items()) if key not in FREE})


def _read_toml(path):
    try:
        return tomllib.loads(read_regular(path, LARGEST).decode("utf-8-sig"))
    except RecursionError as error:
        raise FormatError(f"{path}: not a SPACE.toml: its lists or tables are nested too deep") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a TOML file: {error}") from error


def _space(tables, overrides):
    for name in tables:
        if name not in TABLES:
            raise ValueError(_unknown_table(name))
    preset = tables.get("preset")
    if preset is not None and preset not in list(PRESETS):
        raise unknown("", "preset", preset, PRESETS)
    settings = {**_settings(tables.get("settings", {})), **overrides}
    if "out" in settings:
        raise ValueError("out: each trial has its own folder; name the sweep's folder with --out")
    grid = _grid(tables.get("grid", {}))
    random, draws = _random(tables.get("random", {}))
    seeds = _seeds(tables, settings)
    _once_only(settings, grid, random)
    if not grid and not random and len(seeds) < 2:
        raise ValueError("nothing to try; give [grid] or [random] a key, or several seeds")
    total = math.prod(map(len, grid.values())) * max(1, len(draws)) * len(seeds)
    if total > MOST:
        raise ValueError(
            f"{total:,} trials; a sweep has {MOST:,} at most: shorten [grid], or draw from it with [random]"
        )
    points = [dict(zip(grid, point, strict=True)) for point in itertools.product(*grid.values())]
    found: dict[str, Trial] = {}  # a draw of few choices may come twice
    for seed, point, draw in itertools.product(seeds, points, draws or [{}]):
        trial = _trial({**point, **draw}, seed, settings, preset)
        found.setdefault(identity(trial.config), trial)
    trials = list(found.values())
    check_networks(trials)
    return Space(trials, [*grid, *random])


def _unknown_table(name):
    close = difflib.get_close_matches(name, TABLES, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if name in ("model", "data", "train"):
        hint = f"fixed settings belong in [settings], e.g. [settings.{name}]; "
    return f"unknown key {name!r}; {hint}a sweep has seeds, preset, [settings], [grid] and [random]"


def _flatten(where, table):
    """``{"train": {"lr": 1}}`` to ``{"train.lr": 1}``."""
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table, got {table!r}; begin it with [{where}]")
    flat = {}
    for name, value in table.items():
        if name in ("model", "data", "train") and isinstance(value, dict):
            flat.update({f"{name}.{inner}": found for inner, found in value.items()})
        else:
            flat[name] = value
    return flat


def _checked(where, key, value):
    """The value as its key takes it."""
    try:
        return Config.resolve(overrides={key: value}, check=False).flat()[key]
    except ValueError as error:
        above = "; write seeds and preset above the first [table]" if key in ("seeds", "preset") else ""
        raise ValueError(f"[{where}] {error}{above}") from error


def _settings(table):
    flat = _flatten("settings", table)
    for key, value in flat.items():
        _checked("settings", key, value)
    return flat


def _swept(where, key):
    """Whether a key is known, and one to sweep over."""
    if key == "seed":
        raise ValueError(f"[{where}] seed: write seeds = [0, 1, 2] above the first [table] instead")
    if key in FREE:
        raise ValueError(f"[{where}] {key}: does not change the result; put it in [settings]")
    if key not in keys():
        _checked(where, key, 0)  # only its name can be wrong: it may be an option of the network


def _values(where, key, values):
    """A list of values, checked one by one."""
    _swept(where, key)
    if not isinstance(values, list):
        raise ValueError(f"[{where}] {key}: expected a list of values, got {values!r}; a fixed one goes in [settings]")
    if not values:
        raise ValueError(f"[{where}] {key}: has no values; give it some or leave it out")
    read = [_checked(where, key, value) for value in values]
    for k, value in enumerate(read):
        if value in read[:k]:
            raise ValueError(f"[{where}] {key}: {value!r} is there twice")
    return read


def _grid(table):
    return {key: _values("grid", key, values) for key, values in _flatten("grid", table).items()}


def _seeds(tables, settings):
    if "seeds" not in tables:
        return [_checked("settings", "seed", settings.pop("seed", 0))]
    if "seed" in settings:
        raise ValueError("seed: is also given by seeds; leave one out")
    seeds = tables["seeds"]
    if not isinstance(seeds, list) or not seeds:
        raise ValueError(f"seeds: expected a list such as [0, 1, 2], got {seeds!r}")
    try:
        read = [keys()["seed"]["rule"].read("seeds", seed) for seed in seeds]
    except ValueError as error:
        raise ValueError(f"{error}; write a list such as [0, 1, 2]") from error
    if len(set(read)) < len(read):
        raise ValueError(f"seeds: {seeds!r} has a seed twice")
    return read


def _random(table):
    """The ranges by key, and the draws from them."""
    flat = _flatten("random", table)
    if not flat:
        return {}, []
    trials, seed = flat.pop("trials", None), flat.pop("seed", 0)
    if type(trials) is not int or trials < 1:
        got = "it is missing" if trials is None else f"got {trials!r}"
        raise ValueError(f"[random] trials: how many draws? A whole number >= 1 is needed, {got}")
    if type(seed) is not int or seed < 0:
        raise ValueError(f"[random] seed: expected a whole number >= 0, got {seed!r}")
    if not flat:
        raise ValueError("[random] has no keys to draw; give it some, e.g. train.lr = {log_uniform = [0.01, 1.0]}")
    if trials > MOST:
        raise ValueError(f"[random] trials: {trials:,} trials; a sweep has {MOST:,} at most")
    ranges = {key: _range(key, given) for key, given in flat.items()}
    draws = [{key: one(_generator(seed, k, key)) for key, one in ranges.items()} for k in range(trials)]
    return ranges, draws


def _generator(seed, number, key):
    """One for each draw of each key: a further draw, or a further key, leaves the others as they were."""
    return np.random.default_rng([seed, number, zlib.crc32(key.encode())])


def _range(key, given):
    """A function from a generator to a value of this key."""
    _swept("random", key)
    if isinstance(given, list):
        given = {"choices": given}
    if not isinstance(given, dict) or len(given) != 1 or (kind := next(iter(given))) not in RANGES:
        raise ValueError(
            f"[random] {key}: expected {{uniform = [low, high]}}, {{log_uniform = [low, high]}} or "
            f"{{choices = [...]}}, got {given!r}"
        )
    if kind == "choices":
        values = _values("random", key, given[kind])
        return lambda rng: values[int(rng.integers(len(values)))]
    low, high = _bounds(key, kind, given[kind])
    rule = keys().get(key, {}).get("rule")
    whole = isinstance(rule, Whole) or rule is None and isinstance(given[kind][0], int)
    return lambda rng: _number(rng, kind, low, high, whole)


def _bounds(key, kind, given):
    numbers = isinstance(given, list) and len(given) == 2 and all(type(bound) in (int, float) for bound in given)
    if not numbers or not all(map(math.isfinite, given)) or not given[0] < given[1]:
        raise ValueError(f"[random] {key}: {kind} needs two numbers, the lower one first, got {given!r}")
    if kind == "log_uniform" and given[0] <= 0:
        raise ValueError(f"[random] {key}: log_uniform needs numbers > 0, got {given!r}")
    for bound in given:
        _checked("random", key, bound)
    return given


def _number(rng, kind, low, high, whole):
    """A number of four digits, as people write them; both bounds may come up."""
    if whole and kind == "uniform":
        return int(rng.integers(low, high + 1))
    if kind == "uniform":
        drawn = rng.uniform(low, high)
    else:
        drawn = math.exp(rng.uniform(math.log(low), math.log(high)))
    return max(low, min(high, round(drawn) if whole else float(f"{drawn:.4g}")))


def _once_only(settings, grid, random):
    tables = {"[settings] (or --set)": settings, "[grid]": grid, "[random]": random}
    for (one, first), (other, second) in itertools.combinations(tables.items(), 2):
        for key in first:
            if key in second:
                raise ValueError(f"{key}: is in {one} and in {other}; leave it in one of them")


def _trial(values, seed, settings, preset):
    given = {**settings, **values, "seed": seed}
    try:
        config, _ = resolve(overrides=given, preset=preset)
    except ValueError as error:
        raise ValueError(f"{', '.join(f'{key} = {value!r}' for key, value in values.items())}: {error}") from error
    if config.task != "classify":
        raise ValueError("task: a sweep compares classifiers; train detectors one by one, and compare them")
    return Trial(values, seed, config)


def check_networks(trials):
    """Build the network of each trial once, without weights: it alone knows its options."""
    from minighost import nn
    from minighost.train.restore import create_model

    seen = set()
    for trial in trials:
        model = trial.config.model
        about = json.dumps([model.name, model.width, model.options], sort_keys=True)
        if about not in seen:
            with nn.without_weights():
                create_model(trial.config, 10)
            seen.add(about)
