"""Measures how long a server takes to start, and how much memory it has while it is idle."""

import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workertown_kv.testing.served import free_port

from .data import Data
from .load import Load
from .measure import Setup, Subject, Values
from .ours import CREDENTIALS, NAME, command
from .processes import running
from .usage import memory_mb

START: Final = "start"


@dataclass
class Startup:
    """A server that is started afresh for each sample, on a database that exists."""

    folder: Path
    workers: int
    loads: Sequence[Load]
    name: str = NAME

    def sample(self, _: float) -> Mapping[str, Values]:
        """Start the server, ask it once, and look at its memory."""
        env, authorization = CREDENTIALS["API key"]
        port = free_port()
        args = command(port, self.folder / "kv.sqlite", "--workers", str(self.workers))
        started = time.perf_counter()
        with running(args, port, self.folder, env) as pid:
            while not _answers(port, authorization()):
                time.sleep(0.001)
            first = time.perf_counter() - started
            memory = memory_mb([pid]) / self.workers
        return {START: {"first answer ms": first * 1e3, "idle MB per worker": memory}}


def startup(workers: int) -> Setup:
    """Return what measures the start of a server with so many workers."""

    @contextmanager
    def setup(folder: Path, _: Data, loads: Sequence[Load]) -> Iterator[Subject]:
        subject = Startup(folder, workers, loads)
        subject.sample(0)  # makes the database, and the compiled files of Python
        yield subject

    return setup


def _answers(port: int, authorization: str) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        client.request("GET", "/v1/kv/none", headers={"Authorization": authorization})
        return client.getresponse().status == 404
    except OSError:
        return False
    finally:
        client.close()
