"""Define the commands that make, list and revoke the API keys of a store."""

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from ...credentials import api_keys_of
from ...user import Scope
from ...wire.api_keys import StoredKey
from ..entries.arguments import as_json_option
from ..entries.lines import shown_name
from ..entries.listed import expiry
from ..epilog import epilog
from ..store import StoreChoice, opened, run, whole_store_options
from .limits import Limits, limit_options, name_argument


@click.command(
    epilog=epilog(
        "api-key create admin",
        "api-key create report --verb read --verb list --prefix shop/ --expires-in-days 90",
        "api-key create ci --prefix ci/ --store https://kv.example.com",
    )
)
@limit_options
@as_json_option
@whole_store_options
def create(*, store: StoreChoice, name: str, as_json: bool, **limits: Any) -> None:
    """Make an API key called NAME, which the store keeps.

    All servers of the store accept the key from now on. Prints the key to the standard output;
    the store has only its hash. On a server, the key can permit no more than the token that
    makes it.
    """
    wanted = Limits.of(**limits)

    async def act() -> None:
        async with opened(store, adds=True) as found:
            text, key = await api_keys_of(found.storage).create(
                name, scopes=wanted.scopes, expires_at=wanted.expires_at
            )
        if as_json:
            _print({"api_key": text, **msgspec.to_builtins(key)})
        else:
            click.echo(f"The API key of {key.name}, which is not shown again:", err=True)
            click.echo(text)

    run(act)


@click.command(name="list", epilog=epilog("api-key list", "api-key list --json | jq -r .name"))
@as_json_option
@whole_store_options
def list_(*, store: StoreChoice, as_json: bool) -> None:
    """List the API keys that the store keeps, without their secrets.

    Prints a table on a terminal, and the names in a pipe, each on a line. With --json, each line
    is an object with all that is known of a key.
    """

    async def act() -> None:
        async with opened(store) as found:
            keys = await api_keys_of(found.storage).all()
            now = found.storage.clock()
        if as_json:
            for key in keys:
                _print(key)
        elif sys.stdout.isatty():
            if keys:
                _print_table(keys, now)
            else:
                click.echo("The store keeps no API keys", err=True)
        else:
            for key in keys:
                click.echo(shown_name(key.name))

    run(act)


@click.command(epilog=epilog("api-key revoke report"))
@name_argument
@whole_store_options
def revoke(*, store: StoreChoice, name: str) -> None:
    """Revoke the API key called NAME, which the store keeps.

    All servers of the store refuse the key within a second, or within five seconds if the store
    records no changes. Keys that were made with this key remain valid.
    """

    async def act() -> None:
        async with opened(store) as found:
            await api_keys_of(found.storage).revoke(name)
        click.echo(f"Revoked {shown_name(name)}", err=True)

    run(act)


def _print(fields: object) -> None:
    click.echo(msgspec.json.encode(fields))


def _print_table(keys: Sequence[StoredKey], now: float) -> None:
    # Importing rich takes longer than most commands.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, header_style="bold")
    for head in ("name", "permits", "expires", "made by"):
        table.add_column(head)
    for key in keys:
        table.add_row(
            Text(shown_name(key.name), "cyan"),
            Text(_permits(key.scopes)),
            Text(expiry(key.expires_at, now), "yellow"),
            Text(shown_name(key.created_by or ""), "dim"),
        )
    Console().print(table)


def _permits(scopes: tuple[Scope, ...] | None) -> str:
    """Return what a key permits, a line for each scope."""
    if scopes is None:
        return "everything"
    return "\n".join(map(_permitted, scopes)) or "nothing"


def _permitted(scope: Scope) -> str:
    parts = [", ".join(scope.verbs)]
    if scope.prefixes != ("",):
        parts.append(f"on {', '.join(map(shown_name, scope.prefixes))}")
    if scope.namespaces is not None:
        parts.append(f"in {', '.join(scope.namespaces)}")
    return " ".join(parts)
