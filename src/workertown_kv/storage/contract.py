"""What a storage promises. People bring their own by extending `Storage`.

A storage knows entries and operations, nothing of HTTP. It must write `get`, `set` and
`delete`; everything else has a default that is honest about what is missing.
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
"""Unix seconds. A parameter of every storage, so that tests move time instead of waiting."""

SWEEP_MARGIN_SECONDS: Final = 60.0
"""How long after its expiry an entry is kept before its space is reclaimed.

The clocks of servers over one storage differ. Within this margin a clock that is ahead hides an
entry too early, and removes nothing that lives for the others.
"""


class Capability(StrEnum):
    """What a storage may lack."""

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

    For every storage it holds that

    - a write that returned is durable as far as the storage's docs say, and every read that
      begins afterwards sees it;
    - a reader sees the whole of a write or nothing of it;
    - an entry whose `expires_at` is not after `clock()` does not exist: it is not returned, not
      listed, and a precondition sees nothing there. Removing it is a matter of space alone;
    - keys are compared byte for byte as UTF-8, and may hold any character;
    - a precondition is decided by the engine in the same step as its write, never by reading
      first and writing then;
    - what fails raises `StorageUnavailable` where trying again may help, `StorageError`
      otherwise, with the engine's own error as `__cause__`.

    What the engine cannot do is declared in `lacks` and raises `StorageUnsupported`.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {}
    """What this storage cannot do, each with the reason that the error gives."""

    shared: ClassVar[bool] = True
    """Whether several processes that open it see the same entries."""

    probe_seconds: ClassVar[float] = 5.0
    """How often a server checks and probes it in the background while all is well.

    More where each question costs money.
    """

    file: Path | None = None
    """The file with the entries, which `open` makes where there is none; `None`: there is no such
    file."""

    def __init__(self, *, clock: Clock = time.time) -> None:
        self.clock = clock

    async def open(self) -> Sequence[Migration]:
        """Make ready for use; called before anything else, and again after `close`.

        An embedded storage brings its schema up to date by the way, and says what ran.
        """
        return ()

    async def close(self) -> None:
        """Finish what has been accepted and let go of everything. Harmless when repeated.

        Afterwards every operation raises `StorageUnavailable`.
        """

    async def check(self) -> None:
        """Raise `StorageUnavailable` where the storage does not answer."""
        await self.get(Get(DEFAULT_NAMESPACE, "health"))

    async def probe(self) -> None:
        """Raise `StorageError` where entries cannot be read or cannot be written.

        Changes no entry. Called every few seconds in the background, so it must be cheap. By
        default only reading is tried.
        """
        await self.check()

    async def warnings(self) -> Sequence[str]:
        """Return what an operator should know about this storage, one sentence each.

        Called after `open`: the clock of the engine differs from this machine's, the engine may
        evict entries, rights are missing. Each sentence says what to do.
        """
        return ()

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        """Bring the schema up to date and say what ran; nothing where nothing had to.

        `to` is how many of the numbered migrations are to have run; the last ones are undone where
        there are more. What an undone migration made is gone, with all that was in it.
        """
        return ()

    @abstractmethod
    async def get(self, operation: Get) -> Entry | None:
        """The entry, or `None` where there is none or it has expired."""

    @abstractmethod
    async def set(self, operation: Set) -> str:
        """Write the entry, replacing everything an older one had; its new version.

        Raises `PreconditionFailed`, changing nothing, where the precondition does not hold.
        """

    @abstractmethod
    async def delete(self, operation: Delete) -> None:
        """Remove the entry; harmless where there is none.

        Raises `PreconditionFailed`, changing nothing, where the precondition does not hold.
        """

    async def list(self, operation: List) -> Page:
        """One page of the keys with a prefix, in the order of their UTF-8 bytes.

        A page has at most `limit` keys and is empty only if it is the last. Following cursors
        while others write neither repeats a key nor skips one that was there throughout. Raises
        `InputError` for a cursor that this storage did not make.
        """
        raise self.unsupported(Capability.LISTING)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        """Do the operations in order; one result for each (see `operations.Result`).

        Without `atomic` each stands for itself, and one that fails has its error as result. With
        it, all happen at one moment or none does: `Conflict` names those whose precondition did
        not hold. Gets past `read_bytes` together are `ValueTooLarge`.
        """
        if operation.atomic:
            raise self.unsupported(Capability.ATOMIC_BATCHES)
        budget = ReadBudget(operation.read_bytes)
        return [await self._attempt(one, budget) for one in operation.operations]

    async def sweep(self, limit: int) -> int:
        """Reclaim the space of at most `limit` expired entries; how many were removed.

        Leaves entries alone until `SWEEP_MARGIN_SECONDS` after their expiry.
        Called over and over in the background. An engine that expires by itself has nothing to
        do here.
        """
        return 0

    def unsupported(self, capability: Capability) -> StorageUnsupported:
        """The error for what this storage lacks."""
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
    """The key to go on after, for storages whose cursor is the last key of the page before."""
    if operation.cursor is not None and not operation.cursor.startswith(operation.prefix):
        raise InputError("The cursor is not of a listing with this prefix")
    return operation.cursor
