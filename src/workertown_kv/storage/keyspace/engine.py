"""A Redis in use: from opening to closing, and everything that is asked of it in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ...errors import KvError, StorageError, StorageUnavailable
from .call import Call
from .layout import LAYOUT, Layout, checked_buckets, default_buckets, layout_key
from .parameters import KeyspaceParameters
from .slot import key_slot
from .transport import Transport


class Engine:
    """Operations ask Redis for something within `use`.

    `buckets` says over how many buckets new data is spread, where the URL has a number.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        parameters: KeyspaceParameters,
        *,
        buckets: int | None = None,
    ) -> None:
        self.seconds = parameters.timeout
        self._connect = connect
        self._prefix = parameters.prefix
        self._buckets = buckets
        self._transport: Transport | None = None
        self._layout: Layout | None = None
        self._under_way = 0

    async def open(self) -> None:
        """Make ready. A Redis that is down now is asked again later."""
        if self._transport is None:
            self._transport = self._connect()
            self._under_way = 0  # there may be more, of an event loop that has ended
            self._finished = asyncio.Event()
            self._finished.set()
        try:
            with suppress(StorageUnavailable):
                await self.check()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what has been accepted, and let go of the connections."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await self._finished.wait()
            await transport.close()

    async def check(self) -> None:
        """Raise where Redis does not answer, or has data of another layout."""
        async with self.use(anew=True):
            pass

    @asynccontextmanager
    async def use(self, *, anew: bool = False) -> AsyncIterator["Use"]:
        """All that is asked within has one deadline, and closing waits for it.

        The layout is read where it is not known, or `anew`.
        """
        transport = self._transport
        if transport is None:
            raise StorageUnavailable("The storage is closed")
        deadline = asyncio.get_running_loop().time() + self.seconds
        use = Use(self, transport, deadline)
        self._under_way += 1
        self._finished.clear()
        try:
            layout = None if anew else self._layout
            use.layout = layout or await self._read_layout(use, transport)
            yield use
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._finished.set()

    async def _read_layout(self, use: "Use", transport: Transport) -> Layout:
        try:
            self._layout = await self._found_layout(use, clustered=transport.clustered)
        except StorageUnavailable:
            raise  # what was known of it still holds
        except StorageError:
            self._layout = None
            raise
        return self._layout

    async def _found_layout(self, use: "Use", *, clustered: bool) -> Layout:
        prefix, asked = self._prefix, self._buckets
        name = layout_key(prefix)
        slot = key_slot(name) if clustered else 0
        read = Call(slot, ("HMGET", name, "version", "buckets"))
        version, buckets = await use.one(read)
        if version is None:
            # Of several processes that come to an empty Redis at once, the first one decides. The
            # version is written last, so that who finds one finds it whole.
            given = {"buckets": asked or default_buckets(clustered=clustered), "version": LAYOUT}
            writes = [Call(slot, ("HSETNX", name, *one)) for one in given.items()]
            version, buckets = (await use.all([*writes, read]))[-1]
        return Layout(prefix, checked_buckets(version, buckets, asked), clustered)


class Use:
    """What one operation may do with Redis."""

    layout: Layout

    def __init__(self, engine: Engine, transport: Transport, deadline: float) -> None:
        self.seconds = engine.seconds
        """All that is asked has at most so long together."""
        self.read_bytes = transport.read_bytes
        """The most bytes of values that an answer may have, where there is a limit."""
        self._transport = transport
        self._deadline = deadline

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Of each call the answer, or the `KvError` that came of it."""
        return await self._transport.run(calls, self._deadline)

    async def one(self, call: Call) -> Any:
        """The answer to one call. Raises `KvError`."""
        return (await self.all([call]))[0]

    async def all(self, calls: Sequence[Call]) -> list[Any]:
        """The answers to calls. Raises the first `KvError`."""
        outcomes = await self.ask(calls)
        for outcome in outcomes:
            if isinstance(outcome, KvError):
                raise outcome
        return outcomes
