"""Keep entries in a table of a PostgreSQL database."""

import time
from typing import Final

from ...errors import MissingExtra
from ..contract import Clock
from ..sql.changes.postgres import RECORDER
from ..sql.database import Database
from ..sql.dialects.postgres import MIGRATIONS, RECORD, PostgresStatements
from ..sql.schema import Schema
from ..sql.session import Session
from ..sql.storage import SqlStorage
from ..sql.tls import tls_context
from ..sql.url import parse_url
from .changes import PostgresChanges

SCHEMES: Final = "postgres|postgresql"
PORT: Final = 5432


class PostgresStorage(SqlStorage):
    """Keeps entries in the database that a URL names, such as `postgres://kv@localhost/kv`.

    `docs/storages/postgres.md` has the parts of the URL.
    """

    def __init__(self, url: str, *, clock: Clock = time.time) -> None:
        parts = parse_url(url, SCHEMES, PORT)
        try:
            from .session import connect  # noqa: PLC0415  (other storages do not need the driver)
        except ModuleNotFoundError as error:
            raise MissingExtra("PostgreSQL", "asyncpg>=0.31,<0.33") from error
        encryption = tls_context(parts.parameters) or parts.parameters.sslmode or "prefer"
        table = parts.parameters.table

        async def connected(host: str, port: int, *, patient: bool) -> Session:
            return await connect(host, port, parts, encryption, patient=patient)

        super().__init__(
            Database(
                "PostgreSQL", parts, connected, Schema(table, RECORD, MIGRATIONS, RECORDER), clock
            ),
            PostgresStatements(table),
            PostgresChanges,
            clock=clock,
        )
