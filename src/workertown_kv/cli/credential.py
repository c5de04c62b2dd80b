"""Share the flags that limit a credential, and its line, between `api-key` and `user`."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from ..entry import is_unicode
from ..options import Credential
from ..user import VERBS, Scope, Verb
from .credential_file import append

_F = TypeVar("_F", bound=Callable[..., Any])
_KEY_VERBS: Final[tuple[Verb, ...]] = ("read", "write", "list")


class _Text(click.ParamType[str]):
    """Accepts only UTF-8; the arguments of a process may be any bytes."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_unicode(value):
            self.fail("it is not UTF-8", param, ctx)
        return str(value)


def credential_options(command: _F) -> _F:
    """Add the argument NAME, the flags that limit a credential, and `--file` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.argument("name", type=_Text()),
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
        type=_Text(),
        multiple=True,
        help="Permit only keys that begin with this; may be repeated.",
    ),
    click.option(
        "--namespace",
        "namespaces",
        type=_Text(),
        multiple=True,
        metavar="ID",
        help="Permit only the namespace with this id (or default); may be repeated.",
    ),
    click.option(
        "--expires-in-days",
        "days",
        type=click.IntRange(1, 36_500),
        help="Expire after this many days. By default it never expires.",
    ),
    click.option(
        "--file",
        type=click.Path(),
        metavar="FILE",
        help="Append the line to this file instead of printing it. A missing file is created, "
        "readable only by its owner.",
    ),
)


class NewCredential:
    """Holds everything about a new credential except the hash of its secret."""

    def __init__(
        self,
        kind: type[Credential],
        name: str,
        *,
        verbs: Sequence[Verb],
        prefixes: Sequence[str],
        namespaces: Sequence[str],
        days: int | None,
        file: str | None,
    ) -> None:
        """Check the flags. Raises `click.UsageError` for what a server would not accept."""
        if "" in prefixes:
            raise click.UsageError("--prefix is empty, which permits all keys; expected some text")
        limits: dict[str, Any] = {}
        if days is not None:
            limits["expires_at"] = int(time.time()) + days * 86_400
        try:
            scopes = None
            if verbs or prefixes or namespaces:
                scope = Scope(
                    verbs=tuple(verbs) or _KEY_VERBS,
                    prefixes=tuple(prefixes) or ("",),
                    namespaces=tuple(namespaces) or None,
                )
                scopes = (scope,)
                given = (("prefixes", prefixes), ("namespaces", scope.namespaces))
                named = {name: texts for name, texts in given if texts}
                limits = {"scopes": [{"verbs": scope.verbs, **named}], **limits}
            kind(name=name, hash="not known yet", scopes=scopes).check()
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        self._kind = kind
        self._name = name
        self._limits = limits
        self._file = file

    def give(self, hash: str) -> None:
        """Print the credential's line, or append it to the file."""
        fields = {"name": self._name, "hash": hash, **self._limits}
        line = msgspec.json.encode(fields).decode()
        if self._file is None:
            click.echo(line)
        else:
            append(self._kind, self._file, self._name, line)
            click.echo(f"Added {self._name} to {self._file}", err=True)
