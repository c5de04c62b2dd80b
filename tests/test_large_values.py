"""Test values at the limit of 25 MiB and beyond it, through a served SQLite store."""

import json
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx2
import pytest

from workertown_kv.testing import ServedStore

LIMIT = 25 * 1024 * 1024
CHUNK = 1024 * 1024
MOST_MEMORY = 60 * 1024 * 1024 + 3 * LIMIT
"""The most that a process may take: what it has at the start, and three copies of a value."""

JSON = {"Content-Type": "application/json"}
BYTES = {"Accept": "application/octet-stream"}


def filled(opening: str, filling: str, closing: str, size: int = LIMIT) -> bytes:
    """Return JSON of exactly this size: the filling repeated, then a string for the rest."""
    unit = filling.encode()
    room = size - len(f'{opening}""{closing}'.encode())
    count, rest = divmod(room, len(unit))
    made = opening.encode() + unit * count + b'"' + b"x" * rest + b'"' + closing.encode()
    assert len(made) == size
    return made


def text(filling: str, size: int = LIMIT) -> bytes:
    count, rest = divmod(size - 2, len(filling.encode()))
    return b'"' + filling.encode() * count + b"x" * rest + b'"'


VALUES = {
    "ascii text": lambda: text("x"),
    "multi-byte text": lambda: text("é漢字😀"),
    "escaped text": lambda: text(r"\n\"\u00e9\ud83d\ude00"),
    "nested arrays": lambda: filled("[", "[1,[2.50,[null,[]]]],", "]"),
    "deep arrays": lambda: filled("[", "[" * 100 + "]" * 100 + ",", "]"),
    "spaced objects": lambda: filled("[", '{"ключ" : { "b":1e999 }} , ', "]"),
    "a number": lambda: b"7" * LIMIT,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    with ServedStore(tmp_path_factory.mktemp("large") / "kv.sqlite") as served:
        yield served


@pytest.fixture
def client(server: ServedStore) -> Iterator[httpx2.Client]:
    with server.client(timeout_seconds=60) as connected:
        yield connected


DEEP = {"deep arrays", "spaced objects", "a number"}
"""The kinds of which `make test` has a similar one."""


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.deep] if kind in DEEP else []) for kind in VALUES],
)
def test_a_value_at_the_limit_comes_back_byte_for_byte_and_takes_little_memory(
    server: ServedStore, client: httpx2.Client, kind: str
) -> None:
    value = VALUES[kind]()
    assert len(value) == LIMIT
    put = client.put("/v1/kv/large", content=body(value), headers=JSON)
    assert put.status_code == 200, put.text[:500]
    assert is_enveloped(put, value)
    got = client.get("/v1/kv/large", headers=BYTES)
    assert got.headers["etag"] == put.headers["etag"]
    # Without pytest's comparison, which would take minutes to show where 25 MiB differ.
    same = got.content == value
    assert same
    assert is_enveloped(client.get("/v1/kv/large"), value)
    check_memory(server)


def test_a_value_of_one_byte_more_is_413_and_changes_nothing(client: httpx2.Client) -> None:
    before = client.put("/v1/kv/kept", json={"value": "as it was"})
    answer = client.put("/v1/kv/kept", content=body(text("x", LIMIT + 1)), headers=JSON)
    check_too_large(answer.content)
    assert answer.status_code == 413
    assert "26,214,401" in answer.json()["error"]
    after = client.get("/v1/kv/kept")
    assert after.json()["data"] == "as it was"
    assert after.headers["etag"] == before.headers["etag"]


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_length_over_the_limit_is_413_before_the_body_is_sent(
    server: ServedStore, client: httpx2.Client, expect: bytes
) -> None:
    head, content = sent_raw(server, b"Content-Length: 10737418240\r\n" + expect, ())
    assert head.startswith(b"HTTP/1.1 413 ")
    check_too_large(content)
    assert client.get("/health").status_code == 200


def test_a_chunked_upload_over_the_limit_is_cut_off(
    server: ServedStore, client: httpx2.Client
) -> None:
    sent = 0

    def upload() -> Iterator[bytes]:
        nonlocal sent
        yield b'd\r\n{"value":"abc\r\n'
        for _ in range(40 * LIMIT // CHUNK):
            yield b"%x\r\n%b\r\n" % (CHUNK, b"x" * CHUNK)
            sent += CHUNK

    head, content = sent_raw(server, b"Transfer-Encoding: chunked\r\n", upload())
    assert LIMIT - CHUNK <= sent < 10 * LIMIT
    if head:  # a connection that breaks while we still send may take the answer with it
        assert head.startswith(b"HTTP/1.1 413 ")
        check_too_large(content)
    assert client.get("/v1/kv/raw").status_code == 404
    assert client.get("/health").status_code == 200


def check_memory(server: ServedStore) -> None:
    """Check the most memory that a process of the server has had, if this system tells it."""
    if not Path("/proc/self/status").exists():
        return
    peaks = {process: peak_memory(process) for process in family(server.pid)}
    assert len(peaks) > 1, "There is no worker process"
    assert LIMIT < max(peaks.values()) < MOST_MEMORY


def body(value: bytes) -> bytes:
    return b'{"value":' + value + b"}"


def is_enveloped(answer: httpx2.Response, value: bytes) -> bool:
    return answer.content == b'{"status":200,"success":true,"data":' + value + b"}"


def check_too_large(content: bytes) -> None:
    answer = json.loads(content)
    assert answer.pop("error")
    assert answer.pop("request_id")
    assert answer == {"status": 413, "success": False, "data": None}


def sent_raw(server: ServedStore, headers: bytes, content: Iterable[bytes]) -> tuple[bytes, bytes]:
    """Send as much of a `PUT` as the server accepts, and return the head and body of its answer.

    Both are empty if the server breaks the connection without an answer.
    """
    head = (
        f"PUT /v1/kv/raw HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: {server.headers['Authorization']}\r\n"
        "Content-Type: application/json\r\n"
    )
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(head.encode() + headers + b"\r\n")
            for piece in content:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while more := connection.recv(65536):
                received += more
        except ConnectionResetError:
            pass
    first, _, rest = received.partition(b"\r\n\r\n")
    return first, rest


def family(pid: int) -> list[int]:
    """Yield this process and all processes that it has started, directly or not."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(after_name[1]), []).append(int(status.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def peak_memory(pid: int) -> int:
    """Return the most memory that the process ever had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
