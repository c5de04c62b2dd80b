"""Write, read and count through several servers, and check the entries afterwards."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count, cycle, pairwise
from time import monotonic
from typing import Any, Final, NamedTuple, Self

import httpx2

from caller import Caller, make_server
from workertown_kv import Storage

from .history import NOTHING, Act, Counting, History, Refused

WRITERS: Final = 3
"""Each writer makes new keys, so that no later write hides a lost write."""

REWRITERS: Final = 2
READERS: Final = 2
COUNTERS: Final = 3
KEYS: Final = 2
"""The number of keys that the rewriters write again, and that the counters count up."""

PAUSE_SECONDS: Final = 0.05
"""The pause after an answer 503."""

TROUBLE: Final = 20
"""Clients have noticed a failure after this many writes that were answered with 503."""

PATIENCE_SECONDS: Final = 60
PAGE: Final = 500


@dataclass
class Figures:
    """Holds the results of a load."""

    acknowledged: int
    """Writes that were answered with 200."""
    unknown: int
    """Writes that were answered with 503: they may have happened or not."""
    lost: int
    """Acknowledged writes that are gone, and that no later write has replaced."""
    idle_seconds: float
    """The longest time in which no write was acknowledged."""
    faults: list[str]
    """Reads that are impossible if there is one copy of each entry, and one act at a time."""

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} writes acknowledged, {self.unknown} unknown, {self.lost} lost, "
            f"{len(self.faults)} faults, {self.idle_seconds:.1f} s without a write"
        )


class Seen(NamedTuple):
    """A read and its result."""

    value: str
    number: int
    etag: str | None


class Load:
    """Servers, each over one storage, and clients that use them by turns. A context manager.

    Each request of a client goes to another server than its last request.
    """

    def __init__(self, storages: Sequence[Storage]) -> None:
        self._callers = [Caller(make_server(storage)) for storage in storages]
        self._turns = cycle(range(len(storages)))
        self._versions: dict[str, str] = {}
        """The acknowledged values of the keys that are written once."""
        self._registers = {f"register/{number}": History() for number in range(KEYS)}
        self._counters = {f"counter/{number}": Counting() for number in range(KEYS)}
        self._acknowledged: list[float] = []
        self._by = Counter[int]()
        self._unknown = 0
        self._ending = False
        self._clients: list[asyncio.Task[None]] = []
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for caller in self._callers:
                await opening.enter_async_context(caller.server)
            self._open = opening.pop_all()
        self._acknowledged.append(monotonic())
        self._clients = [
            asyncio.create_task(one)
            for one in (
                *(self._write(f"writer-{number}") for number in range(WRITERS)),
                *(self._rewrite(f"rewriter-{number}") for number in range(REWRITERS)),
                *(self._read() for _ in range(READERS)),
                *(self._count(f"counter-{number}") for number in range(COUNTERS)),
            )
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await self._open.aclose()

    async def more(self, writes: int = 200, *, but: int | None = None) -> None:
        """Wait until each server, except one, has acknowledged this many further writes."""
        aims = {one: self._by[one] + writes for one in range(len(self._callers)) if one != but}
        await self._until(lambda: all(self._by[one] >= aim for one, aim in aims.items()))

    async def trouble(self) -> None:
        """Wait until clients have noticed the failure."""
        aim = self._unknown + TROUBLE
        await self._until(lambda: self._unknown >= aim)

    async def _until(self, holds: Callable[[], bool]) -> None:
        deadline = monotonic() + PATIENCE_SECONDS
        while not holds():
            for client in self._clients:
                if client.done():
                    client.result()
            assert monotonic() < deadline, f"Acknowledged by each: {self._by}"
            await asyncio.sleep(0.01)

    async def figures(self) -> Figures:
        """Let all clients end, read all entries through each server, and compare them."""
        self._ending = True
        await asyncio.gather(*self._clients)
        self._acknowledged.append(monotonic())
        missing = set[str]()
        faults = []
        histories: Mapping[str, History] = {**self._registers, **self._counters}
        for which, caller in enumerate(self._callers):
            missing |= await self._missing(caller)
            for key, history in histories.items():
                seen = await self._look(which, key, history)
                assert seen is not None
                if isinstance(history, Counting) and seen.number != len(history.line()):
                    faults.append(f"{key} is {seen.number}, after {len(history.line())} writes")
        for key, history in histories.items():
            faults += [f"{key}: {fault}" for fault in history.faults()]
        return Figures(
            acknowledged=len(self._acknowledged) - 2,
            unknown=self._unknown,
            lost=len(missing) + sum(history.lost() for history in histories.values()),
            idle_seconds=max(after - one for one, after in pairwise(self._acknowledged)),
            faults=faults,
        )

    async def _write(self, name: str) -> None:
        for number in count():
            if self._ending:
                return
            key = f"{name}/{number}"
            answer = await self._put(key, contents(f"{name}.{number}"))
            if answer.status_code == 200:
                self._versions[key] = answer.headers["etag"].strip('"')

    async def _rewrite(self, name: str) -> None:
        for number, (key, history) in enumerate(cycle(self._registers.items())):
            if self._ending:
                return
            act = Act(f"{name}.{number}", monotonic(), writes=True)
            if (await self._put(key, contents(act.value))).status_code == 200:
                act.ended = monotonic()
            history.acts.append(act)

    async def _read(self) -> None:
        for key, history in cycle(self._registers.items()):
            if self._ending:
                return
            await self._look(next(self._turns), key, history)

    async def _count(self, name: str) -> None:
        for number, (key, history) in enumerate(cycle(self._counters.items())):
            if self._ending:
                return
            seen = await self._look(next(self._turns), key, history)
            if seen is None:
                continue
            act = Act(f"{name}.{number}", monotonic(), writes=True)
            history.before[act.value] = seen.value
            condition = {"If-Match": seen.etag} if seen.etag else {"If-None-Match": "*"}
            answer = await self._put(key, contents(act.value, seen.number + 1), condition)
            if answer.status_code == 412:
                history.refused.append(Refused(act.value, seen.value, monotonic()))
                continue
            if answer.status_code == 200:
                act.ended = monotonic()
            history.acts.append(act)

    async def _look(self, which: int, key: str, history: History) -> Seen | None:
        """Read, and record the result; nothing if there was no answer."""
        began = monotonic()
        answer = await self._ask(which, "GET", f"/v1/kv/{key}")
        ended = monotonic()
        match answer.status_code:
            case 200:
                found = answer.json()["data"]
                assert found == contents(found["value"], found["count"]), f"{key} is half there"
                seen = Seen(found["value"], found["count"], answer.headers["etag"])
            case 404:
                seen = Seen(NOTHING, 0, None)
            case _:
                return None
        history.acts.append(Act(seen.value, began, ended))
        return seen

    async def _put(
        self, key: str, content: object, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        which = next(self._turns)
        answer = await self._ask(
            which, "PUT", f"/v1/kv/{key}", json={"value": content}, headers=headers
        )
        match answer.status_code:
            case 200:
                self._acknowledged.append(monotonic())
                self._by[which] += 1
            case 503:
                self._unknown += 1
        return answer

    async def _ask(self, which: int, method: str, url: str, **given: Any) -> httpx2.Response:
        answer = await self._callers[which](method, url, **given)
        assert answer.status_code in (200, 404, 412, 503), answer.text
        if answer.status_code == 503:
            await asyncio.sleep(PAUSE_SECONDS)
        return answer

    async def _missing(self, caller: Caller) -> set[str]:
        """Return the keys that were written once and differ from the acknowledged value."""
        keys = list(self._versions)
        missing = set()
        for start in range(0, len(keys), PAGE):
            gets = [{"op": "get", "key": key} for key in keys[start : start + PAGE]]
            for found in await caller.data("POST", "/v1/kv", json={"operations": gets}):
                key, value = found["key"], found["value"]
                if found["version"] != self._versions[key]:
                    missing.add(key)
                else:
                    assert value == contents(value["value"]), f"{key} is half there"
        return missing


def contents(value: str, count: int = 0) -> dict[str, object]:
    """Return the value of a write, which can be told from its beginning."""
    return {"value": value, "count": count, "text": "größer " * (hash_of(value) % 100)}


def hash_of(value: str) -> int:
    return sum(value.encode()) * 37
