"""Define the storage in a table of DynamoDB. The other modules of this folder do its work."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import ClassVar, Final

from ...entry import Entry
from ...errors import MissingExtra, StorageError, StorageUnavailable
from ...operations import (
    Batch,
    Delete,
    Get,
    List,
    Operation,
    Page,
    Result,
    Set,
    Touch,
)
from ..batch import ReadBudget
from ..clock_skew import skew_warnings
from ..contract import Capability, Clock, Migration, Storage
from ..version import new_version
from .atomic import run_atomic
from .connection import Connection
from .failures import MissingTable
from .groups import get_each, is_plain_write, runs, write_each
from .large import read_entry
from .layout import INLINE_BYTES, LAYOUT_KEY, PROBE_KEY, key_item
from .listing import list_keys
from .schema import Schema
from .sweeping import Sweeper
from .table import Table
from .transactions import set_large
from .url import parse_url
from .writes import delete, set_small, touch

_LOG: Final = logging.getLogger("workertown_kv")


class DynamoDBStorage(Storage):
    """Keeps entries in the table that a URL names, such as `dynamodb://eu-central-1/store`.

    `docs/storages/dynamodb.md` has the parameters of the URL. An atomic batch of more than 100
    different keys is `StorageUnsupported`; it is not in `lacks`, since other atomic batches work.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.CHANGES: "This storage does not read the streams of DynamoDB.",
    }

    probe_seconds = 60.0
    """A probe every minute, since AWS charges for each request."""

    def __init__(self, url: str, *, clock: Clock = time.time) -> None:
        super().__init__(clock=clock)
        self._settings = parse_url(url)
        try:
            from . import driver  # noqa: PLC0415  (other storages do not need the driver)
        except ModuleNotFoundError as error:
            raise MissingExtra("DynamoDB", "aiobotocore>=3.10") from error
        self._connection = Connection(self._settings, driver)
        self._schema = Schema(self._connection, self._settings)
        self._table: Table | None = None
        self._sweeper = Sweeper()

    async def open(self) -> Sequence[Migration]:
        self._table = None
        self._preparing = asyncio.Lock()
        await self._connection.open()
        try:
            return await self._prepare()
        except (StorageUnavailable, MissingTable) as error:
            _LOG.warning(
                "The table %s: %s; requests fail until that has changed",
                self._settings.table,
                error,
            )
            return ()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._connection.close()

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        async with self._connection.using(), self._preparing:
            self._table = None
            return await self._schema.migrate(to)

    async def check(self) -> None:
        async with self._using() as table:
            await table.read(LAYOUT_KEY)

    async def probe(self) -> None:
        async with self._using() as table:
            await table.send("delete_item", writes=True, Key=key_item(PROBE_KEY))

    async def warnings(self) -> Sequence[str]:
        found: list[str] = []
        async with self._using() as table:
            before = time.time()
            answer = await table.send("get_item", Key=key_item(LAYOUT_KEY))
            after = time.time()
            date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
            if date is not None:
                # The header has whole seconds.
                theirs = parsedate_to_datetime(date).timestamp() + 0.5
                found += skew_warnings("DynamoDB", theirs, before, after)
            try:
                removes_expired = await self._schema.removes_expired()
            except StorageError as error:
                found.append(f"It is unknown whether DynamoDB removes expired entries: {error}.")
            else:
                if not removes_expired:
                    found.append(
                        "DynamoDB does not remove expired entries, which take up space; let an "
                        "identity that may do dynamodb:UpdateTimeToLive turn on the time to live "
                        f"of {self._settings.table} with the attribute reclaim_at."
                    )
        return found

    async def get(self, operation: Get) -> Entry | None:
        async with self._using() as table:
            return await read_entry(table, table.layout.key_of(operation), self.clock)

    async def set(self, operation: Set) -> str:
        version = new_version()
        write = set_small if len(operation.value) <= INLINE_BYTES else set_large
        async with self._using() as table:
            await write(table, operation, version, self.clock())
        return version

    async def delete(self, operation: Delete) -> None:
        async with self._using() as table:
            await delete(table, operation, self.clock())

    async def touch(self, operation: Touch) -> str | None:
        async with self._using() as table:
            return await touch(table, operation, self.clock())

    async def list(self, operation: List) -> Page:
        async with self._using() as table:
            return await list_keys(table, operation, self.clock)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        async with self._using() as table:
            if operation.atomic or operation.record is not None:
                return await run_atomic(table, operation, self.clock)
            budget = ReadBudget(operation.read_bytes)
            results: list[Result] = []
            for run in runs(operation.operations):
                results += await self._run(table, run, budget)
            return results

    async def sweep(self, limit: int) -> int:
        async with self._using() as table:
            return await self._sweeper.sweep(table, limit, self.clock())

    async def _run(
        self, table: Table, run: Sequence[Operation], budget: ReadBudget
    ) -> Sequence[Result]:
        """Do neighbours of a batch that go together."""
        gets = [one for one in run if isinstance(one, Get)]
        if gets:
            return await get_each(table, gets, budget, self.clock)
        if len(run) > 1 or is_plain_write(run[0]):
            return await write_each(table, run)
        return [await self._attempt(run[0], budget)]

    @asynccontextmanager
    async def _using(self) -> AsyncIterator[Table]:
        """Give the table to an operation, which closing waits for."""
        async with self._connection.using():
            if self._table is None:
                await self._prepare()
            assert self._table is not None
            yield self._table

    async def _prepare(self) -> Sequence[Migration]:
        """Find out the layout of the table. Creates a missing table, if the URL permits it."""
        async with self._preparing:
            if self._table is not None:
                return ()
            ran: Sequence[Migration] = ()
            if self._settings.parameters.migrate == "auto" and self.may_create:
                layout, ran = await self._schema.create()
            else:
                layout = await self._schema.layout()
            self._table = Table(self._connection, self._settings.table, layout)
            return ran
