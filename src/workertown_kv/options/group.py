"""What every group of options is, and text that must not be shown."""

import re
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction

import msgspec


class Secret:
    """Text that no log, `repr` or message ever shows. `reveal()` is the one way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    __hash__ = None  # type: ignore[assignment]  # a secret has no business in a set or a log key


def without_credentials(text: str) -> str:
    """A URL as it may be shown: nothing of who connects, and with which password."""
    masked = re.sub("://[^/]*@", "://…@", text)
    return re.sub(r"(?i)(password=)[^&]*", r"\1…", masked)


def is_async(function: object) -> bool:
    """Tell whether a function is async, as far as that can be known before a call."""
    while isinstance(function, partial):
        function = function.func
    called = (function, getattr(type(function), "__call__", None))  # noqa: B004  (not whether, but which)
    return any(iscoroutinefunction(one) or isasyncgenfunction(one) for one in called)


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of options: immutable, and checked when it is made.

    What the types cannot say, `__post_init__` checks. It raises `ValueError` with a message that
    begins with the name of the option; parsing puts the path in front of it.
    """

    def check_answers_at_once(self, *names: str) -> None:
        """Refuse async functions."""
        for name in names:
            if is_async(getattr(self, name)):
                raise ValueError(f"{name} is an async function; expected one that answers at once")

    def check_at_least(self, least: int, *names: str) -> None:
        """Refuse numbers below `least`."""
        for name in names:
            number = getattr(self, name)
            if not number >= least:  # NaN is not either
                kind = "a whole number" if isinstance(number, int) else "a number"
                raise ValueError(f"{name} is {number}; expected {kind} of at least {least}")
