"""An application on a socket in process, for tests of the protocol that answers there."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from caller import API_KEY
from workertown_kv.server.bounded_protocol import BoundedProtocol, Bounds
from workertown_kv.server.plain_protocol import PlainProtocol
from workertown_kv.server.turn import Turn

SECONDS = 60
"""How long a test waits for what has to happen at once."""

KEY = b"Authorization: Bearer %b\r\n" % API_KEY.encode()
MIB = 1024 * 1024


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def on_both_loops(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run the tests of a module on asyncio and on uvloop, if it is the `anyio_backend` there."""
    return "asyncio", {"use_uvloop": request.param}


class Served:
    """An application on a socket, and the connections that the server has."""

    def __init__(self, port: int, state: ServerState, config: Config) -> None:
        self.port = port
        self.state = state
        self.config = config

    @property
    def protocols(self) -> set[BoundedProtocol]:
        return {one for one in self.state.connections if isinstance(one, BoundedProtocol)}

    def sweep(self, seconds: int) -> None:
        """Let so much time pass."""
        for _ in range(seconds):
            for one in self.protocols:
                one.sweep()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=8 * MIB)
        await until(lambda: self.protocol(writer) is not None)
        return reader, writer

    def protocol(self, writer: asyncio.StreamWriter) -> BoundedProtocol | None:
        """Return the server's end of a connection, `None` before and after."""
        client = writer.get_extra_info("sockname")
        return next((one for one in self.protocols if one.client == client), None)

    async def answer(self, sent: bytes) -> bytes:
        """Send a request on a connection of its own, and return the answer."""
        reader, writer = await self.connect()
        writer.write(sent)
        answer = await one_answer(reader, is_head=sent.startswith(b"HEAD"))
        writer.close()
        return answer

    async def all(self, sent: bytes) -> bytes:
        """Send this, and return what comes until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=MIB)
        writer.write(sent)
        received = await asyncio.wait_for(reader.read(-1), SECONDS)
        writer.close()
        return received


async def one_answer(reader: asyncio.StreamReader, *, is_head: bool = False) -> bytes:
    async with asyncio.timeout(SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        body = length is not None and not is_head and await reader.readexactly(int(length[1]))
    return head + (body or b"")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110  (the tested code has no events)
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(
    app: ASGIApp,
    *,
    seconds: int = 5,
    connections: int = 100,
    refused: int = 10,
    kind: type[BoundedProtocol] = PlainProtocol,
) -> AsyncIterator[Served]:
    bounds = Bounds(client_seconds=seconds, connections=connections, refused_at_once=refused)
    config = Config(
        app,
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    config.load()
    state = ServerState()
    protocol = partial(kind, bounds, config, state, Turn())
    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        yield Served(listener.sockets[0].getsockname()[1], state, config)
    finally:
        listener.close()
        for one in list(state.connections):
            assert isinstance(one, BoundedProtocol)
            one.abort()
        await until(lambda: not state.connections and not state.tasks)


def request(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    head = b"".join(b"%b\r\n" % field for field in (b"Host: x", *fields))
    return b"%b HTTP/1.1\r\n%b%b\r\n%b" % (line, head, KEY, body)


def put(key: bytes, body: bytes, *fields: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    given = (b"Content-Type: application/json", b"Content-Length: %d" % size, *fields)
    return request(b"PUT /v1/kv/%b" % key, *given, body=body)


def statuses(received: bytes) -> list[int]:
    return [int(one[:3]) for one in received.split(b"HTTP/1.1 ")[1:]]
