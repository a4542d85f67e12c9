"""From a solution to what a learner gets: the same file, with gaps where the functions' bodies were."""

import ast
import re

__all__ = ["RULE", "cut", "yours"]

RULE = re.compile(r"^# Yours -+$", re.MULTILINE)


def cut(source):
    """The stub of a solution.

    Everything above the line ``# Yours ---`` stays as it is, to the letter. Of each function below it stay decorators,
    signature and docstring; the body becomes a NotImplementedError, with the number of lines that the solution needs.

    Parameters
    ----------
    source : str
        Text of a solution.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        The line is missing, or something else than functions stands below it.
    """
    rule, lines = _rule(source), source.splitlines()
    parts = ["\n".join(lines[:rule])]
    for node in _functions(source):
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if not body:
            raise ValueError(f"stub: {node.name} has no body to leave out")
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        kept = lines[first - 1 : node.body[0].end_lineno if body is not node.body else _signature_end(node, lines)]
        count = sum(1 for line in lines[len(kept) + first - 1 : node.end_lineno] if _is_code(line))
        gap = f"    raise NotImplementedError  # about {count} {'line' if count == 1 else 'lines'}"
        parts.append("\n".join([*kept, gap]))
    return "\n\n\n".join(parts) + "\n"


def yours(source):
    """What stands below the line ``# Yours ---``: the functions that a learner writes, or their solution."""
    return "\n".join(source.splitlines()[_rule(source) :]).strip("\n") + "\n"


def _rule(source):
    """Number of lines up to the rule, that line included."""
    found = list(RULE.finditer(source))
    if len(found) != 1:
        raise ValueError(f"stub: there must be one line '# Yours ---', there are {len(found)}")
    return source[: found[0].start()].count("\n") + 1


def _functions(source):
    rule = _rule(source)
    below = [node for node in ast.parse(source).body if node.end_lineno > rule]
    for node in below:
        if not isinstance(node, ast.FunctionDef) or node.lineno <= rule:
            raise ValueError(f"stub: line {node.lineno}: only functions may stand below the line '# Yours ---'")
    return below


def _signature_end(node, lines):
    """Last line of the signature: the one above the body, comments left out."""
    end = node.body[0].lineno - 1
    while not _is_code(lines[end - 1]):
        end -= 1
    return end


def _is_code(line):
    return bool(line.strip()) and not line.lstrip().startswith("#")
