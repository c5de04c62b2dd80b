"""Move entries between stores, and between a store and a file."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from ..entry import Entry, check_key, check_value_size
from ..namespaces import Namespace, Namespaces
from ..operations import Set
from ..storage import Storage
from .forms import BadFile, Decoder, Encoder, Item
from .lines import LineLimits
from .reading import pages_of
from .targets import Targets
from .writing import Tally, Writer

_ENCODED_TOGETHER: Final = 200
"""How many entries are encoded before other tasks may run."""
_LONG_BYTES: Final = 1024 * 1024
"""A longer line is decoded in a thread, so that other tasks need not wait."""

OnEntries = Callable[[int], None]
"""Called with the number of entries that were read, after each page."""


class Store(msgspec.Struct, frozen=True):
    """A storage, which is open, and its namespaces."""

    storage: Storage
    namespaces: Namespaces


async def export_blocks(
    store: Store,
    chosen: Sequence[Namespace],
    encoder: Encoder,
    *,
    on_entries: OnEntries | None = None,
) -> AsyncGenerator[bytes, None]:
    """Yield the entries of some namespaces, encoded, in the order of their keys.

    Entries that others write or delete meanwhile may or may not be among them; all others are.
    """
    yield encoder.begin(store.storage.clock())
    for namespace in chosen:
        yield encoder.namespace(namespace)
        async with aclosing(pages_of(store.storage, namespace.name)) as pages:
            async for entries in pages:
                for start in range(0, len(entries), _ENCODED_TOGETHER):
                    yield encoder.entries(entries[start : start + _ENCODED_TOGETHER])
                if on_entries is not None:
                    on_entries(len(entries))
    yield encoder.end()


class Import:
    """Writes what a file says into a store."""

    def __init__(self, decoder: Decoder, targets: Targets, writer: Writer) -> None:
        self._decoder = decoder
        self._targets = targets
        self._writer = writer
        self._unused: Namespace | None = None
        """The present namespace of the file, if it has had no entry yet."""

    async def run(self, blocks: AsyncIterator[bytes]) -> Tally:
        """Import a file, which comes in blocks.

        Raises `BadFile`, and the errors of the storage. The tally of the writer then says what was
        written before.
        """
        try:
            try:
                async for block in blocks:
                    await self._take(self._decoder.feed(block))
                await self._take(self._decoder.finish())
            except BadFile:
                await self._writer.finish()
                raise
            return await self._writer.finish()
        except BaseException:
            await self._writer.abort()
            raise

    async def _take(self, items: Iterator[Item]) -> None:
        writes: list[Set] = []
        is_long = self._decoder.pending_bytes > _LONG_BYTES
        try:
            while (
                item := await asyncio.to_thread(next, items, None) if is_long else next(items, None)
            ):
                if isinstance(item, Set):
                    if self._unused is not None:
                        self._targets.use(self._unused)
                        self._unused = None
                    writes.append(item)
                else:
                    # The decoder is lazy: the entries after this item are not decoded yet.
                    self._decoder.namespace = await self._targets.find(item)
                    self._unused = item
        finally:
            await self._writer.write(writes)


async def copy(
    source: Store,
    chosen: Sequence[Namespace],
    targets: Targets,
    writer: Writer,
) -> Tally:
    """Copy the entries of some namespaces, as `export_blocks` reads them."""
    try:
        for namespace in chosen:
            name = await targets.find(namespace)
            async with aclosing(pages_of(source.storage, namespace.name)) as pages:
                async for entries in pages:
                    if entries:
                        targets.use(namespace)
                    await writer.write([Set.of(name, entry) for entry in entries])
        return await writer.finish()
    except BaseException:
        await writer.abort()
        raise


async def write_pages(
    pages: AsyncIterator[Sequence[Entry]], namespace: str, limits: LineLimits, writer: Writer
) -> Tally:
    """Write entries of another program. Raises `InputError` for an entry that is too large."""
    try:
        async for entries in pages:
            for entry in entries:
                check_key(entry.key, limits.key_bytes)
                check_value_size(len(entry.value), limits.value_bytes)
            await writer.write([Set.of(namespace, entry) for entry in entries])
        return await writer.finish()
    except BaseException:
        await writer.abort()
        raise
