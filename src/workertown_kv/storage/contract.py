"""The promises of a storage. Your own storage extends `Storage`.

A storage knows entries and operations, and nothing of HTTP. It must have `get`, `set` and `delete`.
The defaults of all other methods say what the storage lacks.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from ..entry import DEFAULT_NAMESPACE, Entry
from ..errors import InputError, KvError, StorageUnsupported
from ..operations import Batch, Delete, Get, List, Operation, Page, Result, Set
from .batch import ReadBudget, guarded

Clock = Callable[[], float]
"""Returns Unix seconds. Every storage takes a clock, so that tests move time instead of waiting."""

SWEEP_MARGIN_SECONDS: Final = 60.0
"""How long an expired entry stays before its space is reclaimed.

The clocks of servers with one storage differ. A clock that is ahead by less than this margin hides
an entry too early, but removes no entry that lives for the others.
"""


class Capability(StrEnum):
    """An ability that a storage may lack."""

    PRECONDITIONS = "preconditions"
    ATOMIC_BATCHES = "atomic batches"
    LISTING = "listing"
    NAMESPACES = "namespaces"


class Migration(msgspec.Struct, frozen=True):
    """One numbered change of a schema that has been run."""

    migration: str
    direction: str = "up"
    """`up`, or `down` where it was undone."""
    status: str = "executed"


class Storage(ABC):
    """Entries under keys in namespaces.

    Every storage promises that

    - a write that returned is durable as far as the storage's docs say, and every read that
      begins afterwards sees it;
    - a reader sees the whole of a write or nothing of it;
    - an entry whose `expires_at` is not after `clock()` does not exist: it is not returned, not
      listed, and a precondition sees nothing there. Removing it only frees space;
    - keys are compared byte for byte as UTF-8, and may hold any character;
    - a precondition is decided by the engine in the same step as its write, never by reading
      first and writing then;
    - a failure raises `StorageUnavailable` if trying again may help, `StorageError` otherwise,
      with the error of the engine as `__cause__`.

    `lacks` declares what the engine cannot do, which raises `StorageUnsupported`.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {}
    """The abilities that this storage lacks, each with the reason that the error gives."""

    shared: ClassVar[bool] = True
    """Whether several processes that open it see the same entries."""

    probe_seconds: ClassVar[float] = 5.0
    """How often a server checks and probes the storage in the background while all is well.

    Longer if each request to the engine costs money.
    """

    file: Path | None = None
    """The file with the entries, which `open` makes if it is missing. `None`: no such file."""

    def __init__(self, *, clock: Clock = time.time) -> None:
        self.clock = clock

    async def open(self) -> Sequence[Migration]:
        """Make ready for use. Called before any other method, and again after `close`.

        An embedded storage also brings its schema up to date. Returns the migrations that ran.
        """
        return ()

    async def close(self) -> None:
        """Finish the operations under way and release all resources. Harmless if repeated.

        Afterwards every operation raises `StorageUnavailable`.
        """

    async def check(self) -> None:
        """Raise `StorageUnavailable` if the storage does not answer."""
        await self.get(Get(DEFAULT_NAMESPACE, "health"))

    async def probe(self) -> None:
        """Raise `StorageError` if entries cannot be read or cannot be written.

        Changes no entry. Called every few seconds in the background, so it must be cheap. The
        default only tries to read.
        """
        await self.check()

    async def warnings(self) -> Sequence[str]:
        """Return sentences that tell an operator of problems and what to do about them.

        Called after `open`. Examples: the clock of the engine differs from that of this machine,
        the engine may evict entries, rights are missing.
        """
        return ()

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        """Bring the schema up to date. Returns the migrations that ran, which may be none.

        `to` is the number of migrations that have run afterwards. If more have run, the last ones
        are undone, which removes what they made and all data in it.
        """
        return ()

    @abstractmethod
    async def get(self, operation: Get) -> Entry | None:
        """Return the entry, or `None` if there is none or it has expired."""

    @abstractmethod
    async def set(self, operation: Set) -> str:
        """Write the entry, replacing everything of an older one. Returns the new version.

        Raises `PreconditionFailed` and changes nothing if the precondition does not hold.
        """

    @abstractmethod
    async def delete(self, operation: Delete) -> None:
        """Remove the entry. Harmless if there is none.

        Raises `PreconditionFailed` and changes nothing if the precondition does not hold.
        """

    async def list(self, operation: List) -> Page:
        """Return one page of the keys with a prefix, in the order of their UTF-8 bytes.

        A page has at most `limit` keys and is empty only if it is the last. Pages that follow
        each other by their cursors, while others write, neither repeat a key nor skip a key that
        was there throughout. Raises `InputError` for a cursor that this storage did not make.
        """
        raise self.unsupported(Capability.LISTING)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        """Do the operations in order. Returns one result for each (see `operations.Result`).

        Without `atomic`, each operation is on its own, and the result of a failed one is its
        error. With it, all happen at one moment or none does: `Conflict` names the operations
        whose precondition did not hold. Gets beyond `read_bytes` together are `ValueTooLarge`.
        """
        if operation.atomic:
            raise self.unsupported(Capability.ATOMIC_BATCHES)
        budget = ReadBudget(operation.read_bytes)
        return [await self._attempt(one, budget) for one in operation.operations]

    async def sweep(self, limit: int) -> int:
        """Reclaim the space of at most `limit` expired entries. Returns how many were removed.

        Keeps entries until `SWEEP_MARGIN_SECONDS` after their expiry. Called again and again in
        the background. An engine that removes expired entries itself does nothing here.
        """
        return 0

    def unsupported(self, capability: Capability) -> StorageUnsupported:
        """Return the error for an ability that this storage lacks."""
        reason = self.lacks.get(capability, "")
        return StorageUnsupported(f"This storage has no {capability}. {reason}".strip())

    async def _attempt(self, operation: Operation, budget: ReadBudget) -> Result:
        try:
            match operation:
                case Get():
                    entry = await self.get(operation)
                    return guarded(operation, budget.spend(entry))
                case Set():
                    return await self.set(operation)
                case Delete():
                    await self.delete(operation)
                    return None
        except KvError as error:
            return error.with_traceback(None)


def key_cursor(operation: List) -> str | None:
    """Return the key to go on after, for storages whose cursor is the last key of a page."""
    if operation.cursor is not None and not operation.cursor.startswith(operation.prefix):
        raise InputError("The cursor is not of a listing with this prefix")
    return operation.cursor
