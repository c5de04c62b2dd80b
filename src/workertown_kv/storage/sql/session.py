"""Define a connection to a database server, and the failures of its statements."""

import select
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, ClassVar, Final

from ...errors import KvError, StorageError, StorageFailure, StorageUnavailable
from .writing import Statement

MOVE_SECONDS: Final = 0.05
"""How exact the clock of the database is that tests move."""


class Undone(StorageUnavailable):
    """The engine undid a transaction in favour of others. It may be repeated."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StorageFailure.BUSY)


class Lost(StorageUnavailable):
    """The connection broke before the answer. The statement may or may not have run."""


class NotDone(Lost):
    """The connection broke before the statement ran. It may be repeated on another connection."""


class TooManyConnections(StorageUnavailable):
    """The engine accepts no further connection."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StorageFailure.BUSY)


class MissingTable(StorageError):
    """A table that a statement names does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StorageFailure.REMOVED)


class Session(ABC):
    """A connection. Its methods raise a `StorageError` for every failure.

    A caller that stops waiting for an answer must `terminate()` the connection: the answer may
    still come.
    """

    begin: ClassVar[str] = "START TRANSACTION"

    certifies: bool = False
    """Whether other servers also accept writes, and only compare the rows that were written."""

    _readable: "select.poll | None" = None
    _moved = 0.0

    @abstractmethod
    async def fetch(self, statement: Statement) -> Sequence[Any]:
        """Run a statement, and return its rows; every text and key in them is bytes."""

    @abstractmethod
    async def execute(self, statement: Statement) -> int:
        """Run a statement that writes, and return how many rows it has written."""

    @abstractmethod
    async def run(self, sql: str) -> None:
        """Run a statement without values, and ignore its result."""

    @abstractmethod
    def migrating(self, table: str) -> AbstractAsyncContextManager[None]:
        """Keep others from changing the schema of this table at the same time."""

    @abstractmethod
    async def set_moved(self, seconds: float) -> None:
        """Move the clock of the database by this much, as far as triggers see it."""

    async def move_clock(self, seconds: float) -> None:
        """Move the clock of the database, if it is not there yet."""
        if abs(seconds - self._moved) > MOVE_SECONDS:
            await self.set_moved(seconds)
            self._moved = seconds

    @property
    @abstractmethod
    def usable(self) -> bool:
        """Whether it can run more statements, as far as is known."""

    @property
    @abstractmethod
    def descriptor(self) -> int:
        """The file descriptor of its socket, -1 if the socket is closed."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connection, and tell the server, if it listens."""

    @abstractmethod
    def terminate(self) -> None:
        """Close the connection at once."""

    @property
    def is_stale(self) -> bool:
        """Whether the server has closed the connection while nobody used it.

        The event loop may not have noticed yet. On a connection without a running statement, any
        byte to read is a last message or the end.
        """
        if not self.usable or self.descriptor < 0:
            return True
        if self._readable is None:
            self._readable = select.poll()
            self._readable.register(self.descriptor, select.POLLIN)
        return bool(self._readable.poll(0))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Run the statements of the block as a transaction, which is undone if the block raises."""
        try:
            await self.run(self.begin)
            yield
        except Lost as error:
            raise NotDone(error.message) from error.__cause__
        except KvError:
            # Anything else ends the connection, and with it the transaction.
            with suppress(KvError):
                await self.run("ROLLBACK")
            raise
        try:
            await self.run("COMMIT")
        except NotDone as error:
            # An engine may end the connection after the commit, but before the answer.
            raise Lost(error.message) from error.__cause__
