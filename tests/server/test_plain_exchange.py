"""Answers in place that wait, that are long, and that fail."""

import asyncio
import re
import socket
import struct
from typing import Any

import pytest

from caller import make_server
from served_socket import (
    KEY,
    MIB,
    on_both_loops,
    one_answer,
    put,
    request,
    serving,
    statuses,
    until,
)
from workertown_kv.operations import Get, Set
from workertown_kv.server.plain_exchange import PlainExchange
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.tasks import OutcomeFuture

pytestmark = pytest.mark.anyio
anyio_backend = on_both_loops


class Slow(MemoryStorage):
    """Writes only once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = asyncio.Event()
        self.waiting = 0

    async def set(self, operation: Set) -> str:
        self.waiting += 1
        await self.may_write.wait()
        return await super().set(operation)


async def test_a_client_that_is_gone_takes_no_answer_of_others() -> None:
    storage = Slow()
    async with make_server(storage) as server, serving(server) as served:
        _, gone = await served.connect()
        gone.write(put(b"a", b'{"value":1}') + request(b"GET /v1/kv/a"))
        await until(lambda: storage.waiting == 1)
        (lost,) = served.protocols
        reader, writer = await served.connect()
        writer.write(put(b"b", b'{"value":2}'))
        await until(lambda: storage.waiting == 2)
        lost.abort()
        await until(lambda: len(served.protocols) == 1)
        storage.may_write.set()
        assert statuses(await one_answer(reader)) == [200]
        for one in (gone, writer):
            one.close()


@pytest.mark.parametrize("event", ["shutdown", "reload", "disconnect"])
async def test_a_write_under_way_is_finished_whatever_happens(event: str) -> None:
    storage = Slow()
    async with make_server(storage) as server, serving(server) as served:
        reader, writer = await served.connect()
        writer.write(put(b"a", b'{"value":1}'))
        await until(lambda: storage.waiting == 1)
        protocol = served.protocol(writer)
        assert protocol is not None
        if event == "shutdown":
            protocol.shutdown()
        elif event == "reload":
            protocol.use(make_server(MemoryStorage()))
        else:
            # A client that has only ended what it sends still gets its answer.
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
            await until(lambda: not served.state.connections)
        storage.may_write.set()
        if event == "disconnect":
            await until(lambda: not served.state.tasks)
        else:
            answer = await one_answer(reader)
            assert statuses(answer) == [200]
            assert (b"\r\nconnection: close\r\n" in answer) == (event == "shutdown")
            writer.close()
        assert await storage.get(Get("default", "a")) is not None


class InSteps(MemoryStorage):
    """Waits twice for each write, without a task."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[OutcomeFuture[None]] = []

    async def set(self, operation: Set) -> str:
        for _ in range(2):
            step = OutcomeFuture[None]()
            self.steps.append(step)
            await step
        return await super().set(operation)


async def test_a_request_is_one_of_the_tasks_until_it_is_answered() -> None:
    storage = InSteps()
    async with make_server(storage) as server, serving(server) as served:
        reader, writer = await served.connect()
        writer.write(put(b"a", b'{"value":1}'))
        await until(lambda: len(storage.steps) == 1)
        (first,) = served.state.tasks
        asyncio.get_running_loop().call_soon(storage.steps[0].end, None)
        await until(lambda: len(storage.steps) == 2)
        assert served.state.tasks == {first}
        assert not first.done()
        asyncio.get_running_loop().call_soon(storage.steps[1].end, None)
        assert statuses(await one_answer(reader)) == [200]
        assert first.done()
        assert not served.state.tasks
        writer.close()


async def test_wrong_credentials_are_refused_as_slowly(
    tmp_path: Any, in_place: list[PlainExchange]
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    server = make_server(MemoryStorage(), auth={"failure_seconds": 5, "api_key": {"api_key": "k"}})
    server.guard._sleep = sleep
    async with server, serving(server) as served:
        wrong = request(b"GET /v1/kv/a").replace(KEY, b"Authorization: Bearer wrong\r\n")
        assert statuses(await served.answer(wrong)) == [401]
    assert len(in_place) == 1
    assert len(slept) == 1
    assert 4 < slept[0] <= 5


async def test_large_answers_are_whole_and_take_no_memory_of_a_client_that_stops_reading() -> None:
    value = b'"' + b"x" * (4 * MIB) + b'"'
    storage = MemoryStorage()
    async with make_server(storage) as server, serving(server) as served:
        await storage.set(Set(namespace="default", key="a", value=value))
        await storage.set(Set(namespace="default", key="b", value=b'"' + b"y" * 60_000 + b'"'))
        assert value in await served.answer(request(b"GET /v1/kv/a"))
        reader, writer = await served.connect()
        for line in (b"GET /v1/kv/a", b"GET /v1/kv/b"):
            writer.write(request(line) * 500)
        protocol = served.protocol(writer)
        assert protocol is not None
        await until(lambda: protocol.flow.write_paused)
        assert protocol.transport._transport.get_write_buffer_size() < MIB  # type: ignore[attr-defined]
        for _ in range(2):
            assert value in await one_answer(reader)
        writer.close()


async def test_an_answer_that_breaks_off_ends_only_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server(MemoryStorage(), logger=lambda *_: 1 / 0)
    async with server, serving(server) as served:
        received = await served.all(request(b"GET /v1/kv/a"))
        assert statuses(received) in ([], [404])
    assert any(
        re.fullmatch(r"request [0-9a-f]{10}-\d+: the answer broke off", one)
        for one in caplog.messages
    )
