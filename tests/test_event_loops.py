"""Test one server on several event loops: one after the other, and in threads."""

import asyncio
import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

import pytest

from caller import until_status
from servers.databases import database
from servers.installed import Find
from workertown_kv import Server, kv

KEY = {"Authorization": "Bearer s3cret"}
STORAGES: Final = (
    *("memory", "sqlite", "postgres", "mariadb", "redis", "cluster", "upstash", "etcd"),
)
DEEP: Final = ("mariadb", "cluster", "upstash", "etcd")
"""Their connections are kept as those of `postgres` and `redis`, or by a client for HTTP."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.deep if name in DEEP else ()) for name in STORAGES
    ],
)
def url(
    request: pytest.FixtureRequest,
    require_program: Find,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("database")
    with ExitStack() as running:
        yield database(request.param, require_program, folder, running)


def make(url: str, **options: Any) -> Server:
    given: Any = {"auth": {"api_key": {"api_key": "s3cret"}}, **options}
    return kv(given, get_env=lambda: {"KV_DB": url})


async def put_and_get(server: Server, number: int) -> None:
    """Send several requests at once, so that a storage has several connections."""
    paths = [f"/v1/kv/{number}-{i}" for i in range(3)]
    for method, given in (("PUT", {"json": {"value": number}}), ("GET", {})):
        answers = await asyncio.gather(
            *(server.request(method, path, headers=KEY, **given) for path in paths)
        )
        assert [answer.json()["data"] for answer in answers] == [number] * 3
    await until_status(lambda: server.request("GET", "/health/ready"), 200)


def test_each_event_loop_may_use_it_after_the_other(url: str) -> None:
    server = make(url, cache={"ttl": 60})
    for number in range(2):
        asyncio.run(put_and_get(server, number))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what such a loop leaves is not closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_ends_without_closing_anything_does_no_harm(url: str) -> None:
    server = make(url)
    for number in range(2):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(put_and_get(server, number))
        loop.close()
    asyncio.run(put_and_get(server, 4))
    gc.collect()


def test_threads_may_use_it_one_after_the_other(url: str) -> None:
    server = make(url)
    for number in range(2):
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, put_and_get(server, number)).result()


def test_a_second_event_loop_at_the_same_time_gets_advice(url: str) -> None:
    server = make(url)

    async def from_another_thread() -> None:
        await put_and_get(server, 1)
        answer = await asyncio.to_thread(
            asyncio.run, server.request("GET", "/v1/kv/1-1", headers=KEY)
        )
        assert answer.status_code == 503
        assert "run_coroutine_threadsafe" in answer.json()["error"]
        await put_and_get(server, 2)

    asyncio.run(from_another_thread())
    asyncio.run(put_and_get(server, 3))


def test_all_threads_may_send_requests_to_one_event_loop(url: str) -> None:
    server = make(url)

    async def serve() -> None:
        loop = asyncio.get_running_loop()

        def ask(number: int) -> None:
            asyncio.run_coroutine_threadsafe(put_and_get(server, number), loop).result()

        await asyncio.gather(*(asyncio.to_thread(ask, number) for number in range(3)))

    asyncio.run(serve())
