"""`workertown-kv serve` and thousands of clients that mean harm."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from workertown_kv.testing import ServedStore

pytestmark = pytest.mark.deep

CLIENTS = 2000
LARGE = 25 * 1024 * 1024
READERS = 20
MEMORY = 264 * 1024 * 1024
JSON = {"Content-Type": "application/json"}

REQUEST = (
    b"%b /v1/kv/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer test-key\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n"
)
ATTACKS = {
    "half a head": (REQUEST % (b"GET", 0) + b"X: ", b""),
    "a large head": (REQUEST % (b"GET", 0) + b"X: " + b"x" * 100_000, b""),
    "half a body": (REQUEST % (b"PUT", 100) + b'\r\n{"', b"HTTP/1.1 408 "),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ServedStore]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    args = ["--no-access-log", "--client-seconds", "3"]
    try:
        env = {"KV_OPTIONS__LIMITS__MEMORY_BYTES": str(MEMORY)}
        with ServedStore(tmp_path / "kv.sqlite", args=args, env=env) as served:
            yield served
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(store: ServedStore) -> int:
    """How many bytes of memory the worker uses."""
    (worker,) = Path(f"/proc/{store.pid}/task/{store.pid}/children").read_text().split()
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * resource.getpagesize()


def connect(store: ServedStore, opened: ExitStack, sent: bytes) -> socket.socket:
    connection = opened.enter_context(socket.socket())
    # The server, and not the system, has to keep what the client does not read.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", store.port))
    connection.sendall(sent)
    return connection


@pytest.mark.parametrize("attack", ATTACKS)
def test_requests_that_never_end_are_cut_off_and_keep_nobody_waiting(
    store: ServedStore, attack: str
) -> None:
    sent, expected = ATTACKS[attack]
    before = memory(store)
    with ExitStack() as opened, store.client() as client:
        client.put("/v1/kv/a", json={"value": 1}).raise_for_status()
        slow = [connect(store, opened, sent) for _ in range(CLIENTS)]
        for _ in range(100):
            assert client.get("/v1/kv/a").json()["data"] == 1
        assert memory(store) < before + CLIENTS * (len(sent) * 2 + 16_384)
        for one in slow:
            received = b""
            with suppress(ConnectionResetError):
                received = one.recv(4096)
            assert received.startswith(expected)
            assert bool(received) == bool(expected)
        assert client.get("/v1/kv/a").json()["data"] == 1


def test_clients_that_stop_reading_hold_memory_only_for_their_time(store: ServedStore) -> None:
    with ExitStack() as opened, store.client(timeout_seconds=60) as client:
        body = b'{"value":"%b"}' % (b"x" * (LARGE - 2))
        client.put("/v1/kv/large", content=body, headers=JSON).raise_for_status()
        before = memory(store)
        slow = [connect(store, opened, REQUEST % (b"GET", 0) + b"\r\n") for _ in range(READERS)]
        statuses = [one.recv(12) for one in slow]
        # One user gets half of the memory; the others are told to come again.
        readers = statuses.count(b"HTTP/1.1 200")
        assert 1 < readers <= MEMORY // 2 // LARGE
        assert statuses.count(b"HTTP/1.1 503") == READERS - readers
        assert memory(store) < before + 2 * MEMORY
        while client.get("/v1/kv/large").status_code == 503:
            assert client.get("/health").status_code == 200
