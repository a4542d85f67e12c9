"""Every exercise of the ladder: its solution passes, its stub is not started, its known wrong answers are refused."""

import ast
import importlib
import re
from importlib import util

import numpy as np
import pytest

from minighost import nn, ops
from minighost.learn import stub
from minighost.learn.grading import NOT_STARTED, RIGHT, WRONG, grade
from minighost.learn.judge import judge
from minighost.learn.ladder import exercises

ALLOWED = {"numpy", "numba", "minighost"}

each = pytest.mark.parametrize("exercise", exercises(), ids=lambda e: e.stem)


def check_of(exercise):
    return importlib.import_module(f"minighost.learn.checks.{exercise.stem}")


def judged(exercise, source, folder):
    path = folder / exercise.file
    path.write_text(source, encoding="utf-8")
    return judge(exercise.stem, path)


def test_exercises_and_checks_are_twins():
    numbers = [e.number for e in exercises()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({e.name for e in exercises()}) == len(numbers)
    for exercise in exercises():
        assert util.find_spec(f"minighost.learn.checks.{exercise.stem}"), exercise.stem


@each
def test_the_solution_passes(exercise, tmp_path):
    assert judged(exercise, exercise.source, tmp_path) == (RIGHT, "")


@pytest.mark.parametrize("exercise", exercises()[::6], ids=lambda e: e.stem)
def test_the_solution_passes_in_a_process_of_its_own(exercise, tmp_path):
    path = tmp_path / exercise.file
    path.write_text(exercise.source, encoding="utf-8")
    assert grade(exercise, path).outcome == RIGHT


@each
def test_the_stub_is_not_started(exercise, tmp_path):
    outcome, complaint = judged(exercise, stub.cut(exercise.source), tmp_path)
    assert outcome == NOT_STARTED
    assert re.fullmatch(rf"\w+ \(line \d+ of {exercise.file}\) is not written yet", complaint)


@each
def test_known_wrong_answers_are_refused_in_words(exercise, tmp_path):
    wrong = check_of(exercise).WRONG
    assert len(wrong) >= 5
    misjudged = []
    for name, (right, instead, words) in wrong.items():
        changed = exercise.source.replace(right, instead)
        if exercise.source.count(right) != 1 or changed == exercise.source:
            misjudged.append(f"{name}: {right!r} must occur once, and be changed")
            continue
        outcome, complaint = judged(exercise, changed, tmp_path)
        if outcome != WRONG or not re.search(words, complaint, re.DOTALL):
            misjudged.append(f"{name}: {outcome}; {words!r} must be in\n{complaint}")
    assert not misjudged, "\n\n".join(misjudged)


@each
def test_a_constant_answer_is_refused(exercise, tmp_path):
    lines = stub.cut(exercise.source).replace("raise NotImplementedError", "return 0.0")
    assert judged(exercise, lines, tmp_path)[0] == WRONG


@each
def test_the_stub_keeps_everything_but_the_bodies(exercise):
    solution, given = exercise.source, stub.cut(exercise.source)
    above = solution[: solution.index("\n# Yours -")]
    assert given.startswith(above)
    mine, right = ast.parse(given), ast.parse(solution)
    for cut, whole in zip(mine.body, right.body, strict=True):
        if isinstance(whole, ast.FunctionDef) and whole.lineno > above.count("\n"):
            assert ast.unparse(cut.args) == ast.unparse(whole.args)
            assert ast.get_docstring(cut) and ast.get_docstring(cut) == ast.get_docstring(whole)
            assert ast.unparse(cut.decorator_list) == ast.unparse(whole.decorator_list)
            assert len(cut.body) == 2 and ast.unparse(cut.body[1]) == "raise NotImplementedError"
    assert given.count("raise NotImplementedError  # about ") == len(re.findall(r"^def ", stub.yours(solution), re.M))
    for cut in mine.body:
        if isinstance(cut, ast.FunctionDef) and cut.lineno > above.count("\n"):
            whole = next(node for node in right.body if getattr(node, "name", "") == cut.name)
            body = "\n".join(map(ast.unparse, whole.body[1:]))
            assert body not in ast.unparse(mine), f"the body of {cut.name} stands in the stub"


@each
def test_the_text_is_a_task(exercise):
    assert exercise.source.isascii() and exercise.source.endswith("\n")
    assert max(map(len, exercise.source.splitlines())) <= 120
    assert re.fullmatch(r"[A-Z].{8,90}\.", exercise.title)
    assert 8 <= len(exercise.text.splitlines()) <= 32
    rule = re.findall(r"^# Yours -+$", exercise.source, re.M)
    assert len(rule) == 1 and 100 <= len(rule[0]) <= 118


@each
def test_hints_are_three_and_get_warmer(exercise):
    hints = check_of(exercise).HINTS
    assert tuple(exercise.hints) == tuple(hints)
    assert len(hints) == 3 and all(isinstance(h, str) and h.isascii() and 20 < len(h) < 500 for h in hints)
    assert len(set(hints)) == 3


@each
def test_a_solution_imports_what_a_learner_has(exercise):
    for node in ast.walk(ast.parse(exercise.source)):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= ALLOWED - {"minighost"}
        elif isinstance(node, ast.ImportFrom):
            assert node.module in ("numba", "minighost") and node.level == 0
            assert node.module != "minighost" or [alias.name for alias in node.names] == ["ops"]


@each
def test_what_is_given_was_written_before(exercise):
    """Each operation that a solution takes from minighost is named as given in its text, from an earlier exercise."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(stub.yours(exercise.source)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ops"
    }
    for name in used:
        assert f"ops.{name}" in exercise.text, f"ops.{name} must be named as given"
    for number in re.findall(r"you wrote in exercises? (\d+)", exercise.text):
        assert int(number) < exercise.number


def solution(number):
    return importlib.import_module(f"minighost.learn.exercises.{exercises()[number - 1].stem}")


def test_the_solutions_of_the_family_compute_what_minighost_computes():
    rng = np.random.default_rng(0)
    x, y, z = (rng.normal(size=shape) for shape in ((2, 3, 4, 12), (1, 5, 6, 2), (1, 2, 3, 2)))
    w, column = rng.normal(size=(5, 4, 3, 12)), rng.normal(size=3)
    np.testing.assert_array_equal(solution(39).shuffle_forward(x, 4)[0], ops.channel_shuffle_forward(x, 4)[0])
    np.testing.assert_array_equal(
        solution(40).depth_to_space_forward(x, (2, 3))[0], ops.depth_to_space_forward(x, (2, 3))[0]
    )
    crd = solution(40).depth_to_space_forward(solution(40).from_crd(x, (2, 3)), (2, 3))[0]
    np.testing.assert_array_equal(crd, ops.depth_to_space_forward(x, (2, 3), "CRD")[0])
    image = solution(41).transposed(x, solution(41).regroup(w, (2, 3)), (5, 4), (2, 3), (1, 2))
    np.testing.assert_allclose(image, ops.conv_transpose2d_forward(x, w, None, (2, 3), (1, 2))[0], atol=1e-12)
    np.testing.assert_array_equal(solution(42).bilinear_kernel(3, 2), ops.bilinear_kernel(3, 2, np.float64))
    separated = nn.separate(np.outer(column, column[::-1]) + np.diag(column))
    columns, rows = solution(43).separate(np.outer(column, column[::-1]) + np.diag(column), 1)
    np.testing.assert_allclose(columns @ rows, np.outer(separated.column, separated.row), atol=1e-12)
    gated, _ = ops.scale_map_forward(y, 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(solution(45).gate_forward(y, z)[0], gated, atol=1e-12)


def test_nan_does_not_satisfy_the_adjoint_law():
    check = check_of(next(e for e in exercises() if e.number == 6))
    x, y = np.ones((1, 2, 3, 1)), np.ones((2, 4))
    with pytest.raises(AssertionError, match=r"that of x \* col2im\(y\) is nan; they must be equal"):
        check._is_adjoint(lambda cols, shape, kernel_size: np.full(shape, np.nan), x, y, (2, 2))
