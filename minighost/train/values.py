"""What a configuration value may be: each rule reads text or a typed value and says plainly what it expected."""

import math
import tomllib
from dataclasses import dataclass
from typing import Any

__all__ = ["Choice", "Flag", "Free", "Numbers", "Real", "Size", "Text", "Whole"]

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Rule:
    """Reads one value; a subclass gives `parse` (ValueError if it does not fit) and `expects`."""

    none = False

    def expects(self) -> str:
        raise NotImplementedError

    def parse(self, value: Any) -> Any:
        raise NotImplementedError

    def read(self, key: str, value: Any) -> Any:
        """The value of the right type; ValueError ``"train.epochs: expected a whole number >= 1, got 'abc'"``."""
        if self.none and (value is None or value in ("", "none")):
            return None
        try:
            return self.parse(value)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{key}: expected {self.expects()}, got {value!r}") from None


@dataclass(frozen=True)
class Whole(Rule):
    """A whole number, at least `least` and at most `most`."""

    least: int = 0
    none: bool = False
    most: int = 2**63 - 1

    def expects(self):
        return f"a whole number >= {self.least}" + (f" and <= {self.most:,}" if self.most < 2**63 - 1 else "")

    def parse(self, value):
        if isinstance(value, (bool, float)):
            raise TypeError
        number = int(value)
        if not self.least <= number <= self.most:
            raise ValueError
        return number


@dataclass(frozen=True)
class Real(Rule):
    """A finite number within bounds."""

    least: float | None = None
    above: float | None = None
    below: float | None = None
    none: bool = False

    def expects(self):
        bounds = [
            f"{sign} {bound:g}"
            for sign, bound in ((">", self.above), (">=", self.least), ("<", self.below))
            if bound is not None
        ]
        return f"a number {' and '.join(bounds)}".rstrip()

    def parse(self, value):
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        inside = (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )
        if not inside:
            raise ValueError
        return number


@dataclass(frozen=True)
class Numbers(Rule):
    """Ascending numbers: a list, or text with commas."""

    least: float = 0

    def expects(self):
        return f"ascending numbers >= {self.least:g}, such as 6,9"

    def parse(self, value):
        parts = [part for part in value.strip("[] ").split(",") if part.strip()] if isinstance(value, str) else value
        numbers = tuple(Real(least=self.least).parse(part) for part in parts)
        if list(numbers) != sorted(set(numbers)):
            raise ValueError
        return numbers


@dataclass(frozen=True)
class Size(Rule):
    """Height and width in pixels: a side, or HxW."""

    none: bool = False
    most: int = 4096

    def expects(self):
        return f"a side or HxW in whole pixels from 1 to {self.most:,}, such as 64 or 48x64"

    def parse(self, value):
        sides = value.lower().split("x") if isinstance(value, str) else value
        sides = [
            Whole(1, most=self.most).parse(side) for side in (sides if isinstance(sides, (list, tuple)) else [sides])
        ]
        if len(sides) not in (1, 2):
            raise ValueError
        return sides[0], sides[-1]


@dataclass(frozen=True)
class Flag(Rule):
    """Yes or no, or one further word."""

    word: str | None = None

    def expects(self):
        return "true or false" if self.word is None else f"true, false or {self.word}"

    def parse(self, value):
        if isinstance(value, bool) or (self.word is not None and value == self.word):
            return value
        if not isinstance(value, str) or value.lower() not in WORDS:
            raise ValueError
        return WORDS[value.lower()]


@dataclass(frozen=True)
class Text(Rule):
    """Any text that is not empty, of the length of a path."""

    none: bool = False

    def expects(self):
        return "text"

    def parse(self, value):
        if hasattr(value, "__fspath__"):
            value = value.__fspath__()
        if not isinstance(value, str) or not 0 < len(value) <= 4096:
            raise TypeError
        return value


class Choice(Rule):
    """One of a few names."""

    def __init__(self, *names):
        self.names = names

    def expects(self):
        return f"one of {', '.join(self.names)}"

    def parse(self, value):
        if value not in self.names:
            raise ValueError
        return value


class Free(Rule):
    """A value whose rule only the network knows: text is read as TOML reads it, and stays text if TOML does not."""

    def expects(self):
        return "a number within 2**31, true or false, a short text, or a list of these"

    def parse(self, value):
        if isinstance(value, str):
            value = self._typed(value)
        if not _plain(value):
            raise ValueError
        return value

    def _typed(self, text):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
        except RecursionError:
            raise ValueError from None


def _plain(value, deep=4):
    """Whether a kernel's integers, a constructor's loops and an error's line can bear this value."""
    if isinstance(value, (list, tuple)):
        return deep > 0 and len(value) <= 100 and all(_plain(item, deep - 1) for item in value)
    if isinstance(value, str):
        return len(value) <= 100
    return isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < 2**31
