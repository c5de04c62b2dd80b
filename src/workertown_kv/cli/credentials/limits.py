"""Define the flags that limit what a credential permits, and for how long."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from ...user import VERBS, Scope, Verb
from ..flag import Text, WholeNumber

_F = TypeVar("_F", bound=Callable[..., Any])
_KEY_VERBS: Final[tuple[Verb, ...]] = ("read", "write", "list")

name_argument: Final = click.argument("name", type=Text())


def limit_options(command: _F) -> _F:
    """Add the argument NAME and the flags that limit a credential to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: Sequence[Callable[[Any], Any]] = (
    name_argument,
    click.option(
        "--verb",
        "verbs",
        type=click.Choice(VERBS),
        multiple=True,
        help="Permit this verb; may be repeated. By default everything is permitted or, with "
        "--prefix or --namespace, read, write and list.",
    ),
    click.option(
        "--prefix",
        "prefixes",
        type=Text(),
        multiple=True,
        help="Permit only keys that begin with this; may be repeated.",
    ),
    click.option(
        "--namespace",
        "namespaces",
        type=Text(),
        multiple=True,
        metavar="ID",
        help="Permit only the namespace with this id (or default); may be repeated.",
    ),
    click.option(
        "--expires-in-days",
        "days",
        type=WholeNumber(1, 36_500),
        help="Expire after this many days. By default it never expires.",
    ),
)


class Limits(msgspec.Struct, frozen=True):
    """What a credential permits, and for how long."""

    scope: Scope | None
    """`None` permits everything."""
    expires_at: int | None

    @classmethod
    def of(
        cls,
        *,
        verbs: Sequence[Verb],
        prefixes: Sequence[str],
        namespaces: Sequence[str],
        days: int | None,
    ) -> "Limits":
        """Return the limits that the flags give. Raises `click.UsageError`."""
        if "" in prefixes:
            raise click.UsageError("--prefix is empty, which permits all keys; expected some text")
        scope = None
        if verbs or prefixes or namespaces:
            try:
                scope = Scope(
                    verbs=tuple(verbs) or _KEY_VERBS,
                    prefixes=tuple(prefixes) or ("",),
                    namespaces=tuple(namespaces) or None,
                )
            except ValueError as error:
                raise click.UsageError(str(error)) from error
        return cls(scope, None if days is None else int(time.time()) + days * 86_400)

    @property
    def scopes(self) -> tuple[Scope, ...] | None:
        """Return the scopes of the credential."""
        return None if self.scope is None else (self.scope,)

    def described(self) -> dict[str, object]:
        """Return the limits as a line of a file has them."""
        found: dict[str, object] = {}
        if self.scope is not None:
            given = {
                "prefixes": () if self.scope.prefixes == ("",) else self.scope.prefixes,
                "namespaces": self.scope.namespaces,
            }
            named = {name: texts for name, texts in given.items() if texts}
            found["scopes"] = [{"verbs": self.scope.verbs, **named}]
        if self.expires_at is not None:
            found["expires_at"] = self.expires_at
        return found
