"""What PostgreSQL adds to the statements of all engines."""

import hashlib

from ..sql import Statement, Statements
from ..sql.statements import COLUMNS
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

    @property
    def now(self) -> Statement:
        return "SELECT extract(epoch FROM clock_timestamp())::double precision", ()

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


def lock_number(name: str) -> int:
    """The number of an advisory lock; those are of the whole database."""
    digest = hashlib.sha256(f"workertown-kv {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
