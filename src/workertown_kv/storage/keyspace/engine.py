"""Open and close the connection to a Redis, and run the calls of operations."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ...errors import KvError, StorageError, StorageFailure, StorageUnavailable
from ...meters.metric import Measurement
from .call import Call
from .layout import LAYOUT, Layout, default_buckets, key_slot, layout_key, parsed_layout
from .parameters import KeyspaceParameters
from .transport import Lost, Transport


class Engine:
    """Opens and closes a Redis, and gives each operation a session.

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
        self.kept = 0
        """How many changes each log keeps; 0 if changes are not recorded."""
        self.may_create = True
        """Whether to begin a store where there is none."""
        self._connect = connect
        self._prefix = parameters.prefix
        self._buckets = buckets
        self._transport: Transport | None = None
        self._layout: Layout | None = None
        self._sessions = 0

    async def open(self) -> None:
        """Make ready for use. If Redis does not answer now, later operations try again."""
        if self._transport is None:
            self._transport = self._connect()
            self._sessions = 0  # sessions of an event loop that has ended may still count
            self._finished = asyncio.Event()
            self._finished.set()
        try:
            with suppress(StorageUnavailable):
                await self.check()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the operations under way, and close the connections."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await self._finished.wait()
            await transport.close()

    async def check(self) -> None:
        """Raise an error where Redis does not answer, or has data of another layout."""
        async with self.session(refresh_layout=True):
            pass

    @asynccontextmanager
    async def session(self, *, refresh_layout: bool = False) -> AsyncIterator["Session"]:
        """Give an operation a session, which has one deadline, and which closing waits for.

        The layout is read where it is not known, or should be refreshed.
        """
        transport = self._transport
        if transport is None:
            raise StorageUnavailable("The storage is closed")
        deadline = asyncio.get_running_loop().time() + self.seconds
        session = Session(self, transport, deadline)
        self._sessions += 1
        self._finished.clear()
        try:
            layout = None if refresh_layout else self._layout
            session.layout = layout or await self._read_layout(session, transport)
            yield session
        finally:
            self._sessions -= 1
            if not self._sessions:
                self._finished.set()

    def measurements(self) -> Iterable[Measurement]:
        """Return the present numbers of the connections."""
        return () if self._transport is None else self._transport.measurements()

    def server(self, key: str) -> Hashable:
        """Return what stands for the server that has a key, as far as is known without asking."""
        if self._layout is None or self._transport is None or not self._layout.clustered:
            return None
        return self._transport.server(self._layout.slot(self._layout.bucket(key)))

    def key_beside(self, key: str, name: str) -> str:
        """Return a key that is in the same bucket as another, as far as the buckets are known."""
        return name if self._layout is None else self._layout.key_beside(key, name)

    def late(self, in_doubt: bool) -> StorageUnavailable:
        """Return the error of what had no answer in time."""
        name = "Redis" if self._transport is None else self._transport.name
        return Lost(sent=in_doubt, cause=TimeoutError()).failure(name, writes=in_doubt)

    async def _read_layout(self, session: "Session", transport: Transport) -> Layout:
        try:
            self._layout = await self._found_layout(session, clustered=transport.clustered)
        except StorageUnavailable:
            raise  # the known layout still holds
        except StorageError:
            self._layout = None
            raise
        return self._layout

    async def _found_layout(self, session: "Session", *, clustered: bool) -> Layout:
        prefix, asked = self._prefix, self._buckets
        name = layout_key(prefix)
        slot = key_slot(name) if clustered else 0
        read = Call(slot, ("HMGET", name, "version", "buckets"))
        version, buckets = await session.one(read)
        if version is None:
            if not self.may_create:
                raise StorageError(
                    f"There is no store with the prefix {prefix!r}; run `workertown-kv migrate`",
                    StorageFailure.REMOVED,
                )
            # If several processes open an empty Redis at once, the first one decides. The version
            # is written last, so that a process that finds it also finds the number of buckets.
            given = {"buckets": asked or default_buckets(clustered=clustered), "version": LAYOUT}
            writes = [Call(slot, ("HSETNX", name, *one)) for one in given.items()]
            version, buckets = (await session.all([*writes, read]))[-1]
        return Layout(prefix, *parsed_layout(version, buckets, asked), clustered)


class Session:
    """The calls of one operation, which have one deadline."""

    layout: Layout

    def __init__(self, engine: Engine, transport: Transport, deadline: float) -> None:
        self.seconds = engine.seconds
        """How long all calls may take together."""
        self.kept = engine.kept
        """How many changes each log keeps; 0 if changes are not recorded."""
        self.read_bytes = transport.read_bytes
        """The most bytes of values that an answer may have, where there is a limit."""
        self._transport = transport
        self._deadline = deadline

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Return the answer to each call, or its `KvError`."""
        return await self._transport.run(calls, self._deadline)

    async def wait(self, call: Call | None, seconds: float) -> float:
        """Wait for the answer to a call that blocks for some seconds, and for the timeout.

        Returns for how many seconds to pause now.
        """
        return await self._transport.wait(call, seconds + self.seconds)

    async def one(self, call: Call) -> Any:
        """Return the answer to one call. Raises `KvError`."""
        return (await self.all([call]))[0]

    async def all(self, calls: Sequence[Call]) -> list[Any]:
        """Return the answers to calls. Raises the first `KvError`."""
        outcomes = await self.ask(calls)
        for outcome in outcomes:
            if isinstance(outcome, KvError):
                raise outcome
        return outcomes
