"""Test a storage that is a server in front of another storage, on a socket."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from caller import API_KEY
from servers.behind import Behind, ServersBehind
from workertown_kv.namespaces import namespaces_of
from workertown_kv.storage import Capability, Clock, Migration, Storage
from workertown_kv.storage.http import HttpStorage
from workertown_kv.testing import StorageConformance
from workertown_kv.testing.conformance.case import StorageCase

NOT_REACHED = {Capability.RESERVED: "the server behind lets no client reach its own entries"}


class InFront(HttpStorage):
    """An `HttpStorage`, and the storage behind it, which its tests set up and sweep."""

    def __init__(self, behind: Behind, clock: Clock) -> None:
        super().__init__("http://localhost", token=API_KEY, clock=clock)
        self._behind = behind

    async def open(self) -> Sequence[Migration]:
        retention = self.retention
        url = await asyncio.to_thread(self._behind.serve, retention)
        HttpStorage.__init__(self, url, token=API_KEY, clock=self.clock)
        self.retention = retention
        return await super().open()

    async def sweep(self, limit: int) -> int:
        return await asyncio.to_thread(self._behind.sweep, limit)


class InFrontCase(StorageCase):
    """Runs parts of the suite on servers of a storage; extend `behind`."""

    lacks: ClassVar = NOT_REACHED

    @pytest.fixture(autouse=True)
    def _serving(self) -> Iterator[None]:
        self._behind: dict[tuple[Clock, Path], Behind] = {}
        with ServersBehind() as self._servers:
            yield

    def behind(self, clock: Clock, folder: Path) -> Storage:
        """Return a new storage for the server behind."""
        raise NotImplementedError

    async def space(self, storage: Storage, name: str) -> str:
        return (await namespaces_of(storage).create(name)).name

    def make(self, clock: Clock, folder: Path) -> Storage:
        at = (clock, folder)
        if at not in self._behind:
            self._behind[at] = Behind(self._servers, self.behind(clock, folder))
        return InFront(self._behind[at], clock)


class InFrontConformance(InFrontCase, StorageConformance):
    """Runs the whole suite on servers of a storage; extend `behind`."""
