"""Define `workertown-kv namespace`, for the namespaces of a database."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import click

from ..entry import DEFAULT_ID
from ..errors import OptionsError
from ..files import Files
from ..namespaces import Namespace, Namespaces
from ..server import Server
from .database import (
    check_made,
    choose_database,
    configured_server,
    database_option,
)
from .ending import one_line_errors

_Act = Callable[[Namespaces], Awaitable[list[str]]]


@click.group()
def namespace() -> None:
    """List, create, rename and delete namespaces.

    Each namespace has an id, which never changes, and a title. The namespace default always exists.
    """


@namespace.command(name="list")
@database_option
def list_(database: str) -> None:
    """Print the id and the title of each namespace, one per line."""

    async def act(namespaces: Namespaces) -> list[str]:
        found = await namespaces.all()
        return [_line(item) for item in sorted(found, key=lambda item: item.title)]

    _run(database, act)


@namespace.command()
@click.argument("title")
@database_option
def create(title: str, database: str) -> None:
    """Create a namespace with this TITLE, and print its id and title."""

    async def act(namespaces: Namespaces) -> list[str]:
        return [_line(await namespaces.create(title))]

    _run(database, act)


@namespace.command()
@click.argument("name", metavar="ID_OR_TITLE")
@click.argument("title")
@database_option
def rename(name: str, title: str, database: str) -> None:
    """Change the title of a namespace to TITLE."""

    async def act(namespaces: Namespaces) -> list[str]:
        found = await namespaces.named(name)
        return [_line(await namespaces.rename(found.id, title))]

    _run(database, act)


@namespace.command()
@click.argument("name", metavar="ID_OR_TITLE")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@database_option
def delete(name: str, yes: bool, database: str) -> None:
    """Delete a namespace with all its keys.

    Clients can no longer read its keys from that moment; this command then removes them. If it is
    interrupted, a server on the same database removes the rest.
    """

    async def act(namespaces: Namespaces) -> list[str]:
        found = await namespaces.named(name)
        # The namespace default cannot be deleted, so there is nothing to confirm.
        if not yes and found.id != DEFAULT_ID:
            question = f"Delete the namespace {_line(found)} with all its keys?"
            click.confirm(question, abort=True, err=True)
        await namespaces.delete(found.id)
        removed = 0
        while step := await namespaces.purge_namespace(found.id, _STEP):
            removed += step
        return [f"Deleted {_line(found)}, with {removed:,} {'key' if removed == 1 else 'keys'}"]

    _run(database, act)


_STEP = 1000


def _line(namespace: Namespace) -> str:
    # A title may contain line feeds, but each namespace has exactly one line.
    title = namespace.title
    return f"{namespace.id} {title if title.isprintable() else json.dumps(title)}"


def _run(database: str, act: _Act) -> None:
    choose_database(database)
    with one_line_errors():
        lines = asyncio.run(_act_on(configured_server(Files()), act))
    for line in lines:
        click.echo(line)


async def _act_on(server: Server, act: _Act) -> list[str]:
    storage = server.runtime.storage
    if not storage.shared:
        raise OptionsError(
            "The namespaces of memory:// exist only inside the server's process; expected "
            "--database or KV_DB to be a database on disk or on a server"
        )
    check_made(server)
    await storage.open()
    try:
        return await act(server.namespaces)
    finally:
        await storage.close()
