"""Test what the storages in an SQLite on a server promise alike: D1, and libSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from caller import API_KEY, Caller
from storage.gathering_cases import GatheringCases
from workertown_kv import kv
from workertown_kv.errors import StorageError
from workertown_kv.operations import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    Batch,
    Delete,
    DeletePrefix,
    Get,
    List,
    Operation,
    Touch,
)
from workertown_kv.storage import Capability, Clock, Storage
from workertown_kv.testing import MovedClock, StorageConformance
from workertown_kv.testing.conformance.operations import SPACE, put
from workertown_kv.testing.strategies import ODD_KEYS

BYTES = bytes(range(256))


class Serving(Protocol):
    """A stand-in for the server."""

    requests: list[Any]

    @property
    def url(self) -> str: ...


class RemoteSqliteConformance(StorageConformance):
    """Runs the whole suite, with a server for each folder; extend `serve` and `at`."""

    examples = 8

    def serve(self, folder: Path) -> AbstractContextManager[Serving]:
        """Return a server that keeps its data in this folder, or in memory."""
        raise NotImplementedError

    def at(self, url: str, clock: Clock) -> Storage:
        """Return the storage at a URL."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _serving(self) -> Iterator[None]:
        self._servers: dict[Path, Serving] = {}
        with ExitStack() as self._stack:
            yield

    def make(self, clock: Clock, folder: Path) -> Storage:
        if folder not in self._servers:
            self._servers[folder] = self._stack.enter_context(self.serve(folder))
        return self.at(f"{self._servers[folder].url}&sweep=0", clock)


class RemoteSqliteGathering(GatheringCases):
    """Runs the cases of gathering; extend `at`. A module that extends it has a fixture `server`."""

    server: Serving

    @pytest.fixture(autouse=True)
    def _serving(self, server: Serving) -> None:
        self.server = server

    def at(self, url: str, clock: Clock) -> Storage:
        """Return the storage at a URL."""
        raise NotImplementedError

    def statements(self) -> int:
        return len(self.server.requests)

    @asynccontextmanager
    async def storage(self, clock: MovedClock) -> AsyncIterator[Storage]:
        storage = self.at(self.server.url, clock)
        await storage.open()
        yield storage
        await storage.close()


@pytest.mark.anyio
class RemoteSqliteCases:
    """Tests costs and entries. A module that extends it has fixtures `server` and `storage`."""

    environment: ClassVar[Mapping[str, str]]
    """The variables with the token."""

    mixed: ClassVar[Sequence[Operation]]
    """A batch that is one request."""

    async def test_without_permission_to_create_it_makes_no_tables(self, storage: Storage) -> None:
        await storage.migrate(to=0)
        await storage.close()
        storage.may_create = False
        for _ in range(2):
            with pytest.raises(StorageError, match="There is no table"):
                await storage.open()
        storage.may_create = True
        assert await storage.open()

    async def test_each_operation_is_one_request(self, server: Serving, storage: Storage) -> None:
        acts: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (lambda: storage.set(put("a")), 1),
            (lambda: storage.set(put("a", precondition=MUST_EXIST)), 1),
            (lambda: storage.set(put("new", precondition=MUST_NOT_EXIST)), 1),
            (lambda: storage.get(Get(SPACE, "a")), 1),
            (lambda: storage.touch(Touch(namespace=SPACE, key="a", expires_at=None)), 1),
            (lambda: storage.delete(Delete(SPACE, "new", MUST_EXIST)), 1),
            (lambda: storage.batch(Batch(self.mixed)), 1),
            (lambda: storage.batch(Batch([Get(SPACE, str(i)) for i in range(500)])), 1),
            (lambda: storage.list(List(SPACE, "", 10)), 1),
            (lambda: storage.delete_prefix(DeletePrefix(SPACE, "a", 10)), 2),
            (storage.check, 1),
            (storage.probe, 1),
        ]
        if Capability.ATOMIC_BATCHES not in storage.lacks:
            acts.append((lambda: storage.batch(Batch([put("a"), put("c")], atomic=True)), 1))
        for act, requests in acts:
            before = len(server.requests)
            await act()
            assert len(server.requests) - before == requests

    async def test_every_odd_key_has_any_value(self, storage: Storage, clock: MovedClock) -> None:
        values = [b"null", b" 1e999 ", b"", b"\0", b"\xff\xfe", "�\ufeff".encode(), BYTES]
        sets = [
            put(
                key,
                values[number % 7],
                is_json=number % 7 < 2,
                metadata=b'{"k":1.0}',
                expires_at=clock() + 1 + number / 7,
            )
            for number, key in enumerate(ODD_KEYS)
        ]
        versions = await asyncio.gather(*map(storage.set, sets))
        expected = [one.entry(version) for one, version in zip(sets, versions, strict=True)]
        gets = [Get(SPACE, key) for key in ODD_KEYS]
        assert await asyncio.gather(*map(storage.get, gets)) == expected
        assert await storage.batch(Batch(gets)) == expected
        listed = await storage.list(List(SPACE, "", 1000))
        assert [one.key for one in listed.keys] == sorted(ODD_KEYS, key=str.encode)

    async def test_a_server_over_it_gives_clients_values(
        self, server: Serving, storage: Storage
    ) -> None:
        environment = {"KV_DB": server.url, **self.environment}
        async with kv(get_env=lambda: environment, auth={"api_key": {"api_key": API_KEY}}) as store:
            call = Caller(store)
            etag = (await call.put("theme", "dark", metadata={"by": "ada"}, ttl=5)).headers["etag"]
            got = await call("GET", "/v1/kv/theme")
            assert (got.json()["data"], got.headers["etag"]) == ("dark", etag)
            for code in (200, 412):
                headers = {"If-Match": etag}
                answer = await call("PUT", "/v1/kv/theme", json={"value": 1}, headers=headers)
                assert answer.status_code == code
            patched = [await call("PATCH", "/v1/kv/n", json={"increment": 2}) for _ in range(3)]
            assert [one.json()["data"] for one in patched] == [2, 4, 6]
            atomic = {"operations": [{"op": "get", "key": "n"}], "atomic": True}
            status = 501 if Capability.ATOMIC_BATCHES in storage.lacks else 200
            assert (await call("POST", "/v1/kv", json=atomic)).status_code == status
            assert (await call("GET", "/v1/changes")).status_code == 501
            info = (await call("GET", "/admin/info")).text
            assert type(storage).__name__ in info
            assert not any(token in info for token in self.environment.values())
