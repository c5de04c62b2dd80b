"""One connection to a database server, and what can happen to what is asked over it."""

import os
import select
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, ClassVar

from ...errors import KvError, StorageError, StorageFailure, StorageUnavailable
from .writing import Statement


class Undone(StorageUnavailable):
    """The engine gave up a transaction in favour of others, and undid it: it may be repeated."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StorageFailure.BUSY)


class Lost(StorageUnavailable):
    """The connection broke, and with it the answer: whether anything was done is not known."""


class NotDone(Lost):
    """The connection broke, and surely nothing was done: it may be repeated over another one."""


class TooManyConnections(StorageUnavailable):
    """The engine has as many connections as it takes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StorageFailure.BUSY)


class MissingTable(StorageError):
    """A table that a statement names is not there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StorageFailure.REMOVED)


def reason(error: OSError) -> str:
    """What is wrong, without the address that asyncio puts into its errors: clients may see it."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__


class Session(ABC):
    """A connection. Its methods raise a `StorageError` for everything that can happen to it.

    Whoever gives up waiting for an answer must `terminate()` it: the answer may still come.
    """

    begin: ClassVar[str] = "START TRANSACTION"

    certifies: bool = False
    """Whether other servers take writes too, and all compare only what was written."""

    _readable: "select.poll | None" = None

    @abstractmethod
    async def fetch(self, statement: Statement) -> Sequence[Any]:
        """The rows that the statement returns; every text and key in them is bytes."""

    @abstractmethod
    async def execute(self, statement: Statement) -> int:
        """Run a statement that writes; how many rows it has written."""

    @abstractmethod
    async def run(self, sql: str) -> None:
        """Run a statement that has no values and returns nothing of interest."""

    @abstractmethod
    def migrating(self, table: str) -> AbstractAsyncContextManager[None]:
        """Keep others from changing the schema of this table at the same time."""

    @property
    @abstractmethod
    def usable(self) -> bool:
        """Whether more can be asked over it, as far as is known."""

    @property
    @abstractmethod
    def descriptor(self) -> int:
        """The file descriptor of its socket, -1 where there is none any more."""

    @abstractmethod
    async def close(self) -> None:
        """Say goodbye to the server, if it listens, and let go."""

    @abstractmethod
    def terminate(self) -> None:
        """Let go at once."""

    @property
    def is_stale(self) -> bool:
        """Whether the server has closed it while nobody used it.

        The event loop may not have seen that yet. Whatever can be read from a connection on which
        nothing is asked is the end of it, or its last words.
        """
        if not self.usable or self.descriptor < 0:
            return True
        if self._readable is None:
            self._readable = select.poll()
            self._readable.register(self.descriptor, select.POLLIN)
        return bool(self._readable.poll(0))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All that is done within happens at one moment, or does not where it raises."""
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
            # An engine may end the connection when the commit is done and not answered yet.
            raise Lost(error.message) from error.__cause__
