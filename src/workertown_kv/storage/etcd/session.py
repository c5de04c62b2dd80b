"""Open and close the connections to a cluster, and run the requests of operations."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final

from ...errors import StorageFailure, StorageUnavailable
from .gateway import Gateway
from .layout import Layout, end_of
from .messages import (
    Message,
    Operations,
    RangeAnswer,
    TxnAnswer,
    Watched,
    delete,
    inside,
    is_absent,
    is_present,
    put,
    read,
    txn,
)
from .url import Settings

OVERHEAD_BYTES: Final = 65_536
"""The most bytes that a write adds to its value: names, metadata and the record of its change."""


class Engine:
    """Opens and closes a cluster, and gives each operation a session."""

    def __init__(self, settings: Settings) -> None:
        self.seconds = settings.parameters.timeout
        self.records = True
        """Whether changes are recorded."""
        self.layout = Layout(settings.prefix)
        self.value_bytes = settings.parameters.request_bytes - OVERHEAD_BYTES
        """How many bytes the values of a request may have together."""
        self._settings = settings
        self._gateway: Gateway | None = None
        self._sessions = 0

    async def open(self) -> None:
        """Make ready for use. If etcd does not answer now, later operations try again."""
        if self._gateway is None:
            self._gateway = Gateway(self._settings)
            self._sessions = 0  # sessions of an event loop that has ended may still count
            self._finished = asyncio.Event()
            self._finished.set()
        try:
            with suppress(StorageUnavailable):
                async with self.session() as session:
                    await session.check()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the operations under way, and close the connections."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await self._finished.wait()
            await gateway.close()

    @asynccontextmanager
    async def watch(
        self, start: bytes, end: bytes, revision: int
    ) -> AsyncIterator[AsyncIterator[Watched]]:
        """Watch what is written to a range of keys from a revision on."""
        create = {"key": start, "range_end": end, "start_revision": revision}
        async with (
            self.session() as session,
            session.watch({"create_request": create}) as lines,
        ):
            yield lines

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """Give an operation a session, which has one deadline, and which closing waits for."""
        gateway = self._gateway
        if gateway is None:
            raise StorageUnavailable("The storage is closed")
        self._sessions += 1
        self._finished.clear()
        try:
            yield Session(self, gateway)
        finally:
            self._sessions -= 1
            if not self._sessions:
                self._finished.set()


class Session:
    """The requests of one operation, which have one deadline."""

    def __init__(self, engine: Engine, gateway: Gateway) -> None:
        self.layout = engine.layout
        self.records = engine.records
        """Whether changes are recorded."""
        self.value_bytes = engine.value_bytes
        self._gateway = gateway
        self._seconds = engine.seconds
        self._deadline = asyncio.get_running_loop().time() + engine.seconds

    @property
    def server_time(self) -> str:
        """Return the time of the last answer, as an HTTP date."""
        return self._gateway.server_time

    async def check(self) -> RangeAnswer:
        """Read as every read does: a majority of the members must answer."""
        return await self.read(self.layout.namespace(""), count_only=True)

    async def probe(self) -> None:
        """Find out whether entries can be written, by a write that never happens.

        Etcd checks the permissions and its space before it compares.
        """
        name = self.layout.namespace("")
        never = [is_absent(name), is_present(name)]
        # Without a log, the transaction around this one deletes the slots, which etcd would refuse.
        slots = [self.layout.slot(0)] if self.records else []
        await self.transact(txn(never, [put(one, b"") for one in (name, *slots)]))

    async def read(self, key: bytes, end: bytes | None = None, **more: object) -> RangeAnswer:
        """Read a key, or the keys from `key` up to `end`."""
        message = read(key, end, **more)["request_range"]
        return await self._gateway.ask("kv/range", message, RangeAnswer, self._deadline)

    async def read_all(self, reads: Operations) -> TxnAnswer:
        """Do reads at the same moment."""
        return await self._gateway.ask("kv/txn", txn([], reads), TxnAnswer, self._deadline)

    async def transact(self, transaction: Message) -> TxnAnswer:
        """Run a transaction that may write."""
        if not self.records:
            # A change would be missing, so no reader may resume.
            transaction = txn([], [delete(*self._slots()), inside(transaction)])
        answer = await self._gateway.ask(
            "kv/txn", transaction, TxnAnswer, self._deadline, writes=True
        )
        return answer if self.records else answer.responses[1].txn

    async def transact_each(self, transactions: Sequence[Message]) -> list[TxnAnswer]:
        """Run transactions together, each of which decides by itself what to write."""
        if len(transactions) == 1:
            return [await self.transact(transactions[0])]
        whole = await self.transact(txn([], list(map(inside, transactions))))
        return [answer.txn for answer in whole.responses]

    async def compact(self, revision: int) -> None:
        """Let etcd forget the history before a revision."""
        await self._gateway.ask("kv/compaction", {"revision": revision}, dict, self._deadline)

    async def alarms(self) -> list[Message]:
        """Return the alarms of the cluster."""
        answer = await self._gateway.ask(
            "maintenance/alarm", {"action": "GET"}, dict, self._deadline
        )
        return answer.get("alarms", [])  # type: ignore[no-any-return]  # JSON

    def watch(self, message: Message) -> AbstractAsyncContextManager[AsyncIterator[Watched]]:
        """Open a watch, which has no deadline."""
        return self._gateway.watch(message)

    def check_late(self) -> None:
        """Raise `StorageUnavailable` once the time of the operation is over."""
        if asyncio.get_running_loop().time() > self._deadline:
            raise StorageUnavailable("Other requests keep changing this key", StorageFailure.BUSY)

    def _slots(self) -> tuple[bytes, bytes]:
        return self.layout.changes, end_of(self.layout.changes)
