"""A Redis in use: from opening to closing, and everything that is asked of it in between."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.crc import key_slot

from ...errors import StorageError, StorageUnavailable
from .call import Call
from .cluster import Cluster
from .dispatch import Dispatch
from .failures import translated
from .layout import LAYOUT, Layout, checked_buckets, default_buckets, layout_key
from .sentinel import Sentinels
from .servers import Servers, Single
from .settings import Kind, Settings

WARNING_SECONDS: Final = 60.0
"""However many operations fail meanwhile, the log is told once."""

_LOG: Final = logging.getLogger("workertown_kv")
_KINDS: Final[dict[Kind, type[Servers]]] = {
    Kind.SINGLE: Single,
    Kind.SENTINEL: Sentinels,
    Kind.CLUSTER: Cluster,
}


class Engine:
    """Operations ask for something within `use`."""

    def __init__(self, settings: Settings) -> None:
        self.seconds = settings.timeout
        self._settings = settings
        self._servers: Servers | None = None
        self._layout: Layout | None = None
        self._under_way = 0
        self._told_at = -WARNING_SECONDS

    async def open(self) -> None:
        """Make ready. That Redis is down is only told to the log."""
        if self._servers is None:
            self._servers = _KINDS[self._settings.kind](self._settings)
            self._finished = asyncio.Event()
            self._finished.set()
        try:
            await self.check()
        except StorageUnavailable:
            pass  # the log has been told
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what has been accepted, and let go of the connections."""
        servers, self._servers = self._servers, None
        if servers is not None:
            await self._finished.wait()
            await servers.close()

    async def check(self) -> None:
        """Raise where Redis does not answer, or has data of another layout."""
        async with self.use(anew=True):
            pass

    @asynccontextmanager
    async def use(self, *, anew: bool = False) -> AsyncIterator["Use"]:
        """All that is asked within has one deadline, and closing waits for it.

        The layout is read where it is not known, or `anew`.
        """
        if self._servers is None:
            raise StorageUnavailable("The storage is closed")
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        use = Use(self, Dispatch(self._servers, deadline))
        self._under_way += 1
        self._finished.clear()
        try:
            layout = None if anew else self._layout
            use.layout = layout or await self._read_layout(use, self._servers)
            yield use
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._finished.set()

    def told(self, error: Exception, *, writes: bool) -> StorageError:
        """The error to raise. The log hears of what may pass; the rest is logged where it ends."""
        told = translated(error, writes=writes)
        now = time.monotonic()
        if isinstance(told, StorageUnavailable) and now - self._told_at >= WARNING_SECONDS:
            self._told_at = now
            cause = told.__cause__
            detail = f"{type(cause).__name__}: {cause}".removesuffix(": ")
            _LOG.warning("%s (%s)", told.message, detail)
        return told

    async def _read_layout(self, use: "Use", servers: Servers) -> Layout:
        try:
            self._layout = await self._found_layout(use, clustered=servers.clustered)
        except StorageUnavailable:
            raise  # what was known of it still holds
        except StorageError:
            self._layout = None
            raise
        return self._layout

    async def _found_layout(self, use: "Use", *, clustered: bool) -> Layout:
        prefix, asked = self._settings.prefix, self._settings.buckets
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

    def __init__(self, engine: Engine, dispatch: Dispatch) -> None:
        self.seconds = engine.seconds
        """All that is asked has at most so long together."""
        self._engine = engine
        self._dispatch = dispatch

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Of each call the answer, or the `StorageError` that came of it."""
        return [
            self._engine.told(outcome, writes=call.writes)
            if isinstance(outcome, Exception)
            else outcome
            for call, outcome in zip(calls, await self._dispatch.run(calls), strict=True)
        ]

    async def one(self, call: Call) -> Any:
        """The answer to one call. Raises `StorageError`."""
        return (await self.all([call]))[0]

    async def all(self, calls: Sequence[Call]) -> list[Any]:
        """The answers to calls. Raises the first `StorageError`."""
        outcomes = await self.ask(calls)
        for outcome in outcomes:
            if isinstance(outcome, StorageError):
                raise outcome
        return outcomes
