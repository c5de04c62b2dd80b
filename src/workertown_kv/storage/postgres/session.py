"""Run statements on a connection to PostgreSQL, by asyncpg."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

import asyncpg  # type: ignore[import-untyped]  # asyncpg has no types

from ...errors import StorageError, StorageUnavailable
from ..sql.changes.postgres import MOVED
from ..sql.dialects.postgres import lock_number
from ..sql.schema import MIGRATION_SECONDS
from ..sql.session import Lost, NotDone, Session, Undone
from ..sql.url import ServerUrl
from ..sql.writing import Statement
from .chunked_writes import PIECE_BYTES, PieceLoop, PieceTransport
from .errors import ERRORS, not_begun, translated

CLOSE_SECONDS: Final = 1.0


class PostgresSession(Session):
    """A connection that takes and returns all text as bytes."""

    # The server's default may be another level. This level is enough, since every row that
    # matters is locked.
    begin: ClassVar[str] = "START TRANSACTION ISOLATION LEVEL READ COMMITTED"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._doubtful = False
        self._transport: PieceTransport = connection._transport  # noqa: SLF001  (asyncpg does not publish it)
        self._descriptor: int = self._transport.get_extra_info("socket").fileno()

    async def fetch(self, statement: Statement) -> Sequence[Any]:
        sql, values = statement
        self._transport.answer = b""
        try:
            rows: Sequence[Any] = await self._connection.fetch(sql, *values)
        except ERRORS as error:
            raise self._translated(error) from error
        return rows

    async def execute(self, statement: Statement) -> int:
        sql, values = statement
        self._transport.answer = b""
        try:
            if any(isinstance(value, bytes) and len(value) > PIECE_BYTES for value in values):
                with self._transport.marked(values) as marked:
                    status: str = await self._connection.execute(sql, *marked)
            else:
                status = await self._connection.execute(sql, *values)
        except ERRORS as error:
            raise self._translated(error) from error
        return int(status.rpartition(" ")[2])

    async def run(self, sql: str) -> None:
        self._transport.answer = b""
        try:
            await self._connection.execute(sql)
        except ERRORS as error:
            raise self._translated(error) from error

    @asynccontextmanager
    async def migrating(self, table: str) -> AsyncIterator[None]:
        async with self.transaction():
            await self.run(f"SET LOCAL lock_timeout = '{MIGRATION_SECONDS}s'")
            await self.run(f"SELECT pg_advisory_xact_lock({lock_number(table)})")
            yield

    async def set_moved(self, seconds: float) -> None:
        await self.run(f"SET {MOVED} = '{seconds}'")

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

    def _translated(self, error: Exception) -> StorageError:
        closed = self._connection.is_closed() and isinstance(error, asyncpg.InterfaceError)
        failure = (
            Lost("The connection is closed") if closed else translated(error, is_connected=True)
        )
        # After such a failure the pool makes a new connection, which may lead to another server.
        if isinstance(failure, StorageUnavailable) and not isinstance(failure, Undone):
            self._doubtful = True
        if isinstance(failure, Lost) and not_begun(error, self._transport.answer):
            return NotDone(failure.message)
        return failure


async def connect(
    host: str, port: int, url: ServerUrl, encryption: ssl.SSLContext | str, *, patient: bool
) -> PostgresSession:
    """Connect. Unless `patient`, the server itself also ends statements after `timeout`."""
    milliseconds = 0 if patient else max(1, round(url.parameters.timeout * 1000))
    try:
        connection = await asyncpg.connect(
            host=host,
            port=port,
            user=url.user,
            password=url.password and url.password.reveal(),
            database=url.database,
            ssl=encryption,
            timeout=MIGRATION_SECONDS,  # the caller has a deadline
            loop=PieceLoop(),
            target_session_attrs="any" if len(url.hosts) == 1 else "read-write",
            server_settings={
                "application_name": "workertown-kv",
                "statement_timeout": str(milliseconds),
            },
        )
        connection._loop = asyncio.get_running_loop()  # noqa: SLF001  (asyncpg gets the current task by it)
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
        raise translated(error, is_connected=False) from error


def _check_encoding(connection: Any) -> None:
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise StorageError(f"The database has the encoding {encoding}; expected UTF8")
