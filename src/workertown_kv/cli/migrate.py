"""Define `workertown-kv migrate`."""

import asyncio

import click

from ..files import Files
from ..server import Server
from .asking import confirm
from .database import (
    check_made,
    choose_database,
    configured_server,
    database_option,
)
from .ending import one_line_errors
from .flag import WholeNumber
from .log import hidden_records


@click.command()
@database_option
@click.option(
    "--to",
    type=WholeNumber(min=0),
    metavar="NUMBER",
    help="Migrate up or down to this number. Undoing a migration deletes what it created, with all "
    "data in it. By default all migrations are run.",
)
@click.option("--yes", is_flag=True, help="Undo migrations without asking.")
def migrate(database: str, to: int | None, yes: bool) -> None:
    """Migrate the database to the newest schema. Repeating it does no harm."""
    choose_database(database)
    with one_line_errors():
        server = configured_server(Files())
        if to is not None:
            check_made(server)
    if to is not None and not yes:
        confirm(f"This undoes the migrations after number {to} and deletes their data. Continue?")
    with one_line_errors():
        ran = asyncio.run(_migrate(server, to))
    for line in ran or ["Nothing to do: the schema is up to date"]:
        click.echo(line)


async def _migrate(server: Server, to: int | None) -> list[str]:
    storage = server.runtime.storage
    with hidden_records("`workertown-kv migrate`", "requests fail until"):
        ran = [*await storage.open()]
        try:
            ran += await storage.migrate(to=to)
            if to is None:
                # Opening some storages succeeds without a server that answers.
                await storage.check()
        finally:
            await storage.close()
    return [f"{item.migration} {item.direction}: {item.status}" for item in ran]
