"""Count the entries of a store, by namespace."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from ..changes.interest import is_reserved
from ..entry import Entry
from ..errors import StorageError, StorageFailure, StorageUnavailable
from ..namespaces import Namespace
from ..operations import List
from ..storage import Figures
from .entries.pages import PAGE_KEYS, pages
from .store import OpenStore


class Counted(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many entries a namespace has; `None` stands for what is not known."""

    namespace: str
    title: str
    entries: int
    value_bytes: int | None = None
    expired: int | None = None
    """Entries that have expired, and still take space."""


async def count(found: OpenStore, *, one: bool, with_bytes: bool = False) -> Sequence[Counted]:
    """Count the entries of the chosen namespace if only this `one` matters, else of all.

    Without figures of the engine, this lists all keys, or `with_bytes` all entries, and shows its
    progress on a terminal.
    """
    figures = await _figures(found)
    spaces = [await _chosen(found)] if one else await _spaces(found)
    if figures is not None:
        return [_counted(space, figures.get(space.name)) for space in spaces]
    with _progress() as advance:
        return [await _listed(found, space, advance, with_bytes=with_bytes) for space in spaces]


async def _figures(found: OpenStore) -> dict[str, Figures] | None:
    try:
        figures = await found.storage.figures()
    except StorageUnavailable:
        # Counting may take longer than the engine has for a statement. Pages are short.
        return None
    if figures is None:
        return None
    return {one.namespace: one for one in figures if not is_reserved(one.namespace)}


async def _spaces(found: OpenStore) -> Sequence[Namespace]:
    try:
        return await found.namespaces.all()
    except StorageError as error:
        if error.kind is not StorageFailure.REFUSED:
            raise
        # Only administrators may know of all namespaces of a server.
        return [await _chosen(found)]


async def _chosen(found: OpenStore) -> Namespace:
    return await found.namespaces.named(found.namespace_id)


def _counted(space: Namespace, figures: Figures | None) -> Counted:
    if figures is None:
        return Counted(space.id, space.title, 0, 0, 0)
    return Counted(space.id, space.title, figures.entries, figures.value_bytes, figures.expired)


async def _listed(
    found: OpenStore, space: Namespace, advance: Callable[[int], None], *, with_bytes: bool
) -> Counted:
    entries, value_bytes = 0, 0
    async for page in pages(found, List(space.name, "", PAGE_KEYS), values=with_bytes):
        entries += len(page.keys)
        value_bytes += sum(len(info.value) for info in page.keys if isinstance(info, Entry))
        advance(len(page.keys))
    return Counted(space.id, space.title, entries, value_bytes if with_bytes else None)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many keys were counted so far."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    # Importing rich takes longer than most commands.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        SpinnerColumn(),
        TextColumn("counted {task.completed:,.0f} keys"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda more: progress.advance(task, more)
