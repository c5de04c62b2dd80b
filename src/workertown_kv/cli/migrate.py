"""`workertown-kv migrate`."""

import asyncio

import click

from ..server import Server, kv
from .database import choose_database, database_option, one_line_errors


@click.command()
@database_option
def migrate(database: str) -> None:
    """Bring the database's schema up to date; harmless when repeated."""
    choose_database(database)
    with one_line_errors():
        ran = asyncio.run(_migrate(kv()))
    for line in ran or ["Nothing to do: the schema is up to date"]:
        click.echo(line)


async def _migrate(server: Server) -> list[str]:
    storage = server.runtime.storage
    ran = [*await storage.open()]
    try:
        ran += await storage.migrate()
    finally:
        await storage.close()
    return [f"{one.migration} {one.direction}: {one.status}" for one in ran]
