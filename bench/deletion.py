"""Measures how fast SQLite deletes by prefix, and how long other writes wait meanwhile.

Run it with `python -m bench.deletion`.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import click

from workertown_kv.operations import Batch, DeletePrefix, Set
from workertown_kv.storage.sqlite import SqliteStorage

SPACE: Final = "default"
PREFIX: Final = "p/"
FILLED_TOGETHER: Final = 1000
DELETED_TOGETHER: Final = 10_000
"""The most that one request deletes."""
PAUSE_SECONDS: Final = 0.002
"""Between two writes beside the deletion."""


@click.command()
@click.option("--keys", default=1_000_000, show_default=True, help="How many keys to delete.")
@click.option("--changes/--no-changes", default=True, help="Whether changes are recorded.")
@click.option("--writer/--no-writer", default=True, help="Whether another client writes meanwhile.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the file is made.")
def main(keys: int, changes: bool, writer: bool, folder: Path | None) -> None:
    """Delete many keys from an SQLite file, and print how long that takes."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        asyncio.run(_measure(Path(place) / "kv.sqlite", keys, changes=changes, writer=writer))


async def _measure(path: Path, keys: int, *, changes: bool, writer: bool) -> None:
    storage = SqliteStorage(path)
    if not changes:
        storage.retention = None
    await storage.open()
    await _fill(storage, keys)
    waits: list[float] = []
    began = time.perf_counter()
    if writer:
        async with _writing(storage, waits):
            deleted = await _delete(storage)
    else:
        deleted = await _delete(storage)
    seconds = time.perf_counter() - began
    await storage.close()
    print(f"{deleted:,} keys in {seconds:.2f} s: {deleted / seconds:,.0f} keys/s")
    if waits:
        waits.sort()
        median, late, most = (
            1000 * waits[int(share * (len(waits) - 1))] for share in (0.5, 0.99, 1)
        )
        print(
            f"{len(waits):,} writes meanwhile: median {median:.1f} ms, p99 {late:.1f} ms, "
            f"longest {most:.1f} ms"
        )


async def _fill(storage: SqliteStorage, keys: int) -> None:
    for start in range(0, keys, FILLED_TOGETHER):
        numbers = range(start, min(start + FILLED_TOGETHER, keys))
        sets = [
            Set(namespace=SPACE, key=f"{PREFIX}{number:08}", value=b'"' + b"x" * 20 + b'"')
            for number in numbers
        ]
        await storage.batch(Batch(sets))


async def _delete(storage: SqliteStorage) -> int:
    deleted, cursor = 0, None
    while True:
        done = await storage.delete_prefix(DeletePrefix(SPACE, PREFIX, DELETED_TOGETHER, cursor))
        deleted += done.deleted
        cursor = done.cursor
        if cursor is None:
            return deleted


@asynccontextmanager
async def _writing(storage: SqliteStorage, waits: list[float]) -> AsyncIterator[None]:
    """Write single entries again and again, and note how long each write waits."""

    async def write() -> None:
        while True:
            began = time.perf_counter()
            await storage.set(Set(namespace=SPACE, key="other", value=b"1"))
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_SECONDS)

    writing = asyncio.create_task(write())
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.wait([writing])


if __name__ == "__main__":
    main()
