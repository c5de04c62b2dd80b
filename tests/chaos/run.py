"""Let writers write and readers read while servers are killed, and compare them at the end."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, Self

from .client import Client
from .ledger import Ledger
from .readers import Reader
from .replay import MOST_SHOWN, Entry
from .servers import Engine, Server
from .writers import Writers

SETTLING_SECONDS: Final = 60
"""How long a reader may need until it knows everything."""

_FOLDERS: Final = ("own/", "race/", "count/", "marker/")


@dataclass
class Figures:
    """Holds the results of a run."""

    ledger: Ledger
    kills: Counter[str]
    readers: Sequence[Reader]
    statuses: Counter[int]
    errors: Sequence[str]
    """Lines of the logs that tell of errors in the code of the servers."""
    faults: Sequence[str]

    def __str__(self) -> str:
        ledger, readers = self.ledger, self.readers
        kills = ", ".join(f"{times} of {what}" for what, times in self.kills.items())
        resumes = sum(one.resumes for one in readers)
        restarts = sum(one.restarts for one in readers)
        resets = sum(one.resets for one in readers)
        lines = [
            f"{ledger.acknowledged:,} writes acknowledged, {ledger.without_answer} not answered",
            f"{ledger.longest_pause:.1f} s at most without an acknowledged write",
            f"killed: {kills}",
            f"{sum(one.changes for one in readers):,} changes read by {len(readers)} readers",
            f"{resumes:,} resumes, {restarts} restarts, {resets} resets",
            f"answers: {dict(sorted(self.statuses.items()))}",
            f"{len(self.errors)} errors logged",
            *self.errors[:MOST_SHOWN],
            f"{len(self.faults)} faults",
            *self.faults[:MOST_SHOWN],
        ]
        return "\n".join(lines)


class Chaos:
    """Two servers over an engine, their writers and their readers. A context manager."""

    def __init__(self, engine: Engine, logs: Path, *, entries: int) -> None:
        self.ledger = Ledger()
        self.kills = Counter[str]()
        self._engine = engine
        env = {"KV_OPTIONS__CHANGES__ENTRIES": str(entries)}
        self._servers = [Server(engine.url, logs / f"server-{one}.log", env) for one in range(2)]
        self._client = Client([one.url for one in self._servers], self.ledger)
        self._writers = Writers(self._client, self.ledger, engine.atomic)
        self._is_writing = False
        self.readers = [
            self._reader("pages"),
            self._reader("pages with values", values=True, forgets=True),
            self._reader("pages of some", prefixes=_FOLDERS),
            self._reader("stream", streams=True),
            self._reader("stream with values", streams=True, values=True, forgets=True),
            self._reader("stream of some", streams=True, prefixes=_FOLDERS, forgets=True),
            self._reader(
                "pages of others", prefixes=("tree/", "brief/", "queue/", "marker/"), forgets=True
            ),
        ]
        self._running = AsyncExitStack()

    def _reader(
        self,
        name: str,
        *,
        prefixes: Sequence[str] = (),
        streams: bool = False,
        values: bool = False,
        forgets: bool = False,
    ) -> Reader:
        return Reader(
            name, self._client, prefixes, streams, values, forgets, lambda: not self._is_writing
        )

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            for server in self._servers:
                starting.callback(server.kill)
            await asyncio.gather(*(asyncio.to_thread(one.start) for one in self._servers))
            await starting.enter_async_context(self._client)
            self._running = starting.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def run(self, is_enough: Callable[[], bool], pause: Callable[[], float]) -> Figures:
        """Run until there is enough, with pauses between kills, and compare everything."""
        async with asyncio.TaskGroup() as group:
            following = [group.create_task(one.follow()) for one in self.readers]
            await self._until(lambda: all(one.is_following for one in self.readers))
            self._is_writing = True
            writing = self._writers.tasks()
            while not is_enough():
                await asyncio.sleep(pause())
                await self._kill()
                await self._more()
            self._writers.end()
            await asyncio.gather(*writing)
            faults = await self._compare()
            for task in following:
                task.cancel()
        errors = [line for server in self._servers for line in server.errors()]
        return Figures(self.ledger, self.kills, self.readers, self._client.statuses, errors, faults)

    async def _more(self) -> None:
        """Wait until another write is acknowledged."""
        before = self.ledger.acknowledged
        if not await self._until(lambda: self.ledger.acknowledged > before):
            self.ledger.faults.append(f"No write was acknowledged for {SETTLING_SECONDS} s")

    async def _until(self, holds: Callable[[], bool]) -> bool:
        deadline = monotonic() + SETTLING_SECONDS
        while not holds():
            if monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def _kill(self) -> None:
        restart = self._engine.restart
        what = random.choice(["server", "server", "worker", *(["engine"] if restart else [])])
        self.kills[what] += 1
        server = random.choice(self._servers)
        if what == "engine":
            assert restart is not None
            await asyncio.to_thread(restart)
        elif what == "worker":
            await asyncio.to_thread(server.kill_worker)
        else:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

    async def _compare(self) -> list[str]:
        """Wait until all short lives are over and all readers know it, and return all faults."""
        while any(key.startswith("brief/") for key in await self._entries()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        # Readers that know this entry know whatever came before.
        await self._client.certainly("PUT", "/v1/kv/marker/end", json={"value": None})
        self.ledger.may_have_written(*["marker/end"] * 100)
        entries = await self._entries()
        faults = list(self.ledger.faults)
        for reader in self.readers:
            seen = {key: one for key, one in entries.items() if reader.watches(key)}
            found = await self._difference(reader, seen)
            found += reader.replay.compare(self.ledger, reader.watches)
            faults += [f"{reader.name}: {fault}" for fault in reader.earlier_faults + found]
        for key in self.ledger.counts:
            number = await self._client.certainly("GET", f"/v1/kv/{key}")
            faults += self.ledger.counter_faults(key, number.json()["data"], exact="/once/" in key)
        left = {(key, one.version) for key, one in entries.items() if key.startswith("queue/")}
        return faults + self.ledger.queue_faults(left)

    async def _difference(self, reader: Reader, entries: Mapping[str, Entry]) -> list[str]:
        await self._until(lambda: not reader.replay.difference(entries))
        return reader.replay.difference(entries)

    async def _entries(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        cursor: str | None = ""
        while cursor is not None:
            query = {"cursor": cursor} if cursor else {}
            page = await self._client.certainly("GET", "/v1/kv", params=query)
            data = page.json()["data"]
            for one in data["keys"]:
                entries[one["key"]] = Entry(one["version"], one.get("expires_at"))
            cursor = data["cursor"]
        return entries
