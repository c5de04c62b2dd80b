"""Run the migrations of a table on a server, and record them."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...errors import StorageError, StorageFailure
from ..contract import Migration
from .changes.layout import Recorder
from .migrations import Migrations, Script
from .session import MissingTable, Session

MIGRATION_SECONDS: Final = 600
"""How long a migration waits for another process that changes the same schema."""


class OutdatedSchema(StorageError):
    """Migrations have not run, and must not run automatically."""


class Schema:
    """The schema of one table. `record` is the statement that makes its table of migrations."""

    def __init__(
        self, table: str, record: str, scripts: Mapping[str, Script], recorder: Recorder
    ) -> None:
        self._table = table
        self._record = record.format(table=table)
        self._migrations = Migrations(scripts, table)
        self._recorder = recorder
        self.why_unrecorded: str | None = None
        """Why the triggers that record changes could not be created."""

    def missing(self) -> StorageError:
        """Return the error for a table that does not exist, although it should."""
        return StorageError(
            f"There is no table {self._table}; run `workertown-kv migrate`", StorageFailure.REMOVED
        )

    async def check(self, session: Session) -> None:
        """Raise an error if the schema is not up to date, or newer than this program."""
        ran = await self._ran(session)
        if ran < len(self._migrations):
            raise OutdatedSchema(
                f"{ran} of {len(self._migrations)} migrations of {self._table} have run; "
                "run `workertown-kv migrate`"
            )

    async def is_due(self, session: Session, to: int | None, *, may_create: bool) -> bool:
        """Return whether a migration is due. This needs no permission to change the schema.

        Raises an error if there is no table, unless the migrations may create it.
        """
        ran = await self._ran(session)
        if not (ran or may_create):
            raise self.missing()
        return bool(self._migrations.due(ran, to))

    async def migrate(self, session: Session, to: int | None) -> Sequence[Migration]:
        """Run the due migrations, or undo those after `to`, while other processes wait."""
        async with session.migrating(self._table):
            await session.run(self._record)
            due = self._migrations.due(await self._ran(session), to)
            for migration, texts in due:
                for text in texts:
                    await session.run(text)
                await self._record_migration(session, migration)
            return [migration for migration, _ in due]

    async def record(self, session: Session, *, records: bool) -> None:
        """Create the triggers that record changes, or remove them, if that is not done.

        In a cluster whose servers only compare what was written, changes have no common order.
        """
        records = records and not session.certifies
        if await self._has_log(session) is records:
            return
        async with session.migrating(self._table):
            # Another process may have done it meanwhile. Doing it again would begin another log.
            if await self._has_log(session) is not records:
                await self._run(session, self._recorder.create if records else self._recorder.drop)

    async def repair_recorder(self, session: Session) -> None:
        """Create the triggers that record changes, if there are none, whatever the log says."""
        if not session.certifies and not await self.is_recorded(session):
            async with session.migrating(self._table):
                await self._run(session, self._recorder.create)

    async def is_recorded(self, session: Session) -> bool:
        """Write an entry that nobody sees, and return whether that was recorded."""
        entry = "VALUES ('default', '', 'check', 'null')"
        await session.run(session.begin)
        await session.run(f'INSERT INTO "{self._table}" (namespace, "key", version, value) {entry}')
        recorded = await session.fetch(
            (f"""SELECT 1 FROM "{self._table}_change" WHERE "key" = '' AND version = 'check'""", ())
        )
        await session.run("ROLLBACK")
        return bool(recorded)

    async def _has_log(self, session: Session) -> bool:
        asked = f"""SELECT 1 FROM "{self._table}_log" WHERE id <> ''"""
        return bool(await session.fetch((asked, ())))

    async def _run(self, session: Session, texts: Sequence[str]) -> None:
        for text in texts:
            await session.run(text.format(table=self._table))

    async def _record_migration(self, session: Session, migration: Migration) -> None:
        name = migration.migration
        if migration.direction == "down":
            await session.run(f"""DELETE FROM "{self._table}_migration" WHERE name = '{name}'""")
            return
        try:
            await session.run(f"""INSERT INTO "{self._table}_migration" (name) VALUES ('{name}')""")
        except StorageError:
            # Another server of a cluster does not know the lock, and may have run the migration.
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
