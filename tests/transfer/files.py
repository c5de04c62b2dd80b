"""Make stores, and move them into bytes and back."""

from collections.abc import AsyncIterator, Iterable

from workertown_kv import Storage
from workertown_kv.entry import Entry
from workertown_kv.namespaces import Namespace, Namespaces
from workertown_kv.nesting import JSON_DEPTH
from workertown_kv.transfer.export_lines import ExportDecoder, ExportEncoder
from workertown_kv.transfer.forms import Decoder, Encoder
from workertown_kv.transfer.lines import LineLimits
from workertown_kv.transfer.moving import Import, Store, export_blocks
from workertown_kv.transfer.reading import pages_of
from workertown_kv.transfer.targets import Targets
from workertown_kv.transfer.writing import OnConflict, Tally, Writer

LIMITS = LineLimits(value_bytes=1024 * 1024, key_bytes=2048, json_depth=JSON_DEPTH)


def store_of(storage: Storage) -> Store:
    return Store(storage, Namespaces(storage))


async def exported(store: Store, encoder: Encoder | None = None) -> bytes:
    chosen = await store.namespaces.all()
    return b"".join(
        [block async for block in export_blocks(store, chosen, encoder or ExportEncoder())]
    )


async def imported(
    store: Store,
    file: bytes,
    decoder: Decoder | None = None,
    *,
    into: Namespace | None = None,
    on_conflict: OnConflict = OnConflict.OVERWRITE,
    is_dry_run: bool = False,
    block_bytes: int = 1000,
    tally: Tally | None = None,
) -> Tally:
    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(file), block_bytes):
            yield file[start : start + block_bytes]

    writer = Writer(store.storage, on_conflict, is_dry_run=is_dry_run, tally=tally)
    targets = Targets(store.namespaces, into, is_dry_run=is_dry_run)
    return await Import(decoder or ExportDecoder(LIMITS), targets, writer).run(blocks())


async def entries_of(store: Store) -> dict[str, list[Entry]]:
    """Return all entries by the ids of their namespaces, without their versions."""
    found = {}
    for namespace in await store.namespaces.all():
        entries: list[Entry] = []
        async for page in pages_of(store.storage, namespace.name):
            entries += without_versions(page)
        found[namespace.id] = entries
    return found


def without_versions(entries: Iterable[Entry]) -> list[Entry]:
    return [
        Entry(
            key=one.key,
            value=one.value,
            is_json=one.is_json,
            metadata=one.metadata,
            expires_at=one.expires_at,
            version="",
        )
        for one in entries
    ]
