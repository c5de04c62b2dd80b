"""Test pools whose engine accepts fewer connections than the pool may have."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from workertown_kv.storage.connections import Connections

pytestmark = pytest.mark.anyio


class Refused(Exception):
    """The engine accepts no more connections."""


class Engine:
    """Accepts this many connections, each a number."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried = 0

    async def connect(self) -> int:
        self.tried += 1
        await asyncio.sleep(0)
        if self.room == 0:
            raise Refused
        self.room -= 1
        return self.tried


async def settled() -> None:
    """Let all tasks run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def taken(connections: Connections[int], count: int) -> list[asyncio.Task[int]]:
    new: Callable[[], Coroutine[Any, Any, int]] = connections.new
    tasks = [asyncio.create_task(new()) for _ in range(count)]
    await settled()
    return tasks


async def test_who_finds_no_room_gets_what_others_have_used_in_line() -> None:
    engine = Engine(room=2)
    connections = Connections(engine.connect, Refused)
    first, second, *waiting = await taken(connections, 5)
    assert [one.done() for one in waiting] == [False] * 3
    assert len(connections.waiting) == 3
    connections.keep(first.result())
    assert await waiting[0] == first.result()
    connections.keep(second.result())
    assert await waiting[1] == second.result()
    assert not waiting[2].done()
    connections.keep(first.result())
    assert await waiting[2] == first.result()
    connections.keep(first.result())
    assert connections.idle == [first.result()]


async def test_what_became_idle_during_a_refused_attempt_is_used() -> None:
    engine = Engine(room=1)
    connections = Connections(engine.connect, Refused)
    (first,) = await taken(connections, 1)
    second = asyncio.create_task(connections.new())
    await asyncio.sleep(0)  # it tries to make another
    connections.keep(first.result())
    await settled()
    assert second.done()
    assert (second.result(), connections.idle) == (first.result(), [])


async def test_the_next_task_does_not_try_in_vain() -> None:
    engine = Engine(room=1)
    connections = Connections(engine.connect, Refused)
    (one,) = await taken(connections, 1)
    await taken(connections, 1)
    tried = engine.tried
    later = await taken(connections, 3)
    assert engine.tried == tried
    for task in later:
        task.cancel()
    assert one.result() == 1


async def test_where_there_is_none_to_wait_for_all_fail() -> None:
    connections = Connections(Engine(room=0).connect, Refused)
    tasks = await taken(connections, 5)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in outcomes] == [Refused] * 5
    assert not connections.waiting


async def test_one_that_ends_makes_room_for_who_waits() -> None:
    engine = Engine(room=1)
    connections = Connections(engine.connect, Refused)
    _, waiting = await taken(connections, 2)
    assert not waiting.done()
    engine.room = 1
    connections.ended()
    assert await waiting > 1


async def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    connections = Connections(Engine(room=1).connect, Refused)
    first, second, third = await taken(connections, 3)
    connections.keep(first.result())
    second.cancel()  # at the moment at which it gets the connection
    assert await third == first.result()
    with pytest.raises(asyncio.CancelledError):
        await second
