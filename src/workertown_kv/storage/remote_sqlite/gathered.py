"""Keep entries in an SQLite behind HTTP: operations that arrive together share requests."""

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from ...entry import Entry
from ...errors import KvError, StorageUnavailable
from ...meters.metric import Measurement
from ...operations import Delete, Get, List, Page, Result, Set, Touch, Updated
from ..batch import ReadBudget
from ..clock_skew import skew_warnings
from ..contract import Clock, Figures, Migration
from ..gathered_operations import JOB_BYTES, Found, GatheredOperations, Write, Written
from ..gathering import APART, Apart
from ..sql.dialects.sqlite import SqliteStatements
from ..sql.rows import figures_of
from ..sql.writing import Statement
from ..tasks import in_task
from .client import Client
from .database import Limits
from .storage import RemoteSqliteStorage

_UNLIMITED: Final = 2**62
_NOW: Final[Statement] = ("SELECT unixepoch('subsec')", ())
_PROBES: Final[Sequence[Statement]] = (
    ("SELECT 1 FROM entry LIMIT 1", ()),
    # No key is empty, so this removes nothing, but needs all that a write needs.
    ("DELETE FROM entry WHERE namespace = '' AND key = ''", ()),
)
_LOG: Final = logging.getLogger("workertown_kv")


class GatheredSqliteStorage(RemoteSqliteStorage):
    """Adds what a process of its own does: it gathers operations, probes, and closes cleanly."""

    needs_task = False

    def __init__(
        self,
        client: Client,
        sql: SqliteStatements,
        limits: Limits,
        *,
        sweep_seconds: float,
        clock: Clock,
    ) -> None:
        super().__init__(client, sql, limits, clock=clock)
        self._client = client
        self._sweep_seconds = sweep_seconds
        self._idle_since = -math.inf
        self._gathered = self._gather()

    async def open(self) -> Sequence[Migration]:
        """See `Storage`. If the server is down now, later operations find out when it is back."""
        self._client.open()
        self._gathered = self._gather()
        try:
            return await super().open()
        except StorageUnavailable as error:
            self._opened = True
            _LOG.warning("%s; requests fail until that has changed", error)
            return ()
        except BaseException:
            await self._client.close()
            raise

    async def close(self) -> None:
        await self._gathered.close()
        await self._client.close()
        await super().close()

    def measurements(self) -> Iterable[Measurement]:
        return self._gathered.measurements()

    async def get(self, operation: Get) -> Entry | None:
        self._acts.key_of(operation)  # so that what no row can have fails alone
        return await self._gathered.get(operation)

    async def set(self, operation: Set) -> str:
        self._acts.key_of(operation)
        return await self._gathered.set(operation)

    async def delete(self, operation: Delete) -> None:
        self._acts.key_of(operation)
        await self._gathered.delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        self._acts.key_of(operation)
        return await self._gathered.touch(operation)

    async def list(self, operation: List) -> Page:
        return await in_task(super().list(operation))

    async def probe(self) -> None:
        await self._run(_PROBES, writes=True)

    async def warnings(self) -> Sequence[str]:
        before = self.clock()
        (((now,),),) = await self._run([_NOW])
        return skew_warnings(self._limits.engine, float(now), before, self.clock())

    async def figures(self) -> Sequence[Figures]:
        (rows,) = await self._run([self._sql.figures(self.clock())])
        # Some engines return whole numbers as floats.
        return figures_of([(space, *map(int, numbers)) for space, *numbers in rows])

    async def sweep(self, limit: int) -> int:
        # Servers call this often, and providers charge for each statement.
        if abs(self.clock() - self._idle_since) < self._sweep_seconds:
            return 0
        removed = await super().sweep(limit)
        if not removed:
            self._idle_since = self.clock()
        return removed

    def _gather(self) -> GatheredOperations:
        return GatheredOperations(
            get=self._get,
            get_each=self._get_each,
            write=self._write,
            write_each=self._write_each,
            seconds=self._client.seconds,
            late=self._client.late,
        )

    async def _get(self, operation: Get) -> Entry | None:
        entry = await self._one(operation)
        assert entry is None or isinstance(entry, Entry)
        return entry

    async def _get_each(self, operations: Sequence[Get]) -> Sequence[Found]:
        found = await self._several(operations, ReadBudget(_UNLIMITED), JOB_BYTES)
        return [_entry_in(one) for one in found]

    async def _write(self, operation: Write) -> Updated | str | None:
        result = await self._one(operation)
        assert result is None or isinstance(result, str)
        return result

    async def _write_each(self, operations: Sequence[Write]) -> Sequence[Written]:
        return await self._several(operations, ReadBudget(_UNLIMITED), 0)


def _entry_in(outcome: Result | Literal[Apart.APART]) -> Found:
    assert outcome is None or outcome is APART or isinstance(outcome, Entry | KvError)
    return outcome
