"""What is asked for by name: one table per kind of thing, and one message for a name that is not in it."""

import difflib
import inspect

__all__ = ["Registry", "nearest", "unknown"]


class Registry(dict):
    """A table from names to functions or classes, in the order in which they were registered.

    Parameters
    ----------
    asker : str
        Who looks names up, for messages: "models.create".
    kind : str
        What the names stand for: "model".
    **entries
        What is known from the start.

    Examples
    --------
    >>> seasons = Registry("seasons.create", "season", spring=dict, autumn=list)
    >>> seasons.create("autum")
    Traceback (most recent call last):
    ValueError: seasons.create: unknown season 'autum' (did you mean 'autumn'?); available: spring, autumn
    """

    def __init__(self, asker, kind, **entries):
        super().__init__(entries)
        self.asker, self.kind = asker, kind

    def register(self, entry):
        """Add a function or class under its name in lower case; returns it, so it serves as a decorator."""
        self[entry.__name__.lower()] = entry
        return entry

    def find(self, name):
        """The entry of that name; ValueError, with the nearest name and all others, if there is none."""
        if name not in self:
            raise unknown(self.asker, self.kind, name, self)
        return self[name]

    def takes(self, name):
        """Names of the arguments that an entry takes, in order."""
        return list(inspect.signature(self.find(name)).parameters)

    def check(self, name, options):
        """ValueError if the name or one of the options is unknown; nothing is called."""
        known = self.takes(name)
        for option in options:
            if option not in known:
                hint = nearest(option, known)
                raise ValueError(f"{self.asker}: {name} has no option {option!r}{hint}; it takes {', '.join(known)}")

    def create(self, name, *args, **options):
        """Call the entry of that name.

        Raises
        ------
        ValueError
            The name or an option is unknown (the message lists those available), or an option is of a kind that the
            entry cannot use.
        """
        self.check(name, options)
        try:
            return self[name](*args, **options)
        except (ArithmeticError, AttributeError, LookupError, NameError) as error:  # whatever a list for a number does
            raise ValueError(f"{self.asker}: {name} cannot be built with {options}: {error}") from error


def unknown(asker, kind, name, names):
    """The ValueError for a name that is none of `names`."""
    who = f"{asker}: " if asker else ""
    return ValueError(f"{who}unknown {kind} {name!r}{nearest(name, names)}; available: {', '.join(names)}")


def nearest(word, words):
    """`` (did you mean 'x'?)``, if one of `words` is close to `word`."""
    close = difflib.get_close_matches(str(word), words, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
