"""Define `workertown-kv backup`."""

import asyncio
import threading
import time
from pathlib import Path

import click

from ...errors import OptionsError
from ...storage.sqlite.backup import copy_file
from ...storage.url import storage_from_url
from ..epilog import epilog
from ..store import StoreChoice, run, whole_store_options
from .progress import Bar
from .target_file import part_of

_LOOK_SECONDS = 0.2


@click.command(
    epilog=epilog("backup backup.sqlite", "backup --store /srv/kv.sqlite /backups/kv.sqlite")
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@whole_store_options
def backup(*, store: StoreChoice, file: Path) -> None:
    """Copy the SQLite file of a store into FILE.

    FILE has the store as it is at one moment. A server may write meanwhile: FILE has all writes
    that were acknowledged before the command began. It is complete once it has its name, and is an
    ordinary SQLite file. For other stores, use `export` or the tools of their databases.

    Clients that follow changes begin again if FILE replaces the store: a position in the changes
    of one file is not accepted for the other.
    """
    started = time.monotonic()

    async def act() -> None:
        source = _file_of(store)
        if _size(file) is not None and _size(source) is not None and file.samefile(source):  # noqa: ASYNC240
            raise OptionsError(f"{file} is the store itself; expected another file")
        with part_of(file, like=source) as opened:
            part = Path(opened.name)
            stop = threading.Event()
            copying = asyncio.create_task(asyncio.to_thread(copy_file, source, part, stop))
            try:
                with Bar("Copying", _size(source)) as bar:
                    while not (await asyncio.wait([copying], timeout=_LOOK_SECONDS))[0]:
                        bar.show(steps=_size(part))
            finally:
                stop.set()
                await asyncio.gather(copying, return_exceptions=True)
            await copying
        seconds = time.monotonic() - started
        size = _size(file) or 0
        click.echo(f"Copied {source} to {file}, {size:,} bytes, in {seconds:.1f} s", err=True)

    run(act)


def _file_of(store: StoreChoice) -> Path:
    file = storage_from_url(store.url).file
    if file is None:
        raise OptionsError(
            "The store is no SQLite file; expected `workertown-kv export`, or the backup of its "
            "database"
        )
    return file


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
