"""The exercise tool: the ladder, its stubs, and a folder in which nothing of the learner's is lost."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from commands import printed
from learners import FIRST, ROOT, posix, solve, written

from minighost.learn import stub
from minighost.learn.folder import Folder, here
from minighost.learn.grading import NOT_STARTED, RIGHT, WRONG
from minighost.learn.ladder import exercises, find
from minighost.learn.progress import Progress, fingerprint


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path)


# The ladder ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["6", "06", "ex06", "col2im", "Col2Im", "ex06_col2im", "a/ex06_col2im.py", "ol2i"])
def test_an_exercise_has_many_names(words):
    assert find(words).stem == "ex06_col2im"


@pytest.mark.parametrize(
    "words, message",
    [
        ("999", "no exercise 999: they are numbered 1 to "),
        ("0", "no exercise 0"),
        ("correlatte", r"no exercise 'correlatte'; did you mean 3 \(correlate\)"),
        ("qqqqq", "`minighost learn list` shows them all"),
        ("", "no exercise ''"),
        ("co", r"'co' fits \d+ exercises: .*give a number or more of the name"),
    ],
)
def test_what_means_no_exercise_is_told_what_is_close(words, message):
    with pytest.raises(ValueError, match=message):
        find(words)


PUBLISHED = (
    "sum_of_products windows correlate conv_loops im2col col2im conv_im2col conv_weight_gradients conv_input_gradient "
    "output_size stride padding dilation grouped grouped_backward depthwise depthwise_backward pointwise separable "
    "transposed batch_norm batch_norm_chain batch_norm_closed relu crelu squeeze_excite squeeze_excite_backward ghost "
    "ghost_backward bottleneck cross_entropy sgd_momentum initialisation overfit_ten numba_kernel tiles "
    "deterministic_sum count_ghostnet channel_shuffle depth_to_space regrouped_taps bilinear_weights separable_kernels "
    "inverted_residual dfc_attention merge_branches"
).split()


def test_published_exercises_keep_their_numbers():
    """Files and progress of a learner go by these names: a new exercise goes to the end."""
    assert [e.stem for e in exercises()][: len(PUBLISHED)] == [f"ex{k:02}_{n}" for k, n in enumerate(PUBLISHED, 1)]


# The stub ------------------------------------------------------------------------------------------------------

SOLUTION = '''"""Do it."""

import numpy as np

GIVEN = 3  # stays

# Yours ----------------------------------------------------------------------------------------------------------


@cached
def one(a,
        b=2):
    """Keep me.

    Twice.
    """
    # a remark
    c = a + b

    return c


def two(a): # after the signature
    return a
'''

STUB = '''"""Do it."""

import numpy as np

GIVEN = 3  # stays

# Yours ----------------------------------------------------------------------------------------------------------


@cached
def one(a,
        b=2):
    """Keep me.

    Twice.
    """
    raise NotImplementedError  # about 2 lines


def two(a): # after the signature
    raise NotImplementedError  # about 1 line
'''


def test_a_stub_has_gaps_for_bodies_and_nothing_else_changed():
    assert stub.cut(SOLUTION) == STUB
    assert stub.yours(SOLUTION) == SOLUTION[SOLUTION.index("@cached") :]


@pytest.mark.parametrize(
    "source, message",
    [
        (SOLUTION.replace("# Yours", "# Mine"), "there must be one line"),
        (SOLUTION + "\nX = 1\n", "only functions may stand below"),
        (SOLUTION + "\n\nclass A:\n    pass\n", "only functions"),
        (SOLUTION + '\n\ndef three():\n    """Only words."""\n', "three has no body"),
    ],
)
def test_what_cannot_be_cut_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        stub.cut(source)


# The folder ----------------------------------------------------------------------------------------------------


def test_init_writes_every_stub_and_a_readme(folder):
    assert sorted(p.name for p in folder.path.iterdir()) == sorted(
        ["README.md", "progress.json", *(e.file for e in exercises())]
    )
    assert all(folder.file(e).read_text() == stub.cut(e.source) for e in exercises())
    assert [folder.outcome(e) for e in exercises()] == [(NOT_STARTED, False)] * len(exercises())


def test_init_again_leaves_what_the_learner_changed_and_says_so(folder):
    solve(folder, FIRST)
    folder.file(exercises()[1]).unlink()
    (folder.path / "README.md").write_text("mine")
    done = folder.init()
    assert done.left == ["README.md", FIRST.file] and done.new == [exercises()[1].file] and not done.renewed
    assert folder.file(FIRST).read_text() == FIRST.source
    assert (folder.path / "README.md").read_text() == "mine"


def test_after_an_upgrade_untouched_stubs_are_renewed(folder, monkeypatch):
    second = exercises()[1]
    solve(folder, second)
    monkeypatch.setattr(stub, "cut", lambda source, cut=stub.cut: "# a new edition\n" + cut(source))
    done = folder.init()
    assert FIRST.file in done.renewed and done.left == [second.file]
    assert folder.file(FIRST).read_text().startswith("# a new edition\n")
    assert folder.file(second).read_text() == second.source


def test_init_touches_no_foreign_thing(tmp_path):
    (tmp_path / FIRST.file).mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    done = Folder(tmp_path).init()
    assert FIRST.file in done.left and (tmp_path / "notes.txt").read_text() == "mine"


def test_init_where_a_file_is_in_the_way_is_an_error(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(OSError):
        Folder(tmp_path / "f").init()


def test_outcomes_are_remembered_and_a_change_is_noticed(folder):
    assert folder.check(FIRST).outcome == NOT_STARTED
    folder.file(FIRST).write_text(FIRST.source.replace("total +=", "total ="))
    assert folder.outcome(FIRST) == (NOT_STARTED, True)
    assert folder.check(FIRST).outcome == WRONG
    assert Folder(folder.path).outcome(FIRST) == (WRONG, False)
    solve(folder, FIRST)
    assert folder.outcome(FIRST) == (WRONG, True)
    assert folder.check(FIRST).outcome == RIGHT
    assert folder.unfinished() == list(exercises()[1:])
    folder.file(FIRST).write_text("broken")
    assert folder.check(FIRST).outcome == WRONG
    assert folder.progress.of(FIRST.stem)["passed"] is True


def test_hints_go_up_one_at_a_time(folder):
    given = [folder.hint(FIRST) for _ in range(4)]
    assert given == [(1, FIRST.hints[0]), (2, FIRST.hints[1]), (3, FIRST.hints[2]), (3, FIRST.hints[2])]
    assert folder.hint(FIRST, 1) == (1, FIRST.hints[0])
    assert folder.progress.of(FIRST.stem)["hints"] == 3
    with pytest.raises(ValueError, match="has hints 1 to 3"):
        folder.hint(FIRST, 4)


def test_reset_loses_nothing(folder):
    assert folder.reset(FIRST) is None
    for number, text in enumerate(("one", "two"), 1):
        folder.file(FIRST).write_text(text)
        aside = folder.reset(FIRST)
        assert aside.name == f"{FIRST.file}.bak{number}" and aside.read_text() == text
        assert folder.file(FIRST).read_text() == stub.cut(FIRST.source)
    assert folder.outcome(FIRST) == (NOT_STARTED, False)


def test_a_verdict_that_cannot_be_kept_is_still_said(folder, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", str(folder.progress.path))

    monkeypatch.setattr("minighost.learn.progress.write_atomic", full)
    solve(folder, FIRST)
    assert folder.check(FIRST).outcome == RIGHT
    assert "could not be saved" in folder.said[0] and "No space" in folder.said[0]


def test_the_folder_is_found_from_above_and_from_inside(folder, monkeypatch):
    monkeypatch.chdir(folder.path)
    assert here() == Path()
    monkeypatch.chdir(folder.path.parent)
    assert here() == Path("minighost-exercises") and here("x") == Path("x")


# Progress ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"null",
        b'{"exercises": []}',
        b'{"format": 99, "exercises": {}}',
        b"[" * 100_000,
        b'{"format": 1, "exercises": {"a": 3}}',
        b'{"format": 1, "exercises": {"a": {"hints": "many"}}}',
        bytes(5 << 20),
        b'{"format": 1, "exercises": {"a": {"passed": 1}}}',
    ],
    ids=range(12),
)
def test_a_broken_progress_file_is_set_aside_and_said(content, tmp_path):
    path = tmp_path / "progress.json"
    said = []
    path.write_bytes(content)
    progress = Progress(path, said.append)
    assert progress.read() == {} and not path.exists()
    assert (tmp_path / "progress.json.broken1").read_bytes() == content
    assert len(said) == 1 and "progress.json.broken1" in said[0] and "\n" not in said[0]
    progress.note("a", hints=1)
    assert progress.read() == {"a": {"hints": 1}} and len(said) == 1
    path.write_bytes(content)
    progress.read()
    assert (tmp_path / "progress.json.broken2").exists()


@pytest.fixture
def before(tmp_path):
    """A folder that the edition of 38 exercises wrote: the second left wrong, the third untouched, the others right."""
    folder, entries = Folder(tmp_path / "mine", pytest.fail), {}
    folder.path.mkdir()
    for exercise in exercises()[:38]:
        stubbed = stub.cut(exercise.source)
        text = {2: stubbed + "# mine\n", 3: stubbed}.get(exercise.number, exercise.source)
        folder.file(exercise).write_text(text, encoding="utf-8")
        entry = {"stub": fingerprint(stubbed)}
        if exercise.number != 3:
            outcome = "wrong" if exercise.number == 2 else "right"
            entry |= {"outcome": outcome, "passed": True, "checked": fingerprint(text), "hints": exercise.number % 4}
        entries[exercise.stem] = entry
    content = json.dumps({"exercises": entries, "format": 1}, indent=1, sort_keys=True)
    folder.progress.path.write_text(content, encoding="utf-8")
    return folder, entries


def test_progress_from_before_the_ladder_grew_survives(before):
    folder, entries = before
    texts = {e: folder.file(e).read_bytes() for e in exercises()[:38]}
    unfinished = [2, 3, *range(39, len(exercises()) + 1)]
    assert [e.number for e in folder.unfinished()] == unfinished
    done = folder.init()
    assert done.new == ["README.md", *(e.file for e in exercises()[38:])] and done.renewed == []
    assert done.same == [exercises()[2].file] and len(done.left) == 37
    assert {e: folder.file(e).read_bytes() for e in texts} == texts
    kept = folder.progress.read()
    assert {stem: kept[stem] for stem in entries} == entries and len(kept) == len(exercises()) + 1
    assert [e.number for e in folder.unfinished()] == unfinished
    assert not any(changed for e in exercises()[3:] for _, changed in [folder.outcome(e)])


def test_an_exercise_that_is_newer_than_the_folder_is_told_how_to_come(before, capsys):
    folder, _ = before
    for exercise in exercises()[1:3]:
        folder.progress.note(exercise.stem, outcome=RIGHT, checked=fingerprint(folder.file(exercise).read_bytes()))
    text = printed(capsys, "learn", "--dir", folder.path)
    assert f"38 of {len(exercises())} right" in text and "next  39 channel_shuffle, not started" in text
    assert f"its file is not there yet; write it with  minighost learn init --dir {folder.path}" in text
    text = printed(capsys, "learn", "init", "--dir", folder.path)
    assert f"{len(exercises()) - 38} exercises written" in text and f"38 of {len(exercises())} right" in text
    assert f"file  {folder.file(exercises()[38])}" in text


def test_keys_of_others_are_kept(tmp_path):
    progress = Progress(tmp_path / "progress.json", print)
    progress.note("a", hints=1, outcome="wrong")
    progress.note("b", hints=2)
    progress.note("a", outcome=None)
    assert progress.read() == {"a": {"hints": 1}, "b": {"hints": 2}}


@posix
def test_kill_at_any_moment_leaves_progress_that_can_be_read(tmp_path):
    code = (
        "import sys\nfrom minighost.learn.progress import Progress\n"
        "p = Progress(sys.argv[1], sys.exit)\nprint('ready', flush=True)\nn = 0\n"
        "while True:\n    n += 1\n    p.note_all({f'ex{k}': {'hints': n, 'stub': 'x' * 500} for k in range(60)})\n"
    )
    path = tmp_path / "progress.json"
    seen = set()
    for attempt in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        writer.stdout.readline()
        time.sleep(0.02 + 0.013 * attempt)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        if path.exists():
            entries = json.loads(path.read_text())["exercises"]
            assert len(entries) == 60 and len({e["hints"] for e in entries.values()}) == 1
            seen.add(entries["ex0"]["hints"])
    assert seen


def test_notes_of_several_writers_are_all_kept(tmp_path):
    code = (
        "import sys\nfrom minighost.learn.progress import Progress\np = Progress(sys.argv[1], print)\n"
        "for k in range(15):\n    p.note(f'ex{sys.argv[2]}_{k}', hints=k)\n"
    )
    path = tmp_path / "progress.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], env={**os.environ, "PYTHONPATH": str(ROOT)})
        for n in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0] * 4
    expected = {f"ex{n}_{k}": {"hints": k} for n in range(4) for k in range(15)}
    assert Progress(path, print).read() == expected and os.listdir(tmp_path) == ["progress.json"]


def test_a_broken_progress_file_that_several_find_is_set_aside_once(tmp_path):
    path, said = tmp_path / "progress.json", []
    path.write_text("{")
    readers = [threading.Thread(target=Progress(path, said.append).read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(said) == 1 and os.listdir(tmp_path) == ["progress.json.broken1"]
