"""Test `workertown-kv serve` with clients that are slow, or send too much."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.parse import quote

import pytest

from workertown_kv.testing import ServedStore

LONG = 60
"""The seconds in which the server must have done what a test waits for."""


@contextmanager
def connected(server: ServedStore) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=LONG) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    """Return the bytes that the server sends until it closes the connection."""
    received = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return received
        if not part:
            return received
        received += part


@pytest.fixture(scope="module")
def impatient() -> Iterator[ServedStore]:
    with ServedStore(args=["--no-access-log", "--client-seconds", "1"]) as server:
        yield server


@pytest.fixture(scope="module")
def patient() -> Iterator[ServedStore]:
    with ServedStore() as server:
        yield server


# Slow clients


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", marks=pytest.mark.deep),
        pytest.param(b"GE", marks=pytest.mark.deep),
        pytest.param(b"GET /v1/kv HTTP/1.1\r\n", marks=pytest.mark.deep),
        b"GET /v1/kv HTTP/1.1\r\nHost: x\r\nX-Half: ",
    ],
)
def test_half_of_the_header_fields_and_no_more_is_cut_off(
    impatient: ServedStore, sent: bytes
) -> None:
    with connected(impatient) as connection:
        connection.sendall(sent)
        assert until_closed(connection) == b""


def test_an_idle_connection_is_closed(impatient: ServedStore) -> None:
    with connected(impatient) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 200 ")


def head(server: ServedStore, length: int, *fields: bytes, path: bytes = b"/v1/kv/a") -> bytes:
    return b"\r\n".join(
        [
            b"PUT %b HTTP/1.1" % path,
            b"Host: x",
            b"Authorization: %b" % server.headers["Authorization"].encode(),
            b"Content-Type: application/json",
            b"Content-Length: %d" % length,
            *fields,
            b"\r\n",
        ]
    )


def test_half_a_body_and_no_more_is_answered_408(impatient: ServedStore) -> None:
    with connected(impatient) as connection:
        connection.sendall(head(impatient, 100) + b'{"value":')
        answer = until_closed(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"success":false' in answer
    with impatient.client() as client:
        assert client.get("/v1/kv/a").status_code == 404


def test_slow_clients_delay_no_other_client(impatient: ServedStore) -> None:
    with ThreadPoolExecutor(20) as pool, impatient.client() as client:

        def be_slow(number: int) -> bytes:
            with connected(impatient) as connection:
                connection.sendall(head(impatient, 100)[: number * 5])
                return until_closed(connection)

        slow = [pool.submit(be_slow, number) for number in range(20)]
        assert client.put("/v1/kv/b", json={"value": 1}).status_code == 200
        assert client.get("/v1/kv/b").json()["data"] == 1
        assert {one.result() for one in slow} == {b""}


# Large requests


def status_of(connection: socket.socket, request: bytes) -> bytes:
    # Once the server has answered, it reads no more.
    with suppress(OSError):
        connection.sendall(request)
    return connection.recv(65536).split(b" ")[1]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((b"X-Large: " + b"x" * 64 * 1024,), b"200"),
        ((b"X-Large: " + b"x" * 2 * 1024 * 1024,), b"431"),
        (tuple(b"X-%d: x" % number for number in range(90)), b"200"),
        (tuple(b"X-%d: x" % number for number in range(101)), b"431"),
    ],
    ids=["64 KiB", "2 MiB", "95 fields", "106 fields"],
)
def test_header_fields_have_a_largest_size_and_a_largest_number(
    patient: ServedStore, fields: tuple[bytes, ...], status: bytes
) -> None:
    body = b'{"value":1}'
    with connected(patient) as connection:
        assert status_of(connection, head(patient, len(body), *fields) + body) == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/v1/kv/" + quote("é" * 1024).encode(), b"200"),
        (b"/v1/kv/" + quote("é" * 1024 + "a").encode(), b"414"),
        (b"/v1/kv/" + b"a" * 60_000, b"414"),
        (b"/v1/kv/" + b"a" * 70_000, b"414"),
    ],
    ids=["longest key", "longer key", "60,000", "70,000"],
)
def test_a_path_has_room_for_the_longest_key(
    patient: ServedStore, path: bytes, status: bytes
) -> None:
    body = b'{"value":1}'
    with connected(patient) as connection:
        assert status_of(connection, head(patient, len(body), path=path) + body) == status
