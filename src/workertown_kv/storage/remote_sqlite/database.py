"""Define what a storage needs of an SQLite on a server: statements that run together."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ..sql.writing import Statement

Row = tuple[Any, ...]
"""The columns of a row, with text as bytes."""


class MissingTable(StorageError):
    """A table that a statement names does not exist."""

    def __init__(self) -> None:
        super().__init__(
            "There is no table for the entries; POST /admin/migrate makes it",
            StorageFailure.REMOVED,
        )


class Changed(StorageUnavailable):
    """An entry on which a batch depends has changed. Nothing was written."""

    def __init__(self) -> None:
        super().__init__("Other requests keep writing the same keys", StorageFailure.BUSY)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much an engine takes and answers at once."""

    engine: str
    """The name of the engine in messages."""
    value_bytes: int
    """The most bytes of a value."""
    read_bytes: int
    """The most bytes of values in an answer; values that do not fit are read a few at a time."""
    together: int = 8
    """How many operations of a batch are sent together."""
    written_bytes: int = 16 * 1024 * 1024
    """Operations that are sent together write about so many bytes of values at most."""


class Database(ABC):
    """An SQLite on a server."""

    @abstractmethod
    async def run(
        self, statements: Sequence[Statement], *, writes: bool
    ) -> Sequence[Sequence[Row]]:
        """Run all statements at one moment, or none, and return the rows of each.

        Raises `MissingTable` and `Changed`, and `StorageError` for all other failures. If a write
        may have happened although there is no answer, the message says so.
        """


_KINDS: Final = (
    (re.compile(r"SQLITE_(BUSY|LOCKED)|overloaded|database is locked"), StorageFailure.BUSY),
    (re.compile(r"SQLITE_FULL|maximum DB size|disk is full"), StorageFailure.FULL),
    (re.compile(r"SQLITE_READONLY|readonly database"), StorageFailure.READ_ONLY),
    (re.compile(r"SQLITE_(AUTH|PERM)|BLOCKED"), StorageFailure.REFUSED),
)


def recognized(message: str) -> StorageError | None:
    """Return the error for a message of SQLite that every storage knows."""
    if "NOT NULL constraint failed: entry.namespace" in message:
        return Changed()
    return MissingTable() if "no such table" in message else None


def kind_of(message: str) -> StorageFailure | None:
    """Return the kind of a failure that SQLite reports; `None` if the message does not tell."""
    return next((kind for words, kind in _KINDS if words.search(message)), None)
