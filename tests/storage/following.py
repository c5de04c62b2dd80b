"""Follow the changes of a storage, and know from them which entries it has."""

import asyncio

from workertown_kv.errors import CursorGone, StorageUnavailable
from workertown_kv.operations import ChangePage, Event, List, ReadChanges
from workertown_kv.storage import Storage

SPACE = "default"


class Following:
    """Follows the changes of the keys with a prefix. Begins again if its cursor is gone."""

    def __init__(self, storage: Storage, prefix: str = "") -> None:
        self.versions: dict[str, str | None] = {}
        self.begun = 0
        """How often it read the entries, because it had no cursor."""
        self.seen: list[tuple[str, str | None]] = []
        """The key and version of each set, in order, since it began."""
        self._storage = storage
        self._prefix = prefix
        self._cursor: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow, in a task."""
        await self._step(wait=0)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the task, and read the changes that are left."""
        task, self._task = self._task, None
        if task is not None:
            await task
        while not await self._step(wait=0):
            pass

    async def matches(self) -> bool:
        """Return whether the changes lead to exactly what the storage has."""
        return self.versions == await self._stored()

    async def _run(self) -> None:
        while self._task is not None:
            await self._step(wait=1)

    async def _step(self, wait: float) -> bool:
        try:
            if self._cursor is None:
                page = await self._storage.changes(ReadChanges(None))
                self.versions, self.seen = await self._stored(), []
                self.begun += 1
            else:
                page = await self._storage.changes(ReadChanges(self._cursor, 50, wait))
            self._cursor = page.cursor
        except CursorGone:
            self._cursor = None
            return False
        except StorageUnavailable:
            await asyncio.sleep(0.02)
            return False
        self._apply(page)
        return page.complete

    def _apply(self, page: ChangePage) -> None:
        for change in page.changes:
            if not change.key.startswith(self._prefix):
                continue
            if change.event in (Event.SET, Event.TOUCH):
                self.versions[change.key] = change.version
            if change.event is Event.SET:
                self.seen.append((change.key, change.version))
            elif change.event is not Event.TOUCH:
                # Nothing goes that was not there, or was there in another version.
                assert self.versions.pop(change.key, change.version) == change.version

    async def _stored(self) -> dict[str, str | None]:
        versions: dict[str, str | None] = {}
        cursor: str | None = None
        while True:
            page = await self._storage.list(List(SPACE, self._prefix, 1000, cursor))
            versions |= {one.key: one.version for one in page.keys}
            cursor = page.cursor
            if cursor is None:
                return versions
