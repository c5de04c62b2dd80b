"""`workertown-kv migrate`."""

import asyncio
import logging

import click

from ..files import Files
from ..server import Server
from .database import (
    check_made,
    choose_database,
    configured_server,
    database_option,
    one_line_errors,
)


@click.command()
@database_option
@click.option(
    "--to",
    type=click.IntRange(min=0),
    metavar="NUMBER",
    help="How many migrations are to have run; further ones are undone, and what they made is gone "
    "with all that is in it. Without it: all of them.",
)
@click.option("--yes", is_flag=True, help="Undo migrations without asking.")
def migrate(database: str, to: int | None, yes: bool) -> None:
    """Bring the database's schema up to date; harmless when repeated."""
    choose_database(database)
    with one_line_errors():
        server = configured_server(Files())
        if to is not None:
            check_made(server)
    if to is not None and not yes:
        click.confirm(
            f"Migrations after number {to} are undone, with all that they hold. Go on?",
            abort=True,
            err=True,
        )
    with one_line_errors():
        ran = asyncio.run(_migrate(server, to))
    for line in ran or ["Nothing to do: the schema is up to date"]:
        click.echo(line)


async def _migrate(server: Server, to: int | None) -> list[str]:
    storage = server.runtime.storage
    logging.getLogger("workertown_kv").addFilter(_is_news)
    ran = [*await storage.open()]
    try:
        ran += await storage.migrate(to=to)
    finally:
        await storage.close()
    return [f"{one.migration} {one.direction}: {one.status}" for one in ran]


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is more than the advice to do what is just being done."""
    return "`workertown-kv migrate`" not in record.getMessage()
