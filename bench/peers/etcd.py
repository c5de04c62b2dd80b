"""etcd through its JSON gateway, which takes each request as a POST."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from workertown_kv.testing.served import free_port

from ..data import Data
from ..processes import running
from ..programs import find
from ..server import Request, Server

NAME: Final = "etcd, JSON gateway"
ABOUT: Final = "one etcd node with its defaults, so every write is on the disk; no credentials"
_TRANSACTION: Final = 128
"""The most operations of a transaction by default."""


@contextmanager
def etcd(folder: Path, data: Data) -> Iterator[Server]:
    """Start a cluster of one node."""
    port, peer = free_port(), f"http://127.0.0.1:{free_port()}"
    client = f"http://127.0.0.1:{port}"
    command = [find("etcd"), "--data-dir", str(folder / "etcd"), "--logger", "zap"]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"default={peer}", "--log-level", "warn"]
    with running(command, port, folder) as pid:
        server = Server(NAME, port, (pid,), _get, _put, shown=_base64)
        for at in range(0, data.keys, _TRANSACTION):
            numbers = range(at, min(at + _TRANSACTION, data.keys))
            puts = [json.loads(_put(data.key(number), data.value).body) for number in numbers]
            body = json.dumps({"success": [{"requestPut": one} for one in puts]})
            server.expect(Request("POST", "/v3/kv/txn", body), text="succeeded")
        yield server


def _get(key: str) -> Request:
    return Request("POST", "/v3/kv/range", json.dumps({"key": _base64(key)}))


def _put(key: str, value: str) -> Request:
    body = json.dumps({"key": _base64(key), "value": _base64(value)})
    return Request("POST", "/v3/kv/put", body)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
