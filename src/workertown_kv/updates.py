"""Define the updates that the APIs make: patches, increments, descriptions and takes.

What each update decides is data, not a closure. A storage that is another server recognizes these
decisions, and sends them there instead of running them here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from .entry import Entry, check_value_size
from .errors import InputError, NotAcceptable, NotFound, PatchConflict, ValueTooLarge
from .nesting import is_deeper, too_deep
from .operations import Decision, Delete, Precondition, Set, Update
from .options import LimitsOptions
from .patches.increment import Increment
from .patches.json_patch import patched
from .patches.merge_patch import merged

Decide = Callable[[Entry | None], Decision]
"""Takes the present entry and returns the write; see `Update.decide`."""


class Target(msgspec.Struct, frozen=True):
    """The entry that a request is about, and the precondition of the request."""

    namespace: str
    key: str
    precondition: Precondition | None = None

    def update(
        self, decide: Decide, *, reads: bool = True, shown_bytes: int = 0, patch_bytes: int = 0
    ) -> Update:
        """Return an update of the entry."""
        return Update(
            namespace=self.namespace,
            key=self.key,
            decide=decide,
            precondition=self.precondition,
            reads=reads,
            shown_bytes=shown_bytes,
            patch_bytes=patch_bytes,
        )

    def replaced(self, entry: Entry | None, value: bytes, *, expires_at: float | None) -> Set:
        """Return the write of another value, beside the metadata that the entry has."""
        metadata = None if entry is None else entry.metadata
        return Set(
            namespace=self.namespace,
            key=self.key,
            value=value,
            metadata=metadata,
            expires_at=expires_at,
        )


class Merge(msgspec.Struct, frozen=True):
    """Applies a merge patch (RFC 7396)."""

    target: Target
    patch: bytes
    limits: LimitsOptions

    def __call__(self, entry: Entry | None) -> Decision:
        return _patched(self.target, entry, self.limits, lambda text: merged(text, self.patch))


class PatchSteps(msgspec.Struct, frozen=True):
    """Applies the operations of a JSON Patch (RFC 6902), which `patches.tree.parsed` has made."""

    target: Target
    steps: Sequence[Mapping[str, Any]]
    limits: LimitsOptions

    def __call__(self, entry: Entry | None) -> Decision:
        most = self.limits.patch_bytes
        return _patched(
            self.target,
            entry,
            self.limits,
            lambda text: patched(text, self.steps, copied_bytes=most),
        )


class Count(msgspec.Struct, frozen=True):
    """Adds to a number. A key without a value gets a number that expires at `expires_at`."""

    target: Target
    by: Increment
    expires_at: float | None = None

    def __call__(self, entry: Entry | None) -> Decision:
        if entry is None:
            return self.target.replaced(None, self.by.of(None), expires_at=self.expires_at)
        text = entry.value if entry.is_json else b""
        return self.target.replaced(entry, self.by.of(text), expires_at=entry.expires_at)


class Describe(msgspec.Struct, frozen=True):
    """Replaces the metadata and, unless `expires_at` is unset, the lifetime."""

    target: Target
    metadata: bytes | None
    expires_at: float | UnsetType | None = UNSET

    def __call__(self, entry: Entry | None) -> Decision:
        if entry is None:
            raise NotFound
        return Set(
            namespace=self.target.namespace,
            key=self.target.key,
            value=entry.value,
            is_json=entry.is_json,
            metadata=self.metadata,
            expires_at=entry.expires_at if self.expires_at is UNSET else self.expires_at,
        )


class Take(msgspec.Struct, frozen=True):
    """Removes the entry; with `as_bytes`, also an entry whose value is not JSON."""

    target: Target
    as_bytes: bool

    def __call__(self, entry: Entry | None) -> Decision:
        if entry is None:
            raise NotFound
        if not (entry.is_json or self.as_bytes):
            raise NotAcceptable(
                "The value is not JSON and stays; send Accept: application/octet-stream to take "
                "its bytes"
            )
        return Delete(self.target.namespace, self.target.key)


class Reserving(msgspec.Struct):
    """Decides as `decide` does, and reserves the memory for the value that the answer shows.

    `reserve` raises an error if there is no memory, and then nothing is written.
    """

    decide: Decide
    reserve: Callable[[int], None]
    around: int
    """How many bytes of the answer are around the value."""
    reserved: int = 0

    def __call__(self, entry: Entry | None) -> Decision:
        write = self.decide(entry)
        size = 0
        if isinstance(write, Set):
            size = len(write.value) + self.around
        elif isinstance(write, Delete) and entry is not None:
            size = len(entry.value) + self.around
        # An update may decide several times.
        if size > self.reserved:
            self.reserve(size - self.reserved)
            self.reserved = size
        return write


def merge(target: Target, patch: bytes, limits: LimitsOptions) -> Update:
    """Return the update by a merge patch."""
    return _patch(target, Merge(target, patch, limits), len(patch), limits)


def json_patch(
    target: Target, steps: Sequence[Mapping[str, Any]], patch_bytes: int, limits: LimitsOptions
) -> Update:
    """Return the update by the operations of a JSON Patch, whose text has `patch_bytes`."""
    return _patch(target, PatchSteps(target, steps, limits), patch_bytes, limits)


def increment(target: Target, by: Increment, expires_at: float | None = None) -> Update:
    """Return the update that counts. `expires_at` is for a key that it creates."""
    return target.update(Count(target, by, expires_at))


def describe(
    target: Target, metadata: bytes | None, expires_at: float | UnsetType | None = UNSET
) -> Update:
    """Return the update of the metadata and, unless `expires_at` is unset, of the lifetime."""
    return target.update(Describe(target, metadata, expires_at), reads=False)


def take(target: Target, limits: LimitsOptions, *, as_bytes: bool) -> Update:
    """Return the update that removes the entry and shows it; `as_bytes` also if it is not JSON."""
    return target.update(Take(target, as_bytes), shown_bytes=limits.value_bytes)


def _patch(target: Target, decide: Decide, patch_bytes: int, limits: LimitsOptions) -> Update:
    # The value, what the patch adds, and what it copies.
    return target.update(decide, shown_bytes=3 * limits.patch_bytes, patch_bytes=patch_bytes)


def _patched(
    target: Target,
    entry: Entry | None,
    limits: LimitsOptions,
    change: Callable[[bytes], bytes],
) -> Set:
    if entry is None:
        raise NotFound
    if not entry.is_json:
        raise PatchConflict("The value is not JSON; only JSON can be patched")
    if len(entry.value) > limits.patch_bytes:
        raise ValueTooLarge(
            f"The value has {len(entry.value):,} bytes; "
            f"at most {limits.patch_bytes:,} can be patched"
        )
    value = change(entry.value)
    check_value_size(len(value), limits.value_bytes)
    if is_deeper(value, limits.json_depth):
        raise InputError(too_deep(limits.json_depth))
    return target.replaced(entry, value, expires_at=entry.expires_at)
