"""Measures the native client of an engine: one operation after another, in each of many tasks."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from .clients import Act, Client
from .data import Data
from .engines import Engine, StartEngine
from .load import Load
from .measure import BYTES, CPU, LARGE, RATE, Setup, Subject, Values
from .usage import CORES, cpu_seconds, others_seconds


def native(name: str, client: Client, engine: StartEngine) -> Setup:
    """Return what starts an engine for a native client."""

    @contextmanager
    def setup(folder: Path, data: Data, loads: Sequence[Load]) -> Iterator[Subject]:
        with engine(folder) as behind:
            yield Native(name, client, behind, data, loads)

    return setup


@dataclass
class Native:
    """A native client in this process, with as many tasks as a load has connections."""

    name: str
    client: Client
    engine: Engine
    data: Data
    loads: Sequence[Load]

    def sample(self, seconds: float) -> Mapping[str, Values]:
        """Do what the load does: read the keys, or write them."""
        (load,) = self.loads
        return {load.name: asyncio.run(self._sample(load, seconds))}

    async def _sample(self, load: Load, seconds: float) -> Values:
        ours, engine = os.getpid(), self.engine.pids
        async with self.client(str(self.engine.url), self.data) as (get, put):
            before = self._used(ours)
            taken = await self._work(put if load.name == "PUT" else get, load.connections, seconds)
            used, engine_used, others = (
                b - a for a, b in zip(before, self._used(ours), strict=True)
            )
        cuts = [1e3 * cut for cut in quantiles(taken, n=1000, method="inclusive")]
        # The last operations end later than they should have: a large value takes long.
        rate = load.connections * len(taken) / sum(taken)
        values = {
            RATE: rate,
            "p50 ms": cuts[499],
            "p99 ms": cuts[989],
            "p99.9 ms": cuts[998],
            CPU: used * 1e6 / len(taken),
            "failed": 0.0,
            "others": max(0.0, others / (seconds * CORES)),
        }
        if engine:
            values["engine CPU µs"] = engine_used * 1e6 / len(taken)
        if self.data.size >= LARGE:
            values[BYTES] = rate * self.data.size / 1e6
        return values

    async def _work(self, act: Act, tasks: int, seconds: float) -> list[float]:
        taken: list[float] = []
        data, text = self.data, self.data.value[:-1]
        until = time.perf_counter() + seconds

        async def repeat(number: int) -> None:
            # Two operations at least, or there would be no percentiles.
            while (started := time.perf_counter()) < until or len(taken) < 2:
                # A new text each time: some engines write nothing where nothing changes.
                await act(data.key(number % data.keys), f"{text}{len(taken)}")
                taken.append(time.perf_counter() - started)
                number += tasks

        await asyncio.gather(*(repeat(number) for number in range(tasks)))
        return taken

    def _used(self, ours: int) -> tuple[float, float, float]:
        return (
            time.process_time(),
            cpu_seconds(self.engine.pids),
            others_seconds((ours, *self.engine.pids)),
        )
