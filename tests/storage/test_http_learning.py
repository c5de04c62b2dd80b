"""Test when a server in front learns what the server behind can do."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from caller import API_KEY, Caller, until_status
from servers.behind import ServersBehind, quiet_server
from servers.relay import Relay
from servers.scripted import answer, scripted
from workertown_kv.cli.workers import try_out
from workertown_kv.errors import StorageError, StorageFailure
from workertown_kv.operations import Get, Touch
from workertown_kv.storage import Capability
from workertown_kv.storage.http import HttpStorage
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

IN_DOUBT = "may or may not have happened"
REFUSED = answer(
    b'{"status":401,"success":false,"data":null,"error":"Unauthorized","errors":[]}', b"401 X"
)


class Untouchable(MemoryStorage):
    lacks: ClassVar = {Capability.TOUCH: "It keeps no lifetimes."}

    async def touch(self, operation: Touch) -> str | None:
        raise self.unsupported(Capability.TOUCH)


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with ExitStack() as running:
        url = running.enter_context(ServersBehind()).serve(Untouchable())
        port = urlsplit(url).port
        assert port is not None
        yield running.enter_context(Relay(port))


def front_of(relay: Relay) -> HttpStorage:
    return HttpStorage(f"http://127.0.0.1:{relay.port}", token=API_KEY)


async def test_a_server_starts_while_the_server_behind_is_down_and_uses_it_later(
    relay: Relay,
) -> None:
    once = {"Idempotency-Key": "k"}
    with relay.refusing():
        front = quiet_server(front_of(relay))
        await front.open()
        call = Caller(front)
        for method, url, given in (
            ("GET", "/v1/kv/a", {}),
            ("GET", "/v1/kv", {}),
            ("GET", "/v1/kv?about=true", {}),
            ("GET", "/v1/changes", {}),
            ("GET", "/admin/namespaces", {}),
            ("PUT", "/v1/kv/a", {"json": {"value": 1}}),
            ("PATCH", "/v1/kv/a", {"json": {"increment": 1}}),
            ("PATCH", "/v1/kv/a", {"json": {"increment": 1}, "headers": once}),
            ("DELETE", "/v1/kv?prefix=a", {}),
        ):
            found = await call(method, url, **given)
            assert found.status_code == 503, found.text
            assert IN_DOUBT not in found.text
        ready = await call("GET", "/health/ready")
        assert (ready.status_code, "unreachable" in ready.text) == (503, True)
    await until_status(lambda: call("GET", "/health/ready"), 200)
    assert await call.data("PATCH", "/v1/kv/a", json={"increment": 1}, headers=once) == 1
    assert await call.data("PATCH", "/v1/kv/a", json={"increment": 1}, headers=once) == 1
    lacks = (await call.data("GET", "/v1/kv?about=true"))["lacks"]
    assert lacks.keys() == {Capability.TOUCH, Capability.RESERVED}
    await front.close()


async def test_requests_that_arrive_before_anything_is_known_are_all_answered(
    relay: Relay,
) -> None:
    with relay.refusing():
        front = quiet_server(front_of(relay))
        await front.open()
    call = Caller(front)
    puts = [call("PUT", f"/v1/kv/{number}", json={"value": number}) for number in range(30)]
    assert {found.status_code for found in await asyncio.gather(*puts)} == {200}
    await front.close()


async def test_a_server_in_front_of_a_server_that_does_not_know_yet_learns_later(
    relay: Relay,
) -> None:
    with ServersBehind() as servers:
        with relay.refusing():
            storage = HttpStorage(servers.serve(front_of(relay)), token=API_KEY)
            await storage.open()
            assert Capability.TOUCH not in storage.lacks
        await storage.get(Get("default", "a"))
        assert Capability.TOUCH in storage.lacks
        await storage.close()


async def test_the_open_api_document_says_what_is_learnt_later(relay: Relay) -> None:
    async def says(call: Caller) -> bool:
        document = (await call("GET", "/open-api.json")).json()
        return "501" in document["paths"]["/v1/kv/{key}"]["patch"]["responses"]

    with ServersBehind() as servers:
        async with AsyncExitStack() as opened:
            with relay.refusing():
                front = quiet_server(HttpStorage(servers.serve(front_of(relay)), token=API_KEY))
                call = Caller(await opened.enter_async_context(front))
                assert not await says(call)
            await call("GET", "/v1/kv/a")
            assert await says(call)


async def test_serve_warns_once_of_a_server_behind_that_is_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "workertown_kv")
    await try_out(quiet_server(HttpStorage("http://127.0.0.1:1", token=API_KEY)))
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "The storage cannot be used yet (unreachable): The server at 127.0.0.1:1 cannot be reached"
    )


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (REFUSED, "refuses the token; expected one of its API keys"),
        (answer(b"<html>"), "is no server of workertown-kv"),
    ],
)
async def test_a_wrong_token_or_another_program_is_refused_at_the_start_and_later(
    about: bytes, message: str
) -> None:
    def script(*_: object) -> bytes:
        raise AssertionError("nothing else is sent before the answer about the server")

    async with scripted(script) as server:
        server.about = about
        with pytest.raises(StorageError, match=message):
            await try_out(quiet_server(HttpStorage(server.url, token=API_KEY)))
        server.about = b""
        storage = HttpStorage(server.url, token=API_KEY)
        await storage.open()
        server.about = about
        for act in (storage.get(Get("default", "a")), storage.probe()):
            await _raises(act, message)
        await storage.close()


async def _raises(act: Any, message: str) -> None:
    with pytest.raises(StorageError, match=message) as caught:
        await act
    assert caught.value.kind is not StorageFailure.UNREACHABLE
