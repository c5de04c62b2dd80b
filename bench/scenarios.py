"""What is measured, against which servers."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from .cpu import cpu_seconds, others_seconds
from .load import Figures, Load, run_loads
from .servers import Start, nginx, ours, webdis

CORES: Final = os.cpu_count() or 1

_READS: Final = Load("GET", connections=64)
_WRITES: Final = Load("PUT", connections=64, puts=True)
_FEW_WRITES: Final = Load("PUT", connections=4, puts=True)


@dataclass(frozen=True)
class Scenario:
    """Loads that run at the same time, and the servers that they are run against."""

    starts: Sequence[Start]
    loads: Sequence[Load]


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "get": Scenario((ours, webdis, nginx), (_READS,)),
    "get-2-workers": Scenario((partial(ours, workers=2),), (_READS,)),
    "put": Scenario((ours, webdis), (_WRITES,)),
    "mixed": Scenario((ours,), (_READS, _FEW_WRITES)),
}


@dataclass(frozen=True)
class Measurement:
    """One load in one round."""

    scenario: str
    server: str
    load: Load
    figures: Figures
    cpu_us: float
    """CPU microseconds a request, of all processes of the server and all loads together."""

    others: float
    """The share of the machine's CPU that others used meanwhile."""

    @property
    def row(self) -> tuple[str, str, Load]:
        """What it has in common with the same measurement of other rounds."""
        return (self.scenario, self.server, self.load)


def measure(name: str, start: Start, folder: Path, seconds: int) -> list[Measurement]:
    """Start one server afresh, see that it answers as it should, and put it under load."""
    loads = SCENARIOS[name].loads
    with tempfile.TemporaryDirectory(dir=folder) as own, start(Path(own)) as server:
        server.check()
        others_before = others_seconds(server.pids)
        before = cpu_seconds(server.pids)
        seen = run_loads(server, loads, seconds)
        used = cpu_seconds(server.pids) - before
        others = others_seconds(server.pids) - others_before
    cpu_us = used * 1e6 / max(1, sum(figures.requests for figures in seen))
    return [
        Measurement(name, server.name, load, figures, cpu_us, max(0.0, others / (seconds * CORES)))
        for load, figures in zip(loads, seen, strict=True)
    ]
