"""Write the statements that only database servers need, where transactions lock rows."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from ...entry import DEFAULT_NAMESPACE, Entry
from ...operations import List
from ..listing import KeyRange
from ..snapshot import EntryKey
from .rows import entry_of
from .statements import Statements, alive, order_of
from .writing import Statement, Value, Writing


class ServerStatements(Statements):
    """The statements for a table on a server, which has separate columns for JSON and bytes."""

    columns: ClassVar = ("version", "metadata", "value", "bytes", "expires_at")
    contents: ClassVar = ("value", "bytes")
    lengths: ClassVar = ("octet_length(value)", "octet_length(bytes)")

    @property
    @abstractmethod
    def now(self) -> Statement:
        """Select the time of the engine, in Unix seconds."""

    @property
    @abstractmethod
    def careless(self) -> Statement:
        """Select the settings, with values, by which a crash loses acknowledged writes."""

    def is_due(self, before: float) -> Statement:
        """Select a row if there is something to sweep."""
        to = Writing(self.mark)
        return to.statement(
            f"SELECT 1 FROM {self.table} WHERE expires_at <= {to.add(before)} LIMIT 1"
        )

    @property
    def sweep_claim(self) -> Statement | None:
        """Claim the sweep for this process. Selects 1 on success.

        Without such a claim, `sweep` removes nothing while another process runs it.
        """
        return None

    @property
    def sweep_release(self) -> Statement:
        """Release the claim, as the end of the connection also does."""
        raise NotImplementedError

    def text(self, text: str) -> Value:
        return text.encode()

    def columns_of(self, entry: Entry) -> Sequence[Value]:
        return (
            entry.version.encode(),
            entry.metadata,
            entry.value if entry.is_json else None,
            None if entry.is_json else entry.value,
            entry.expires_at,
        )

    def entry_of(self, key: str, row: Sequence[Any]) -> Entry | bool:
        *about, json, octets = row
        return entry_of(key, (*about, octets if json is None else json, json is not None))

    def list(self, operation: List, keys: KeyRange, now: float, rows: int) -> Statement:
        """Select at most `rows` rows of a listing, without the metadata of expired rows."""
        to = Writing(self.mark)
        metadata = f"CASE WHEN {alive(to.add(now))} THEN metadata END"
        return to.statement(
            f'SELECT "key", version, expires_at, {metadata} FROM {self.table} '
            f"WHERE {self.in_range(to, operation.namespace, keys)} "
            f"ORDER BY {order_of(operation)} LIMIT {to.add(rows)}"
        )

    @abstractmethod
    def read_each(self, keys: Sequence[EntryKey], now: float) -> Statement:
        """Select entries after their keys; without their values those that have `JOB_BYTES`."""

    @abstractmethod
    def put_each(self, entries: Sequence[tuple[EntryKey, Entry]]) -> Statement:
        """Write any number of small entries, in this order, whatever there is."""

    def renew(self, keys: Sequence[EntryKey], version: str) -> Statement:
        """Give these rows a new version and leave the rest of them as it is."""
        to = Writing(self.mark)
        given = to.add(self.text(version))
        return to.statement(
            f"UPDATE {self.table} SET version = {given} WHERE {self.at_any(to, keys)}"
        )

    @abstractmethod
    def claim(self, keys: Sequence[EntryKey], placeholder: str) -> Statement:
        """Lock these rows until the transaction ends, in this order.

        A missing row cannot be locked, so the statement makes it, already expired, so that nobody
        sees it. The number of rows written is the number of rows made.
        """

    def probe(self) -> Sequence[Statement]:
        """Return statements that need all permissions of a store, and a server that accepts writes.

        They change no row, since no entry can have their key.
        """
        nowhere = f"""WHERE namespace = '{DEFAULT_NAMESPACE}' AND "key" = {self.mark(1)}"""
        columns = f'namespace, "key", {", ".join(self.columns)}'
        insert = f"{self.insert_text} SELECT {columns} FROM {self.table} {nowhere}"
        return [
            (f"{insert} {self.replacing(None)}", (b"",)),
            (f"DELETE FROM {self.table} {nowhere}", (b"",)),
        ]
