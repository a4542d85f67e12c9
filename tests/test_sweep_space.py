"""SPACE.toml becomes trials, or one line that says what is wrong, before anything runs."""

import pytest
from commands import printed, refused

from minighost.sweep.space import identity, read_space

TINY = '[settings]\nmodel.name = "tinynet"\nmodel.width = "none"\ndata.train_size = 64\n'

pytestmark = pytest.mark.usefixtures("tinynet")


def space(folder, text, **overrides):
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return read_space(path, {key.replace("__", "."): value for key, value in overrides.items()})


def values(found):
    return [trial.values for trial in found.trials]


def test_a_grid_is_every_combination_for_one_seed_after_the_other(tmp_path):
    found = space(tmp_path, f'seeds = [3, 1]\n{TINY}[grid]\ntrain.lr = [0.1, 1]\ntrain.optimizer = ["sgd", "adamw"]\n')
    one = [{"train.lr": lr, "train.optimizer": name} for lr in (0.1, 1.0) for name in ("sgd", "adamw")]
    assert values(found) == one * 2 and [trial.seed for trial in found.trials] == [3] * 4 + [1] * 4
    assert found.keys == ["train.lr", "train.optimizer"]
    assert {trial.config.data.train_size for trial in found.trials} == {64}


def test_a_setting_of_the_command_line_replaces_one_of_the_file(tmp_path):
    found = space(tmp_path, f"{TINY}[grid]\ntrain.lr = [0.1]\n", data__train_size="32")
    assert found.trials[0].config.data.train_size == 32


RANDOM = """[random]
trials = {}
train.lr = {{log_uniform = [0.01, 1]}}
train.momentum = {{uniform = [0.5, 0.9]}}
train.batch_size = {{uniform = [2, 4]}}
model.dropout = {{choices = [0.0, 0.5]}}
"""


def test_draws_lie_in_their_ranges_and_fill_them(tmp_path):
    drawn = values(space(tmp_path, TINY + RANDOM.format(200)))
    rates = [point["train.lr"] for point in drawn]
    assert all(0.01 <= rate <= 1 for rate in rates) and 60 < sum(rate < 0.1 for rate in rates) < 140
    assert all(0.5 <= point["train.momentum"] <= 0.9 for point in drawn)
    assert {point["train.batch_size"] for point in drawn} == {2, 3, 4}
    assert {point["model.dropout"] for point in drawn} == {0.0, 0.5}


def test_more_draws_and_further_keys_leave_the_first_draws_as_they_were(tmp_path):
    few = values(space(tmp_path, TINY + RANDOM.format(3)))
    more = values(space(tmp_path, TINY + RANDOM.format(5) + "train.gamma = {uniform = [0.1, 0.2]}\n"))
    assert [{key: point[key] for key in few[0]} for point in more[:3]] == few
    assert values(space(tmp_path, TINY + RANDOM.format(3) + "seed = 1\n")) != few


def test_a_combination_that_is_drawn_twice_is_tried_once(tmp_path):
    found = space(tmp_path, TINY + '[random]\ntrials = 20\ntrain.optimizer = ["sgd", "adamw"]\n')
    assert len(found.trials) == 2


def test_a_grid_and_draws_are_combined_and_the_draws_are_the_same_for_each_point(tmp_path):
    found = space(
        tmp_path,
        f"{TINY}[grid]\ntrain.crop = [0, 2]\n[random]\ntrials = 3\ntrain.lr = {{uniform = [0, 1]}}\n".replace(
            "[0, 1]", "[0.1, 1]"
        ),
    )
    rates = [point["train.lr"] for point in values(found)]
    assert len(rates) == 6 and rates[:3] == rates[3:] and len(set(rates)) == 3


def test_threads_and_the_folder_of_the_data_do_not_make_another_trial(tmp_path):
    text = f"{TINY}[grid]\ntrain.lr = [0.1]\n"
    one, other = space(tmp_path, text), space(tmp_path, text, threads="2", train__log_every="1")
    assert identity(one.trials[0].config) == identity(other.trials[0].config)


@pytest.mark.parametrize(
    "text, words",
    [
        ("[grid]\ntrain.lrr = [1]", "[grid] unknown key 'train.lrr'; did you mean train.lr or "),
        ("[grid]\nlr = [1]", "[grid] unknown key 'lr'; did you mean train.lr?"),
        ("[settings]\ntrain.epoch = 1\n[grid]\ntrain.lr = [1]", "[settings] unknown key 'train.epoch'; did you mean t"),
        ("[gird]\ntrain.lr = [1]", "unknown key 'gird'; did you mean 'grid'?"),
        ("[train]\nlr = 1", "unknown key 'train'; fixed settings belong in [settings], e.g. [settings.train]"),
        ("[grid]\nmodel.nosuch = [1]", "models.create: tinynet has no option 'nosuch'"),
        ("[grid]\nmodel.name = ['tinynit']", "models.create: unknown model 'tinynit' (did you mean 'tinynet'?)"),
        ("", "nothing to try; give [grid] or [random] a key, or several seeds"),
        ("[grid]", "nothing to try"),
        ("[grid]\ntrain.lr = []", "[grid] train.lr: has no values; give it some or leave it out"),
        ("[grid]\ntrain.lr = 0.1", "[grid] train.lr: expected a list of values, got 0.1; a fixed one goes in [setting"),
        ("[grid]\ntrain.lr = [0.1, 0]", "[grid] train.lr: expected a number > 0, got 0"),
        ("[grid]\ntrain.lr = [0.1, 0.1]", "[grid] train.lr: 0.1 is there twice"),
        ("[grid]\ntrain.flip = ['maybe']", "[grid] train.flip: expected true, false or alternate, got 'maybe'"),
        ("[grid]\nseed = [0, 1]", "[grid] seed: write seeds = [0, 1, 2] above the first [table] instead"),
        ("[grid]\nseeds = [0, 1]", "[grid] unknown key 'seeds'; did you mean seed?"),
        ("[grid]\nthreads = [1, 2]", "[grid] threads: does not change the result; put it in [settings]"),
        ("[settings]\nout = 'x'\n[grid]\ntrain.lr = [1]", "out: each trial has its own folder; name the sweep's folde"),
        ("seeds = 3\n[grid]\ntrain.lr = [1]", "seeds: expected a list such as [0, 1, 2], got 3"),
        ("seeds = [0, -1]", "seeds: expected a whole number >= 0, got -1; write a list such as [0, 1, 2]"),
        ("seeds = [1, 1]", "seeds: [1, 1] has a seed twice"),
        ("seeds = [1]\n[settings]\nseed = 2\n[grid]\ntrain.lr = [1]", "seed: is also given by seeds; leave one out"),
        ("[settings]\ntrain.lr = 1\n[grid]\ntrain.lr = [1]", "train.lr: is in [settings] (or --set) and in [grid]; le"),
        ("[grid]\ntrain.epochs = [1]\ntrain.warmup_epochs = [2]", "train.epochs = 1, train.warmup_epochs = 2.0: train"),
        ("seeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n[grid]\ntrain.epochs = %s" % [*range(1, 101)],
         "1,100 trials; a sweep has 1,000 at most: shorten [grid], or draw from it with [random]"),
        ("[random]\ntrain.lr = [1]", "[random] trials: how many draws? A whole number >= 1 is needed, it is missing"),
        ("[random]\ntrials = 0\ntrain.lr = [1]", "[random] trials: how many draws? A whole number >= 1 is needed, got"),
        ("[random]\ntrials = 1001\ntrain.lr = [1]", "[random] trials: 1,001 trials; a sweep has 1,000 at most"),
        ("[random]\ntrials = 2", "[random] has no keys to draw; give it some, e.g. train.lr = {log_uniform = [0.01, 1"),
        ("[random]\ntrials = 2\nseed = -1\ntrain.lr = [1]", "[random] seed: expected a whole number >= 0, got -1"),
        ("[random]\ntrials = 2\ntrain.lr = 1", "[random] train.lr: expected {uniform = [low, high]}, {log_uniform"),
        ("[random]\ntrials = 2\ntrain.lr = {normal = [1, 2]}", "[random] train.lr: expected {uniform = [low, high]}, "),
        ("[random]\ntrials = 2\ntrain.lr = {uniform = [1, 1]}", "[random] train.lr: uniform needs two numbers, the lo"),
        ("[random]\ntrials = 2\ntrain.lr = {uniform = [-1, 1]}", "[random] train.lr: expected a number > 0, got -1"),
        ("[random]\ntrials = 2\ntrain.gamma = {log_uniform = [0, 1]}", "[random] train.gamma: log_uniform needs numbe"),
        ("[random]\ntrials = 2\ntrain.epochs = {uniform = [1.5, 3]}", "[random] train.epochs: expected a whole number"),
        ("[random]\ntrials = 2\ntrain.name = {uniform = [1, 2]}", "[random] unknown key 'train.name'"),
        ("grid = 3", "grid must be a table, got 3; begin it with [grid]"),
        ("preset = 'cifar10-gost'\nseeds = [0, 1]", "unknown preset 'cifar10-gost' (did you mean 'cifar10-ghost'?)"),
        ("seeds = [0", "not a TOML file: "),
        ("seeds = " + "[" * 5000, "not a "),
    ],
    ids=lambda text: None,
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.toml").write_text(text, encoding="utf-8")
    tiny = ["--set", "model.name=tinynet", "--set", "model.width=none"]
    own = "model.name" in text or "preset" in text
    assert f"space.toml: {words}" in refused(capsys, "sweep", "space.toml", *([] if own else tiny))
    assert [path.name for path in tmp_path.iterdir()] == ["space.toml"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--workers", "0"], "--workers 0: must be a whole number from 1 to 1024"),
        (["--threads", "9999"], "--threads 9999: must be a whole number from 1 to 1024"),
        (["--backend", "dask"], "--backend dask: needs the cluster's address, --scheduler HOST:PORT"),
        (["--scheduler", "a:1"], "--scheduler a:1: needs --backend dask or --backend ray"),
        (["--set", "train.lr"], "--set train.lr: must read KEY=VALUE"),
        (["--set", "train.lr=2"], "train.lr: is in [settings] (or --set) and in [grid]; leave it in one of them"),
    ],
)
def test_wrong_flags_are_said_in_one_line(tmp_path, capsys, flags, words):
    (tmp_path / "space.toml").write_text(f"{TINY}[grid]\ntrain.lr = [0.1]\n")
    assert words in refused(capsys, "sweep", tmp_path / "space.toml", *flags)


def test_a_back_end_that_is_not_installed_says_what_to_install(tmp_path, monkeypatch, capsys):
    (tmp_path / "space.toml").write_text(f"{TINY}[grid]\ntrain.lr = [0.1]\n")
    for name, package, install in (("dask", "distributed", '"minighost[dask]"'), ("ray", "ray", "ray")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        flags = ["--backend", name, "--scheduler", "127.0.0.1:1", "--out", tmp_path / "out"]
        said = refused(capsys, "sweep", tmp_path / "space.toml", *flags)
        assert f"--backend {name}: {package} is missing; pip install {install}\n" in said
    assert not (tmp_path / "out").exists()


def test_the_list_shows_every_trial_within_80_columns(tmp_path, capsys):
    (tmp_path / "space.toml").write_text(f"{TINY}[grid]\ntrain.lr = [0.1, 0.2]\ntrain.milestones = [[]]\n")
    lines = printed(capsys, "sweep", tmp_path / "space.toml", "--list", "--out", tmp_path / "out").splitlines()
    assert lines[2:] == ["1  lr=0.1,milestones=,seed=0  new", "2  lr=0.2,milestones=,seed=0  new"]
    assert not (tmp_path / "out").exists()
