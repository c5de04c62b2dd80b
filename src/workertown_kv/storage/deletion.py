"""Delete the entries with a prefix in steps, so that other writers wait only for a step."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from ..errors import KvError
from ..operations import Batch, Delete, DeletePrefix, Deletion, List, Page, Result
from .listing import KeyRange, ranges_of

STEP_KEYS: Final = 1000
"""The most keys that a step goes over."""

MOST_STEPS: Final = 100
"""How many steps an operation takes at most, if most entries have expired or are large."""

Step = tuple[int, KeyRange | None]
"""How many entries a step has deleted, and the rest of the range; `None` if no keys are left."""


class DeleteRange(msgspec.Struct, frozen=True, gc=False):
    """A step, for storages that do their writes as jobs."""

    namespace: str
    keys: KeyRange
    limit: int


DeleteSome = Callable[[KeyRange, int], Awaitable[Step]]
"""Goes over the first keys of a range, at least one and at most so many, and deletes the entries
among them that have not expired."""


class Deletes(Protocol):
    """The operations of a storage that are needed to delete without ranges."""

    async def list(self, operation: List) -> Page:
        """See `Storage`."""

    async def batch(self, operation: Batch) -> Sequence[Result]:
        """See `Storage`."""


async def delete_in_steps(operation: DeletePrefix, delete_some: DeleteSome) -> Deletion:
    """Delete as `Storage.delete_prefix` does, one step after the other."""
    deleted = 0
    rest = next(ranges_of(listing_of(operation)), None)
    for _ in range(MOST_STEPS):
        # A step may also delete what others write meanwhile, so more than its limit.
        if rest is None or deleted >= operation.limit:
            break
        some, rest = await delete_some(rest, min(STEP_KEYS, operation.limit - deleted))
        deleted += some
    return Deletion(deleted, None if rest is None else rest.start)


async def delete_listed(storage: Deletes, operation: DeletePrefix) -> Deletion:
    """Delete as `Storage.delete_prefix` does, by listings and batches."""
    deleted, cursor = 0, operation.cursor
    while True:
        some = min(STEP_KEYS, operation.limit - deleted)
        page = await storage.list(List(operation.namespace, operation.prefix, some, cursor))
        deletes = [Delete(operation.namespace, info.key) for info in page.keys]
        for result in await storage.batch(Batch(deletes)) if deletes else ():
            if isinstance(result, KvError):
                raise result
        deleted += len(deletes)
        cursor = page.cursor
        if cursor is None or deleted == operation.limit:
            return Deletion(deleted, cursor)


def listing_of(operation: DeletePrefix) -> List:
    """Return the listing of the keys that are to be deleted."""
    return List(operation.namespace, operation.prefix, STEP_KEYS, operation.cursor)


def up_to(keys: KeyRange, last: str) -> KeyRange:
    """Return the part of a range up to its key `last`, with this key."""
    return KeyRange(keys.start, f"{last}\0", keys.is_after_start)
