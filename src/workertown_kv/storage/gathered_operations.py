"""Gather the operations of a storage: gets with gets, and writes with writes."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from typing import Any, Final, Literal

from ..entry import Entry
from ..errors import KvError
from ..meters.metric import Measurement
from ..operations import Delete, Get, Result, Set, Touch, Update, Updated
from .gathering import Apart, Gathering
from .group_meter import GroupMeter

JOB_BYTES: Final = 64 * 1024
"""An operation with a larger value goes by itself, so that no other operation waits for it."""

Write = Set | Delete | Touch | Update
Written = Result | Literal[Apart.APART]
"""The outcome of a write in a group."""
Found = Entry | KvError | Literal[Apart.APART] | None
"""The outcome of a get in a group."""


class GatheredMeter:
    """Counts the groups of gets and those of writes."""

    def __init__(self) -> None:
        self.gets = GroupMeter("reads")
        self.writes = GroupMeter("writes")

    def measurements(self, gathered: Collection["GatheredOperations"]) -> Iterator[Measurement]:
        """Return the groups until now, and what waits for the next groups."""
        yield from self.gets.measurements(sum(one.waiting_gets for one in gathered))
        yield from self.writes.measurements(sum(one.waiting_writes for one in gathered))


class GatheredOperations:
    """Gathers gets and writes separately. See `Gathering`."""

    def __init__(
        self,
        *,
        get: Callable[[Get], Coroutine[Any, Any, Entry | None]],
        get_each: Callable[[Sequence[Get]], Awaitable[Sequence[Found]]],
        write: Callable[[Write], Coroutine[Any, Any, Updated | str | None]],
        write_each: Callable[[Sequence[Write]], Awaitable[Sequence[Written]]],
        seconds: float,
        late: Callable[[bool], KvError],
        meter: GatheredMeter | None = None,
    ) -> None:
        """`meter` counts the groups of several of these objects together."""
        self._write = write
        self._meter = meter = meter or GatheredMeter()
        self._gets = Gathering(
            get, get_each, seconds=seconds, late=lambda _: late(False), meter=meter.gets
        )
        self._writes: Gathering[Write, Entry | Updated | str | None] = Gathering(
            write, write_each, seconds=seconds, late=late, meter=meter.writes
        )

    def measurements(self) -> Iterator[Measurement]:
        """Return the groups until now, and what waits for the next groups."""
        return self._meter.measurements([self])

    @property
    def waiting_gets(self) -> int:
        """How many gets wait for the next group."""
        return len(self._gets)

    @property
    def waiting_writes(self) -> int:
        """How many writes wait for the next group."""
        return len(self._writes)

    async def get(self, operation: Get) -> Entry | None:
        """See `Storage`."""
        return await self._gets.join(operation)

    async def set(self, operation: Set) -> str:
        """See `Storage`."""
        size = len(operation.value)
        large = size > JOB_BYTES
        version = await (self._write(operation) if large else self._writes.join(operation, size))
        assert isinstance(version, str)
        return version

    async def delete(self, operation: Delete) -> None:
        """See `Storage`."""
        await self._writes.join(operation)

    async def touch(self, operation: Touch) -> str | None:
        """See `Storage`."""
        version = await self._writes.join(operation)
        assert version is None or isinstance(version, str)
        return version

    async def update(self, operation: Update) -> Updated:
        """See `Storage`."""
        updated = await self._writes.join(operation)
        assert isinstance(updated, Updated)
        return updated

    async def close(self) -> None:
        """Finish the operations that were accepted, and refuse others."""
        await self._gets.close()
        await self._writes.close()
