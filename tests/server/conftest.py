"""Serve a store on a socket, and observe which requests are answered in place."""

from collections.abc import AsyncIterator

import pytest

from caller import make_server
from served_socket import Served, serving
from workertown_kv.server.known_fields import KnownBlocks
from workertown_kv.server.plain_exchange import PlainExchange
from workertown_kv.storage.memory import MemoryStorage


@pytest.fixture
async def store() -> AsyncIterator[Served]:
    async with make_server(MemoryStorage()) as server, serving(server) as served:
        yield served


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> list[PlainExchange]:
    """Return a list that gets each request which is answered in place."""
    run = PlainExchange.run
    found: list[PlainExchange] = []

    def noted(exchange: PlainExchange) -> None:
        found.append(exchange)
        run(exchange)

    monkeypatch.setattr(PlainExchange, "run", noted)
    return found


@pytest.fixture(autouse=True)
def forget_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the header fields that the requests of other tests had."""
    monkeypatch.setattr("workertown_kv.server.plain_protocol._KNOWN", KnownBlocks())
