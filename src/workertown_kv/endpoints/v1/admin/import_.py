"""Import the entries of an export, which is the body of a request."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from ....errors import InputError, KvError, RequestTimeout, UnsupportedMediaType
from ....http.answer import Answer
from ....http.body import SLOWEST_BYTES, media_type_of
from ....http.exchange import Exchange
from ....http.query import bad_query, is_true, query
from ....http.trail import audited, note
from ....namespaces import Namespaces
from ....options import LimitsOptions
from ....storage import Storage
from ....storage.wrappers.audited import Act
from ....transfer.compression import Compression, Decompressor, has_zstd
from ....transfer.export_lines import ExportDecoder
from ....transfer.lines import LineLimits
from ....transfer.moving import Import
from ....transfer.targets import Targets
from ....transfer.writing import UNDER_WAY_BYTES, OnConflict, Tally, Writer
from ..envelope import object_answer
from .export import NDJSON

_MEDIA_TYPES: Final = (NDJSON.encode(), b"application/ndjson", b"application/jsonl")
_COPIES: Final = 3
"""How often a line is in memory: as it arrived, whole, and as the value in it."""
_BLOCK_BYTES: Final = 64 * 1024


class Imported(msgspec.Struct, frozen=True):
    """What was done with the entries of an import."""

    written: int
    """The entries that were written, or would be."""
    skipped: int
    """The entries that were left out because their keys exist."""
    expired: int
    """The entries that were left out because they have expired."""


class ImportHandler:
    """Handles requests that import."""

    def __init__(self, limits: LimitsOptions, storage: Storage, namespaces: Namespaces) -> None:
        self._limits = limits
        self._storage = storage
        self._namespaces = namespaces

    async def import_(self, exchange: Exchange) -> Answer:
        """Write the entries of the body, and answer with their number."""
        exchange.user.check_everywhere("write")
        _check_media_type(exchange)
        decompressor = Decompressor(_compression(exchange))
        parameters = query(exchange, ("namespace", "on_conflict", "dry_run"))
        only = None
        if "namespace" in parameters:
            only = await self._namespaces.named(parameters["namespace"])
        is_dry_run = is_true(parameters, "dry_run")
        limits = self._limits
        decoder = ExportDecoder(LineLimits(limits.value_bytes, limits.key_bytes, limits.json_depth))
        writer = Writer(
            audited(exchange, self._storage),
            _on_conflict(parameters.get("on_conflict", OnConflict.OVERWRITE.value)),
            is_dry_run=is_dry_run,
        )
        exchange.hold(UNDER_WAY_BYTES)
        targets = Targets(self._namespaces, only, is_dry_run=is_dry_run)
        importing = Import(decoder, targets, writer)
        try:
            tally = await importing.run(self._blocks(exchange, decompressor, decoder))
        except KvError as error:
            error.message += _before(writer.tally, is_dry_run=is_dry_run)
            raise
        finally:
            for one in targets.created:
                made = Act(action="create_namespace", namespace=one.id, title=one.title, status=200)
                note(exchange, made)
        return object_answer(Imported(tally.written, tally.skipped, tally.expired))

    async def _blocks(
        self, exchange: Exchange, decompressor: Decompressor, decoder: ExportDecoder
    ) -> AsyncIterator[bytes]:
        """Yield the body, decompressed, and hold the memory that its longest line takes."""
        held = 0
        async for received in _received(exchange, self._limits.body_seconds):
            for piece in decompressor.feed(received):
                for start in range(0, len(piece), _BLOCK_BYTES):
                    needed = _COPIES * decoder.pending_bytes
                    if needed > held:
                        exchange.hold(needed - held)
                        held = needed
                    yield piece[start : start + _BLOCK_BYTES]
                    await asyncio.sleep(0)
        decompressor.finish()


async def _received(exchange: Exchange, seconds: float) -> AsyncIterator[bytes]:
    """Yield the parts of a body, for which the server may wait so long, and a time for its size.

    The time in which the server writes entries does not count.
    """
    if exchange.body is not None:
        yield exchange.body
        return
    left, time = float(seconds), asyncio.get_running_loop().time
    while True:
        started = time()
        try:
            async with asyncio.timeout(left):
                message = await exchange.receive()
        except TimeoutError as error:
            raise RequestTimeout(f"The body did not arrive within {seconds} s") from error
        if message["type"] == "http.disconnect":
            raise InputError("The body ended before it was whole")
        body = message.get("body", b"")
        left = min(left + len(body) / SLOWEST_BYTES, seconds) - (time() - started)
        yield body
        if not message.get("more_body"):
            return


def _check_media_type(exchange: Exchange) -> None:
    media_type = media_type_of(exchange)
    if media_type not in _MEDIA_TYPES:
        got = f"got {media_type[:100].decode('latin-1')}" if media_type else "there is none"
        raise UnsupportedMediaType(f"Expected Content-Type: {NDJSON}; {got}")


def _compression(exchange: Exchange) -> Compression:
    given = exchange.fields.get(b"content-encoding", b"identity").strip().lower()
    for one in Compression:
        if given == one.encode() and (one is not Compression.ZSTD or has_zstd()):
            return one
    names = "gzip or zstd" if has_zstd() else "gzip"
    got = given[:100].decode("latin-1")
    raise UnsupportedMediaType(f"Expected Content-Encoding to be {names}, or none; got {got}")


def _on_conflict(text: str) -> OnConflict:
    try:
        return OnConflict(text)
    except ValueError as error:
        raise bad_query("on_conflict", f"Expected one of {', '.join(OnConflict)}") from error


def _before(tally: Tally, *, is_dry_run: bool) -> str:
    """Return what a failed import has written."""
    if is_dry_run:
        return ""
    if not tally.entries:
        return ". Nothing was written"
    return (
        f". Before that, the server wrote or left out entries: {tally.entries:,}, up to the key "
        f"{str(tally.last_key)[:100]!r}"
    )
