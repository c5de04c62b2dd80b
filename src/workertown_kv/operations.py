"""The acts on entries, with their preconditions and results. Doors make them, storages do them."""

from collections.abc import Sequence
from typing import Final

import msgspec

from .entry import Entry, KeyInfo
from .errors import KvError


class Precondition(msgspec.Struct, frozen=True, gc=False):
    """What must be true of an entry for an operation to happen (RFC 9110, 13.1.1 and 13.1.2).

    It holds where the entry exists with one of `versions` (`None`: any version); `negated`,
    where it does not. An entry that has expired does not exist.
    """

    versions: tuple[str, ...] | None = None
    negated: bool = False

    def holds(self, version: str | None) -> bool:
        """Whether it holds for an entry of this version; `None` stands for no entry."""
        found = version is not None and (self.versions is None or version in self.versions)
        return found is not self.negated


MUST_EXIST: Final = Precondition()
"""`If-Match: *`."""

MUST_NOT_EXIST: Final = Precondition(negated=True)
"""`If-None-Match: *`: create only."""


class Get(msgspec.Struct, frozen=True, gc=False):
    """Ask for one entry."""

    namespace: str
    key: str
    precondition: Precondition | None = None
    """Only used in a batch."""


class Set(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Put a value under a key; everything an older entry had is replaced."""

    namespace: str
    key: str
    value: bytes
    is_json: bool = True
    metadata: bytes | None = None
    expires_at: float | None = None
    precondition: Precondition | None = None

    def entry(self, version: str) -> Entry:
        """The entry that this makes, at its new version."""
        return Entry(
            key=self.key,
            value=self.value,
            is_json=self.is_json,
            metadata=self.metadata,
            expires_at=self.expires_at,
            version=version,
        )


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove an entry, if there is one."""

    namespace: str
    key: str
    precondition: Precondition | None = None


class List(msgspec.Struct, frozen=True, gc=False):
    """Ask for one page of keys."""

    namespace: str
    prefix: str
    limit: int
    cursor: str | None = None
    """The `cursor` of the page before; `None` for the first page."""


class Page(msgspec.Struct, frozen=True):
    """Some keys of a listing; `cursor` leads to the next page and is `None` on the last."""

    keys: Sequence[KeyInfo]
    cursor: str | None = None


Operation = Get | Set | Delete


class Batch(msgspec.Struct, frozen=True):
    """Several operations, done in order."""

    operations: Sequence[Operation]
    atomic: bool = False
    """All or none: where one precondition does not hold, nothing is changed."""
    read_bytes: int = 32 * 1024 * 1024
    """The most bytes of values that its gets may return together."""


Result = Entry | str | KvError | None
"""What one operation of a batch came to: the entry or `None` for a get, the new version for a
set, `None` for a delete, and the error of an operation that failed."""
