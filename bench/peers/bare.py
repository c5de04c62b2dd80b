"""Servers that do nothing but what is measured: the floor for a server in Python."""

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
WRITER: Final = "bare writer"
ABOUT: Final = {
    UVICORN: "uvicorn with httptools and uvloop, no access log, and an ASGI application that "
    "answers 100 constant bytes to every request",
    PROTOCOL: "an `asyncio.Protocol` with httptools and uvloop that answers 100 constant bytes to "
    "every request: the floor for a server in Python",
    WRITER: "an `asyncio.Protocol` with httptools and uvloop that writes each body into an SQLite "
    "file by apsw, and commits the writes of each turn of the event loop together: the floor for "
    "durable writes in Python",
}

_ANSWERS: Final = "bench.peers.bare_answers"
_WRITER: Final = "bench.peers.bare_writer"


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
def bare_writer(folder: Path, _: Data) -> Iterator[Server]:
    """Start a server that only writes."""
    port = free_port()
    with _python(["-m", _WRITER, str(port)], port, folder) as pid:
        yield Server(
            WRITER,
            port,
            (pid,),
            get=lambda key: Request("PUT", f"/{key}", "{}"),
            put=lambda key, value: Request("PUT", f"/{key}", f'{{"value":{value}}}'),
            shown=lambda _: "null",
        )


@contextmanager
def _python(arguments: list[str], port: int, folder: Path) -> Iterator[int]:
    for package in ("uvicorn", "httptools", "uvloop"):
        if find_spec(package) is None:
            raise Missing(f"this Python has no {package}; pip install {package}")
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    with running([sys.executable, *arguments], port, folder, path) as pid:
        yield pid
