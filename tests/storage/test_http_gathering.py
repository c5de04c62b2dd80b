"""Test that operations of HttpStorage that wait together share requests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from caller import API_KEY
from servers.behind import ServersBehind
from storage.gathering_cases import GatheringCases
from workertown_kv.credentials import api_keys_of
from workertown_kv.entry import Entry
from workertown_kv.errors import KvError, NamespaceNotFound, StorageError, StorageFailure
from workertown_kv.namespaces import namespaces_of
from workertown_kv.operations import Get, Set
from workertown_kv.storage import Storage
from workertown_kv.storage.http import HttpStorage
from workertown_kv.storage.http.connection import Connection, Request
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.user import Scope


@pytest.fixture(scope="module")
def servers() -> Iterator[ServersBehind]:
    with ServersBehind() as servers:
        yield servers


@asynccontextmanager
async def opened(storage: HttpStorage) -> AsyncIterator[HttpStorage]:
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


class TestHttpGathering(GatheringCases):
    apart = 1

    @pytest.fixture(autouse=True)
    def _serving(self, servers: ServersBehind, monkeypatch: pytest.MonkeyPatch) -> None:
        self._servers = servers
        self._requests = 0
        data = Connection.data

        async def counted(connection: Connection, request: Request) -> bytes:
            self._requests += 1
            return await data(connection, request)

        monkeypatch.setattr(Connection, "data", counted)

    def statements(self) -> int:
        return self._requests

    @asynccontextmanager
    async def storage(self, clock: MovedClock) -> AsyncIterator[Storage]:
        url = self._servers.serve(MemoryStorage(clock=clock))
        storage = HttpStorage(f"{url}?timeout=60", token=API_KEY, clock=clock)
        await storage.open()
        for title in ("other: %/é", "none"):
            await namespaces_of(storage).create(title)
        try:
            yield storage
        finally:
            await storage.close()

    async def test_what_the_server_refuses_leaves_the_others(self, gathered: Storage) -> None:
        given = [Set(namespace="default", key=str(number), value=b"1") for number in range(8)]
        wrong = [
            Set(namespace="default", key="k" * 3000, value=b"1"),
            Set(namespace="default", key="late", value=b"1", expires_at=1.0),
            Set(namespace="no such", key="a", value=b"1"),
        ]
        acting = [gathered.set(one) for one in (*given, *wrong)]
        outcomes = await asyncio.gather(*acting, return_exceptions=True)
        assert all(isinstance(one, str) for one in outcomes[:8])
        assert all(isinstance(one, KvError) for one in outcomes[8:])
        assert isinstance(outcomes[-1], NamespaceNotFound)
        for one, version in zip(given, outcomes, strict=False):
            entry = await gathered.get(Get("default", one.key))
            assert entry is not None
            assert entry.version == version


@pytest.mark.anyio
async def test_what_a_token_does_not_permit_leaves_the_others(servers: ServersBehind) -> None:
    url = servers.serve(MemoryStorage())
    async with opened(HttpStorage(url, token=API_KEY)) as storage:
        scope = Scope(verbs=("read", "write"), prefixes=("a/",))
        token, _ = await api_keys_of(storage).create("narrow", scopes=(scope,))
    keys = [f"{'ab'[number % 2]}/{number}" for number in range(20)]
    async with opened(HttpStorage(url, token=token)) as storage:
        writes = [storage.set(Set(namespace="default", key=key, value=b"1")) for key in keys]
        written = await asyncio.gather(*writes, return_exceptions=True)
        found = await asyncio.gather(
            *(storage.get(Get("default", key)) for key in keys), return_exceptions=True
        )
    for key, version, entry in zip(keys, written, found, strict=True):
        if key.startswith("a/"):
            assert isinstance(entry, Entry)
            assert entry.version == version
        else:
            for error in (version, entry):
                assert isinstance(error, StorageError)
                assert error.kind is StorageFailure.REFUSED
