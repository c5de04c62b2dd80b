"""Write statements for PostgreSQL. `docs/storages/postgres.md` explains the layout."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from ....entry import Entry
from ...gathered_operations import JOB_BYTES
from ...snapshot import EntryKey
from ..changes.postgres import CHANGES
from ..migrations import Script
from ..server_statements import ServerStatements
from ..statements import MOST_BYTES, alive
from ..writing import Statement, Value, Writing

RECORD: Final = """
    CREATE TABLE IF NOT EXISTS "{table}_migration" (
        name        text PRIMARY KEY,
        executed_at timestamptz NOT NULL DEFAULT now()
    )
"""
"""The table that has the names of the migrations that have run."""

MIGRATIONS: Final = {
    "0001_entry": Script(
        up=[
            """
            CREATE TABLE "{table}" (
                namespace  text COLLATE "C" NOT NULL,
                key        bytea NOT NULL,     -- in UTF-8; a text could have no NUL
                version    text NOT NULL,
                expires_at double precision,   -- Unix seconds; NULL: never
                metadata   text,               -- a JSON object
                value      text,               -- where it is JSON
                bytes      bytea,              -- where it is not
                PRIMARY KEY (namespace, key),
                CHECK ((value IS NULL) <> (bytes IS NULL))
            )
            """,
            """
            CREATE INDEX "{table}_expires_at" ON "{table}" (expires_at)
            WHERE expires_at IS NOT NULL
            """,
        ],
        down=['DROP TABLE "{table}"'],
    ),
    "0002_changes": CHANGES,
}
"""Every change of the schema, in order."""


class PostgresStatements(ServerStatements):
    """Statements in the dialect of PostgreSQL."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        # Arrays of any length have the same text, and one plan. asyncpg takes bytes for texts, but
        # not for arrays of texts.
        small = f"<= {JOB_BYTES} THEN"
        self.read_each_text = (
            'SELECT wanted.namespace, wanted."key", entry.* '
            'FROM unnest($1::bytea[], $2::bytea[]) AS wanted (namespace, "key") '
            f"CROSS JOIN LATERAL (SELECT {self.about}, "
            f"CASE WHEN octet_length(value) {small} value END, "
            f"CASE WHEN octet_length(bytes) {small} bytes END FROM {self.table} "
            f'WHERE namespace = {_text("wanted.namespace")} COLLATE "C" '
            f'AND "key" = wanted."key" AND {alive("$3")} LIMIT 1) AS entry'
        )
        columns = ("namespace", '"key"', *self.columns)
        texts = ("namespace", "version", "metadata", "value")
        converted = [_text(column) if column in texts else column for column in columns]
        arrays = [
            f"${number}::{'float8' if column == 'expires_at' else 'bytea'}[]"
            for number, column in enumerate(columns, 1)
        ]
        self.put_each_text = (
            f"{self.insert_text} SELECT {', '.join(converted)} "
            f"FROM unnest({', '.join(arrays)}) AS given ({', '.join(columns)}) "
            f"{self.replacing(None)}"
        )
        # A row that is in the way is locked before its condition is checked.
        self.claim_text = (
            f'INSERT INTO {self.table} (namespace, "key", version, expires_at, value) '
            f"SELECT {_text('namespace')}, \"key\", $3, 0, 'null' "
            'FROM unnest($1::bytea[], $2::bytea[]) AS given (namespace, "key") '
            'ON CONFLICT (namespace, "key") '
            f"DO UPDATE SET version = {self.table}.version WHERE false"
        )

    def mark(self, number: int) -> str:
        return f"${number}"

    def read(self, keys: Sequence[EntryKey], now: float, value_bytes: int) -> Statement:
        to = Writing(self.mark)
        limit = to.add(min(value_bytes, MOST_BYTES))
        rows = self._each(to, keys, "*", f" AND {alive(to.add(now))}")
        return to.statement(
            'SELECT namespace, "key", version, expires_at, metadata, '
            f"CASE WHEN upto <= {limit} THEN value END, CASE WHEN upto <= {limit} THEN bytes END "
            "FROM (SELECT entry.*, sum(coalesce(octet_length(value), octet_length(bytes))) "
            f'OVER (ORDER BY entry.namespace, entry."key") AS upto FROM {rows}) AS found'
        )

    def read_each(self, keys: Sequence[EntryKey], now: float) -> Statement:
        return self.read_each_text, (*_arrays([self.key_values(at) for at in keys]), now)

    def put_each(self, entries: Sequence[tuple[EntryKey, Entry]]) -> Statement:
        rows = [(*self.key_values(at), *self.columns_of(entry)) for at, entry in entries]
        return self.put_each_text, _arrays(rows)

    def claim(self, keys: Sequence[EntryKey], placeholder: str) -> Statement:
        arrays = _arrays([self.key_values(at) for at in keys])
        return self.claim_text, (*arrays, self.text(placeholder))

    def remove(self, keys: Sequence[EntryKey], version: str | None = None) -> Statement:
        to = Writing(self.mark)
        only = "" if version is None else f" AND version = {to.add(self.text(version))}"
        rows = self._each(to, keys, "ctid", only)
        # The transaction that removes rows has locked them, so they stay where they are.
        return to.statement(
            f"DELETE FROM {self.table} WHERE ctid = ANY (ARRAY (SELECT entry.ctid FROM {rows}))"
        )

    @property
    def now(self) -> Statement:
        return "SELECT extract(epoch FROM clock_timestamp())::double precision", ()

    @property
    def careless(self) -> Statement:
        names = "('fsync', 'synchronous_commit')"
        return (
            f"SELECT name, setting FROM pg_settings WHERE name IN {names} AND setting = 'off'",
            (),
        )

    def sweep(self, before: float, limit: int) -> Statement:
        to = Writing(self.mark)
        # The lock ends with the statement, or with its process. Rows that others are writing are
        # skipped.
        return to.statement(
            f"DELETE FROM {self.table} WHERE ctid = ANY (ARRAY (SELECT ctid FROM {self.table} "
            f"WHERE (SELECT pg_try_advisory_xact_lock({lock_number('sweep ' + self.table)})) "
            f"AND expires_at <= {to.add(before)} ORDER BY expires_at LIMIT {to.add(limit)} "
            "FOR UPDATE SKIP LOCKED))"
        )

    def _each(self, to: Writing, keys: Sequence[EntryKey], columns: str, condition: str) -> str:
        """Select the rows of these keys, each by the primary key.

        For a list of keys, PostgreSQL reads the whole table as long as it has no statistics on it.
        """
        namespaces = {name: to.add(self.text(name)) for name in {name: None for name, _ in keys}}
        listed = [
            f"({namespaces[name]}::text, {to.add(self.text(key))}::bytea)" for name, key in keys
        ]
        # The list is filled up with empty keys, which no entry has, so that few texts are prepared.
        length = 1 << (len(listed) - 1).bit_length()
        listed += [f"({namespaces[keys[0][0]]}::text, ''::bytea)"] * (length - len(listed))
        return (
            f'(VALUES {", ".join(listed)}) AS wanted (namespace, "key") '
            f"CROSS JOIN LATERAL (SELECT {columns} FROM {self.table} "
            'WHERE namespace = wanted.namespace COLLATE "C" AND "key" = wanted."key"'
            f"{condition} LIMIT 1) AS entry"
        )


def _arrays(rows: Sequence[Sequence[Value]]) -> Sequence[Any]:
    """Return an array of each column."""
    return [list(column) for column in zip(*rows, strict=True)]


def _text(octets: str) -> str:
    return f"convert_from({octets}, 'UTF8')"


def lock_number(name: str) -> int:
    """Return the number of an advisory lock, which belongs to the whole database."""
    digest = hashlib.sha256(f"workertown-kv {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
