"""Test servers over a network that breaks, hangs and is slow, in front of every storage."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import pytest

from caller import Caller
from servers.behind import ServersBehind, quiet_server
from servers.databases import TOKENS, database
from servers.relay import Relay
from workertown_kv.options import Secret
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.url import storage_from_url

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

STORAGES: Final = ("postgres", "mariadb", "redis", "upstash", "http", "etcd", "libsql")
"""The names of `servers.databases`, and another server. A new storage needs one line."""

CUTS: Final = range(0, 500, 7)
"""After how many bytes of answers or requests a connection breaks."""

IN_DOUBT: Final = "may or may not have happened"

Find = Callable[[str, str], str]


class Faulty:
    """A storage behind a relay."""

    def __init__(self, url: str, relay: Relay, token: str | None) -> None:
        self.relay = relay
        self._token = Secret(token) if token else None
        self._url = relay.in_front(url)

    @asynccontextmanager
    async def served(self, seconds: float = 1) -> AsyncIterator[Caller]:
        """Run a server over the storage, which waits so long for it, and yield a caller."""
        parameter = f"{'&' if '?' in self._url else '?'}timeout={seconds}"
        storage = storage_from_url(self._url + parameter, token=self._token)
        async with quiet_server(storage) as server:
            yield Caller(server)


@pytest.fixture(scope="module", params=STORAGES)
def faulty(
    request: pytest.FixtureRequest,
    require_program: Find,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Faulty]:
    with ExitStack() as running:
        if request.param == "http":
            url = running.enter_context(ServersBehind()).serve(MemoryStorage())
        else:
            folder = tmp_path_factory.mktemp(request.param)
            url = database(request.param, require_program, folder, running)
        port = urlsplit(url).port
        assert port is not None
        relay = running.enter_context(Relay(port))
        yield Faulty(url, relay, TOKENS.get(request.param))


def is_unavailable(answer: httpx2.Response) -> bool:
    """Return whether a write is in doubt, after an answer that must be a 503."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"].isdecimal()
    return IN_DOUBT in answer.json()["error"]


async def until_it_works(call: Caller, method: str, url: str, **given: Any) -> Any:
    """Repeat a request until the server answers it, without a restart, and return the data."""
    async with asyncio.timeout(60):
        while (answer := await call(method, url, **given)).status_code != 200:
            is_unavailable(answer)
            await asyncio.sleep(0.01)
    return answer.json()["data"]


async def test_a_write_whose_answer_is_lost_is_in_doubt_and_has_happened(faulty: Faulty) -> None:
    async with faulty.served() as call:
        for number in range(5):
            await until_it_works(call, "PUT", "/v1/kv/a", json={"value": "before"})
            faulty.relay.lose_answers()
            assert is_unavailable(await call("PUT", "/v1/kv/a", json={"value": number}))
            assert await until_it_works(call, "GET", "/v1/kv/a") == number


async def test_an_increment_over_connections_that_break_happens_as_the_answers_say(
    faulty: Faulty,
) -> None:
    add: Any = {"json": {"increment": 1}}
    async with faulty.served() as call:
        before = await until_it_works(call, "PATCH", "/v1/kv/count", **add)
        acknowledged = in_doubt = 0
        for cut in CUTS:
            for lose in (faulty.relay.lose_answers, faulty.relay.lose_requests):
                lose(after_bytes=cut)
                answer = await call("PATCH", "/v1/kv/count", **add)
                if answer.status_code == 200:
                    acknowledged += 1
                else:
                    in_doubt += is_unavailable(answer)
                lose(0)
        counted = await until_it_works(call, "GET", "/v1/kv/count") - before
        assert acknowledged <= counted <= acknowledged + in_doubt


async def test_a_server_answers_while_its_storage_hangs_and_recovers(faulty: Faulty) -> None:
    async with faulty.served() as call:
        await until_it_works(call, "PUT", "/v1/kv/a", json={"value": 1})
        with faulty.relay.hanging():
            async with asyncio.timeout(60):
                assert is_unavailable(await call("PUT", "/v1/kv/a", json={"value": 2}))
                assert not is_unavailable(await call("GET", "/v1/kv/a"))
                assert not is_unavailable(await call("GET", "/v1/kv?limit=1"))
        await until_it_works(call, "PUT", "/v1/kv/a", json={"value": 3})
        assert await until_it_works(call, "GET", "/v1/kv/a") == 3


async def test_a_storage_that_refuses_connections_is_used_again_afterwards(faulty: Faulty) -> None:
    async with faulty.served() as call:
        await until_it_works(call, "PUT", "/v1/kv/a", json={"value": 1})
        with faulty.relay.refusing():
            is_unavailable(await call("PUT", "/v1/kv/a", json={"value": 2}))
            assert not is_unavailable(await call("GET", "/v1/kv/a"))
        assert await until_it_works(call, "GET", "/v1/kv/a") in (1, 2)
        await until_it_works(call, "PUT", "/v1/kv/a", json={"value": 3})


async def test_a_server_starts_without_its_storage_and_uses_it_later(faulty: Faulty) -> None:
    async with AsyncExitStack() as running:
        with faulty.relay.refusing():
            call = await running.enter_async_context(faulty.served())
            is_unavailable(await call("GET", "/v1/kv/a"))
        await until_it_works(call, "PUT", "/v1/kv/a", json={"value": 1})


async def test_a_slow_network_only_takes_longer(faulty: Faulty) -> None:
    value = "x" * 300_000
    async with faulty.served(seconds=60) as call:
        with faulty.relay.slow(delay_seconds=0.02):
            await until_it_works(call, "PUT", "/v1/kv/slow", json={"value": 1})
            assert await call.data("GET", "/v1/kv/slow") == 1
        with faulty.relay.slow(bytes_per_second=1_000_000):
            await until_it_works(call, "PUT", "/v1/kv/slow", json={"value": value})
            assert await call.data("GET", "/v1/kv/slow") == value
