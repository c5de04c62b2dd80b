"""Test the application under servers other than that of the command."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import pytest

from depth import IS_DEEP
from workertown_kv.testing.served import free_port
from workertown_kv.testing.strategies import ODD_KEYS

KEY = {"Authorization": "Bearer s3cret"}
JSON = {**KEY, "Content-Type": "application/json"}
LIMIT = (25 if IS_DEEP else 3) * 1024 * 1024

SERVERS: Mapping[str, list[str]] = {
    "uvicorn": ["uvicorn", "app:server", "--host", "127.0.0.1", "--port", "{port}"],
    "hypercorn": ["hypercorn", "app:server", "--bind", "127.0.0.1:{port}"],
    "granian": [
        *("granian", "--interface", "asgi", "--no-ws", "app:server"),
        *("--host", "127.0.0.1", "--port", "{port}"),
    ],
}


class Asked:
    """Yield a server and its client, which sends paths unchanged."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.process = port, process

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        fields = JSON if body else KEY
        connection.request(method, path, body, {**fields, **headers})
        answer = connection.getresponse()
        status, content = answer.status, answer.read()
        connection.close()
        return status, content

    def get(self, path: str) -> object:
        status, content = self.ask("GET", path)
        assert status == 200, (path, content)
        return json.loads(content)["data"]


@pytest.fixture(scope="module", params=SERVERS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "app.py").write_text("from workertown_kv import kv\n\nserver = kv()\n")
    port = free_port()
    module, *args = (one.format(port=port) for one in SERVERS[request.param])
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=folder,
            env={
                **os.environ,
                "KV_DB": "kv.sqlite",
                "KV_API_KEY": "s3cret",
                "KV_OPTIONS__LIMITS__VALUE_BYTES": str(LIMIT),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log.txt").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield Asked(port, process)
        process.send_signal(signal.SIGTERM)
        ended = process.wait(timeout=30)
        text = (folder / "log.txt").read_text()
        # uvicorn ends by the signal that it got, once it has finished.
        assert ended in (0, -signal.SIGTERM), text
        assert "Traceback" not in text
        assert not (folder / "kv.sqlite-wal").exists(), "the storage was not closed"
    finally:
        process.kill()
        process.wait()


def body(value: object) -> bytes:
    return json.dumps({"value": value}).encode()


def test_a_value_is_put_got_and_deleted(served: Asked) -> None:
    assert served.ask("PUT", "/v1/kv/theme", body("dark"))[0] == 200
    assert served.get("/v1/kv/theme") == "dark"
    assert served.ask("HEAD", "/v1/kv/theme") == (200, b"")
    assert served.ask("DELETE", "/v1/kv/theme")[0] == 200
    assert served.ask("GET", "/v1/kv/theme")[0] == 404
    assert served.ask("GET", "/v1/kv/theme", Authorization="Bearer wrong")[0] == 401
    assert served.get("/health") == "OK"


def test_a_large_value_comes_back(served: Asked) -> None:
    large = b'{"value":"' + b"x" * (LIMIT - 2) + b'"}'
    status, _ = served.ask("PUT", "/v1/kv/large", large, Prefer="return=minimal")
    assert status == 200
    status, content = served.ask("GET", "/v1/kv/large", Accept="application/octet-stream")
    assert (status, content) == (200, large[len(b'{"value":') : -1])


def test_odd_keys_come_as_they_are_sent(served: Asked) -> None:
    for key in ODD_KEYS:
        path = f"/v1/kv/{quote(key, safe='')}"
        assert served.ask("PUT", path, body(key))[0] == 200, key
        assert served.get(path) == key
        assert served.get(f"/v1/kv?key={quote(key, safe='')}") == key
    for path, key in (("/v1/kv/x/../y", "x/../y"), ("/v1/kv//", "/"), ("/v1/kv/a%2fb//", "a/b//")):
        assert served.ask("PUT", path, body(key))[0] == 200
        assert served.get(f"/v1/kv?key={quote(key, safe='')}") == key
    assert served.ask("GET", "/v1/kv/%ff")[0] == 400


def test_a_body_that_is_too_large_is_refused(served: Asked) -> None:
    status, content = served.ask("PUT", "/v1/kv/larger", body("x" * LIMIT))
    assert status == 413, content
