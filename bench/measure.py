"""Says what can be measured, and measures a server under the load of wrk."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from .data import Data
from .load import Load, run_loads
from .server import Server, Start
from .usage import CORES, cpu_seconds, forget_peak, others_seconds, peak_mb, resident_mb

Values = dict[str, float]
"""What was measured, by the name of the measure and its unit."""
RATE: Final = "requests/s"
CPU: Final = "CPU µs"
BYTES: Final = "MB/s"
LARGE: Final = 100_000
"""From this size of values on, bytes a second say more than requests do."""


class Subject(Protocol):
    """Something that runs and can be measured several times."""

    @property
    def name(self) -> str:
        """Return what the report calls it."""

    @property
    def loads(self) -> Sequence[Load]:
        """Return the loads that run at the same time."""

    def sample(self, seconds: float) -> Mapping[str, Values]:
        """Measure for some seconds, and return the values of each load by its name."""


Setup = Callable[[Path, Data, Sequence[Load]], AbstractContextManager[Subject]]
"""Starts a subject that keeps its files in the folder, and stops it at the end."""


@dataclass
class Served:
    """A server under the load of wrk."""

    server: Server
    name: str
    data: Data
    loads: Sequence[Load]
    files: Sequence[Path]
    idle_mb: float

    def sample(self, seconds: float) -> Mapping[str, Values]:
        """Run the loads side by side. The CPU time of a request is the mean over all loads."""
        server, loads = self.server, self.loads
        behind = (*server.pids, *server.engine_pids)
        forget_peak(server.pids)
        started = time.perf_counter()
        before = cpu_seconds(server.pids), cpu_seconds(server.engine_pids), others_seconds(behind)
        seen = run_loads(loads, self.files, server.port, seconds)
        after = cpu_seconds(server.pids), cpu_seconds(server.engine_pids), others_seconds(behind)
        passed = time.perf_counter() - started
        used, engine, others = (b - a for a, b in zip(before, after, strict=True))
        each = 1e6 / max(1, sum(one.requests for one in seen))
        values: dict[str, Values] = {}
        for load, one in zip(loads, seen, strict=True):
            values[load.name] = {
                RATE: one.requests / one.seconds,
                "p50 ms": one.p50,
                "p99 ms": one.p99,
                "p99.9 ms": one.p999,
                CPU: used * each,
                "failed": one.failed(load),
                "others": max(0.0, others / (passed * CORES)),
            }
            if server.engine_pids:
                values[load.name]["engine CPU µs"] = engine * each
        if self.data.size >= LARGE:
            first = values[loads[0].name]
            first[BYTES] = first[RATE] * self.data.size / 1e6
            first["peak MB above idle"] = peak_mb(server.pids) - self.idle_mb
        return values


def served(start: Start) -> Setup:
    """Return what starts a server, and checks its answers before it is measured."""
    return _served(start, "")


def always(start: Start, name: str, data: Data, loads: Sequence[Load]) -> Setup:
    """Return what starts a server that has this data and these loads in every scenario."""
    setup = _served(start, name)
    return lambda folder, _, __: setup(folder, data, loads)


def _served(start: Start, name: str) -> Setup:
    @contextmanager
    def setup(folder: Path, data: Data, loads: Sequence[Load]) -> Iterator[Subject]:
        with start(folder, data) as server:
            # A server may listen before its workers have started.
            server.ask(server.get(data.key(data.keys)))
            idle = resident_mb(server.pids)
            server.expect(server.get(data.key(0)), text=server.shown(data.value))
            files = [folder / f"{load.name}.requests" for load in loads]
            for load, file in zip(loads, files, strict=True):
                load.prepare(server, data, file)
            yield Served(server, name or server.name, data, loads, files, idle)

    return setup
