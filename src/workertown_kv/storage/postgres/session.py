"""A connection to PostgreSQL, by asyncpg."""

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar, Final

import asyncpg  # type: ignore[import-untyped]

from ...errors import StorageError, StorageUnavailable
from ..sql import Lost, ServerUrl, Session, Statement, Undone
from ..sql.schema import MIGRATION_SECONDS
from .errors import ERRORS, translated
from .statements import lock_number

CLOSE_SECONDS: Final = 1.0


class PostgresSession(Session):
    """A connection on which every text is bytes, on its way in and out."""

    # The server's default may be another level. This one is enough: every row that matters is
    # locked.
    begin: ClassVar[str] = "START TRANSACTION ISOLATION LEVEL READ COMMITTED"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._doubtful = False
        transport = connection._transport  # noqa: SLF001  (there is no other way to the socket)
        self._descriptor: int = transport.get_extra_info("socket").fileno()

    async def fetch(self, statement: Statement) -> Sequence[Any]:
        sql, values = statement
        with self._translated():
            rows: Sequence[Any] = await self._connection.fetch(sql, *values)
            return rows

    async def execute(self, statement: Statement) -> int:
        sql, values = statement
        with self._translated():
            status: str = await self._connection.execute(sql, *values)
            return int(status.rpartition(" ")[2])

    async def run(self, sql: str) -> None:
        with self._translated():
            await self._connection.execute(sql)

    @asynccontextmanager
    async def migrating(self, table: str) -> AsyncIterator[None]:
        async with self.transaction():
            await self.run(f"SET LOCAL lock_timeout = '{MIGRATION_SECONDS}s'")
            await self.run(f"SELECT pg_advisory_xact_lock({lock_number(table)})")
            yield

    @property
    def usable(self) -> bool:
        closed = self._doubtful or self._connection.is_closed()
        return not closed and not self._connection.is_in_transaction()

    @property
    def descriptor(self) -> int:
        return self._descriptor

    async def close(self) -> None:
        try:
            await self._connection.close(timeout=CLOSE_SECONDS)
        except ERRORS:
            self.terminate()

    def terminate(self) -> None:
        self._connection.terminate()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ERRORS as error:
            closed = self._connection.is_closed() and isinstance(error, asyncpg.InterfaceError)
            told = Lost("The connection is closed") if closed else translated(error, asked=True)
            # A server that does not do what it should is better asked over a new connection,
            # which may lead to another one.
            self._doubtful = isinstance(told, StorageUnavailable) and not isinstance(told, Undone)
            raise told from error


async def connect(
    host: str, port: int, url: ServerUrl, encryption: ssl.SSLContext | str, *, patient: bool
) -> PostgresSession:
    """Connect. The server, too, ends statements after `timeout`, unless it is to be patient."""
    milliseconds = 0 if patient else max(1, round(url.parameters.timeout * 1000))
    try:
        connection = await asyncpg.connect(
            host=host,
            port=port,
            user=url.user,
            password=url.password and url.password.reveal(),
            database=url.database,
            ssl=encryption,
            timeout=MIGRATION_SECONDS,  # whoever asks has a deadline
            target_session_attrs="any" if len(url.hosts) == 1 else "read-write",
            server_settings={
                "application_name": "workertown-kv",
                "statement_timeout": str(milliseconds),
            },
        )
        try:
            _check_encoding(connection)
            await connection.set_type_codec(
                "text", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes
            )
            return PostgresSession(connection)
        except BaseException:
            connection.terminate()
            raise
    except ERRORS as error:
        raise translated(error, asked=False) from error


def _check_encoding(connection: Any) -> None:
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise StorageError(f"The database has the encoding {encoding}; expected UTF8")
