"""Run statements on a connection to MySQL or MariaDB, by asyncmy."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from ...errors import KvError, StorageError, StorageFailure, StorageUnavailable
from ..sql.changes.mysql import MOVED
from ..sql.schema import MIGRATION_SECONDS
from ..sql.session import Session, Undone
from ..sql.writing import Statement
from .chunked_writes import PIECE_BYTES
from .errors import ERRORS, translated

CLOSE_SECONDS: Final = 1.0
PREPARED: Final = 100
"""How many statements stay prepared on a connection."""

PACKET_BYTES: Final = 32 * 1024 * 1024
"""The recommended `max_allowed_packet`, in which a statement with a value of 25 MiB fits."""


class MysqlSession(Session):
    """A connection that takes and returns all text as bytes.

    Every statement is prepared. Without that, the values would be a part of the statement's text,
    where escapes of quotes and backslashes make JSON up to twice as long.
    """

    def __init__(self, connection: Any, database: str) -> None:
        self.packet_bytes = PACKET_BYTES
        """The most bytes that the server accepts in a statement."""
        self._connection = connection
        self._database = database
        self._transport = connection._transport  # noqa: SLF001  (there is no other way to it)
        self._descriptor: int = self._transport.get_extra_info("socket").fileno()
        self._prepared: OrderedDict[str, Any] = OrderedDict()
        self._doubtful = False

    async def fetch(self, statement: Statement) -> Sequence[Any]:
        try:
            return (await self._result(statement)).rows or ()
        except ERRORS as error:
            raise self._translated(error) from error

    async def execute(self, statement: Statement) -> int:
        try:
            return int((await self._result(statement)).affected_rows)
        except ERRORS as error:
            raise self._translated(error) from error

    async def run(self, sql: str) -> None:
        try:
            await self._connection.query(_quoted(sql))
        except ERRORS as error:
            raise self._translated(error) from error

    @asynccontextmanager
    async def migrating(self, table: str) -> AsyncIterator[None]:
        # A lock belongs to the whole server, and its name has at most 64 characters.
        digest = hashlib.sha256(f"{self._database}.{table}".encode()).hexdigest()
        name = f"workertown-kv {digest[:40]}"
        if await self.fetch((f"SELECT GET_LOCK('{name}', {MIGRATION_SECONDS})", ())) != ((1,),):
            raise StorageUnavailable("Another process is changing the schema", StorageFailure.BUSY)
        try:
            yield
        finally:
            # If the connection has ended, so has the lock.
            with suppress(KvError):
                await self.run(f"DO RELEASE_LOCK('{name}')")

    async def set_moved(self, seconds: float) -> None:
        await self.run(f"SET {MOVED} = {seconds}")

    @property
    def is_mariadb(self) -> bool:
        """Return whether the server is MariaDB, and not MySQL itself."""
        return "MariaDB" in self._connection.server_version

    @property
    def usable(self) -> bool:
        connection = self._connection
        if self._doubtful or not connection.connected or connection._stream_broken:  # noqa: SLF001  (asyncmy does not publish it)
            return False
        return not connection.get_transaction_status()

    @property
    def descriptor(self) -> int:
        return self._descriptor

    async def close(self) -> None:
        with suppress(*ERRORS):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.ensure_closed()
        self.terminate()

    def terminate(self) -> None:
        # asyncmy itself would first wait until all bytes have been sent.
        self._transport.abort()
        self._connection.close()

    async def _result(self, statement: Statement) -> Any:
        sql, values = statement
        size, most = len(sql), 0
        for value in values:
            if isinstance(value, bytes):
                length = len(value)
                size += 16 + length
                most = max(most, length)
        if size > self.packet_bytes:
            raise StorageError(
                f"The server takes at most {self.packet_bytes:,} bytes at once, and this has "
                f"{size:,}; set its max_allowed_packet to {PACKET_BYTES:,} or more"
            )
        prepared = self._prepared.get(sql)
        if prepared is None:
            prepared = self._prepared[sql] = await self._connection.prepare(_quoted(sql))
            if len(self._prepared) > PREPARED:
                _, oldest = self._prepared.popitem(last=False)
                await oldest.close()
        else:
            self._prepared.move_to_end(sql)
        if most > PIECE_BYTES:
            return await self._connection.execute_in_pieces(prepared, values)
        return await prepared.execute(values)

    def _translated(self, error: Exception) -> StorageError:
        failure = translated(error, is_connected=True)
        # After such a failure the pool makes a new connection, which may lead to another server.
        if isinstance(failure, StorageUnavailable) and not isinstance(failure, Undone):
            self._doubtful = True
        return failure


def _quoted(sql: str) -> str:
    """Return a statement with names in backticks.

    Double quotes would need the `sql_mode` ANSI_QUOTES, which Vitess refuses. No statement has
    a double quote elsewhere, since values are sent apart from the text.
    """
    return sql.replace('"', "`")
