"""Puts a server under load with wrk, once or several times side by side."""

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from .data import Data
from .programs import find
from .requests import Requests
from .server import Server

_SCRIPT: Final = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Load:
    """Describes one wrk: what it sends, and through how many connections."""

    name: str
    requests: Requests
    connections: int = 64
    status: int = 200
    """The status of a right answer."""

    def prepare(self, server: Server, data: Data, file: Path) -> None:
        """Write the requests to a file for wrk, and send the first one of each method.

        Raises `click.ClickException` for a wrong answer.
        """
        requests = self.requests(server, data)
        for request in {one.method: one for one in reversed(requests)}.values():
            server.expect(request, self.status)
        with file.open("wb") as output:
            for request in requests:
                raw = server.raw(request)
                output.write(b"%d\n%b" % (len(raw), raw))


@dataclass(frozen=True)
class Seen:
    """Holds the figures of one wrk. Latencies are in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    p999: float
    refused: int
    """Answers with a status of 400 or more."""
    broken: int
    """Connections that broke, and requests that timed out."""

    def failed(self, load: Load) -> int:
        """Return how many requests did not get the answer that the load expects."""
        wrong = self.requests - self.refused if load.status >= 400 else self.refused
        return wrong + self.broken


def run_loads(
    loads: Sequence[Load], files: Sequence[Path], port: int, seconds: float
) -> list[Seen]:
    """Run the loads side by side, each with the requests of its file, and return their figures."""
    with ExitStack() as running:
        started = []
        for load, file in zip(loads, files, strict=True):
            wrk = running.enter_context(_start(load, file, port, seconds))
            running.callback(wrk.kill)  # where the bench is interrupted; otherwise wrk has ended
            started.append(wrk)
        return [_figures(wrk) for wrk in started]


def _start(load: Load, file: Path, port: int, seconds: float) -> subprocess.Popen[str]:
    command = [find("wrk"), "-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "60s", "-s", str(_SCRIPT), f"http://127.0.0.1:{port}/"]
    return subprocess.Popen([*command, "--", str(file)], stdout=subprocess.PIPE, text=True)


def _figures(wrk: subprocess.Popen[str]) -> Seen:
    printed, _ = wrk.communicate()
    if wrk.returncode != 0:
        raise click.ClickException(f"wrk failed:\n{printed}")
    return Seen(**json.loads(printed.splitlines()[-1]))
