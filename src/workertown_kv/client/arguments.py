"""Check the arguments of a client, by the rules that servers have."""

from collections.abc import Iterator
from contextlib import contextmanager

from .. import entry
from ..errors import InputError
from ..operations import MUST_NOT_EXIST, Precondition


def check_key(key: str, limit: int) -> None:
    """Raise `InputError` for a key that no entry can have."""
    check_text(key, "key")
    entry.check_key(key, limit)


def check_namespace(name: str) -> None:
    """Raise `InputError` for a name that no namespace can have."""
    check_text(name, "namespace")
    if not name:
        raise InputError("The namespace is empty; expected an id or a title")


def check_text(text: str, name: str) -> None:
    """Raise `InputError` for anything but Unicode text. `name` is what the error calls it."""
    if not isinstance(text, str):
        raise InputError(f"The {name} is {text!r:.100} ({type(text).__name__}); expected a str")
    if not entry.is_unicode(text):
        raise InputError(
            f"The {name} {text!a:.100} is not Unicode: it has half of a surrogate pair"
        )


def lifetime(ttl: int | None, expires_at: float | None, now: float) -> float | None:
    """Return the time at which an entry that is written now expires; `None` if it never does."""
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int)):
        raise InputError(f"ttl is {ttl!r}; expected a whole number of seconds, at least 1")
    if expires_at is not None and not isinstance(expires_at, int | float):
        raise InputError(f"expires_at is {expires_at!r:.100}; expected Unix seconds")
    with plainly():
        return entry.lifetime(ttl=ttl, expires_at=expires_at, now=now)


def precondition(if_version: str | None, *, create: bool = False) -> Precondition | None:
    """Return the precondition that an entry has a version, or does not exist."""
    if if_version is None:
        return MUST_NOT_EXIST if create else None
    if create:
        raise InputError("Expected if_version or create=True, not both")
    check_text(if_version, "version")
    return Precondition((if_version,))


@contextmanager
def plainly() -> Iterator[None]:
    """Let an error about the body of a request name the argument instead."""
    try:
        yield
    except InputError as error:
        if not error.details:
            raise
        said = "; ".join(f"{'.'.join(map(str, one.path))}: {one.message}" for one in error.details)
        raise type(error)(said) from None
