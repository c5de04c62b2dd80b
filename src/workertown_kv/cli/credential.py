"""What the commands that make credentials share: what it may do, and the line that says so."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from ..user import VERBS, Scope, Verb

_F = TypeVar("_F", bound=Callable[..., Any])
_KEY_VERBS: Final[tuple[Verb, ...]] = ("read", "write", "list")


def credential_options(command: _F) -> _F:
    """The flags that limit a credential."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option(
        "--verb",
        "verbs",
        type=click.Choice(VERBS),
        multiple=True,
        help="What may be done; may be repeated. Without it: everything, or, where a prefix or a "
        "namespace is given, read, write and list.",
    ),
    click.option(
        "--prefix",
        "prefixes",
        multiple=True,
        help="Only keys that begin with this; may be repeated.",
    ),
    click.option(
        "--namespace",
        "namespaces",
        multiple=True,
        help="Only in this namespace; may be repeated.",
    ),
    click.option(
        "--expires-in-days",
        "days",
        type=click.IntRange(1, 36_500),
        help="It fits for so many days from now. Without it: until its line is removed.",
    ),
)


def credential_line(
    name: str,
    hash: str,
    *,
    verbs: Sequence[Verb],
    prefixes: Sequence[str],
    namespaces: Sequence[str],
    days: int | None,
) -> str:
    """The line that lets a credential in. Raises `click.UsageError` for what makes no sense."""
    if not name or ":" in name:
        raise click.UsageError(f"{name!r} is no name; expected some text without a colon")
    line: dict[str, Any] = {"name": name, "hash": hash}
    if verbs or prefixes or namespaces:
        try:
            scope = Scope(
                verbs=tuple(verbs) or _KEY_VERBS,
                prefixes=tuple(prefixes) or ("",),
                namespaces=tuple(namespaces) or None,
            )
        except ValueError as error:
            raise click.UsageError(f"These flags do not go together: {error}") from error
        given = (("prefixes", prefixes), ("namespaces", namespaces))
        line["scopes"] = [{"verbs": scope.verbs, **{name: some for name, some in given if some}}]
    if days is not None:
        line["expires_at"] = int(time.time()) + days * 86_400
    return msgspec.json.encode(line).decode()
