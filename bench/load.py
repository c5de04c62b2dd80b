"""The load: wrk, alone or several at the same time."""

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .programs import find
from .servers import Server

_SCRIPT: Final = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Load:
    """What one wrk asks for: the same value again and again, or a `PUT` of 10,000 keys."""

    name: str
    connections: int
    puts: bool = False


@dataclass(frozen=True)
class Figures:
    """What one wrk saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int
    """Answers with a status of 400 or more, and connections that broke or timed out."""

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def run_loads(server: Server, loads: Sequence[Load], seconds: int) -> list[Figures]:
    """Run the loads side by side; what each of them saw."""
    with ExitStack() as running:
        started = []
        for load in loads:
            wrk = running.enter_context(_start(server, load, seconds))
            running.callback(wrk.kill)  # where the bench is interrupted; else it has ended
            started.append(wrk)
        return [_figures(wrk) for wrk in started]


def _start(server: Server, load: Load, seconds: int) -> subprocess.Popen[str]:
    command = [find("wrk"), "-t1", f"-c{load.connections}", f"-d{seconds}s", "--latency"]
    for name, value in server.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(_SCRIPT), server.get_url]
    if load.puts:
        command += ["--", server.put_path, server.put_body]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _figures(wrk: subprocess.Popen[str]) -> Figures:
    printed, _ = wrk.communicate()
    if wrk.returncode != 0:
        raise RuntimeError(f"wrk failed:\n{printed}")
    return Figures(**json.loads(printed.splitlines()[-1]))
