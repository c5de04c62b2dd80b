"""Define groups of options, and secrets, which are never shown."""

import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from inspect import isasyncgenfunction, iscoroutinefunction
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo


class Secret:
    """Holds text that no log, `repr` or message ever shows; only `reveal()` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    __hash__ = None  # type: ignore[assignment]  # a secret has no business in a set or a log key


if TYPE_CHECKING:

    class SecretOption:
        """Holds a secret or `None`; code may also give the text of the secret."""

        def __get__(self, group: object, kind: type | None = None) -> Secret | None: ...
        def __set__(self, group: object, given: Secret | str | None) -> None: ...
else:
    SecretOption = Secret | None

NO_SECRET: Final[SecretOption] = None  # type: ignore[assignment]  # its type is for checkers only


def without_credentials(text: str) -> str:
    """Return the text of a URL without user names and passwords, so that it may be shown."""
    masked = re.sub("://[^/]*@", "://…@", text)
    return re.sub(r"(?i)(password=)[^&]*", r"\1…", masked)


def is_async(function: object) -> bool:
    """Return whether a function is async, as far as that is known before a call."""
    while isinstance(function, partial):
        function = function.func
    called = (function, getattr(type(function), "__call__", None))  # noqa: B004  (not whether, but which)
    return any(iscoroutinefunction(part) or isasyncgenfunction(part) for part in called)


@cache
def fields_of(kind: type[msgspec.Struct]) -> Mapping[str, FieldInfo]:
    """Return the options of a group by their names."""
    return {field.name: field for field in msgspec.structs.fields(kind)}


def kinds_of(kind: Any) -> Sequence[Any]:
    """Return the types of a union, or the type itself."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def is_group(kind: Any) -> bool:
    """Return whether a type is a group of options."""
    return isinstance(kind, type) and not get_origin(kind) and issubclass(kind, msgspec.Struct)


def group_in(kind: Any) -> type[msgspec.Struct] | None:
    """Return the group of options that an option of this type accepts."""
    return next(filter(is_group, kinds_of(kind)), None)


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Holds some options, which cannot be changed, and which parsing checks."""

    def __post_init__(self) -> None:
        for name, field in fields_of(type(self)).items():
            given = getattr(self, name)
            if isinstance(given, str) and Secret in get_args(field.type):
                msgspec.structs.force_setattr(self, name, Secret(given))

    def check(self) -> None:
        """Check what types cannot say, after the types of all options were checked.

        Raises `ValueError` with a message that begins with the name of the option; parsing puts
        the path in front of it.
        """

    def check_not_async(self, *names: str) -> None:
        """Refuse async functions."""
        for name in names:
            if is_async(getattr(self, name)):
                raise ValueError(f"{name} is an async function; expected one that is not")

    def check_at_least(self, least: int, *names: str) -> None:
        """Refuse numbers below `least`."""
        for name in names:
            number = getattr(self, name)
            if not number >= least:  # also refuses NaN
                kind = "a whole number" if isinstance(number, int) else "a number"
                raise ValueError(f"{name} is {number}; expected {kind} of at least {least}")
