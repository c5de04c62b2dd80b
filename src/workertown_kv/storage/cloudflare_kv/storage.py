"""Define the storage in Workers KV that Cloudflare's REST API reaches."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import groupby
from typing import ClassVar, Final

import msgspec

from ...entry import DEFAULT_NAMESPACE, Entry
from ...errors import KvError, StorageUnavailable
from ...meters.metric import Measurement
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
    Update,
)
from ...options import Secret
from ..batch import ReadBudget
from ..cloudflare_api.failures import lost
from ..cloudflare_api.rest import Rest
from ..cloudflare_api.url import checked_token
from ..contract import Capability, Clock, Migration, Storage
from ..gathered_operations import GatheredOperations, Write
from ..tasks import in_task
from ..workers_kv import layout
from .batches import Acts
from .failures import failure_of
from .pages import KeysPage, before, cursor_of, read_page, start_of
from .reads import MOST_KEYS, read_many
from .url import PERMISSION, parse_url

_REQUESTS: Final = 4
"""For how many requests in a row an operation waits that others have gone ahead with."""


class CloudflareKVStorage(Storage):
    """Keeps entries in the namespace of Workers KV that `url` names.

    A read may be stale by a minute, and of two writes to the same key at once, one is lost. More
    than one write to a key per second is `StorageUnavailable`.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.PRECONDITIONS: "Workers KV writes without reading first.",
        Capability.ATOMIC_BATCHES: "Workers KV writes one key at a time.",
        Capability.CHANGES: "Workers KV keeps no order of writes.",
        Capability.SEEKING: "Workers KV lists keys forward, from the first key or its own cursors.",
        Capability.NAMESPACES: "The URL names one namespace of Workers KV.",
        Capability.TOUCH: "Workers KV changes a lifetime only together with the value.",
    }

    needs_task = False

    probe_seconds = 60.0
    """A probe every minute, since Cloudflare charges for reads and limits requests."""

    def __init__(self, url: str, *, token: Secret | None = None, clock: Clock = time.time) -> None:
        super().__init__(clock=clock)
        self._settings = parse_url(url)
        self._token = checked_token(token, PERMISSION)
        self._rest: Rest | None = None
        self._gathered: GatheredOperations | None = None
        self._sessions = 0

    async def open(self) -> Sequence[Migration]:
        if self._rest is None:
            self._sessions = 0  # sessions of an event loop that has ended may still count
            self._finished = asyncio.Event()
            self._finished.set()
            settings = self._settings
            self._rest = Rest(
                settings.namespace_url,
                self._token,
                timeout=settings.timeout,
                wait=settings.wait,
                failure_of=lambda failure: failure_of(failure, settings),
            )
            self._gathered = self._gather(self._rest)
        try:
            with suppress(StorageUnavailable):
                await self.check()
        except BaseException:
            await self.close()
            raise
        return ()

    async def close(self) -> None:
        rest, self._rest = self._rest, None
        gathered, self._gathered = self._gathered, None
        if gathered is not None:
            await gathered.close()
        if rest is not None:
            await self._finished.wait()
            await rest.close()

    def measurements(self) -> Iterable[Measurement]:
        return () if self._gathered is None else self._gathered.measurements()

    async def get(self, operation: Get) -> Entry | None:
        return await self._operations().get(operation)

    async def set(self, operation: Set) -> str:
        return await self._operations().set(operation)

    async def delete(self, operation: Delete) -> None:
        await self._operations().delete(operation)

    async def list(self, operation: List) -> Page:
        return await in_task(self._list(operation))

    async def list_entries(self, operation: List, read_bytes: int) -> Page:
        async with self._session() as rest:
            while True:
                page = await self._page(rest, operation)
                found = await self._entries(rest, operation, page, read_bytes)
                if found.keys or found.cursor is None:
                    return found
                operation = msgspec.structs.replace(operation, cursor=found.cursor)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        if operation.atomic or operation.record is not None:
            raise self.unsupported(Capability.ATOMIC_BATCHES)
        budget = ReadBudget(operation.read_bytes)
        results: list[Result] = []
        async with self._session() as rest:
            acts = Acts(rest, self._name, self.clock)
            for is_lacked, some in groupby(operation.operations, _is_lacked):
                if is_lacked:
                    results += [await self._attempt(item, budget) for item in some]
                else:
                    results += await acts.run([*some], budget)
        return results

    async def _list(self, operation: List) -> Page:
        async with self._session() as rest:
            page = await self._page(rest, operation)
            return Page(page.keys, cursor_of(operation, page.end))

    async def _page(self, rest: Rest, operation: List) -> KeysPage:
        """Return the next page that has keys, or the last page."""
        self._check_namespace(operation)
        if operation.needs_seeking:
            raise self.unsupported(Capability.SEEKING)
        start = start_of(operation)
        if len(operation.prefix.encode()) > layout.NAME_BYTES:
            return KeysPage([], start, None)
        while True:
            page = await read_page(rest, operation, start, self.clock())
            if page.keys or page.end is None:
                return page
            start = page.end

    async def _entries(self, rest: Rest, operation: List, page: KeysPage, read_bytes: int) -> Page:
        """Return the entries of a page, which ends before they have too many bytes."""
        entries: list[Entry] = []
        left = read_bytes
        for at in range(0, len(page.keys), MOST_KEYS):
            names = [layout.name_of(info.key) for info in page.keys[at : at + MOST_KEYS]]
            found = await read_many(rest, names)
            now = self.clock()
            for name in names:
                entry = found.get(name)
                if entry is None or not entry.is_alive(now):
                    continue
                if entries and len(entry.value) > left:
                    return Page(entries, cursor_of(operation, before(page, entry.key)))
                entries.append(entry)
                left -= len(entry.value)
        return Page(entries, cursor_of(operation, page.end))

    def _gather(self, rest: Rest) -> GatheredOperations:
        acts = Acts(rest, self._name, self.clock)
        settings = self._settings

        async def get(operation: Get) -> Entry | None:
            (found,) = await acts.get_each([operation])
            if isinstance(found, KvError):
                raise found
            return found

        async def write(operation: Write) -> str | None:
            (result,) = await acts.run([operation], ReadBudget(0))
            if isinstance(result, KvError):
                raise result
            assert result is None or isinstance(result, str)
            return result

        return GatheredOperations(
            get=get,
            get_each=acts.get_each,
            write=write,
            write_each=lambda operations: acts.run(operations, ReadBudget(0)),
            seconds=_REQUESTS * settings.timeout + settings.wait,
            late=lambda is_sent: lost(may_be_done=is_sent),
        )

    def _operations(self) -> GatheredOperations:
        if self._gathered is None:
            raise StorageUnavailable("The storage is closed")
        return self._gathered

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Rest]:
        """Give the client to an operation, which closing waits for."""
        rest = self._rest
        if rest is None:
            raise StorageUnavailable("The storage is closed")
        self._sessions += 1
        self._finished.clear()
        try:
            yield rest
        finally:
            self._sessions -= 1
            if not self._sessions:
                self._finished.set()

    def _name(self, operation: Operation) -> str:
        self._check_namespace(operation)
        if not isinstance(operation, Get) and operation.precondition is not None:
            raise self.unsupported(Capability.PRECONDITIONS)
        return layout.name_of(operation.key)

    def _check_namespace(self, operation: Operation | List) -> None:
        if operation.namespace != DEFAULT_NAMESPACE:
            raise self.unsupported(Capability.NAMESPACES)


def _is_lacked(operation: Operation) -> bool:
    return isinstance(operation, Touch | Update)
