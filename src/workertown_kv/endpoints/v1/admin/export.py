"""Stream all entries, as an export."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from ....errors import NotAcceptable
from ....http.answer import Answer, Fields
from ....http.exchange import PIECE_BYTES, AsgiExchange, Exchange
from ....http.fields import list_field
from ....http.query import query
from ....namespaces import Namespace, Namespaces
from ....storage import Storage
from ....transfer.compression import Compression, compressor, has_zstd
from ....transfer.export_lines import ExportEncoder
from ....transfer.moving import Store, export_blocks
from ....transfer.reading import PAGE_BYTES

NDJSON: Final = "application/x-ndjson"
"""The media type of the lines of an export."""

_COPIES: Final = 2
"""How often a page is in memory: as entries, and as lines; the next page is read meanwhile."""
_FIELDS: Final[Fields] = [
    (b"content-type", NDJSON.encode()),
    (b"content-disposition", b'attachment; filename="export.ndjson"'),
    (b"cache-control", b"no-store"),
    (b"vary", b"accept-encoding"),
]


class ExportHandler:
    """Handles requests for exports."""

    def __init__(self, storage: Storage, namespaces: Namespaces) -> None:
        self._store = Store(storage, namespaces)

    async def export(self, exchange: Exchange) -> Answer | None:
        """Stream the entries of a namespace, or of all namespaces."""
        for verb in ("read", "list"):
            exchange.user.check_everywhere(verb)
        parameters = query(exchange, ("namespace",))
        namespaces = self._store.namespaces
        if "namespace" in parameters:
            chosen = [await namespaces.named(parameters["namespace"])]
        else:
            chosen = await namespaces.all()
        compression = _accepted(exchange)
        fields = list(_FIELDS)
        if compression is not Compression.NONE:
            fields.append((b"content-encoding", compression.encode()))
        if exchange.method == "HEAD":
            return Answer(200, fields)
        assert isinstance(exchange, AsgiExchange)
        if not exchange.can_stream:
            raise NotAcceptable(
                "This host has no streams; expected `workertown-kv export` with the database"
            )
        await self._stream(exchange, chosen, compression, fields)
        return None

    async def _stream(
        self,
        exchange: AsgiExchange,
        chosen: list[Namespace],
        compression: Compression,
        fields: Fields,
    ) -> None:
        exchange.hold(held := _COPIES * PAGE_BYTES)
        compress = compressor(compression)
        leaving = asyncio.create_task(_wait_until_client_leaves(exchange))
        try:
            async with aclosing(export_blocks(self._store, chosen, ExportEncoder())) as blocks:
                async for block in _after_first_entry(blocks):
                    if _COPIES * len(block) > held:
                        exchange.hold(_COPIES * len(block) - held)
                        held = _COPIES * len(block)
                    if not exchange.status:
                        await exchange.begin_stream(fields)
                    for start in range(0, len(block), PIECE_BYTES):
                        piece = compress.compress(block[start : start + PIECE_BYTES])
                        if piece:
                            await exchange.send_piece(piece)
                    if leaving.done():
                        return
            await exchange.send_piece(compress.flush(), more=False)
        finally:
            leaving.cancel()


async def _after_first_entry(blocks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Join the first entry with the lines before it: a failure until then still gets an answer."""
    first = b"".join([await anext(blocks), await anext(blocks), await anext(blocks)])
    yield first
    async for block in blocks:
        yield block


def _accepted(exchange: Exchange) -> Compression:
    """Return the best compression that the client accepts."""
    accepted = list_field(exchange.fields, b"accept-encoding") or b""
    names = {
        name.strip()
        for name, _, weight in (one.partition(b";") for one in accepted.lower().split(b","))
        if weight.replace(b" ", b"").rstrip(b"0.") != b"q="
    }
    for one in (Compression.ZSTD, Compression.GZIP):
        if one.encode() in names and (one is Compression.GZIP or has_zstd()):
            return one
    return Compression.NONE


async def _wait_until_client_leaves(exchange: AsgiExchange) -> None:
    # A client that has only closed its half of the connection still reads.
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
