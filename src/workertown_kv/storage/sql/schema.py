"""The migrations of a table on a server, and the record of those that have run."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...errors import StorageError, StorageFailure
from ..contract import Migration
from .migrations import Migrations, Script
from .session import MissingTable, Session

MIGRATION_SECONDS: Final = 600
"""How long a migration waits for another process that changes the same schema."""


class OutdatedSchema(StorageError):
    """Migrations have not run, and are not to run automatically."""


class Schema:
    """The schema of one table. `record` is the statement that makes its table of migrations."""

    def __init__(self, table: str, record: str, scripts: Mapping[str, Script]) -> None:
        self._table = table
        self._record = record.format(table=table)
        self._migrations = Migrations(scripts, table)

    def missing(self) -> StorageError:
        """Return the error for a table that is not there, though it should be."""
        return StorageError(
            f"There is no table {self._table}; run `workertown-kv migrate`", StorageFailure.REMOVED
        )

    async def check(self, session: Session) -> None:
        """Raise where the schema is not the one that this program needs."""
        ran = await self._ran(session)
        if ran < len(self._migrations):
            raise OutdatedSchema(
                f"{ran} of {len(self._migrations)} migrations of {self._table} have run; "
                "run `workertown-kv migrate`"
            )

    async def is_due(self, session: Session, to: int | None) -> bool:
        """Find out if there is anything to do, which needs no right to change a schema."""
        return bool(self._migrations.due(await self._ran(session), to))

    async def migrate(self, session: Session, to: int | None) -> Sequence[Migration]:
        """Run what has not run, or undo what is more than `to`, while all others wait."""
        async with session.migrating(self._table):
            await session.run(self._record)
            due = self._migrations.due(await self._ran(session), to)
            for migration, texts in due:
                for text in texts:
                    await session.run(text)
                await self._record_one(session, migration)
            return [migration for migration, _ in due]

    async def _record_one(self, session: Session, migration: Migration) -> None:
        name = migration.migration
        if migration.direction == "down":
            await session.run(f"""DELETE FROM "{self._table}_migration" WHERE name = '{name}'""")
            return
        try:
            await session.run(f"""INSERT INTO "{self._table}_migration" (name) VALUES ('{name}')""")
        except StorageError:
            # Another server of a cluster knows nothing of the lock, and may have run it there too.
            if not session.certifies or name not in await self._names(session):
                raise

    async def _ran(self, session: Session) -> int:
        return self._migrations.check(len(await self._names(session)), f"The table {self._table}")

    async def _names(self, session: Session) -> Sequence[str]:
        try:
            rows = await session.fetch((f'SELECT name FROM "{self._table}_migration"', ()))
        except MissingTable:
            return ()
        return [name.decode() for (name,) in rows]
