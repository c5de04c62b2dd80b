"""Observe which requests are answered in place."""

import pytest

from workertown_kv.server.known_fields import KnownBlocks
from workertown_kv.server.plain_exchange import PlainExchange


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
