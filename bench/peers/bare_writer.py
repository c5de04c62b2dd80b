"""Writes each body into an SQLite file: `python -m bench.peers.bare_writer PORT`."""

import asyncio
import sys
from typing import Final, cast

import apsw
import httptools
import uvloop

_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\nnull"
)


class Table:
    """Commits the writes of each turn of the event loop together, on the event loop."""

    def __init__(self) -> None:
        self._db = apsw.Connection("bare.sqlite")
        self._db.pragma("journal_mode", "WAL")
        self._db.pragma("synchronous", "FULL")
        self._db.execute("CREATE TABLE entry (key PRIMARY KEY, value) WITHOUT ROWID")
        self._waiting: list[tuple[bytes, bytes, asyncio.Transport]] = []

    def write(self, key: bytes, value: bytes, transport: asyncio.Transport) -> None:
        """Write an entry, and answer once it is on the disk."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._commit)
        self._waiting.append((key, value, transport))

    def _commit(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._db.execute("BEGIN IMMEDIATE")
        for key, value, _ in waiting:
            self._db.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (key, value))
        self._db.execute("COMMIT")
        for _, _, transport in waiting:
            transport.write(_ANSWER)


class BareWriter(asyncio.Protocol):
    """Writes the body of each request under its path."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._path = self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._feed = httptools.HttpRequestParser(self).feed_data

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def on_url(self, url: bytes) -> None:
        """Note the path; httptools calls this."""
        self._path = url

    def on_body(self, body: bytes) -> None:
        """Note the body, which comes in one piece as it is short."""
        self._body = body

    def on_message_complete(self) -> None:
        """Write the entry."""
        self._table.write(self._path, self._body, self._transport)


async def _serve(port: int) -> None:
    table = Table()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BareWriter(table), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
