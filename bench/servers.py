"""The servers that are measured: ours, and two that do less for a request."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2

from workertown_kv.testing.served import ServedStore, free_port

from .programs import find

VALUE: Final = {
    "id": 4711,
    "name": "Ada Lovelace",
    "active": True,
    "score": 99.5,
    "tags": ["engine", "notes"],
    "city": "Rome",
}
TEXT: Final = json.dumps(VALUE, separators=(",", ":"))
assert len(TEXT) == 100

_START_SECONDS: Final = 10


@dataclass(frozen=True)
class Server:
    """A server that runs, and how it is asked for the same few things as the others."""

    name: str
    pids: tuple[int, ...]
    """The processes it began with."""
    url: str
    get_path: str
    value: Callable[[str], object]
    """Takes the value out of the answer to a `GET`."""
    expected: object = TEXT
    put_path: str = ""
    """What a key is appended to; empty where there is nothing to write."""
    put_body: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def get_url(self) -> str:
        """Where the value of 100 bytes is."""
        return f"{self.url}{self.get_path}"

    def check(self) -> None:
        """Write the value and read it back; raises `RuntimeError` for any other answer."""
        with httpx2.Client(base_url=self.url, headers=self.headers) as client:
            if self.put_path:
                put = client.put(f"{self.put_path}value", content=self.put_body)
                _expect(put.status_code == 200, self.name, put)
            got = client.get(self.get_path)
            _expect(got.status_code == 200, self.name, got)
            _expect(self.value(got.text) == self.expected, self.name, got)


Start = Callable[[Path], AbstractContextManager[Server]]
"""Starts a server that keeps its files in the folder, and stops it in the end."""


@contextmanager
def ours(folder: Path, *, workers: int = 1) -> Iterator[Server]:
    """`workertown-kv serve` on SQLite."""
    with served(folder / "kv.sqlite", workers=workers) as server:
        yield server


@contextmanager
def served(
    database: str | Path, *, workers: int = 1, get_path: str = "/v1/kv/value"
) -> Iterator[Server]:
    """`workertown-kv serve` on a database."""
    args = ("--no-access-log", "--workers", str(workers))
    store = ServedStore(database, args=args)
    try:
        store.start()
        yield Server(
            name="workertown-kv" if workers == 1 else f"workertown-kv, {workers} workers",
            pids=(store.pid,),
            url=store.url,
            get_path=get_path,
            value=lambda answer: json.loads(answer)["data"],
            expected=VALUE,
            put_path="/v1/kv/",
            put_body=f'{{"value":{TEXT}}}',
            headers={**store.headers, "Content-Type": "application/json"},
        )
    finally:
        store.stop()


@contextmanager
def webdis(folder: Path) -> Iterator[Server]:
    """HTTP in front of a Redis that, like ours, answers a write when it is on the disk."""
    redis_port, port = free_port(), free_port()
    redis_command = [
        *(find("redis-server"), "--port", str(redis_port), "--bind", "127.0.0.1"),
        *("--dir", str(folder), "--save", "", "--appendonly", "yes", "--appendfsync", "always"),
    ]
    settings = {
        "redis_host": "127.0.0.1",
        "redis_port": redis_port,
        "http_host": "127.0.0.1",
        "http_port": port,
        "threads": 2,  # as Debian has it
        "daemonize": False,
        "verbosity": 1,
        "logfile": str(folder / "webdis.log"),
    }
    (folder / "webdis.json").write_text(json.dumps(settings))
    with (
        _running(redis_command, redis_port, folder) as redis_pid,
        _running([find("webdis"), "webdis.json"], port, folder) as pid,
    ):
        yield Server(
            name="webdis + Redis",
            pids=(pid, redis_pid),
            url=f"http://127.0.0.1:{port}",
            get_path="/GET/value",
            value=lambda answer: json.loads(answer)["GET"],
            put_path="/SET/",
        )


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """A static file: about the least that an HTTP server can do."""
    port = free_port()
    (folder / "value.json").write_text(TEXT)
    (folder / "nginx.conf").write_text(_NGINX.format(port=port))
    command = [find("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with _running(command, port, folder) as pid:
        yield Server(
            name="nginx, static file",
            pids=(pid,),
            url=f"http://127.0.0.1:{port}",
            get_path="/value.json",
            value=str,
        )


# `user` only matters when root runs this: the folder is closed to anybody else's worker. The
# other paths keep nginx out of /var, and keepalive_requests lets it keep connections as the
# others do.
_NGINX: Final = """
daemon off;
user root;
worker_processes 1;
pid nginx.pid;
events {{}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type application/json;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        root .;
    }}
}}
"""


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[int]:
    """A process that listens on the port; its id."""
    # In a session of its own Ctrl-C does not reach it; it is stopped here in any case.
    log = folder / "output.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _expect(holds: bool, name: str, answer: httpx2.Response) -> None:
    if not holds:
        raise RuntimeError(f"{name} answered {answer.status_code}: {answer.text}")
