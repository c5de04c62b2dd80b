"""What PostgreSQL adds to the statements of all engines."""

import hashlib
from collections.abc import Sequence

from ..sql import Statement, Statements
from ..sql.rows import Place
from ..sql.statements import COLUMNS, MOST_BYTES
from ..sql.writing import Writing


class PostgresStatements(Statements):
    """Statements as PostgreSQL wants them."""

    def mark(self, number: int) -> str:
        return f"${number}"

    def replacing(self, condition: str | None) -> str:
        columns = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS)
        where = "" if condition is None else f" WHERE {condition}"
        return f'ON CONFLICT (namespace, "key") DO UPDATE SET {columns}{where}'

    def keeping(self) -> str:
        # A row that is in the way is locked before the condition is looked at.
        return (
            'ON CONFLICT (namespace, "key") DO UPDATE '
            f"SET version = {self.table}.version WHERE false"
        )

    def read(self, places: Sequence[Place], now: float, value_bytes: int) -> Statement:
        to = Writing(self.mark)
        limit = to.add(min(value_bytes, MOST_BYTES))
        rows = self._each(
            to, places, "*", f" AND (expires_at IS NULL OR expires_at > {to.add(now)})"
        )
        return to.statement(
            'SELECT namespace, "key", version, expires_at, metadata, '
            f"CASE WHEN upto <= {limit} THEN value END, CASE WHEN upto <= {limit} THEN bytes END "
            "FROM (SELECT entry.*, sum(coalesce(octet_length(value), octet_length(bytes))) "
            f'OVER (ORDER BY entry.namespace, entry."key") AS upto FROM {rows}) AS found'
        )

    def remove(self, places: Sequence[Place], version: str | None = None) -> Statement:
        to = Writing(self.mark)
        only = "" if version is None else f" AND version = {to.add(version.encode())}"
        rows = self._each(to, places, "ctid", only)
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
        # The lock ends with the statement, or with whoever had it. What anybody is writing is left
        # to them.
        return to.statement(
            f"DELETE FROM {self.table} WHERE ctid = ANY (ARRAY (SELECT ctid FROM {self.table} "
            f"WHERE (SELECT pg_try_advisory_xact_lock({lock_number('sweep ' + self.table)})) "
            f"AND expires_at <= {to.add(before)} ORDER BY expires_at LIMIT {to.add(limit)} "
            "FOR UPDATE SKIP LOCKED))"
        )

    def _each(self, to: Writing, places: Sequence[Place], columns: str, condition: str) -> str:
        """Select the rows at these places, each by the primary key.

        For a list of keys, PostgreSQL reads the whole table while it has no statistics of it.
        """
        spaces = {space: to.add(space) for space in {space: None for space, _ in places}}
        listed = [f"({spaces[space]}::text, {to.add(key)}::bytea)" for space, key in places]
        # No entry has an empty key. So there are few different texts to prepare.
        length = 1 << (len(listed) - 1).bit_length()
        listed += [f"({spaces[places[0][0]]}::text, ''::bytea)"] * (length - len(listed))
        return (
            f'(VALUES {", ".join(listed)}) AS wanted (namespace, "key") '
            f"CROSS JOIN LATERAL (SELECT {columns} FROM {self.table} "
            'WHERE namespace = wanted.namespace COLLATE "C" AND "key" = wanted."key"'
            f"{condition} LIMIT 1) AS entry"
        )


def lock_number(name: str) -> int:
    """The number of an advisory lock; those are of the whole database."""
    digest = hashlib.sha256(f"workertown-kv {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
