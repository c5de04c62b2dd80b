"""Test how much memory the bodies and answers of all requests may take together."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from caller import Caller, make_server
from workertown_kv import Server, kv
from workertown_kv.errors import OptionsError
from workertown_kv.server.memory import memory_for
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import ServedStore

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
LIMITS = {"value_bytes": MIB, "batch_bytes": MIB, "memory_bytes": 16 * MIB}
USERS = {"api_key": {"api_keys": [{"name": name, "api_key": f"key-{name}"} for name in "ab"]}}
NAMESPACE = "/client/v4/accounts/a/storage/kv/namespaces/00000000000000000000000000000000"
KEYS = b'{"keys":["large"],"cacheTtl":"60"}'
ONE = "x" * (MIB - 1000)


class Stalled:
    """A request by a client that sends part of its body, and reads nothing of the answer."""

    def __init__(self, server: Server, method: str, path: str, body: bytes, whole: bool) -> None:
        self.statuses: list[int] = []
        self.retry_after = b""
        self._sent = iter([body] if whole else [body, None])
        self._is_whole = whole
        self._go_on = asyncio.Event()
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [
                (b"authorization", b"Bearer key-a"),
                (b"content-type", b"application/json"),
            ],
        }
        self._task = asyncio.create_task(server(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        body = next(self._sent)
        if body is None:
            await self._go_on.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": not self._is_whole}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.statuses.append(message["status"])
            self.retry_after = dict(message["headers"]).get(b"retry-after", b"")
        elif self.statuses == [200]:
            await self._go_on.wait()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._go_on.set()
        await self._task


# The MiB that a request holds: a body twice, an answer once, and the values in it.
KINDS: dict[str, tuple[str, str, bytes, bool, int]] = {
    "get": ("GET", "/v1/kv/large", b"", True, 1),
    "batch": ("POST", "/v1/kv", b'{"operations":[{"op":"get","key":"large"}]}', True, 2),
    "put": ("PUT", "/v1/kv/b", b'{"value":"' + ONE.encode(), False, 2),
    "long batch": ("POST", "/v1/kv", b'{"operations":[' + b" " * (MIB - 100), False, 2),
    "REST get": ("GET", f"{NAMESPACE}/values/large", b"", True, 1),
    "REST bulk get": ("POST", f"{NAMESPACE}/bulk/get", KEYS, True, 2),
    "REST put": ("PUT", f"{NAMESPACE}/values/b", ONE.encode(), False, 2),
    "REST bulk put": ("PUT", f"{NAMESPACE}/bulk", b"[" * (MIB - 100), False, 2),
    "binding get": ("GET", "/workerd/large", b"", True, 1),
    "binding bulk get": ("POST", "/workerd/bulk/get", KEYS, True, 2),
    "binding put": ("PUT", "/workerd/b", ONE.encode(), False, 2),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_past_the_memory_a_request_is_refused_and_others_are_not(kind: str) -> None:
    method, path, body, whole, held = KINDS[kind]
    server = make_server(MemoryStorage({"large": ONE}), auth=USERS, limits=LIMITS)
    call = Caller(server)
    stalled = []
    for _ in range(8 // held + 1):
        one = Stalled(server, method, path, body, whole)
        await one.settle()
        stalled.append(one)
    *first, last = stalled
    waiting: list[list[int]] = [[200]] if whole else [[]]
    assert [one.statuses for one in first] == waiting * len(first)
    # workerd reads no answer before it has sent the whole body.
    if kind != "binding put":
        assert (last.statuses, last.retry_after) == ([503], b"1")
    for name, status in (("a", 503), ("b", 200)):
        headers = {"Authorization": f"Bearer key-{name}"}
        assert (await call("GET", "/v1/kv/large", headers=headers)).status_code == status
        small = await call("PUT", "/v1/kv/small", headers=headers, json={"value": 1})
        assert small.status_code == 200
    await asyncio.gather(*(one.end() for one in stalled))
    assert (last.statuses, last.retry_after) == ([503], b"1")
    headers = {"Authorization": "Bearer key-a"}
    assert (await call("GET", "/v1/kv/large", headers=headers)).status_code == 200


async def test_all_users_together_have_so_much_and_no_more() -> None:
    server = make_server(MemoryStorage({"large": ONE}), auth=USERS, limits=LIMITS)
    call = Caller(server)
    memory = server.memory
    memory.take("others", 8 * MIB)
    memory.take("more", 8 * MIB - 1000)
    headers = {"Authorization": "Bearer key-b"}
    refused = await call("GET", "/v1/kv/large", headers=headers)
    assert refused.status_code == 503
    assert "try again in 1 s" in refused.json()["error"]
    put = await call("PUT", "/v1/kv/large", headers=headers, json={"value": "y" * 500_000})
    assert put.status_code == 503
    memory.give_back("others", 8 * MIB)
    assert (await call("GET", "/v1/kv/large", headers=headers)).json()["data"] == ONE


async def test_a_write_is_refused_before_it_is_done_or_not_at_all() -> None:
    server = make_server(MemoryStorage({"large": ONE}), auth=USERS, limits=LIMITS)
    memory = server.memory
    call = Caller(server)
    headers = {"Authorization": "Bearer key-b"}
    # Enough for the body, but not for the echo.
    memory.take("others", 8 * MIB)
    memory.take("more", 5 * MIB + 900_000)
    put = await call("PUT", "/v1/kv/large", headers=headers, json={"value": "y" * 1_000_000})
    assert put.status_code == 503
    operations = [{"op": "set", "key": "large", "value": 1}, {"op": "get", "key": "large"}]
    memory.take("more", 1 * MIB)
    batch = await call("POST", "/v1/kv", headers=headers, json={"operations": operations})
    assert batch.status_code == 503
    memory.give_back("others", 8 * MIB)
    assert (await call("GET", "/v1/kv/large", headers=headers)).json()["data"] == ONE


@pytest.mark.parametrize(
    ("limits", "least"),
    [
        ({"memory_bytes": 16 * MIB - 1}, 16 * MIB),
        ({"memory_bytes": MIB, "value_bytes": 2 * MIB}, 20 * MIB),
        ({"memory_bytes": MIB, "batch_bytes": 2 * MIB}, 24 * MIB),
    ],
)
def test_memory_for_less_than_one_request_is_refused(limits: Any, least: int) -> None:
    with pytest.raises(OptionsError, match=f"limits.memory_bytes is .* at least {least}, "):
        kv({"limits": LIMITS | limits})


def test_without_a_word_there_is_a_quarter_of_the_memory_and_enough_for_a_request() -> None:
    limits = make_server(MemoryStorage()).options.limits
    assert memory_for(limits) >= 264 * MIB
    large = make_server(MemoryStorage(), limits={"value_bytes": 1024 * MIB}).options.limits
    assert memory_for(large) >= 6 * 1024 * MIB


SERVED = {"value_bytes": 4 * MIB, "batch_bytes": 4 * MIB, "memory_bytes": 40 * MIB}


@contextmanager
def asked(server: ServedStore, request: bytes, many: int) -> Iterator[list[socket.socket]]:
    """Open connections with a request each, on which nothing is read."""
    with ExitStack() as opened:
        connections = []
        for _ in range(many):
            one = socket.socket()
            # So little that the server has to wait for the client.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.settimeout(60)
            one.connect(("127.0.0.1", server.port))
            opened.enter_context(one)
            one.sendall(request)
            connections.append(one)
        yield connections


def test_clients_that_read_nothing_take_no_more_than_their_share(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which only Linux has")
    others = {"name": "other", "api_key": "another"}
    env = {f"KV_OPTIONS__LIMITS__{name.upper()}": str(size) for name, size in SERVED.items()}
    env["KV_API_KEYS"] = json.dumps(others)
    with ServedStore(tmp_path / "kv.sqlite", env=env) as server, server.client() as client:
        value = "x" * (4 * MIB - 1000)
        client.put("/v1/kv/large", json={"value": value}).raise_for_status()
        batch = b'{"operations":[{"op":"get","key":"large"}]}'
        head = b"Host: x\r\nAuthorization: Bearer test-key\r\nContent-Type: application/json\r\n"
        get = b"GET /v1/kv/large HTTP/1.1\r\n%b\r\n" % head
        post = b"POST /v1/kv HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(batch), batch)
        with asked(server, get, 40) as gets, asked(server, post, 40) as posts:
            heads = [one.recv(200) for one in (*gets, *posts)]
            refused = [one for one in heads if one.startswith(b"HTTP/1.1 503 ")]
            # How many are admitted depends on how much of the unread answers the kernel takes.
            assert 10 < len(refused) < 80
            assert all(b"retry-after: 1" in one for one in refused)
            answer = client.get("/v1/kv/large", headers={"Authorization": "Bearer another"})
            assert answer.json()["data"] == value
            assert client.get("/v1/kv/missing").status_code == 404
        peaks: list[Any] = [
            int(line.split()[1])
            for child in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            for line in Path(f"/proc/{child}/status").read_text().splitlines()
            if line.startswith("VmHWM:")
        ]
        # Without a bound, the answers would take 480 MiB.
        assert max(peaks) < 200 * 1024
