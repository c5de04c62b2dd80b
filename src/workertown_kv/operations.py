"""Define the operations on entries, with their preconditions and results.

APIs make them from requests, and storages run them.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from .entry import Entry, KeyInfo
from .errors import KvError


class Versioned(Protocol):
    """What a precondition needs to know of an entry."""

    @property
    def version(self) -> str:
        """The version."""

    @property
    def expires_at(self) -> float | None:
        """When the entry expires."""


class Precondition(msgspec.Struct, frozen=True, gc=False):
    """What must be true of an entry for an operation to run (RFC 9110, 13.1.1 and 13.1.2).

    It holds if the entry exists with one of `versions` (`None`: any version); if `negated`, it
    holds in all other cases. An entry that has expired does not exist.
    """

    versions: tuple[str, ...] | None = None
    negated: bool = False
    expires_at: float | UnsetType | None = UNSET
    """The expiry that the entry must have as well; a touch changes it and keeps the version.

    Only a precondition that is not negated has it.
    """

    def holds(self, version: str | None) -> bool:
        """Return whether it holds for an entry with this version; `None` stands for no entry."""
        found = version is not None and (self.versions is None or version in self.versions)
        return found is not self.negated

    def allows(self, entry: Versioned | None) -> bool:
        """Return whether it holds for an entry, or for no entry."""
        if entry is None:
            return self.holds(None)
        has_expiry = self.expires_at is UNSET or self.expires_at == entry.expires_at
        return has_expiry and self.holds(entry.version)


MUST_EXIST: Final = Precondition()
"""`If-Match: *`."""

MUST_NOT_EXIST: Final = Precondition(negated=True)
"""`If-None-Match: *`, which only creates."""


def unchanged(entry: Versioned | None) -> Precondition:
    """Return the precondition that an entry is as it was seen, its lifetime included."""
    if entry is None:
        return MUST_NOT_EXIST
    return Precondition((entry.version,), expires_at=entry.expires_at)


class Get(msgspec.Struct, frozen=True, gc=False):
    """Read an entry."""

    namespace: str
    key: str
    precondition: Precondition | None = None
    """Only used in a batch."""


class Set(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Write an entry. It replaces everything that an older entry had."""

    namespace: str
    key: str
    value: bytes
    is_json: bool = True
    metadata: bytes | None = None
    expires_at: float | None = None
    precondition: Precondition | None = None

    @classmethod
    def of(cls, namespace: str, entry: Entry, precondition: Precondition | None = None) -> "Set":
        """Return the operation that writes such an entry into a namespace."""
        return cls(
            namespace=namespace,
            key=entry.key,
            value=entry.value,
            is_json=entry.is_json,
            metadata=entry.metadata,
            expires_at=entry.expires_at,
            precondition=precondition,
        )

    def entry(self, version: str) -> Entry:
        """Return the entry that this makes, with its new version."""
        return Entry(
            key=self.key,
            value=self.value,
            is_json=self.is_json,
            metadata=self.metadata,
            expires_at=self.expires_at,
            version=version,
        )


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Delete an entry, if it exists."""

    namespace: str
    key: str
    precondition: Precondition | None = None


class Touch(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Give an entry another lifetime, if it exists. Everything else stays, the version included."""

    namespace: str
    key: str
    expires_at: float | None
    precondition: Precondition | None = None


Decision = Set | Touch | Delete | None
"""The write that an update decides on, under the key of the update; `None` writes nothing."""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """Write an entry, depending on its present state, in one step."""

    namespace: str
    key: str
    decide: Callable[[Entry | None], Decision]
    """Takes the entry, or `None` if there is none, and returns the write, without a precondition.

    It depends on nothing else, and a storage may call it several times. If it raises a `KvError`,
    nothing is written, and the storage raises that error.
    """
    precondition: Precondition | None = None
    """Checked before `decide` is called."""
    reads: bool = True
    """Whether the answer shows something of the value, so that the user must be able to read it."""
    shown_bytes: int = 0
    """How many bytes of a value the answer may show, where that is known."""
    patch_bytes: int = 0
    """The size of the patch that `decide` applies: a large patch takes long."""


class Updated(msgspec.Struct, frozen=True, gc=False):
    """The entry before and after an update; `None` stands for no entry.

    A storage that is another server knows only what that server shows: of a take the entry before,
    of other updates that the APIs make the entry after, whose value is missing if the update does
    not read.
    """

    before: Entry | None
    after: Entry | None


class List(msgspec.Struct, frozen=True, gc=False):
    """List a page of keys."""

    namespace: str
    prefix: str
    limit: int
    cursor: str | None = None
    """The `cursor` of the previous page; `None` for the first page."""
    start_after: str | None = None
    """The listing begins after this name, of a key or a folder, in its own order."""
    is_reverse: bool = False
    """Whether the keys come in reverse order."""
    delimiter: str | None = None
    """The text that ends the name of a folder.

    Instead of the keys that have it after the prefix, the page has their folders.
    """
    within: tuple[str, ...] = ("",)
    """The listing only shows keys with one of these prefixes: sorted, and none begins with another.

    Folders are those of the keys that it shows.
    """

    @property
    def needs_seeking(self) -> bool:
        """Whether only a storage that can list from any key can do this."""
        return (
            self.is_reverse
            or self.start_after is not None
            or self.delimiter is not None
            or self.within != ("",)
        )


class Page(msgspec.Struct, frozen=True):
    """A page of keys; `cursor` leads to the next page, and is `None` on the last page."""

    keys: Sequence[KeyInfo]
    """The keys, or the whole entries, as they were asked for."""
    cursor: str | None = None
    folders: Sequence[str] = ()
    """The names of the folders on this page, each with the prefix and the delimiter."""


class DeletePrefix(msgspec.Struct, frozen=True, gc=False):
    """Delete the entries with a prefix, at most `limit` of them."""

    namespace: str
    prefix: str
    limit: int
    cursor: str | None = None
    """The `cursor` of the deletion so far; `None` at first."""


class Deletion(msgspec.Struct, frozen=True, gc=False):
    """How many entries were deleted; `cursor` continues, and is `None` if there are no more."""

    deleted: int
    cursor: str | None = None


Operation = Get | Set | Delete | Touch | Update


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Write an entry with a batch, made from its results, if there is no such entry yet."""

    namespace: str
    key: str
    expires_at: float
    request: str = ""
    """What identifies the request of the batch: its repetitions have the same."""
    make: "Callable[[Sequence[Result]], bytes]"
    """Takes the results of the operations and returns the value, which need not be JSON.

    A storage may call it several times. If it raises a `KvError`, nothing is written, and the
    storage raises that error.
    """


class Batch(msgspec.Struct, frozen=True):
    """Run several operations in order."""

    operations: Sequence[Operation]
    atomic: bool = False
    """Whether nothing is changed if the precondition of one operation does not hold."""
    read_bytes: int = 32 * 1024 * 1024
    """The most bytes of values that all gets may return together."""
    record: Record | None = None
    """Written at the same moment as all operations, also if the batch is not atomic.

    If its entry exists already, nothing is done: `Conflict` names the index after the operations.
    """


Result = Entry | Updated | str | KvError | None
"""The result of an operation in a batch: the entry or `None` of a get, the new version of a set,
`None` of a delete, the version or `None` of a touch, what an update changed, or the error of an
operation that failed."""


class Event(StrEnum):
    """What happened to an entry, or to all entries with a prefix."""

    SET = "set"
    TOUCH = "touch"
    """Only the lifetime of the entry changed; its version is the same."""
    DELETE = "delete"
    EXPIRE = "expire"
    DELETE_PREFIX = "delete_prefix"


class Change(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Describe one change of a storage. The value is not part of it."""

    event: Event
    namespace: str
    key: str
    """The key of the entry; of `DELETE_PREFIX`, the prefix."""
    version: str | None = None
    """The new version; of `DELETE` and `EXPIRE`, the last version of the entry, if it is known."""
    expires_at: float | None = None
    metadata: bytes | None = None


class ReadChanges(msgspec.Struct, frozen=True):
    """Read the changes after a position, in all namespaces."""

    since: str | None
    """The `cursor` of an earlier page. `None` begins now: the page only has the cursor of now."""
    limit: int = 1000
    """About how many changes the page may have; a storage may return a few more."""
    wait: float = 0.0
    """How many seconds to wait until there is a change; the page is empty if there is none."""
    namespace: str | None = None
    """The only namespace whose changes are needed. A storage may return others as well."""
    prefixes: tuple[str, ...] = ("",)
    """Only changes of keys with one of these prefixes are needed, sorted and apart. A storage may
    return others as well."""


class ChangePage(msgspec.Struct, frozen=True):
    """Some changes, in the order in which a reader applies them."""

    changes: Sequence[Change]
    cursor: str
    """The position after the last of `changes`."""
    complete: bool
    """Whether there are no further changes at the moment."""
    cursors: Sequence[str] = ()
    """The position after each of `changes`, if the storage knows these positions."""
