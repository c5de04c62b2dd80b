"""Servers that answer every request with the same 100 bytes: the floor for a server in Python."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from workertown_kv.testing.served import free_port

from ..data import Data
from ..processes import running
from ..programs import Missing
from ..server import Request, Server

UVICORN: Final = "bare uvicorn"
PROTOCOL: Final = "bare protocol"
ABOUT: Final = {
    UVICORN: "uvicorn with httptools and uvloop, no access log, and an ASGI application that "
    "answers 100 constant bytes to every request",
    PROTOCOL: "an `asyncio.Protocol` with httptools and uvloop that answers 100 constant bytes to "
    "every request: the floor for a server in Python",
}

_ANSWERS: Final = "bench.peers.bare_answers"


@contextmanager
def bare_uvicorn(folder: Path, _: Data) -> Iterator[Server]:
    """Start uvicorn with an application that does nothing else."""
    port = free_port()
    options = ["--http", "httptools", "--loop", "uvloop", "--lifespan", "off", "--no-access-log"]
    module = ["-m", "uvicorn", f"{_ANSWERS}:application", "--port", str(port)]
    with _python([*module, *options, "--log-level", "warning"], port, folder) as pid:
        yield Server(UVICORN, port, (pid,), get=lambda key: Request("GET", f"/{key}"))


@contextmanager
def bare_protocol(folder: Path, _: Data) -> Iterator[Server]:
    """Start a server without a framework."""
    port = free_port()
    with _python(["-m", _ANSWERS, str(port)], port, folder) as pid:
        yield Server(PROTOCOL, port, (pid,), get=lambda key: Request("GET", f"/{key}"))


@contextmanager
def _python(arguments: list[str], port: int, folder: Path) -> Iterator[int]:
    for package in ("uvicorn", "httptools", "uvloop"):
        if find_spec(package) is None:
            raise Missing(f"this Python has no {package}; pip install {package}")
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    with running([sys.executable, *arguments], port, folder, path) as pid:
        yield pid
