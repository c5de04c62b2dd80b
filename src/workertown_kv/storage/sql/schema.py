"""Numbered migrations of a table on a server, and the record of those that have run."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ...errors import StorageError, StorageFailure
from ..contract import Migration
from .session import MissingTable, Session

MIGRATION_SECONDS: Final = 600
"""How long a migration waits for another process that changes the same schema."""


class Step(NamedTuple):
    """The statements of a migration and those that undo it; `{table}` is the table's name."""

    up: Sequence[str]
    down: Sequence[str]


class OutdatedSchema(StorageError):
    """Migrations have not run, and are not to run by the way."""


class Schema:
    """The schema of one table. `record` is the statement that makes its table of migrations."""

    def __init__(self, table: str, record: str, steps: Mapping[str, Step]) -> None:
        self._table = table
        self._record = record
        self._steps = steps

    def missing(self) -> StorageError:
        """The error for a table that is not there, though it should be."""
        return StorageError(
            f"There is no table {self._table}; run `workertown-kv migrate`", StorageFailure.REMOVED
        )

    async def check(self, session: Session) -> None:
        """Raise where the schema is not the one that this program needs."""
        ran = await self._ran(session)
        if ran < len(self._steps):
            raise OutdatedSchema(
                f"{ran} of {len(self._steps)} migrations of {self._table} have run; "
                "run `workertown-kv migrate`"
            )

    async def is_due(self, session: Session, to: int | None) -> bool:
        """Whether there is anything to do. To find that out needs no right to change a schema."""
        return await self._ran(session) != self._aim(to)

    async def migrate(self, session: Session, to: int | None) -> Sequence[Migration]:
        """Run what has not run, or undo what is more than `to`, while all others wait."""
        async with session.migrating(self._table):
            await session.run(self._record.format(table=self._table))
            ran, aim = await self._ran(session), self._aim(to)
            names = list(self._steps)
            done = [await self._up(session, name) for name in names[ran:aim]]
            done += [await self._down(session, name) for name in reversed(names[aim:ran])]
            return done

    async def _up(self, session: Session, name: str) -> Migration:
        for statement in self._steps[name].up:
            await session.run(statement.format(table=self._table))
        try:
            await session.run(f"""INSERT INTO "{self._table}_migration" (name) VALUES ('{name}')""")
        except StorageError:
            # Another server of a cluster knows nothing of the lock, and there it may have run too.
            if not session.certifies or await self._ran(session) <= list(self._steps).index(name):
                raise
        return Migration(name)

    async def _down(self, session: Session, name: str) -> Migration:
        for statement in self._steps[name].down:
            await session.run(statement.format(table=self._table))
        await session.run(f"""DELETE FROM "{self._table}_migration" WHERE name = '{name}'""")
        return Migration(name, "down")

    def _aim(self, to: int | None) -> int:
        aim = len(self._steps) if to is None else to
        if not 0 <= aim <= len(self._steps):
            raise StorageError(
                f"There are {len(self._steps)} migrations; {aim} of them cannot have run"
            )
        return aim

    async def _ran(self, session: Session) -> int:
        """How many have run. Raises `StorageError` where the schema is of a newer program."""
        try:
            rows = await session.fetch((f'SELECT name FROM "{self._table}_migration"', ()))
        except MissingTable:
            return 0
        if len(rows) > len(self._steps):
            raise StorageError(
                f"The table {self._table} has schema {len(rows)}, made by a newer workertown-kv; "
                f"this one knows schemas up to {len(self._steps)}"
            )
        return len(rows)
