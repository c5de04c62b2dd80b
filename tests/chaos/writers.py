"""Write in all the ways that the servers have, and note what they acknowledge."""

import asyncio
import math
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from time import monotonic
from typing import Final

import httpx2

from .client import Client, version_of
from .ledger import ANY, Ledger

OWNERS: Final = 3
RACERS: Final = 2
COUNTERS: Final = 3
TAKERS: Final = 3
KEYS: Final = 8
SETTLED_SECONDS: Final = 60
"""A request without an answer has happened after this time, or never does."""
SHORT_SECONDS: Final = 1

_FAR: Final = count(4_000_000_000)
"""Ends of lifetimes, each given once."""


class Writers:
    """The writers of a run."""

    def __init__(self, client: Client, ledger: Ledger, atomic: int) -> None:
        self.atomic = atomic
        """The most operations of an atomic batch."""
        self.client = client
        self.ledger = ledger
        self._unsettled: dict[str, float] = {}
        """When a request on a key had no answer."""
        self._numbers = count()
        self._is_ending = False

    def end(self) -> None:
        """Let all writers end."""
        self._is_ending = True

    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """Start all writers."""
        acts: list[Callable[[], Awaitable[None]]] = [
            _Owner(self, f"own/{number}").act for number in range(OWNERS)
        ]
        acts += [self._race] * RACERS
        acts += [self._count] * COUNTERS
        acts += [self._take] * TAKERS
        acts += [self._produce, _Brief(self).act, _Forest(self).act]
        return [asyncio.create_task(self._repeat(act)) for act in acts]

    async def _repeat(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self._is_ending:
            await act()
            await asyncio.sleep(random.uniform(0, 0.02))

    async def put(
        self,
        key: str,
        *,
        before: str | None = ANY,
        only_if: bool = True,
        ttl: int | None = None,
    ) -> httpx2.Response | None:
        """Write a value that was never written before, and only over `before`."""
        value = f"{key}={uuid.uuid4().hex}"
        body: dict[str, object] = {"value": value}
        if ttl is not None:
            body["ttl"] = ttl
        headers = _condition(before) if only_if else {}
        began = monotonic()
        answer = await self.client.ask("PUT", f"/v1/kv/{key}", json=body, headers=headers)
        if answer is None:
            self.ledger.may_have_written(key)
            self.unsettle(key)
        elif answer.status_code == 200:
            self.ledger.wrote(key, version_of(answer), began, before, value)
        return answer

    def unsettle(self, key: str) -> None:
        """Note that a request on a key may still happen."""
        self._unsettled[key] = monotonic()

    def is_settled(self, key: str) -> bool:
        """Return whether all requests on a key have happened, or never will."""
        return monotonic() - self._unsettled.get(key, -math.inf) > SETTLED_SECONDS

    def surprise(self, key: str, answer: httpx2.Response, expected: str) -> None:
        """Note an answer that is wrong if all requests on its key had happened before."""
        if self.is_settled(key):
            self.ledger.faults.append(f"{key}: {answer.status_code}; expected {expected}")

    async def _race(self) -> None:
        """Write, or delete, what was there a moment ago, as others do with the same keys."""
        key = f"race/{random.randrange(KEYS // 2)}"
        seen = await self.client.ask("GET", f"/v1/kv/{key}")
        if seen is None:
            return
        before = version_of(seen) if seen.status_code == 200 else None
        if before is None or random.random() < 0.8:
            await self.put(key, before=before)
            return
        began = monotonic()
        answer = await self.client.ask("DELETE", f"/v1/kv/{key}", headers=_condition(before))
        if answer is not None and answer.status_code == 200:
            self.ledger.removes(key, before, began)

    async def _count(self) -> None:
        """Count, and with an idempotency key until there is an answer."""
        once = random.random() < 0.5
        key = f"count/{'once' if once else 'plain'}/{random.randrange(2)}"
        began = monotonic()
        body = {"increment": 1}
        answer: httpx2.Response | None
        if once:
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            answer = await self.client.certainly(
                "PATCH", f"/v1/kv/{key}", json=body, headers=headers
            )
        else:
            answer = await self.client.ask("PATCH", f"/v1/kv/{key}", json=body)
        if answer is None:
            self.ledger.may_have_written(key)
            return
        version = version_of(answer)
        number = answer.json()["data"]
        self.ledger.wrote(key, version, began, value=number)
        self.ledger.counted(key, number, version)

    async def _produce(self) -> None:
        """Put a value into a queue."""
        key = f"queue/{next(self._numbers)}"
        answer = await self.put(key, before=None)
        if answer is not None and answer.status_code == 200:
            version = version_of(answer)
            self.ledger.produced.add((key, version))

    async def _take(self) -> None:
        """Take a value of a queue, half of the time with an idempotency key."""
        page = await self.client.ask("GET", "/v1/kv?prefix=queue/&limit=8")
        if page is None or not page.json()["data"]["keys"]:
            return
        key = random.choice(page.json()["data"]["keys"])["key"]
        path = f"/v1/kv/{key}?take=true"
        began = monotonic()
        answer: httpx2.Response | None
        if random.random() < 0.5:
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            answer = await self.client.certainly("DELETE", path, headers=headers)
        else:
            answer = await self.client.ask("DELETE", path)
        if answer is None:
            self.ledger.without_answer += 1
            self.ledger.perhaps_taken.add(key)
        elif answer.status_code == 200:
            version = version_of(answer)
            self.ledger.taken[key, version] += 1
            self.ledger.removes(key, version, began)


class _Owner:
    """Writes keys that nobody else writes, so that it knows each version that it replaces."""

    def __init__(self, writers: Writers, folder: str) -> None:
        self._writers = writers
        self._versions: dict[str, str | None] = {f"{folder}/{one}": None for one in range(KEYS)}

    async def act(self) -> None:
        """Do one of many acts on one of the keys."""
        key = random.choice(list(self._versions))
        before = self._versions[key]
        if before is None or before == ANY or random.random() < 0.4:
            answer = await self._put(key, before)
        else:
            answer = await random.choice([self._delete, self._touch, self._merge])(key, before)
        if answer is None:
            self._writers.unsettle(key)
            self._versions[key] = ANY
        elif answer.status_code != 200:
            self._writers.surprise(key, answer, f"the version {before}")
            self._versions[key] = ANY

    async def _put(self, key: str, before: str | None) -> httpx2.Response | None:
        only_if = not self._writers.is_settled(key) or random.random() < 0.5
        answer = await self._writers.put(key, before=before, only_if=only_if)
        if answer is not None and answer.status_code == 200:
            self._versions[key] = version_of(answer)
        return answer

    async def _delete(self, key: str, before: str) -> httpx2.Response | None:
        began = monotonic()
        headers = {} if self._writers.is_settled(key) else _condition(before)
        answer = await self._writers.client.ask("DELETE", f"/v1/kv/{key}", headers=headers)
        if answer is None:
            self._writers.ledger.without_answer += 1
        elif answer.status_code == 200:
            self._writers.ledger.removes(key, before, began)
            self._versions[key] = None
        return answer

    async def _touch(self, key: str, before: str) -> httpx2.Response | None:
        body = {"expires_at": next(_FAR)}
        answer = await self._writers.client.ask(
            "PATCH", f"/v1/kv/{key}", json=body, headers=_condition(before)
        )
        if answer is None:
            self._writers.ledger.without_answer += 1
        elif answer.status_code == 200:
            self._writers.ledger.acknowledge()
        return answer

    async def _merge(self, key: str, before: str) -> httpx2.Response | None:
        value = f"{key}={uuid.uuid4().hex}"
        headers = {**_condition(before), "Content-Type": "application/merge-patch+json"}
        began = monotonic()
        answer = await self._writers.client.ask(
            "PATCH", f"/v1/kv/{key}", json=value, headers=headers
        )
        if answer is None:
            self._writers.ledger.may_have_written(key)
        elif answer.status_code == 200:
            version = self._versions[key] = version_of(answer)
            self._writers.ledger.wrote(key, version, began, before, value)
        return answer


class _Brief:
    """Writes entries that expire, and lets some of them live longer."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers
        self._expired_at: dict[str, int] = {}
        """When each entry has surely expired."""

    async def act(self) -> None:
        """Write an entry, or let it live longer, or create it again."""
        key = f"brief/{random.randrange(KEYS * 3)}"
        if key in self._expired_at and random.random() < 0.2:
            await self._extend(key)
            return
        may_be_there = self._expired_at.get(key, 0) > time.time()
        creates = random.random() < 0.7
        before = None if creates else ANY
        answer = await self._writers.put(key, before=before, only_if=creates, ttl=SHORT_SECONDS)
        if answer is None or answer.status_code == 200:
            # The lifetime of a write that is still to come begins later.
            self._expired_at[key] = int(time.time()) + SHORT_SECONDS + 1
        elif not may_be_there:
            self._writers.surprise(key, answer, "no entry, since it has expired")

    async def _extend(self, key: str) -> None:
        # The end of each lifetime differs from those before, so that no two touches are the same.
        ends = max(self._expired_at[key] + 1, int(time.time()) + 2 * SHORT_SECONDS)
        body = {"expires_at": ends}
        answer = await self._writers.client.ask("PATCH", f"/v1/kv/{key}", json=body)
        if answer is None:
            self._writers.unsettle(key)
            self._writers.ledger.without_answer += 1
        if answer is None or answer.status_code == 200:
            self._expired_at[key] = ends
            if answer is not None:
                self._writers.ledger.acknowledge()


class _Forest:
    """Writes many keys with one prefix at once, and deletes them while others write there."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers
        self._trees = count()

    async def act(self) -> None:
        """Write and delete a tree."""
        tree = f"tree/{next(self._trees)}"
        keys = [f"{tree}/{one}" for one in range(random.choice((10, 50, 50, 50, 700)))]
        written = [*await self._grow(keys[:500]), *await self._grow(keys[500:])]
        _, began = await asyncio.gather(self._sprout(tree), self._cut(tree))
        for key, version in written:
            self._writers.ledger.removes(key, version, began)

    async def _grow(self, keys: Sequence[str]) -> list[tuple[str, str]]:
        if not keys:
            return []
        ledger = self._writers.ledger
        operations = [{"op": "set", "key": key, "value": key} for key in keys]
        atomic = len(keys) <= self._writers.atomic and random.random() < 0.5
        body = {"operations": operations, "atomic": atomic}
        began = monotonic()
        answer = await self._writers.client.ask("POST", "/v1/kv", json=body)
        if answer is None:
            ledger.may_have_written(*keys)
            return []
        written = []
        for found in answer.json()["data"]:
            if "version" in found:
                ledger.wrote(found["key"], found["version"], began, value=found["key"])
                written.append((found["key"], found["version"]))
            else:
                ledger.may_have_written(found["key"])
        return written

    async def _sprout(self, tree: str) -> None:
        for number in range(5):
            await self._writers.put(f"{tree}/{random.choice('159')}x{number}")

    async def _cut(self, tree: str) -> float:
        """Delete the tree. Return when the deletion began that was whole."""
        began, cursor = monotonic(), ""
        while True:
            path = f"/v1/kv?prefix={tree}/{cursor}"
            answer = await self._writers.client.ask("DELETE", path)
            if answer is None:
                cursor = ""
                continue
            data = answer.json()["data"]
            if data["complete"]:
                return began
            cursor = f"&cursor={data['cursor']}"


def _condition(before: str | None) -> dict[str, str]:
    if before == ANY:
        return {}
    return {"If-None-Match": "*"} if before is None else {"If-Match": f'"{before}"'}
