"""Every statement on entries. What is standard SQL stands here; engines add what is their own.

Names that could be words of SQL are in double quotes, as the standard has it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from ...entry import DEFAULT_NAMESPACE, Entry
from ...operations import Delete, Get, List, Operation, Precondition, Set
from .rows import Place, columns_of, namespace, place
from .session import Statement
from .writing import Writing

COLUMNS: Final = ("version", "metadata", "value", "bytes", "expires_at")
"""What an entry has beside its place. `value` is for JSON, `bytes` for what is not."""

MOST_BYTES: Final = 2**31 - 1


class Statements(ABC):
    """The statements for one table."""

    def __init__(self, table: str) -> None:
        self.table = f'"{table}"'
        # Those that are asked far more often than others.
        self._get = (
            f"SELECT version, expires_at, metadata, value, bytes FROM {self.table} "
            f'WHERE namespace = {self.mark(1)} AND "key" = {self.mark(2)} '
            f"AND (expires_at IS NULL OR expires_at > {self.mark(3)})"
        )
        marks = ", ".join(self.mark(number + 1) for number in range(2 + len(COLUMNS)))
        self._set = f"{self._into()} VALUES ({marks}) {self.replacing(None)}"

    @abstractmethod
    def mark(self, number: int) -> str:
        """What stands for the value of this number, from 1."""

    @abstractmethod
    def replacing(self, condition: str | None) -> str:
        """The end of an INSERT: where there is a row, replace it if the condition holds."""

    @abstractmethod
    def keeping(self) -> str:
        """The end of an INSERT: where there is a row, lock it and leave it as it is."""

    @property
    @abstractmethod
    def now(self) -> Statement:
        """Select the time of the engine, in Unix seconds."""

    @property
    @abstractmethod
    def careless(self) -> Statement:
        """Select settings, with their values, by which a crash loses what was acknowledged."""

    @abstractmethod
    def sweep(self, before: float, limit: int) -> Statement:
        """Remove at most this many rows that expired before this time, or at it.

        Where there is no `sweep_claim`, it removes nothing while somebody else runs it.
        """

    def sweep_claim(self, before: float) -> Statement | None:
        """Claim to be the only one who sweeps: 1 for who is, and no row where nothing is due."""
        return None

    def sweep_release(self) -> Statement:
        """The end of that claim; so is the end of the connection."""
        raise NotImplementedError

    def get(self, operation: Get, now: float) -> Statement:
        """The entry."""
        return self._get, (*place(operation), now)

    def get_up_to(self, operation: Get, now: float, value_bytes: int) -> Statement:
        """The entry, without a value where that has more bytes than these."""
        to = Writing(self.mark)
        limit = min(value_bytes, MOST_BYTES)
        return to.statement(
            "SELECT version, expires_at, metadata, "
            f"CASE WHEN octet_length(value) <= {to.add(limit)} THEN value END, "
            f"CASE WHEN octet_length(bytes) <= {to.add(limit)} THEN bytes END "
            f"FROM {self.table} WHERE {self._at(to, operation)} AND {_alive(to, now)}"
        )

    def set(self, operation: Set, version: str, now: float) -> Statement:
        """Write the entry if its precondition holds; it writes no row where that does not."""
        condition, entry = operation.precondition, operation.entry(version)
        if condition is None:
            return self._set, (*place(operation), *columns_of(entry))
        to = Writing(self.mark)
        if not condition.negated:
            written = zip(COLUMNS, columns_of(entry), strict=True)
            columns = ", ".join([f"{column} = {to.add(value)}" for column, value in written])
            where = self._where(to, operation, condition, now)
            return to.statement(f"UPDATE {self.table} SET {columns} WHERE {where}")
        insert = self._insert(to, [(place(operation), entry)])
        # A row may be in the way only as far as it is an entry.
        unless = f"{self.table}.expires_at <= {to.add(now)}"
        if condition.versions is not None:
            unless += f" OR {self.table}.version NOT IN {_listed(to, condition.versions)}"
        return to.statement(f"{insert} {self.replacing(unless)}")

    def put(self, entries: Sequence[tuple[Place, Entry]]) -> Statement:
        """Write these entries, whatever there is."""
        to = Writing(self.mark)
        return to.statement(f"{self._insert(to, entries)} {self.replacing(None)}")

    def delete(self, operation: Delete, now: float) -> Statement:
        """Remove the entry; with a precondition, only one that is there and for which it holds."""
        condition = operation.precondition
        to = Writing(self.mark)
        if condition is None:
            where = self._at(to, operation)
        else:
            where = self._where(to, operation, condition, now)
        return to.statement(f"DELETE FROM {self.table} WHERE {where}")

    def remove(self, places: Sequence[Place], version: str | None = None) -> Statement:
        """Remove these rows; where a version is given, only those that have it."""
        to = Writing(self.mark)
        where = _at_any(to, places)
        if version is not None:
            where += f" AND version = {to.add(version.encode())}"
        return to.statement(f"DELETE FROM {self.table} WHERE {where}")

    def renew(self, places: Sequence[Place], version: str) -> Statement:
        """Give these rows a new version and leave the rest of them as it is."""
        to = Writing(self.mark)
        given = to.add(version.encode())
        return to.statement(
            f"UPDATE {self.table} SET version = {given} WHERE {_at_any(to, places)}"
        )

    def claim(self, places: Sequence[Place], placeholder: str) -> Statement:
        """Lock these rows until the transaction ends, in this order.

        Where there is none, one is made that has expired already, for nobody to see: a row that
        is missing could not be locked. The number of rows written is the number of those made.
        """
        to = Writing(self.mark)
        rows = ", ".join([to.row((*at, placeholder.encode(), 0.0, b"null")) for at in places])
        return to.statement(
            f'INSERT INTO {self.table} (namespace, "key", version, expires_at, value) '
            f"VALUES {rows} {self.keeping()}"
        )

    def read(self, places: Sequence[Place], now: float, value_bytes: int) -> Statement:
        """Entries with their places; values as long as they have no more bytes together."""
        to = Writing(self.mark)
        limit = min(value_bytes, MOST_BYTES)
        return to.statement(
            'SELECT entry.namespace, entry."key", '
            "entry.version, entry.expires_at, entry.metadata, "
            f"CASE WHEN upto.bytes <= {to.add(limit)} THEN entry.value END, "
            f"CASE WHEN upto.bytes <= {to.add(limit)} THEN entry.bytes END "
            'FROM (SELECT namespace, "key", '
            "sum(coalesce(octet_length(value), octet_length(bytes))) "
            'OVER (ORDER BY namespace, "key") AS bytes '
            f"FROM {self.table} WHERE {_at_any(to, places)} AND {_alive(to, now)}) AS upto "
            f"JOIN {self.table} AS entry "
            'ON entry.namespace = upto.namespace AND entry."key" = upto."key"'
        )

    def list(self, operation: List, after: str | None, now: float, rows: int) -> Statement:
        """Select at most this many rows of a listing, expired ones without their metadata."""
        prefix = operation.prefix.encode()
        to = Writing(self.mark)
        columns = f'"key", version, expires_at, CASE WHEN {_alive(to, now)} THEN metadata END'
        where = f"namespace = {to.add(namespace(operation))}"
        if after is None:
            where += f' AND "key" >= {to.add(prefix)}'
        else:
            where += f' AND "key" > {to.add(after.encode())}'
        if prefix:
            # UTF-8 never has the byte 255, so the last one can always be one more.
            where += f' AND "key" < {to.add(prefix[:-1] + bytes([prefix[-1] + 1]))}'
        return to.statement(
            f'SELECT {columns} FROM {self.table} WHERE {where} ORDER BY "key" LIMIT {to.add(rows)}'
        )

    def probe(self) -> Sequence[Statement]:
        """Return statements that need all rights of a store, and a server that takes writes.

        They change no row, since they are about a key that no entry can have.
        """
        nowhere = f"""WHERE namespace = '{DEFAULT_NAMESPACE}' AND "key" = {self.mark(1)}"""
        columns = f'namespace, "key", {", ".join(COLUMNS)}'
        insert = f"{self._into()} SELECT {columns} FROM {self.table} {nowhere}"
        return [
            (f"{insert} {self.replacing(None)}", (b"",)),
            (f"DELETE FROM {self.table} {nowhere}", (b"",)),
        ]

    def _insert(self, to: Writing, entries: Sequence[tuple[Place, Entry]]) -> str:
        rows = ", ".join([to.row((*at, *columns_of(entry))) for at, entry in entries])
        return f"{self._into()} VALUES {rows}"

    def _into(self) -> str:
        return f'INSERT INTO {self.table} (namespace, "key", {", ".join(COLUMNS)})'

    def _where(
        self, to: Writing, operation: Set | Delete, condition: Precondition, now: float
    ) -> str:
        where = f"{self._at(to, operation)} AND {_alive(to, now)}"
        if condition.versions is not None:
            how = "NOT IN" if condition.negated else "IN"
            where += f" AND version {how} {_listed(to, condition.versions)}"
        return where

    def _at(self, to: Writing, operation: Operation) -> str:
        space, key = place(operation)
        return f'namespace = {to.add(space)} AND "key" = {to.add(key)}'


def _at_any(to: Writing, places: Sequence[Place]) -> str:
    keys: dict[bytes, list[bytes]] = {}
    for space, key in places:
        keys.setdefault(space, []).append(key)
    each = [
        f'namespace = {to.add(space)} AND "key" IN {to.among(some)}' for space, some in keys.items()
    ]
    return f"({' OR '.join(each)})"


def _alive(to: Writing, now: float) -> str:
    return f"(expires_at IS NULL OR expires_at > {to.add(now)})"


def _listed(to: Writing, versions: Sequence[str]) -> str:
    # No version has a NUL, and not every engine takes one in a text.
    known = [version.encode() for version in versions if "\0" not in version]
    return to.among(known or [b""])
