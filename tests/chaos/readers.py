"""Follow the changes, as pages and as streams that are cut at random, and resume."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import httpx2

from .client import Client
from .replay import Replay

_PAUSE_SECONDS: Final = 0.05
_RESTARTS: Final = 0.03
"""How often a reader forgets everything instead of resuming."""

_OWN_EVENTS: Final = ("ready", "bookmark")
"""The events of a stream that are no changes."""

_CUT: Final = (httpx2.TransportError, TimeoutError)


@dataclass
class Reader:
    """Follows the changes of some keys from server to server."""

    name: str
    client: Client
    prefixes: Sequence[str] = ()
    streams: bool = False
    values: bool = False
    forgets: bool = False
    """Whether it begins again at times, without its position."""
    nothing_written: Callable[[], bool] = field(default=lambda: False)
    resumes: int = 0
    restarts: int = 0
    resets: int = 0
    changes: int = 0
    earlier_faults: list[str] = field(default_factory=list)
    """The faults of the replays that it has given up."""

    def __post_init__(self) -> None:
        self.replay = Replay(monotonic(), from_nothing=False)
        self._cursor: str | None = None

    @property
    def is_following(self) -> bool:
        """Return whether the reader has a position."""
        return self._cursor is not None

    def watches(self, key: str) -> bool:
        """Return whether a key is among those that it follows."""
        return not self.prefixes or key.startswith(tuple(self.prefixes))

    async def follow(self) -> None:
        """Follow the changes for ever."""
        follow = self._stream if self.streams else self._page
        while True:
            cut = random.uniform(0, 3) if self.streams else random.uniform(0, 0.3)
            may_cut = self.streams or random.random() < 0.3
            try:
                async with asyncio.timeout(cut if may_cut else None):
                    await follow()
            except httpx2.ConnectError:
                await asyncio.sleep(_PAUSE_SECONDS)
            except _CUT:
                self.resumes += 1
                if self.forgets and random.random() < _RESTARTS:
                    self.restarts += 1
                    self._cursor = None

    def _query(self) -> Mapping[str, Any]:
        query: dict[str, Any] = {"initial": "true", "prefix": list(self.prefixes)}
        if self.values:
            query["values"] = "true"
        return query

    def _begin(self) -> None:
        """Forget everything that came before the first position."""
        self.earlier_faults += self.replay.faults
        self.replay = Replay(monotonic(), from_nothing=self.nothing_written())

    def _reset(self) -> None:
        self.resets += 1
        self._cursor = None

    def _apply(self, changes: Sequence[tuple[str, Mapping[str, Any]]], cursor: str) -> None:
        for event, change in changes:
            self.replay.apply(event, change)
        self.changes += len(changes)
        self._cursor = cursor

    async def _page(self) -> None:
        query = {**self._query(), "limit": random.choice((1, 7, 100, 1000))}
        query["wait"] = random.choice((0, 1, 20))
        if self._cursor is not None:
            query["since"] = self._cursor
        answer = await self.client.ask("GET", "/v1/changes", params=query)
        if answer is None:
            self.resumes += 1
        elif answer.status_code == 410:
            self._reset()
        else:
            if self._cursor is None:
                self._begin()
            data = answer.json()["data"]
            changes = [(change["event"], change) for change in data["changes"]]
            self._apply(changes, data["cursor"])

    async def _stream(self) -> None:
        headers = {"Accept": "text/event-stream"}
        if self._cursor is not None:
            headers["Last-Event-ID"] = self._cursor
        async with self.client.stream(
            "/v1/changes", params=self._query(), headers=headers
        ) as answer:
            if answer.status_code != 200:
                await asyncio.sleep(_PAUSE_SECONDS)
                return
            if self._cursor is None:
                self._begin()
            held: list[tuple[str, Mapping[str, Any]]] = []
            async for event, data, cursor in _events(answer):
                if event == "reset":
                    self._reset()
                    return
                if event and event not in _OWN_EVENTS:
                    held.append((event, data))
                # A change without a cursor belongs to the next cursor.
                if cursor:
                    self._apply(held, cursor)
                    held.clear()
        self.resumes += 1


async def _events(answer: httpx2.Response) -> AsyncIterator[tuple[str, Any, str]]:
    """Return each event with its data and its id, and ids without an event."""
    event = data = cursor = ""
    async for line in answer.aiter_lines():
        name, _, text = line.partition(": ")
        match name:
            case "event":
                event = text
            case "data":
                data += text
            case "id":
                cursor = text
            case "" if not line:
                yield event, json.loads(data or "{}"), cursor
                event = data = cursor = ""
