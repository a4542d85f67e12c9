"""Sentences and equations with numbers in them, kept apart from the numbers: a page repeats few of them many times."""

import re

import numpy as np

__all__ = ["format_number", "format_text", "say", "spelled"]


def say(template, *values):
    """A sentence or equation: each ``{}`` or ``{role}`` stands for the next value; a role gives it that colour."""
    if len(re.findall(r"\{\w*\}", template)) != len(values):
        raise ValueError(f"stepper: {template!r} has not {len(values)} places")
    return template, values


def spelled(name, *index):
    """``spelled("x", 0, 1)`` is ``x[0, 1]``."""
    return f"{name}[{', '.join(str(int(k)) for k in index)}]"


def format_text(text):
    """A `say` as a string."""
    template, values = text
    rest = iter(values)

    def fill(place):
        value = next(rest)
        if isinstance(value, str):
            return value
        bracket = value < 0 and template[: place.start()].endswith(" - ")  # 1 - (-2)
        return f"({format_number(value)})" if bracket else format_number(value)

    return re.sub(r"\{\w*\}", fill, template)


def format_number(value):
    """At most three decimals and no trailing zeros; the page's `format` does the same."""
    value = float(value)
    if np.isnan(value):
        return "."
    if value != 0 and not 5e-4 <= abs(value) < 1e5:
        return f"{value:.1e}"
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
