"""SQLite, as a file and in D1: its statements, and the layout (`docs/storages/sqlite.md`)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from ....entry import Entry
from ....operations import List, Versioned
from ...listing import KeyRange
from ...snapshot import EntryKey
from ..migrations import Script
from ..statements import Statements, alive, order_of
from ..writing import Statement, Value, Writing

SCANNED_ROWS: Final = 20_000
"""The most rows, expired or not, that a statement of a listing reads in the file."""

SET_ROWS: Final = 100
"""How many rows a statement writes, if many are to be written."""

# Files have this text as it is, with its spaces.
_TABLE: Final = """
        CREATE TABLE IF NOT EXISTS entry (
            namespace  TEXT NOT NULL,
            key        TEXT NOT NULL,
            version    TEXT NOT NULL,
            expires_at REAL,           -- Unix seconds; NULL: never
            metadata   TEXT,           -- a JSON object
            value      ANY  NOT NULL,  -- TEXT where it is JSON, BLOB where it is not
            PRIMARY KEY (namespace, key)
        ) STRICT"""
_INDEX: Final = (
    "CREATE INDEX IF NOT EXISTS entry_expires_at ON entry (expires_at) WHERE expires_at IS NOT NULL"
)

MIGRATIONS: Final = {
    "0001_entry": Script(up=[_TABLE, _INDEX], down=["DROP TABLE IF EXISTS entry"]),
}
"""Every change of the schema, in order."""


class SqliteStatements(Statements):
    """Statements for a driver that distinguishes text and bytes."""

    columns: ClassVar = ("version", "metadata", "value", "expires_at")
    contents: ClassVar = (
        "iif(typeof(value) = 'text', value, CAST(value AS BLOB))",
        "typeof(value) = 'text'",
    )
    lengths: ClassVar = ("octet_length(value)",)

    def __init__(self) -> None:
        super().__init__("entry")

    def mark(self, number: int) -> str:
        return "?"

    def text(self, text: str) -> Value:
        return text

    def columns_of(self, entry: Entry) -> Sequence[Value]:
        metadata = None if entry.metadata is None else entry.metadata.decode()
        value = entry.value.decode() if entry.is_json else entry.value
        return entry.version, metadata, value, entry.expires_at

    def listed(self, to: Writing, versions: Sequence[str]) -> str:
        # All versions are in one value, since D1 accepts 100 values in a statement. No version has
        # a NUL, at which SQLite ends JSON text.
        known = [version for version in versions if "\0" not in version]
        return f"(SELECT value FROM json_each({to.add(msgspec.json.encode(known).decode())}))"

    def read(self, keys: Sequence[EntryKey], now: float, value_bytes: int) -> Statement:
        to = Writing(self.mark)
        value, is_json = self.contents
        return to.statement(
            f'SELECT namespace, "key", {self.about}, '
            f'CASE WHEN sum({self.lengths[0]}) OVER (ORDER BY namespace, "key") '
            f"<= {to.add(value_bytes)} THEN {value} END, {is_json} "
            f"FROM {self.table} WHERE {self.at_any(to, keys)} AND {alive(to.add(now))}"
        )

    def list(self, operation: List, keys: KeyRange, now: float, rows: int) -> Statement:
        """Select at most this many keys of a listing."""
        to = Writing(self.mark)
        return to.statement(
            f'SELECT "key", {self.about} FROM {self.table} '
            f"WHERE {self.in_range(to, operation.namespace, keys)} AND {alive(to.add(now))} "
            f"ORDER BY {order_of(operation)} LIMIT {to.add(rows)}"
        )

    def sizes(self, namespace: str, keys: KeyRange, rows: int) -> Statement:
        """Select the first keys of a range, each with the size of its value."""
        to = Writing(self.mark)
        return to.statement(
            f'SELECT "key", {self.lengths[0]} FROM {self.table} '
            f'WHERE {self.in_range(to, namespace, keys)} ORDER BY "key" LIMIT {to.add(rows)}'
        )

    def sweep(self, before: float, limit: int) -> Statement:
        to = Writing(self.mark)
        return to.statement(
            f"DELETE FROM {self.table} WHERE rowid IN (SELECT rowid FROM {self.table} "
            f"WHERE expires_at <= {to.add(before)} ORDER BY expires_at LIMIT {to.add(limit)})"
        )

    def unchanged(self, seen: Mapping[EntryKey, Versioned | None], now: float) -> Statement:
        """Fail, and with it the transaction, if an entry is no longer as it was seen.

        Only a row that the table refuses lets a statement fail a transaction of D1.
        """
        to = Writing(self.mark)
        rows = ", ".join(
            [
                to.row((*at, *((one.version, one.expires_at) if one else (None, None))))
                for at, one in seen.items()
            ]
        )
        return to.statement(
            f'WITH seen (namespace, "key", version, expires_at) AS (VALUES {rows}) '
            f'INSERT INTO {self.table} (namespace, "key", version, value) '
            f"SELECT NULL, NULL, NULL, NULL FROM seen LEFT JOIN {self.table} AS entry "
            'ON entry.namespace = seen.namespace AND entry."key" = seen."key" '
            f"AND {alive(to.add(now), 'entry.expires_at')} "
            "WHERE entry.version IS NOT seen.version OR entry.expires_at IS NOT seen.expires_at"
        )


class LibsqlStatements(SqliteStatements):
    """Statements for libSQL, whose answers have values as bytes, so that their size is certain."""

    contents: ClassVar = (
        # In Turso's own engine, a cast of a blob to a blob changes bytes that are not UTF-8.
        "iif(typeof(value) = 'text', CAST(value AS BLOB), value)",
        SqliteStatements.contents[1],
    )

    def listed(self, to: Writing, versions: Sequence[str]) -> str:
        # Turso's own engine takes no subquery in the condition of an upsert.
        return Statements.listed(self, to, versions)


class SqliteFileStatements(SqliteStatements):
    """Texts for the driver of the file, which are executed without a `Statement` around them.

    Casts let JSON be text in the file and bytes in Python, without decoding it on the way.
    """

    about: ClassVar = "CAST(version AS BLOB), expires_at, CAST(metadata AS BLOB)"
    contents: ClassVar = ("CAST(value AS BLOB)", SqliteStatements.contents[1])

    def __init__(self) -> None:
        super().__init__()
        this = f'namespace = ? AND "key" = ? AND {alive("?")}'
        self.version_text = f"SELECT version, expires_at FROM {self.table} WHERE {this}"
        self.touch_text = f"UPDATE {self.table} SET expires_at = ? WHERE {this} RETURNING version"
        self.set_text = self._setting(1)
        self.set_rows_text = self._setting(SET_ROWS)
        self.list_texts = {
            (is_after_start, is_reverse): self._listing(
                ">" if is_after_start else ">=", "DESC" if is_reverse else "ASC"
            )
            for is_after_start in (False, True)
            for is_reverse in (False, True)
        }
        """By whether the start of the range is left out, and whether the order is reverse."""
        self.expired_text = (
            f"SELECT rowid, octet_length(value) FROM {self.table} WHERE expires_at <= ? "
            "ORDER BY expires_at LIMIT ?"
        )
        self.remove_text = f"DELETE FROM {self.table} WHERE rowid = ?"

    def _setting(self, rows: int) -> str:
        """Write rows of seven values each; the seventh value says whether the value is JSON."""
        row = "(?{0}, ?{1}, ?{2}, CAST(?{3} AS TEXT), iif(?{6}, CAST(?{4} AS TEXT), ?{4}), ?{5})"
        values = [row.format(*range(7 * index + 1, 7 * index + 8)) for index in range(rows)]
        return f"{self.insert_text} VALUES {', '.join(values)} {self.replacing(None)}"

    def _listing(self, start: str, order: str) -> str:
        # Every text sorts before every blob, so no key reaches the end x''. The last row has the
        # key after which to continue; it comes only if there are too few other rows.
        rows = (
            f'FROM {self.table} WHERE namespace = ?1 AND "key" {start} ?2 '
            f'AND "key" < coalesce(?3, x\'\') ORDER BY "key" {order}'
        )
        return (
            f'SELECT * FROM (SELECT CAST("key" AS BLOB), {self.about} FROM ('
            f'SELECT "key", version, expires_at, metadata {rows} LIMIT {SCANNED_ROWS}'
            f") WHERE {alive('?4')}) UNION ALL "
            f'SELECT (SELECT "key" {rows} LIMIT 1 OFFSET {SCANNED_ROWS} - 1), NULL, NULL, NULL '
            "LIMIT ?5"
        )
