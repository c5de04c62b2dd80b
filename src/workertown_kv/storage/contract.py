"""Define what a storage promises. Your own storage extends `Storage`.

A storage knows entries and operations, and nothing about HTTP. It must have `get`, `set` and
`delete`. By default, all other methods do nothing, or raise the error for a capability it lacks.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from ..entry import DEFAULT_NAMESPACE, Entry
from ..errors import KvError, StorageUnsupported
from ..meters.metric import Measurement
from ..operations import (
    Batch,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Operation,
    Page,
    ReadChanges,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from .batch import ReadBudget, guarded
from .compare_and_set import compare_and_set
from .deletion import delete_listed
from .directories import Directory, KeyDirectory
from .listed_entries import list_entries

Clock = Callable[[], float]
"""Returns Unix seconds. Every storage takes a clock, so that tests move time instead of waiting."""

SWEEP_MARGIN_SECONDS: Final = 60.0
"""How long an expired entry stays before the sweep reclaims its space.

The clocks of servers that share a storage differ. A server whose clock is ahead by less than this
hides an entry too early, but removes no entry that is still alive by the clocks of the others.
"""


class Capability(StrEnum):
    """A capability that a storage may lack."""

    PRECONDITIONS = "preconditions"
    ATOMIC_BATCHES = "atomic batches"
    LISTING = "listing"
    SEEKING = "listing from any key, in reverse or by folders"
    NAMESPACES = "namespaces"
    TOUCH = "touches"
    CHANGES = "changes"
    RESERVED = "entries of the server itself"
    """Entries in `RESERVED_NAMESPACE`, and records of batches."""


class Retention(msgspec.Struct, frozen=True):
    """How long a storage keeps changes: until the first of these limits is reached."""

    seconds: float = 3600.0
    entries: int = 100_000


class Figures(msgspec.Struct, frozen=True):
    """How many entries a namespace has, and the size of their values."""

    namespace: str
    entries: int
    value_bytes: int
    expired: int
    """How many expired entries still take space. They are not among `entries`."""


class Migration(msgspec.Struct, frozen=True):
    """A numbered change of a schema, which has run."""

    migration: str
    direction: str = "up"
    """`up`, or `down` if it was undone."""
    status: str = "executed"


class Storage(ABC):
    """Entries under keys in namespaces.

    Every storage promises that

    - a write that has returned is as durable as the storage's docs say, and every read that begins
      afterwards sees it;
    - a reader sees all of a write or none of it;
    - an entry whose `expires_at` is not after `clock()` does not exist: it is not returned, not
      listed, and preconditions treat it as missing. Removing it only frees space;
    - keys are compared byte for byte as UTF-8, and may hold any character;
    - the engine decides a precondition in the same step as the write, never by a read before the
      write;
    - a failure raises `StorageUnavailable` if a retry may help, `StorageError` otherwise,
      with the error of the engine as `__cause__`.

    `lacks` declares the capabilities that the engine lacks. Using them raises `StorageUnsupported`.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {}
    """The capabilities that this storage lacks, each with the reason that the error gives."""

    needs_task: bool = True
    """Whether `get`, `list`, `set` and `delete` need a running task, as `asyncio.timeout` does.

    Without one, a server answers plain requests sooner. Whatever they await may need a task again.
    """

    shared: ClassVar[bool] = True
    """Whether several processes that open it see the same entries."""

    probe_seconds: ClassVar[float] = 5.0
    """How often a server checks and probes the storage in the background while it works.

    This is longer for an engine that charges for each request.
    """

    retention: Retention | None = Retention()
    """How long the storage keeps changes; `None` if it records none.

    A server sets it, from its options, before it opens the storage.
    """

    may_create: bool = True
    """Whether `open` may make what is missing: a file, or the tables of a database.

    Otherwise it makes nothing, and `open` or each operation raises `StorageError`. A command that
    only reads sets this before it opens the storage.
    """

    keeps_answers: bool = False
    """Whether a batch with a record that is repeated returns the results of the first time.

    A storage elsewhere keeps them there. Another storage raises `Conflict`, and has the record.
    """

    directory: Directory | None = None
    """The namespaces, if the storage manages them itself; `None`: servers keep them as entries."""

    key_directory: KeyDirectory | None = None
    """The API keys of the server that is the storage; `None`: servers keep keys as entries."""

    file: Path | None = None
    """The file with the entries, which `open` makes if it is missing; `None` without a file."""

    def __init__(self, *, clock: Clock = time.time) -> None:
        self.clock = clock

    async def open(self) -> Sequence[Migration]:
        """Prepare the storage for use. Called before any other method, and again after `close`.

        An embedded storage also brings its schema up to date. Returns the migrations that ran.
        """
        return ()

    async def learn(self) -> None:
        """Learn what the engine lacks, if `open` could not since the engine was unreachable.

        Raises `StorageUnavailable` if the engine is still unreachable.
        """

    async def close(self) -> None:
        """Finish the operations under way and release all resources. Repeating it does no harm.

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
        """Return sentences that tell an operator about problems, and how to solve them.

        Called after `open`. Examples: the clock of the engine differs from the clock of this
        machine, the engine may evict entries, permissions are missing.
        """
        return ()

    async def figures(self) -> Sequence[Figures] | None:
        """Return figures about each namespace that has entries.

        `None` if the engine cannot count entries without listing all of them.
        """
        return None

    def measurements(self) -> Iterable[Measurement]:
        """Return the present numbers of this storage in this process, for `/metrics`.

        Called every second, also before `open` and after `close`, so it must not wait for anything.
        The metrics are among those of `workertown_kv.meters.catalogue`.
        """
        return ()

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        """Bring the schema up to date. Returns the migrations that ran, which may be none.

        `to` is the number of migrations that have run afterwards. If more have run, the last
        migrations are undone, which removes their tables and all data in them.
        """
        return ()

    @abstractmethod
    async def get(self, operation: Get) -> Entry | None:
        """Return the entry, or `None` if there is none or it has expired."""

    @abstractmethod
    async def set(self, operation: Set) -> str:
        """Write the entry, which replaces all of an older entry. Returns the new version.

        Raises `PreconditionFailed` and changes nothing if the precondition does not hold.
        """

    @abstractmethod
    async def delete(self, operation: Delete) -> None:
        """Remove the entry, if it exists.

        Raises `PreconditionFailed` and changes nothing if the precondition does not hold.
        """

    async def touch(self, operation: Touch) -> str | None:
        """Change only the lifetime of an entry, in one step, and keep its version.

        Returns the version, or `None` if there is no entry. Raises `PreconditionFailed` and changes
        nothing if the precondition does not hold.
        """
        raise self.unsupported(Capability.TOUCH)

    async def update(self, operation: Update) -> Updated:
        """Do what `decide` of the operation returns for the entry, with no write in between.

        Raises `PreconditionFailed`, or the error of `decide`, and then changes nothing.

        The default reads the entry and writes with the precondition that the entry has not changed.
        If another request was faster, it tries again, and after some seconds it raises
        `StorageUnavailable`.
        """
        if Capability.PRECONDITIONS in self.lacks:
            raise self.unsupported(Capability.PRECONDITIONS)
        return await compare_and_set(self, operation)

    async def list(self, operation: List) -> Page:
        """Return one page of the keys with a prefix, in the order of their UTF-8 bytes.

        A page has at most `limit` keys and folders, and only the last page can be empty. Pages that
        follow each other by their cursors, while others write, neither repeat a key nor skip a key
        that existed throughout. Raises `InputError` for a cursor that this storage did not make.

        `List.needs_seeking` says whether the operation needs `Capability.SEEKING`. A storage with
        this capability takes the name of any key or folder as a cursor, whether or not it exists.
        `list_page` in `storage/listing.py` makes pages from reads of ranges of keys. It skips a
        folder without reading all keys in it.
        """
        raise self.unsupported(Capability.LISTING)

    async def list_entries(self, operation: List, read_bytes: int) -> Page:
        """Return a page as `list` does, with whole entries as its keys.

        The page also ends before its values have more than `read_bytes` together, unless it would
        be empty. An entry that others write meanwhile is read as it is then. Needs
        `Capability.SEEKING`, since a page may have to end before it is full.
        """
        if Capability.SEEKING in self.lacks:
            raise self.unsupported(Capability.SEEKING)
        return await list_entries(self, operation, read_bytes)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        """Delete entries with a prefix, in the order of their keys, at most `limit` of them.

        Returns how many entries existed and were deleted. A call may delete fewer; its cursor
        continues, and is `None` once no entry is left that was there before the first call. What
        others write meanwhile may stay. The entries are not deleted at one moment, and other writes
        do not wait until all are deleted. `delete_in_steps` in `storage/deletion.py` makes the
        steps of an engine that can delete ranges of keys; without it, keys are listed and deleted
        in batches.
        """
        return await delete_listed(self, operation)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        """Run the operations in order. Returns the result of each (see `operations.Result`).

        Without `atomic`, each operation succeeds or fails by itself, and the result of a failed
        operation is its error. With `atomic`, all happen at one moment or none does: `Conflict`
        names the operations whose precondition did not hold, and a touch without an entry raises
        `NotFound`. If the values of all gets, and those before and after all updates, have more
        than `read_bytes` together, the results of the gets and updates beyond are `ValueTooLarge`,
        and these updates write nothing.
        """
        if operation.atomic or operation.record is not None:
            raise self.unsupported(Capability.ATOMIC_BATCHES)
        budget = ReadBudget(operation.read_bytes)
        return [await self._attempt(item, budget) for item in operation.operations]

    async def changes(self, operation: ReadChanges) -> ChangePage:
        """Return the changes after a cursor, in all namespaces.

        Within `retention`, a reader that continues from the cursor of each page gets every change
        once, and the changes of a key in the order in which they happened, whichever server made
        them. Each write records its change in the same step. An expiry is a change too, recorded
        once, at the latest when changes are read after it. A deletion of nothing is none.

        Raises `CursorGone` if changes after the cursor are no longer kept, and `InputError` for a
        cursor that this storage did not make. Without `retention`, it raises `StorageUnsupported`.
        """
        raise self.unsupported(Capability.CHANGES)

    def key_beside(self, key: str, name: str) -> str:
        """Return a key made of `name` that a batch can change together with `key`.

        `name` has at most 100 characters. By default, a batch can change any keys together.
        """
        return name

    async def secret(self) -> bytes | None:
        """Return 64 bytes that all servers of the storage know, and that no client can know.

        `None`: the servers keep such bytes as an entry.
        """
        return None

    async def sweep(self, limit: int) -> int:
        """Reclaim the space of at most `limit` expired entries. Returns how many were removed.

        Keeps entries until `SWEEP_MARGIN_SECONDS` after their expiry. Called repeatedly in the
        background. A storage whose engine removes expired entries itself does nothing here, or only
        removes other data that is no longer used.
        """
        return 0

    def unsupported(self, capability: Capability) -> StorageUnsupported:
        """Return the error for a capability that this storage lacks."""
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
                case Touch():
                    return await self.touch(operation)
                case Update():
                    return await self.update(budget.spending(operation))
        except KvError as error:
            return error.with_traceback(None)
